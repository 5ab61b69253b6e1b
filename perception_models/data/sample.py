"""One image with any subset of labels. None means not labelled: no loss and no metric counts it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from camera_perception.core.columns import Columns
from perception_models.data.labels import OBJECTS, POSITIONS

ALL_CLASSES = frozenset(range(len(OBJECTS)))
BoxRow = tuple[list[float], int, bool, int]  # x0 y0 x1 y1, class, ignored, light state


@dataclass
class Boxes(Columns):
    """N labelled objects, one row per object.

    boxes        (N, 4) float32  x0 y0 x1 y1, pixels of the image
    classes      (N,)   int64    index into labels.OBJECTS
    ignored      (N,)   bool     neither a target nor a false positive
    light_states (N,)   int64    index into labels.LIGHT_STATES, -1 unknown or not a traffic light
    """

    boxes: np.ndarray
    classes: np.ndarray
    ignored: np.ndarray
    light_states: np.ndarray

    def __post_init__(self) -> None:
        self.boxes = np.asarray(self.boxes, np.float32).reshape(-1, 4)
        self.classes = np.asarray(self.classes, np.int64)
        self.ignored = np.asarray(self.ignored, bool)
        self.light_states = np.asarray(self.light_states, np.int64)
        n = len(self.boxes)
        shapes = self.classes.shape, self.ignored.shape, self.light_states.shape
        if shapes != ((n,), (n,), (n,)):
            raise ValueError(f"expected one class, ignored flag and light state for each of {n} boxes, got {shapes}")

    @staticmethod
    def empty() -> Boxes:
        return Boxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0), np.zeros(0))


@dataclass
class Lane:
    """One labelled lane line.

    points     (P, 2) float32 u v pixels of the image, near (bottom) to far
    position   -3..3 as in labels.POSITIONS, 0 for other lines
    line_type  index into labels.LINE_TYPES, -1 unknown
    line_color index into labels.LINE_COLORS, -1 unknown
    """

    points: np.ndarray
    position: int = 0
    line_type: int = -1
    line_color: int = -1

    def __post_init__(self) -> None:
        self.points = np.asarray(self.points, np.float32).reshape(-1, 2)
        if len(self.points) > 1 and self.points[0, 1] < self.points[-1, 1]:
            self.points = self.points[::-1].copy()


@dataclass
class Lanes:
    """The lines of one image, and the positions that are labelled: without a line there, it is known to be absent."""

    lines: list[Lane] = field(default_factory=list)
    labelled_positions: frozenset[int] = frozenset(POSITIONS)

    def at(self, position: int) -> Lane | None:
        return next((line for line in self.lines if line.position == position), None)


@dataclass
class Sample:
    """One image and what is known about it.

    image            (H, W, 3) uint8 BGR
    drivable         (H, W) uint8 index into labels.DRIVABLE, 255 ignore
    semantic         (H, W) uint8 index into labels.SEMANTIC, 255 ignore
    scene            attribute of labels.SCENE: label index, -1 ignore
    intrinsics       (3, 3) float64 pixels of the image, or None
    base_from_camera (4, 4) float64 pose of the camera, metres, or None
    attributes       free-form text to select slices by (weather, scene, timeofday, sequence, source ...)
    known_classes    classes for which `boxes` is complete; objects of other classes may lack a box
    """

    name: str
    image: np.ndarray
    boxes: Boxes | None = None
    lanes: Lanes | None = None
    drivable: np.ndarray | None = None
    semantic: np.ndarray | None = None
    scene: dict[str, int] = field(default_factory=dict)
    intrinsics: np.ndarray | None = None
    base_from_camera: np.ndarray | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    known_classes: frozenset[int] = ALL_CLASSES

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]


def boxes_from_rows(rows: Iterable[BoxRow]) -> Boxes:
    """Boxes of one row per object."""
    columns = [np.array(column) for column in zip(*rows)]
    return Boxes(*columns) if columns else Boxes.empty()
