"""Names of all label indices, in the order of DATA.md; -1 and 255 always mean "not labelled"."""

from __future__ import annotations

OBJECTS = (
    "pedestrian",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
    "traffic light",
    "traffic sign",
)
VEHICLES = ("car", "truck", "bus", "train")  # merged by the YOLOP protocol
LIGHT = OBJECTS.index("traffic light")
LIGHT_STATES = ("red", "yellow", "green", "none")
DRIVABLE = ("background", "road", "alternative")
SEMANTIC = (
    "sky",
    "building",
    "pole",
    "road",
    "sidewalk",
    "vegetation",
    "sign or signal",
    "fence",
    "vehicle",
    "pedestrian",
    "rider",
)
POSITIONS = (-3, -2, -1, 1, 2, 3)  # lane slots: -1 and 1 bound the ego lane
ROLES = {"ego_left": -1, "ego_right": 1, "left_2": -2, "left_3": -3, "right_2": 2, "right_3": 3, "other": 0}
LINE_TYPES = (
    "solid",
    "dashed",
    "double_solid",
    "double_dashed",
    "solid_dashed",
    "dashed_solid",
    "botts_dots",
    "road_edge",
    "curb",
)
LINE_COLORS = ("white", "yellow", "blue", "red", "unknown")
SCENE = {  # "undefined" keeps its output in the head but is never a training or evaluation target
    "weather": ("rainy", "snowy", "clear", "overcast", "partly cloudy", "foggy", "undefined"),
    "scene": ("tunnel", "residential", "parking lot", "city street", "gas stations", "highway", "undefined"),
    "timeofday": ("daytime", "night", "dawn/dusk", "undefined"),
}
IGNORE = 255  # in masks
UNKNOWN = -1  # in class indices

MIRRORED_TYPE = {
    LINE_TYPES.index("solid_dashed"): LINE_TYPES.index("dashed_solid"),
    LINE_TYPES.index("dashed_solid"): LINE_TYPES.index("solid_dashed"),
}


def index(names: tuple[str, ...], name: object) -> int:
    """Index of a name in its list; UNKNOWN if it is missing, "undefined" or not in the list."""
    return names.index(name) if name in names and name != "undefined" else UNKNOWN
