"""The data types of the pipeline. Pixels are those of the source image; metres are in base_link."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from functools import lru_cache

import numpy as np

from camera_perception.core.columns import Columns

NO_TRACK = 0


class Task(IntFlag):
    """Heads that ran, to tell "no object" from "no detector". Same bits as PerceptionFrame.tasks_valid."""

    OBJECTS = 1
    LANES = 2
    DRIVABLE = 4
    TRAFFIC_LIGHTS = 8
    SCENE = 16
    SEMANTIC = 32


class Status(IntFlag):
    """Conditions that degrade or invalidate a frame. Same bits as PerceptionFrame.status_flags, documented there."""

    DROPPING = 1 << 0
    STALE_INPUT = 1 << 1
    UNCALIBRATED = 1 << 2
    TF_MISSING = 1 << 3
    CPU_FALLBACK = 1 << 4
    IMAGE_DARK = 1 << 5
    IMAGE_OVEREXPOSED = 1 << 6
    IMAGE_BLURRED = 1 << 7
    IMAGE_FROZEN = 1 << 8
    IMAGE_BLOCKED = 1 << 9
    WRONG_ENCODING = 1 << 10
    CLOCK_JUMP = 1 << 11
    THERMAL = 1 << 12
    BAD_IMAGE = 1 << 13
    CALIBRATION_DRIFT = 1 << 14
    ENGINE_ERROR = 1 << 15
    RESOLUTION_CHANGED = 1 << 16
    MOUNTING_CHANGED = 1 << 17
    STAMP_AHEAD = 1 << 18
    RANGE_STRETCHED = 1 << 19
    INTRINSICS_RESIZED = 1 << 20


def flag_names(flags: int) -> tuple[str, ...]:
    """Names of the bits set in `flags`, lowest first."""
    return tuple(flag.name for flag in Status if flag & flags and flag.name)


class LineType(IntEnum):
    """Marking of a lane line; of double lines the left one is named first. Same numbers as LaneLine.line_type."""

    UNKNOWN = 0
    SOLID = 1
    DASHED = 2
    DOUBLE_SOLID = 3
    DOUBLE_DASHED = 4
    SOLID_DASHED = 5
    DASHED_SOLID = 6
    BOTTS_DOTS = 7
    ROAD_EDGE = 8
    CURB = 9

    @classmethod
    def _missing_(cls, value: object) -> LineType:
        """Of a message: senders may know more kinds than this version, or send nonsense."""
        return cls.UNKNOWN


class LineColor(IntEnum):
    """Colour of a lane line. Same numbers as LaneLine.color."""

    UNKNOWN = 0
    WHITE = 1
    YELLOW = 2
    BLUE = 3
    RED = 4

    @classmethod
    def _missing_(cls, value: object) -> LineColor:
        return cls.UNKNOWN  # see LineType


class Edge(IntFlag):
    """Image borders that a box touches; part of the object may be out of view."""

    LEFT = 1
    TOP = 2
    RIGHT = 4
    BOTTOM = 8


class PositionMethod(IntEnum):
    """How a position was measured. Same numbers as DetectedObject.position_method."""

    NONE = 0
    GROUND_PLANE = 1
    SIZE_PRIOR = 2
    DEPTH = 3
    LIDAR = 4


class Relevance(IntEnum):
    """Which traffic a light controls. Same numbers as TrafficLight.relevance."""

    UNKNOWN = 0
    EGO = 1
    OTHER = 2


@dataclass(frozen=True, slots=True)
class Frame:
    """One camera image and its capture time.

    image    (H, W, 3) uint8, BGR
    stamp_ns capture time in nanoseconds; the pipeline uses no other clock
    frame_id optical frame of the camera
    flags    Status bits known from decoding
    """

    image: np.ndarray
    stamp_ns: int
    frame_id: str = ""
    flags: int = 0

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3 or 0 in self.image.shape:
            raise ValueError(f"expected a (H, W, 3) uint8 image, got {self.image.shape} {self.image.dtype}")


@dataclass(frozen=True, slots=True)
class Detections(Columns):
    """N objects found in one image, one row per object.

    boxes        (N, 4) float32  x0 y0 x1 y1, pixels of the source image
    scores       (N,)   float32  0..1
    classes      (N,)   int32    index into the class names of the model's object head
    light_states (N, S) float32  score of each traffic-light state, or (N, 0) when the model has none
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    light_states: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.boxes)
        shapes = self.boxes.shape, self.scores.shape, self.classes.shape, self.light_states.shape[:1]
        if shapes != ((n, 4), (n,), (n,), (n,)):
            raise ValueError(f"expected boxes (N, 4), scores (N,), classes (N,), light_states (N, S); got {shapes}")

    @staticmethod
    def empty(light_states: int = 0) -> Detections:
        return Detections(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int32),
            np.zeros((0, light_states), np.float32),
        )


