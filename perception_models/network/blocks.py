"""Building blocks: convolution with batch norm and ReLU, residual block, pyramid pooling, attention."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBlock(nn.Sequential):
    """Convolution, batch norm, ReLU; `fuse` merges the first two.

    While it trains with held statistics of the batch norm, the two are one convolution, too: on a CPU that is a third
    of a step (docs/research_log.md).
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int] = 3, stride: int = 1, relu: bool = True
    ):
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        conv = nn.Conv2d(inputs, outputs, size, stride, (size[0] // 2, size[1] // 2), bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs, momentum=0.03), nn.ReLU(inplace=True) if relu else nn.Identity())

    @property
    def conv(self) -> nn.Conv2d:
        return cast(nn.Conv2d, self[0])

    @property
    def norm(self) -> nn.BatchNorm2d:
        """Batch norm; an Identity once it is fused."""
        return cast(nn.BatchNorm2d, self[1])

    def forward(self, x: Tensor) -> Tensor:
        held = self.training and isinstance(self[1], nn.BatchNorm2d) and not self.norm.training
        y: Tensor = self[2](_held(self.conv, self.norm, x) if held else self[1](self[0](x)))
        return y


def _held(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """A convolution and a batch norm with held statistics, as one where that is faster."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    bias = norm.bias - mean * scale
    if conv.groups == 1 or conv.weight.requires_grad:
        return F.conv2d(x, conv.weight * scale[:, None, None, None], bias, conv.stride, conv.padding, 1, conv.groups)
    # On a CPU gradients of a depthwise convolution with a stride take ten times longer than of one without; those of
    # its filters and bias, too.
    y = F.conv2d(x, conv.weight, None, 1, conv.padding, 1, conv.groups)
    y = y[..., :: conv.stride[0], :: conv.stride[1]]
    return y * scale.to(y.dtype)[:, None, None] + bias.to(y.dtype)[:, None, None]


class Residual(nn.Module):
    """Two 3x3 convolutions with a skip connection."""

    def __init__(self, channels: int):
        super().__init__()
        first, last = ConvBlock(channels, channels), ConvBlock(channels, channels, relu=False)
        self.body = nn.Sequential(first, last)
        # Start close to the skip connection alone: deep stacks then behave like shallow ones at first.
        nn.init.constant_(last.norm.weight, 0.2)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class Stage(nn.Sequential):
    """A convolution of stride 2, then `depth` residual blocks."""

    def __init__(self, inputs: int, outputs: int, depth: int):
        super().__init__(ConvBlock(inputs, outputs, stride=2), *(Residual(outputs) for _ in range(depth)))


def successive(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """The output of each stage, which is the input of the next."""
    outputs = []
    for stage in stages:
        outputs.append(x := stage(x))
    return outputs


class PyramidPool(nn.Module):
    """SPPF: max pools over 5, 9 and 13 pixels, concatenated with the map, for a large receptive field."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.squeeze = ConvBlock(inputs, inputs // 2, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.expand = ConvBlock(inputs // 2 * 4, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [self.squeeze(x)]
        for _ in range(3):
            pooled.append(self.pool(pooled[-1]))
        expanded: Tensor = self.expand(torch.cat(pooled, 1))
        return expanded


class PositionEncoding(nn.Module):
    """Adds a learned linear ramp: features then depend on the position in the image."""

    def __init__(self, channels: int):
        super().__init__()
        self.ramp = nn.Parameter(torch.randn(2, channels) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        rows = torch.linspace(-1, 1, height, device=x.device, dtype=self.ramp.dtype)[:, None]
        columns = torch.linspace(-1, 1, width, device=x.device, dtype=self.ramp.dtype)[None]
        ramp = self.ramp[0, :, None, None] * columns + self.ramp[1, :, None, None] * rows
        return x + ramp[None].to(x.dtype)


class Attention(nn.Module):
    """Multi-head self-attention over all pixels of a map, with a skip connection."""

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = ConvBlock(channels, channels, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(x).reshape(batch, 3, self.heads, channels // self.heads, height * width)
        q, k, v = qkv.unbind(1)  # B heads C/heads HW
        weights = ((q.transpose(-1, -2) @ k) * (channels // self.heads) ** -0.5).softmax(-1)
        mixed: Tensor = self.out((v @ weights.transpose(-1, -2)).reshape(batch, channels, height, width))
        return x + mixed


def fuse(module: nn.Module) -> nn.Module:
    """Fold every batch norm into its convolution, in place; the network must be in evaluation mode."""
    for child in module.modules():
        if isinstance(child, ConvBlock) and isinstance(child[1], nn.BatchNorm2d):
            child[0], child[1] = nn.utils.fuse_conv_bn_eval(child.conv, child.norm), nn.Identity()
    return module
