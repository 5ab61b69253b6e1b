"""A legend: what each colour means, in a strip of its own below or above the picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import LineColor
from camera_perception.decode.class_map import class_colors
from camera_perception.draw.colors import GREEN, LIGHT, LIGHT_COLORS, LINE_COLORS, NIGHT, PURPLE, Color, class_color
from camera_perception.draw.primitives import blend_mask, draw_text, round_mask, text_mask
from camera_perception.lanes.image_lines import BACKGROUND

# Classes of one colour share an entry.
GROUPS: dict[str, tuple[str, ...]] = {
    "car": ("car",),
    "truck, bus, train": ("truck", "bus", "train"),
    "person": ("pedestrian", "person"),
    "rider": ("rider",),
    "bicycle, motorcycle": ("bicycle", "motorcycle"),
    "traffic sign": ("traffic sign",),
}
LINES: tuple[tuple[str, Color], ...] = (
    ("white line", LINE_COLORS[LineColor.WHITE]),
    ("yellow line", LINE_COLORS[LineColor.YELLOW]),
    ("road edge", PURPLE),
)


def legend_entries(classes: Iterable[str], drivable: HeadSpec | None = None) -> list[tuple[str, Color]]:
    """(text, colour) of the classes of a model, of traffic lights by state, of the road and of lane lines.

    drivable  head of the model whose areas are drawn; without one, the road has the usual colour
    """
    names = list(classes)
    grouped = {name for members in GROUPS.values() for name in members}
    entries = [
        (text, class_color(members[0])) for text, members in GROUPS.items() if any(name in names for name in members)
    ]
    entries += [(name, class_color(name)) for name in names if name not in grouped and name != "traffic light"]
    if "traffic light" in names:
        entries += [(f"{state} light", LIGHT_COLORS[state]) for state in ("red", "yellow", "green")]
    return [*entries, *(_areas(drivable) if drivable else [("drivable", GREEN)]), *LINES]


def _areas(head: HeadSpec) -> list[tuple[str, Color]]:
    """The classes that are drawn: the first is the road, others are named."""
    areas = [
        (name, (int(blue), int(green), int(red)))
        for name, (red, green, blue) in zip(head.classes, class_colors(head))
        if name != BACKGROUND
    ]
    return [("drivable" if row == 0 else f"drivable: {name}", color) for row, (name, color) in enumerate(areas)]


def legend_strip(width: int, entries: Iterable[tuple[str, Color]], size: int) -> np.ndarray:
    """(h, width, 3) uint8 BGR: the entries in as many rows as they need, text with capitals of `size` pixels."""
    dot, gap, line = size | 1, round(size * 1.4), round(size * 2.1)
    places, left, top = [], gap, 0
    for text, color in entries:
        wide = dot + round(size * 0.5) + text_mask(text, size).shape[1]
        if left + wide > width - gap and left > gap:
            left, top = gap, top + line
        places.append((text, color, left, top))
        left += wide + gap
    strip = np.full((top + line, width, 3), NIGHT, np.uint8)
    for text, color, left, top in places:
        blend_mask(strip, round_mask(dot, dot, dot), left, top + (line - dot) // 2, color)
        draw_text(strip, text, left + dot + round(size * 0.5), top + round(size * 0.3), size, LIGHT)
    return strip
