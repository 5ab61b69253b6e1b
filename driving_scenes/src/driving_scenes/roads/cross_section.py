"""Cross-section of a road: surface bands, painted lines and lanes, each as offsets t from the reference line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

from driving_scenes.base.semantic_ids import ROAD

Offset = np.ndarray | float  # metres, one value or one per sample of the road


class Surface(IntEnum):
    """How the ground shader draws a band."""

    ASPHALT = 0
    CONCRETE = 1
    PAVING = 2
    GRASS = 3
    DIRT = 4
    CURB = 5
    WALL = 6
    PAINT = 7
    STAIN = 8
    YELLOW = 9


OWN, ALTERNATIVE = 1, 2  # drivable ids
BARRIERS = {"rail": "guard_rail", "wall": "noise_wall", "barrier": "concrete_barrier"}  # verge or median: asset


@dataclass(frozen=True, slots=True)
class Band:
    """A strip of ground between t0 and t1 at heights z0 and z1 above the road, all (N,) at the road's samples."""

    surface: Surface
    t0: np.ndarray
    t1: np.ndarray
    z0: np.ndarray
    z1: np.ndarray
    valid: np.ndarray
    semantic: int = ROAD
    drivable: int = 0


@dataclass(frozen=True, slots=True)
class LinePaint:
    """Dimensions of a painted line, in metres.

    gap     between the two stripes of a double line
    period  from the start of one dash to the start of the next
    phase   shift of the dash pattern along the road
    """

    width: float = 0.12
    gap: float = 0.12
    dash: float = 3.0
    period: float = 12.0
    phase: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """A painted line, or an unpainted edge (`style` road_edge or curb).

    t, valid  (N,) offset of the line's centre, and where the line exists
    scope     "own": the role is counted from the ego lane; "other": the role is always `other`
    up        height above the road, metres
    """

    t: np.ndarray
    valid: np.ndarray
    style: str
    color: str
    paint: LinePaint = LinePaint()
    scope: str = "own"
    up: float = 0.0

    @property
    def painted(self) -> bool:
        return self.style not in ("road_edge", "curb")


@dataclass(frozen=True, slots=True)
class Lane:
    """A strip used by traffic. `direction` is 1 along s, -1 against it."""

    t: np.ndarray
    width: float
    direction: int
    lane_type: str = "travel"  # travel, parking, bays, bicycle, walk
    valid: np.ndarray | None = None

    def exists_at(self, s: float, samples: np.ndarray, least: float = 0.99) -> bool:
        """Whether the lane exists at s; `samples` are the s of its offsets."""
        return self.valid is None or bool(np.interp(s, samples, self.valid.astype(float)) > least)


@dataclass
class Layout:
    """One cross-section. `left` and `right` are the offsets where the built ground ends."""

    scene: str
    s: np.ndarray
    bands: list[Band] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    left: Offset = 0.0
    right: Offset = 0.0
    verge: tuple[str, str] = ("grass", "grass")  # left, right
    median: tuple[str, float] | None = None  # barrier type, t
    paved: tuple[float, float] = (0.0, 0.0)  # t of the outermost asphalt, left and right
    junctions: list[tuple[float, float]] = field(default_factory=list)  # s, half width
    asphalt: Surface = Surface.ASPHALT
    left_hand: bool = False  # traffic keeps left
    signals: bool = False  # traffic lights at the junctions
    bay_width: float = 0.0  # of a parking lot, metres

    @property
    def is_street(self) -> bool:
        """Whether it has sidewalks and houses."""
        return self.scene in ("city street", "residential")

    def everywhere(self) -> np.ndarray:
        return np.ones(len(self.s), bool)

    def row(self, t: Offset) -> np.ndarray:
        """(N,) copy of an offset, one value per sample."""
        return np.broadcast_to(np.asarray(t, float), self.s.shape).copy()

    def band(
        self,
        surface: Surface,
        t0: Offset,
        t1: Offset,
        z0: Offset = 0.0,
        z1: Offset | None = None,
        semantic: int = ROAD,
        drivable: int = 0,
        valid: np.ndarray | None = None,
    ) -> None:
        z1 = z0 if z1 is None else z1
        valid = self.everywhere() if valid is None else valid
        self.bands.append(
            Band(surface, self.row(t0), self.row(t1), self.row(z0), self.row(z1), valid, semantic, drivable)
        )

    def line(
        self,
        t: Offset,
        style: str,
        color: str,
        paint: LinePaint = LinePaint(),
        valid: np.ndarray | None = None,
        scope: str = "own",
        up: float = 0.0,
    ) -> None:
        valid = self.everywhere() if valid is None else valid
        self.lines.append(Line(self.row(t), valid, style, color, paint, scope, up))

    def lane(
        self, t: Offset, width: float, direction: int, lane_type: str = "travel", valid: np.ndarray | None = None
    ) -> None:
        self.lanes.append(Lane(self.row(t), width, direction, lane_type, valid))

    def curb(self, side: int) -> float:
        """Offset of the face of the curb on a side (1 left, -1 right), metres."""
        return self.paved[0] if side > 0 else self.paved[1]

    def curb_height(self, side: int) -> float:
        """Height of the curb on a side above the road, metres."""
        faces = [b for b in self.bands if b.surface == Surface.CURB and abs(b.t0[0] - self.curb(side)) < 0.1]
        return max((float(b.z1[0]) for b in faces), default=0.12)

    def travel_lanes(self, own_direction: bool = False) -> list[Lane]:
        """Lanes for driving; only those of the ego car's direction if asked."""
        return [x for x in self.lanes if x.lane_type == "travel" and (x.direction > 0 or not own_direction)]

    def mirrored(self) -> Layout:
        """The same road for left-hand traffic."""
        swap = {"solid_dashed": "dashed_solid", "dashed_solid": "solid_dashed"}
        return replace(
            self,
            bands=[replace(b, t0=-b.t0, t1=-b.t1) for b in self.bands],
            lines=[replace(x, t=-x.t, style=swap.get(x.style, x.style)) for x in self.lines],
            lanes=[replace(x, t=-x.t) for x in self.lanes],
            left=-np.asarray(self.right),
            right=-np.asarray(self.left),
            verge=self.verge[::-1],
            median=self.median and (self.median[0], -self.median[1]),
            paved=(-self.paved[1], -self.paved[0]),
        )
