"""Names of all label indices, in the order of DATA.md; -1 and 255 always mean "not labelled".

The classes of objects are data: `perception-models --objects NAMES`, or the variable PERCEPTION_OBJECTS, replaces them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

VARIABLE = "PERCEPTION_OBJECTS"  # names separated by commas, read when this module is imported
TEN = (
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


def listed(text: str) -> tuple[str, ...]:
    """Names separated by commas; ValueError unless each is there once."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len({_plain(name) for name in names}) < len(names):
        raise ValueError(f"the classes '{text[:200]}' are no list of different names: give NAME,NAME,...")
    return names


def _plain(name: object) -> str:
    return " ".join(str(name).lower().replace("_", " ").replace("-", " ").split())


OBJECTS = listed(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else TEN
VEHICLES = tuple(name for name in ("car", "truck", "bus", "train") if name in OBJECTS)  # merged by the YOLOP protocol
NO_LIGHT = -2  # no index of a class, and not that of unlabelled boxes
LIGHT = OBJECTS.index("traffic light") if "traffic light" in OBJECTS else NO_LIGHT
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
ALIASES = {
    "person": "pedestrian",
    "people": "pedestrian",
    "bike": "bicycle",
    "motor": "motorcycle",
    "motorbike": "motorcycle",
    "van": "car",
    "caravan": "car",
    "trafficlight": "traffic light",
    "trafficsign": "traffic sign",
}
LEFT_OUT = "ignore"  # key of the names that are left out on purpose, in the option `classes`
IGNORE = 255  # in masks
UNKNOWN = -1  # in class indices

MIRRORED_TYPE = {
    LINE_TYPES.index("solid_dashed"): LINE_TYPES.index("dashed_solid"),
    LINE_TYPES.index("dashed_solid"): LINE_TYPES.index("solid_dashed"),
}


def index(names: tuple[str, ...], name: object) -> int:
    """Index of a name in its list; UNKNOWN if it is missing, "undefined" or not in the list."""
    return names.index(name) if name in names and name != "undefined" else UNKNOWN


class ClassNames:
    """Our class for a class name of a label file: by the option `classes`, else by our names and common aliases.

    classes  {name in the file: one of OBJECTS}, and {"ignore": [names to leave out]}; ValueError if it is neither

    Names are compared without regard to case, "_" and "-".
    """

    def __init__(self, classes: Mapping[str, Any] | None = None):
        classes = dict(classes or {})
        left_out = classes.pop(LEFT_OUT, [])
        if not isinstance(left_out, (list, tuple)) or (unknown := set(classes.values()) - set(OBJECTS)):
            wrong = f"{LEFT_OUT}: {left_out}" if not isinstance(left_out, (list, tuple)) else sorted(map(str, unknown))
            raise ValueError(f"classes: {wrong}: expected {{name: one of {', '.join(OBJECTS)}}} and ignore: [names]")
        self.left_out = frozenset(map(_plain, left_out))
        self._classes = {
            **ALIASES,
            **{_plain(name): name for name in OBJECTS},
            **{_plain(k): v for k, v in classes.items()},
        }

    def __call__(self, name: object) -> int:
        """Index into OBJECTS; UNKNOWN for other names, and for those left out."""
        plain = _plain(name)
        return UNKNOWN if plain in self.left_out else index(OBJECTS, self._classes.get(plain))

    def unknown(self, names: Iterable[object]) -> list[str]:
        """The names that are neither known nor left out on purpose, sorted."""
        return sorted({str(n) for n in names if self(n) == UNKNOWN and _plain(n) not in self.left_out})
