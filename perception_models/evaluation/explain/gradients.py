"""Evidence maps from gradients: one backward pass per target (needs torch and captum).

Activation times gradient, summed over the channels of backbone maps: HiResCAM (Draelos and Carin 2020, arXiv
2011.08891), which unlike Grad-CAM does not average the gradient over the image and can therefore explain one of two
cars.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from captum.attr import LayerGradientXActivation
from torch import Tensor
from torch.nn import functional as F

from perception_models.data import labels
from perception_models.evaluation.explain.target import Target
from perception_models.losses.iou import iou
from perception_models.network import PerceptionNet
from perception_models.network.box_coding import anchor_points, boxes_from_sides

STAGES = (1, 2)  # of the backbone, strides 8 and 16: fine enough for a wheel, deep enough to recognise a car


def gradient_maps(net: PerceptionNet, image: np.ndarray, targets: Sequence[Target]) -> np.ndarray:
    """(T, H, W) float32 evidence of each pixel for each target; negative: against it.

    image  (H, W, 3) uint8, of a size the network accepts
    """
    images = torch.from_numpy(image)[None].float()
    layers = [net.backbone.stages[number] for number in STAGES]
    return np.stack([_map(layers, target_output(net, target, image.shape[:2]), images) for target in targets])


def target_output(net: PerceptionNet, target: Target, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """The raw network output behind a target, as a function of images (B, H, W, 3) float: (B,)."""
    if target.type == "object":
        branch = net.config.exported_branch
        return lambda images: _object_logit(net(images, (branch,)), target, size, net.config.strides, branch)
    if target.type == "lane":
        slot = labels.POSITIONS.index(int(target.name))
        return lambda images: net(images, ())["lane_exists"][:, slot]
    number = labels.SCENE[target.name].index(str(target.label))
    return lambda images: net(images, ())[target.name].log_softmax(-1)[:, number]


def _object_logit(
    outputs: dict[str, Tensor], target: Target, size: tuple[int, int], strides: tuple[int, ...], branch: str
) -> Tensor:
    """Class logit at the anchor point that predicted the box."""
    logits = outputs[f"{branch}_classes"][..., int(target.label)]
    boxes = boxes_from_sides(outputs[f"{branch}_sides"], *anchor_points(size, strides))
    wanted = torch.from_numpy(target.shape).reshape(1, 1, 4).expand_as(boxes)
    anchor = (iou(boxes, wanted) * logits.sigmoid()).argmax(1)
    return logits.gather(1, anchor[:, None])[:, 0]


def _map(layers: list[torch.nn.Module], output: Callable[[Tensor], Tensor], images: Tensor) -> np.ndarray:
    total = torch.zeros(images.shape[1:3])
    for attribution in LayerGradientXActivation(output, layers).attribute(images):
        evidence = attribution.detach().sum(1, keepdim=True)
        evidence = evidence / evidence.abs().max().clamp(min=1e-12)
        total += F.interpolate(evidence, total.shape, mode="bilinear", align_corners=False)[0, 0]
    return total.numpy()


def with_random_weights(net: PerceptionNet, seed: int = 0) -> PerceptionNet:
    """A copy whose weights are shuffled within each tensor: same statistics, nothing learnt."""
    generator, copied = torch.Generator().manual_seed(seed), copy.deepcopy(net)
    with torch.no_grad():
        for parameter in copied.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return copied