@dataclass(frozen=True, slots=True)
class GroundLine:
    """A lane line on the road, in base_link.

    points (P, 2) float32 metres x y, near to far
    y_std  (P,)   float32 metres, one standard deviation across the road
    poly   (4,)   float32 y = c0 + c1 x + c2 x^2 + c3 x^3, valid for x in [x_min, x_max]
    """

    points: np.ndarray
    y_std: np.ndarray
    poly: np.ndarray
    x_min: float
    x_max: float


@dataclass(frozen=True, slots=True)
class LaneLine:
    """A lane line in the image.

    points   (P, 2) float32 pixels u v of the source image, near (bottom) to far
    position -1 left and +1 right line of the ego lane, -2, +2 ... further out; 0 unknown
    lane_id  track id, stable over frames; 0 before tracking
    """

    points: np.ndarray
    score: float
    position: int = 0
    line_type: LineType = LineType.UNKNOWN
    type_score: float = 0.0
    color: LineColor = LineColor.UNKNOWN
    color_score: float = 0.0
    lane_id: int = 0
    ground: GroundLine | None = None

    def on(self, ground: GroundLine | None) -> LaneLine:
        """The same line with this course on the road; several times faster than dataclasses.replace."""
        return LaneLine(
            self.points, self.score, self.position, self.line_type, self.type_score, self.color, self.color_score,
            self.lane_id, ground,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClassMap:
    """A raster of class ids at network resolution, cropped to the source image.

    ids     (h, w) uint8 index into names; one cell covers (W/w) x (H/h) source pixels
    names   one per id
    colors  (len(names), 3) uint8 RGB, for drawing
    """

    ids: np.ndarray
    names: tuple[str, ...]
    colors: np.ndarray


UNKNOWN_LABEL = "unknown"


@dataclass(frozen=True, slots=True)
class SceneAttribute:
    """One property of the whole image: name "weather", label "rainy", score 0..1.

    label  UNKNOWN_LABEL when the most probable one, whose score this is, is not certain enough
    """

    name: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Observations:
    """The decoded network outputs of one image, before tracking and localisation."""

    tasks: Task
    detections: Detections
    lanes: tuple[LaneLine, ...] = ()
    drivable: ClassMap | None = None
    semantic: ClassMap | None = None
    scene: tuple[SceneAttribute, ...] = ()


@dataclass(frozen=True, slots=True)
class Objects(Columns):
    """N tracked objects, one row per object; nan and 0 mean "not available".

    boxes            (N, 4) float32   x0 y0 x1 y1 pixels of the source image
    scores           (N,)   float32   0..1
    classes          (N,)   int32     index into the class names
    light_states     (N, S) float32   as in Detections, smoothed over the track
    track_ids        (N,)   int64     NO_TRACK before tracking
    ages             (N,)   int32     frames since the track began
    coasted          (N,)   bool      predicted, not detected in this frame
    truncated        (N,)   uint8     Edge bits
    positions        (N, 3) float32   ground contact in base_link, metres; nan when unknown
    position_covs    (N, 2, 2) float32 x y, square metres
    position_methods (N,)   uint8     PositionMethod
    velocities       (N, 2) float32   m/s in base_link axes, nan when unknown; over the ground if
                                      Perception.velocity_over_ground, else relative to the car
    velocity_covs    (N, 2, 2) float32
    ground_widths    (N,)   float32   visible extent across the line of sight, metres; nan when unknown
    cues             (N, 4) float32   range cues of this image alone: metres by the ground plane, standard deviation;
                                      metres of range per metre of object height, relative standard deviation
    relevances       (N,)   uint8     Relevance; traffic lights only
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    light_states: np.ndarray
    track_ids: np.ndarray
    ages: np.ndarray
    coasted: np.ndarray
    truncated: np.ndarray
    positions: np.ndarray
    position_covs: np.ndarray
    position_methods: np.ndarray
    velocities: np.ndarray
    velocity_covs: np.ndarray
    ground_widths: np.ndarray
    cues: np.ndarray
    relevances: np.ndarray

    @staticmethod
    def of(detections: Detections, read_only: bool = False) -> Objects:
        """Detections before tracking and localisation.

        read_only  columns of which nothing is known cannot be written to: no memory, and no time
        """
        unknown = _unknown(len(detections.boxes))
        return Objects(  # compiled functions rely on the types
            np.ascontiguousarray(detections.boxes, np.float32),
            np.ascontiguousarray(detections.scores, np.float32),
            np.ascontiguousarray(detections.classes, np.int32),
            np.ascontiguousarray(detections.light_states, np.float32),
            *(unknown if read_only else [column.copy() for column in unknown]),
        )


@lru_cache(maxsize=256)
def _unknown(n: int) -> tuple[np.ndarray, ...]:
    """Columns behind the first four of n objects of which only the box is known; read-only, some of them the same."""
    ids, ages, coasted, bits = (np.zeros(n, dtype) for dtype in (np.int64, np.int32, bool, np.uint8))
    positions, covs, velocities, widths, cues = (
        np.full((n, *row), np.nan, np.float32) for row in ((3,), (2, 2), (2,), (), (4,))
    )
    for column in (ids, ages, coasted, bits, positions, covs, velocities, widths, cues):
        column.flags.writeable = False
    return ids, ages, coasted, bits, positions, covs, bits, velocities, covs, widths, cues, bits


@dataclass(frozen=True, slots=True)
class EgoMotion:
    """Motion of the car between two times: metres in base_link of the first time; yaw in radians, positive left."""

    x: float
    y: float
    yaw: float


@dataclass(frozen=True, slots=True)
class EgoLane:
    """The ego lane, measured at the origin of base_link between its two lines.

    offset       metres of the car from the lane centre, positive = car is left of it
    heading      radians of the car against the lane, positive = car points to the left
    curvature    1/m, positive = lane bends to the left
    width        metres between the lines; nan when only one is detected
    margin_left  metres from the left side of the car to the left line, negative = crossed; nan when not detected
    margin_right metres from the right side of the car to the right line
    """

    offset: float
    heading: float
    curvature: float
    width: float
    margin_left: float
    margin_right: float


@dataclass(frozen=True, slots=True)
class Road:
    """The drivable area as a boundary in the image and a polygon on the ground.

    boundary            (C, 2) float32 pixels u v: lowest non-drivable row of each sampled column; (0, 2) when unknown
    polygon             (M, 2) float32 metres in base_link; (0, 2) without calibration
    free_distance_ahead metres straight ahead over the width of the car; nan without calibration
    coverage            drivable fraction of the image, 0..1
    """

    boundary: np.ndarray
    polygon: np.ndarray
    free_distance_ahead: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Processing time of one frame by stage, milliseconds."""

    decode_ms: float = 0.0
    preprocess_ms: float = 0.0
    inference_ms: float = 0.0
    postprocess_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Perception:
    """The pipeline's result for one image; becomes one PerceptionFrame message."""

    frame: Frame
    tasks: Task
    objects: Objects
    lanes: tuple[LaneLine, ...]
    road: Road | None
    drivable: ClassMap | None
    semantic: ClassMap | None
    scene: tuple[SceneAttribute, ...]
    status_flags: int = 0
    base_frame: str = ""
    timing: Timing = field(default_factory=Timing)
    ego_lane: EgoLane | None = None
    velocity_over_ground: bool = False
