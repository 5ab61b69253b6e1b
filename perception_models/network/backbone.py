"""Backbone and neck (feature pyramid) shared by all tasks."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.network.blocks import Attention, ConvBlock, PositionEncoding, PyramidPool, Stage, successive
from perception_models.network.config import NetworkConfig
from perception_models.network.efficientnet import EfficientNetLite0


class Backbone(nn.Module):
    """Images B 3 H W to feature maps at strides 4, 8, 16, 32."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        inputs = [config.stem, *config.widths]
        self.stem = ConvBlock(3, config.stem, stride=2)
        self.stages = nn.ModuleList(Stage(inputs[i], inputs[i + 1], depth) for i, depth in enumerate(config.depths))

    def forward(self, x: Tensor) -> list[Tensor]:
        return successive(self.stages, self.stem(x))


BACKBONES: dict[str, Callable[[NetworkConfig], Backbone | EfficientNetLite0]] = {
    "residual": Backbone,
    "efficientnet_lite0": lambda config: EfficientNetLite0(config.deepest_blocks, config.expanded),
}


def upsample(x: Tensor) -> Tensor:
    """Double height and width, nearest neighbour: exact in every runtime."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Neck(nn.Module):
    """Top-down, then bottom-up path with additions: every level has the same channels and receives all others.

    Returns the maps at strides 4 (`fine` channels, for masks), 8, 16, 32 (`neck` channels).
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        c2, c3, c4, c5 = config.channels
        neck = config.neck
        self.pool = nn.Sequential(
            PyramidPool(c5, neck), PositionEncoding(neck), Attention(neck) if config.attention else nn.Identity()
        )
        self.from_c4, self.from_c3 = ConvBlock(c4, neck, 1), ConvBlock(c3, neck, 1)
        self.down_to_p4, self.down_to_p3 = ConvBlock(neck, neck), ConvBlock(neck, neck)
        self.up_to_p4, self.up_to_p5 = ConvBlock(neck, neck, stride=2), ConvBlock(neck, neck, stride=2)
        self.mix_p4, self.mix_p5 = ConvBlock(neck, neck), ConvBlock(neck, neck)
        self.from_c2, self.from_p3 = ConvBlock(c2, config.fine, 1), ConvBlock(neck, config.fine, 1)
        self.mix_p2 = ConvBlock(config.fine, config.fine)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        c2, c3, c4, c5 = maps
        p5 = self.pool(c5)
        p4 = self.down_to_p4(self.from_c4(c4) + upsample(p5))
        p3 = self.down_to_p3(self.from_c3(c3) + upsample(p4))
        p2 = self.mix_p2(self.from_c2(c2) + upsample(self.from_p3(p3)))
        p4 = self.mix_p4(p4 + self.up_to_p4(p3))
        p5 = self.mix_p5(p5 + self.up_to_p5(p4))
        return p2, p3, p4, p5
