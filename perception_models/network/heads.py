"""One small head per task. Each returns its raw outputs by name; meaning is added by losses and by `final`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from perception_models.data import labels
from perception_models.network.blocks import ConvBlock, Position
from perception_models.network.config import NetworkConfig

CLASSES, STATES = len(labels.OBJECTS), len(labels.LIGHT_STATES)


class CellHead(nn.Module):
    """Per cell: class logits, distances to the four sides as log(stride units), traffic-light state logits.

    apart: what it is and where it ends have a tower each (YOLOX, Ge et al. 2021, arXiv 2107.08430)
    """

    def __init__(self, channels: list[int], apart: bool = False):
        super().__init__()
        self.towers = nn.ModuleList(ConvBlock(c, c) for c in channels)
        self.side_towers = nn.ModuleList(ConvBlock(c, c) for c in channels * apart)
        self.classes = nn.ModuleList(nn.Conv2d(c, CLASSES, 1) for c in channels)
        self.sides = nn.ModuleList(nn.Conv2d(c, 4, 1) for c in channels)
        self.states = nn.ModuleList(nn.Conv2d(c, STATES, 1) for c in channels)
        for conv in self.classes:
            # One cell in a few hundred holds an object: without this prior the first thousand steps only learn "no".
            nn.init.constant_(conv.bias, -math.log((1 - 0.005) / 0.005))
            nn.init.normal_(conv.weight, std=0.01)
        for conv in self.sides:
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.constant_(conv.bias, 0.7)  # boxes about four cells wide

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """B A 10, B A 4, B A 4 with all cells of all levels in one axis A."""
        what = [tower(x) for tower, x in zip(self.towers, levels)]
        where = [tower(x) for tower, x in zip(self.side_towers, levels)] or what
        return tuple(
            torch.cat([conv(x).flatten(2) for conv, x in zip(convs, maps)], 2).transpose(1, 2)
            for convs, maps in ((self.classes, what), (self.sides, where), (self.states, what))
        )


class ObjectHead(nn.Module):
    """Twins: `many` learns from ten cells per object and teaches the trunk, `one` from one cell and needs no NMS."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        channels = [config.fine] * config.small_objects + [config.neck] * 3
        self.many, self.one = (CellHead(channels, config.side_towers) for _ in range(2))

    def forward(self, pyramid: tuple[Tensor, ...], twins: tuple[str, ...]) -> dict[str, Tensor]:
        levels = list(pyramid[-len(self.one.towers) :])
        names = ("classes", "sides", "states")
        return {f"{twin}_{name}": value for twin in twins for name, value in zip(names, getattr(self, twin)(levels))}


class MaskHead(nn.Module):
    """Class logits at stride 4."""

    def __init__(self, config: NetworkConfig, classes: int):
        super().__init__()
        self.logits = nn.Conv2d(config.fine, classes, 1)

    def forward(self, pyramid: tuple[Tensor, ...]) -> Tensor:
        return self.logits(pyramid[0])


class LaneHead(nn.Module):
    """Six lines by position. A row's softmax over the columns says where the line is and pools what it looks like."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        lines, channels, features = len(labels.POSITIONS), config.neck, config.lane_features
        self.tower = nn.Sequential(Position(channels), ConvBlock(channels, channels))
        self.heat = nn.Conv2d(channels, lines, 1)
        self.look = ConvBlock(channels, features, 1)
        self.along = ConvBlock(features, features, (1, 7))  # sees dashes: seven rows of one line
        self.row = nn.Conv2d(features, 1, 1)
        self.existence = nn.Linear(features, 1)
        self.line_type = nn.Linear(features, len(labels.LINE_TYPES))
        self.line_color = nn.Linear(features, len(labels.LINE_COLORS))

    def forward(self, pyramid: tuple[Tensor, ...]) -> dict[str, Tensor]:
        x = self.tower(pyramid[1])
        heat = self.heat(x).float()  # B L R W
        where = heat.softmax(-1)
        look = self.look(x)
        seen = where.to(look.dtype).permute(0, 2, 1, 3) @ look.permute(0, 2, 3, 1)  # B R L C
        seen = self.along(seen.permute(0, 3, 2, 1))  # B C L R
        row = self.row(seen).squeeze(1)  # B L R
        weight = row.sigmoid().unsqueeze(1)
        pooled = ((seen * weight).sum(-1) / (weight.sum(-1) + 1)).transpose(1, 2)  # B L C
        columns = torch.arange(heat.shape[-1], device=heat.device, dtype=heat.dtype)
        return {
            "lane_heat": heat,
            "lane_column": (where * columns).sum(-1),  # cells
            "lane_row": row,
            "lane_exists": self.existence(pooled).squeeze(-1),
            "lane_type": self.line_type(pooled),
            "lane_color": self.line_color(pooled),
        }


class SceneHead(nn.Module):
    """Whole-image attributes from all levels: mean of the upper half (sky) and of the lower, and the maximum."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        channels = 3 * (config.fine + 3 * config.neck)
        self.hidden = nn.Sequential(nn.Linear(channels, config.neck), nn.ReLU())
        self.logits = nn.ModuleDict({name: nn.Linear(config.neck, len(names)) for name, names in labels.SCENE.items()})

    def forward(self, pyramid: tuple[Tensor, ...]) -> dict[str, Tensor]:
        hidden = self.hidden(torch.cat([value for level in pyramid for value in summary(level)], 1))
        return {name: head(hidden) for name, head in self.logits.items()}


def summary(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """B C each: means of the upper and lower half, and the maximum of a map B C H W."""
    middle = x.shape[2] // 2
    return x[:, :, :middle].mean((2, 3)), x[:, :, middle:].mean((2, 3)), x.amax((2, 3))
