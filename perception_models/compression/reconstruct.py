"""Structured pruning of EfficientNet-Lite0 by reconstruction: fewer channels inside each block, the same feature maps.

A block expands its input, filters every channel alone and projects them to its output, so its output is linear in the
filtered channels. One after the other, the channel is removed whose loss the others can best make up for, and the
projection is refitted by least squares (ThiNet, Luo et al. 2017, arXiv 1707.06342; He et al. 2017, arXiv 1707.06168;
the channel is chosen as in Optimal Brain Surgeon, Hassibi and Stork 1993). Targets are the outputs of the unpruned
network, so that a block also corrects the errors of those before it. No labels and no training are needed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from perception_models.config import SettingsError
from perception_models.network import PerceptionNet
from perception_models.network.blocks import ConvBlock
from perception_models.network.efficientnet import EfficientNetLite0, InvertedResidual

STEP = 8  # channels stay multiples of it: vector registers of CPUs, INT8 tensor cores
PIXELS = 160  # drawn at random from each image, to solve a block


def thinned(net: PerceptionNet, images: Sequence[Tensor], lost: float) -> PerceptionNet:
    """A network whose blocks have fewer channels inside; `net` is left unchanged.

    images  batches of B H W 3 uint8 to reconstruct the features of; 100 images and more
    lost    largest share of the variance of a block's output, without its skip connection, to lose, 0 to 1
    """
    if not 0 < lost < 1:
        raise SettingsError(f"lost={lost}: expected a share above 0 and below 1")
    original, backbone = copy.deepcopy(net).eval().backbone, copy.deepcopy(net).eval().backbone
    assert isinstance(original, EfficientNetLite0)
    assert isinstance(backbone, EfficientNetLite0)
    with torch.no_grad():
        _thin(backbone, original, [net.scaled(batch) for batch in images], lost)
    made = PerceptionNet(replace(net.config, expanded=[block.layers[-1].conv.in_channels for block in backbone.blocks]))
    made.load_state_dict(net.state_dict() | {f"backbone.{k}": v for k, v in backbone.state_dict().items()})
    return made.eval()


def _thin(backbone: EfficientNetLite0, original: EfficientNetLite0, images: list[Tensor], lost: float) -> None:
    """Prune all blocks of a backbone in place, each to return what the original one returns."""
    generator = torch.Generator().manual_seed(0)
    wanted = inputs = [original.stem(batch) for batch in images]
    for number, (block, unpruned) in enumerate(zip(backbone.blocks, original.blocks)):
        wanted = [unpruned(x) for x in wanted]
        kept = reconstruct(block, inputs, wanted, lost, generator)
        if number == 0:  # it has no expansion: its channels are those of the stem
            _keep(backbone.stem, kept)
            inputs = [backbone.stem(batch) for batch in images]
        inputs = [block(x) for x in inputs]


def reconstruct(
    block: InvertedResidual, inputs: list[Tensor], wanted: list[Tensor], lost: float, generator: torch.Generator
) -> Tensor:
    """Prune one block in place; returns the indices of the channels that it keeps, of those inside it.

    inputs  B C H W: what it receives
    wanted  B C' H' W': what it should return
    """
    features, target = _sampled(block, inputs, wanted, generator)
    gram, cross = features.T @ features / len(features), features.T @ target / len(features)
    gram.diagonal()[:-1].add_(1e-5 * gram.diagonal()[:-1].mean())
    kept = chosen(gram, cross, lost * float(target.var(0).sum()))
    rows = torch.cat([kept, torch.tensor([len(gram) - 1])])
    weights = torch.linalg.solve(gram[rows][:, rows], cross[rows])
    for layer in block.layers[:-1]:
        _keep(layer, kept)
    _project(block.layers[-1], weights.float())
    return kept


def _sampled(
    block: InvertedResidual, inputs: list[Tensor], wanted: list[Tensor], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pixels by filtered channels, the last a constant for the bias, and what their projections should be."""
    filtered, targets = [], []
    for x, y in zip(inputs, wanted):
        pixels = torch.randint(0, y.shape[2] * y.shape[3], (len(y), PIXELS), generator=generator)
        filtered.append(_rows(block.body[:-1](x), pixels))
        targets.append(_rows(y - x if block.skip else y, pixels))
    features = torch.cat(filtered).double()
    return torch.cat([features, torch.ones(len(features), 1, dtype=torch.double)], 1), torch.cat(targets).double()


def chosen(gram: Tensor, cross: Tensor, budget: float) -> Tensor:
    """Indices, ascending, of as few channels as explain the targets with at most `budget` more squared error.

    gram    C+1 C+1 products of the channels and a constant, which always stays
    cross   C+1 T products with the targets
    """
    inverse = torch.linalg.inv(gram)
    weights = inverse @ cross
    left = torch.ones(len(gram) - 1, dtype=torch.bool)
    best, error = left.clone(), 0.0
    while int(left.sum()) > STEP:
        costs = (weights**2).sum(1)[:-1] / inverse.diagonal()[:-1]
        channel = int(costs.masked_fill(~left, float("inf")).argmin())
        error += float(costs[channel])
        if error > budget:
            break
        column = inverse[:, channel] / inverse[channel, channel]
        weights = weights - torch.outer(column, weights[channel])
        inverse = inverse - torch.outer(column, inverse[channel])
        left[channel] = False
        inverse[channel, channel] = 1.0  # out of the way: 0 by now, and only divided by
        if int(left.sum()) % STEP == 0:
            best = left.clone()
    return best.nonzero()[:, 0]


def _rows(maps: Tensor, pixels: Tensor) -> Tensor:
    """B C H W at flat positions B N: B*N C."""
    flat = maps.flatten(2).transpose(1, 2)
    return flat.gather(1, pixels[..., None].expand(-1, -1, flat.shape[2])).flatten(0, 1)


def _keep(layer: ConvBlock, channels: Tensor) -> None:
    """Leave these outputs of a convolution and its batch norm; of a depthwise one, its inputs as well."""
    conv, norm = layer.conv, layer.norm
    conv.weight = nn.Parameter(conv.weight[channels])
    conv.out_channels = norm.num_features = len(channels)
    if conv.groups > 1:
        conv.in_channels = conv.groups = len(channels)
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        assert values is not None
        values.data = values.data[channels]


def _project(layer: ConvBlock, weights: Tensor) -> None:
    """Make a 1x1 convolution with batch norm calculate `weights`: C+1 T, the last row is the bias."""
    conv, norm = layer.conv, layer.norm
    conv.weight = nn.Parameter(weights[:-1].T[..., None, None].contiguous())
    conv.in_channels = len(weights) - 1
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.fill_(1)
    norm.bias.copy_(weights[-1])
