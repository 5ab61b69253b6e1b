"""BGR colours from the palette of Okabe and Ito, distinguishable with any colour vision."""

from __future__ import annotations

from zlib import crc32

from camera_perception.core.types import LineColor, LineType

Color = tuple[int, int, int]

ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    (0, 159, 230),
    (233, 180, 86),
    (115, 158, 0),
    (66, 228, 240),
    (178, 114, 0),
    (0, 94, 213),
    (167, 121, 204),
)
WHITE, LIGHT, GREY, SHADOW, NIGHT = (255, 255, 255), (225, 225, 225), (150, 150, 150), (28, 24, 22), (30, 25, 22)

CLASS_COLORS: dict[str, Color] = {
    "car": SKY,
    "truck": (255, 205, 150),
    "bus": (255, 205, 150),
    "train": (255, 205, 150),
    "pedestrian": ORANGE,
    "person": ORANGE,
    "rider": (90, 130, 255),
    "bicycle": PURPLE,
    "motorcycle": PURPLE,
    "traffic light": LIGHT,
    "traffic sign": YELLOW,
}
OTHERS = (SKY, ORANGE, PURPLE, YELLOW, GREEN, VERMILLION, BLUE)

LIGHT_COLORS: dict[str, Color] = {
    "red": (60, 60, 245),
    "yellow": YELLOW,
    "amber": YELLOW,
    "green": (140, 220, 60),
    "none": GREY,
}

LINE_COLORS: dict[LineColor, Color] = {
    LineColor.WHITE: WHITE,
    LineColor.YELLOW: (40, 200, 255),
    LineColor.BLUE: (255, 150, 60),
    LineColor.RED: (70, 70, 240),
    LineColor.UNKNOWN: (200, 200, 200),
}


def class_color(name: str) -> Color:
    """The colour of a class; unlisted classes get a fixed one of the other colours."""
    return CLASS_COLORS.get(name) or OTHERS[crc32(name.encode()) % len(OTHERS)]


def line_color(line_type: LineType, color: LineColor) -> Color:
    """The colour of a lane line: that of its paint; road edges and curbs have a colour of their own."""
    edge = line_type in (LineType.ROAD_EDGE, LineType.CURB)
    return PURPLE if edge and color is LineColor.UNKNOWN else LINE_COLORS[color]
