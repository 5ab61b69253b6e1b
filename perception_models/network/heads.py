"""One small head per task. Each returns raw outputs by name, decoded by the losses and by the export graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from perception_models.data import labels
from perception_models.network.blocks import ConvBlock, PositionEncoding
from perception_models.network.config import NetworkConfig

CLASSES, STATES = len(labels.OBJECTS), len(labels.LIGHT_STATES)


class DetectionBranch(nn.Module):
    """Per anchor point: class logits, log distances to the four sides in strides, traffic-light state logits.

    decoupled  classes and boxes have a tower each (YOLOX, Ge et al. 2021, arXiv 2107.08430)
    """

    def __init__(self, channels: list[int], decoupled: bool = False):
        super().__init__()
        self.towers = nn.ModuleList(ConvBlock(c, c) for c in channels)
        self.side_towers = nn.ModuleList(ConvBlock(c, c) for c in channels * decoupled)
        # One anchor in a few hundred has an object: without this prior the first thousand steps only learn "no".
        prior = -math.log((1 - 0.005) / 0.005)
        self.classes = nn.ModuleList(nn.Conv2d(c, CLASSES, 1) for c in channels)
        self.sides = nn.ModuleList(nn.Conv2d(c, 4, 1) for c in channels)
        self.states = nn.ModuleList(nn.Conv2d(c, STATES, 1) for c in channels)
        for convs, bias in ((self.classes, prior), (self.sides, 0.7)):  # 0.7: boxes about four strides wide
            for conv in convs:
                assert isinstance(conv, nn.Conv2d)
                assert conv.bias is not None
                nn.init.normal_(conv.weight, std=0.01)
                nn.init.constant_(conv.bias, bias)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, ...]:
        """B A 10, B A 4, B A 4: the anchor points of all levels along one axis A."""
        features = [tower(x) for tower, x in zip(self.towers, levels)]
        box_features = [tower(x) for tower, x in zip(self.side_towers, levels)] or features
        return tuple(
            torch.cat([conv(x).flatten(2) for conv, x in zip(convs, maps)], 2).transpose(1, 2)
            for convs, maps in ((self.classes, features), (self.sides, box_features), (self.states, features))
        )


class ObjectHead(nn.Module):
    """Dual assignment: `many` learns from ten anchors per object and trains the backbone, `one` from one: no NMS.

    Wang et al. 2024, arXiv 2405.14458. A network may have one of them only.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        channels = [config.fine] * config.small_objects + [config.neck] * 3
        if config.branches not in (["many"], ["one"], ["many", "one"]):
            raise ValueError(f"network.branches={config.branches}: expected [many], [one] or [many, one]")
        self.branches = config.branches
        for branch in config.branches:
            self.add_module(branch, DetectionBranch(channels, config.side_towers))

    def forward(self, pyramid: tuple[Tensor, ...], branches: Sequence[str]) -> dict[str, Tensor]:
        levels = list(pyramid[-len(getattr(self, self.branches[0]).towers) :])
        outputs: dict[str, Tensor] = {}
        for branch in branches:
            names = (f"{branch}_{name}" for name in ("classes", "sides", "states"))
            outputs.update(zip(names, getattr(self, branch)(levels)))
        return outputs


class MaskHead(nn.Module):
    """Class logits B C H/4 W/4."""

    def __init__(self, config: NetworkConfig, classes: int):
        super().__init__()
        self.logits = nn.Conv2d(config.fine, classes, 1)

    def forward(self, pyramid: tuple[Tensor, ...]) -> Tensor:
        logits: Tensor = self.logits(pyramid[0])
        return logits


class LaneHead(nn.Module):
    """Six lines by position. The softmax of a row over its columns locates the line and pools its appearance."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        lines, channels, features = len(labels.POSITIONS), config.neck, config.lane_features
        self.tower = nn.Sequential(PositionEncoding(channels), ConvBlock(channels, channels))
        self.heat = nn.Conv2d(channels, lines, 1)
        self.look = ConvBlock(channels, features, 1)  # appearance features; the name is part of checkpoints
        self.along = ConvBlock(features, features, (1, 7))  # seven rows of one line: enough to see dashes
        self.row = nn.Conv2d(features, 1, 1)
        self.existence = nn.Linear(features, 1)
        self.line_type = nn.Linear(features, len(labels.LINE_TYPES))
        self.line_color = nn.Linear(features, len(labels.LINE_COLORS))

    def forward(self, pyramid: tuple[Tensor, ...]) -> dict[str, Tensor]:
        x = self.tower(pyramid[1])
        heat = self.heat(x).float()  # B L R W
        location = heat.softmax(-1)
        features = self.look(x)
        line = location.to(features.dtype).permute(0, 2, 1, 3) @ features.permute(0, 2, 3, 1)  # B R L C
        line = self.along(line.permute(0, 3, 2, 1))  # B C L R
        row = self.row(line).squeeze(1)  # B L R
        weight = row.sigmoid().unsqueeze(1)
        pooled = ((line * weight).sum(-1) / (weight.sum(-1) + 1)).transpose(1, 2)  # B L C
        columns = torch.arange(heat.shape[-1], device=heat.device, dtype=heat.dtype)
        return {
            "lane_heat": heat,
            "lane_column": (location * columns).sum(-1),  # B L R
            "lane_row": row,
            "lane_exists": self.existence(pooled).squeeze(-1),
            "lane_type": self.line_type(pooled),
            "lane_color": self.line_color(pooled),
        }


class SceneHead(nn.Module):
    """Image attributes from all levels: means of the upper half (sky) and the lower half, and the maximum."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        channels = 3 * (config.fine + 3 * config.neck)
        self.hidden = nn.Sequential(nn.Linear(channels, config.neck), nn.ReLU())
        self.logits = nn.ModuleDict({name: nn.Linear(config.neck, len(names)) for name, names in labels.SCENE.items()})

    def forward(self, pyramid: tuple[Tensor, ...]) -> dict[str, Tensor]:
        hidden = self.hidden(torch.cat([value for level in pyramid for value in summarize(level)], 1))
        return {name: head(hidden) for name, head in self.logits.items()}


def same_layout(x: Tensor) -> Tensor:
    """The map, with a gradient of its own memory layout: to add up gradients of two layouts takes ten times longer."""
    if x.requires_grad and x.is_contiguous(memory_format=torch.channels_last):
        x = x.view_as(x)
        x.register_hook(_channels_last)  # type: ignore[no-untyped-call]
    return x


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


def summarize(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means of the upper and lower half and maximum, B C each, of a map B C H W."""
    x = same_layout(x)
    rows, middle = x.mean(3, keepdim=True), x.shape[2] // 2
    return rows[:, :, :middle].mean((2, 3)), rows[:, :, middle:].mean((2, 3)), x.amax((2, 3))
