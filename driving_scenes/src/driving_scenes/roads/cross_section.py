"""What a road carries across: bands of surface, painted lines and lanes, each as offsets t along the reference line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np


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


ROAD, SIDEWALK, VERGE, FENCE, BUILDING = 3, 4, 5, 7, 1  # semantic ids
OWN, ALTERNATIVE = 1, 2  # drivable ids


@dataclass(frozen=True, slots=True)
class Band:
    """A strip of ground between t0 and t1 at heights z0 and z1 over the road, all (N,) on the road's samples."""

    surface: Surface
    t0: np.ndarray
    t1: np.ndarray
    z0: np.ndarray
    z1: np.ndarray
    valid: np.ndarray
    semantic: int = ROAD
    drivable: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A painted line, or an edge (`style` road_edge or curb) where nothing is painted.

    t, valid  (N,) offset of the middle, and where the line is there
    scope     "own" lines get a role counted from the ego lane, "other" lines the role `other`
    """

    t: np.ndarray
    valid: np.ndarray
    style: str
    color: str
    width: float = 0.12
    gap: float = 0.12
    dash: float = 3.0
    period: float = 12.0
    scope: str = "own"
    phase: float = 0.0
    up: float = 0.0

    @property
    def painted(self) -> bool:
        return self.style not in ("road_edge", "curb")


@dataclass(frozen=True, slots=True)
class Lane:
    """Where vehicles drive (direction 1 or -1 along s) or park."""

    t: np.ndarray
    width: float
    direction: int
    kind: str = "travel"  # travel, parking, bicycle, walk
    valid: np.ndarray | None = None


@dataclass
class Layout:
    """One road across. `left` and `right` are the offsets where the built ground ends and nature or houses begin."""

    scene: str
    s: np.ndarray
    bands: list[Band] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    left: np.ndarray | float = 0.0
    right: np.ndarray | float = 0.0
    verge: tuple[str, str] = ("grass", "grass")  # left, right
    median: tuple[str, float] | None = None  # barrier kind, t
    paved: tuple[float, float] = (0.0, 0.0)  # t of the outermost asphalt, left and right
    junctions: list[tuple[float, float]] = field(default_factory=list)  # s, half width
    asphalt: Surface = Surface.ASPHALT
    plan: dict = field(default_factory=dict)  # what furniture needs to know of this kind of road

    def everywhere(self) -> np.ndarray:
        return np.ones(len(self.s), bool)

    def row(self, t: np.ndarray | float) -> np.ndarray:
        return np.broadcast_to(np.asarray(t, float), self.s.shape).copy()

    def band(
        self, surface: Surface, t0, t1, z0=0.0, z1=None, semantic: int = ROAD, drivable: int = 0, valid=None
    ) -> None:
        z1 = z0 if z1 is None else z1
        valid = self.everywhere() if valid is None else valid
        self.bands.append(
            Band(surface, self.row(t0), self.row(t1), self.row(z0), self.row(z1), valid, semantic, drivable)
        )

    def line(self, t, style: str, color: str, valid=None, **more) -> None:
        valid = self.everywhere() if valid is None else valid
        self.lines.append(Line(self.row(t), valid, style, color, **more))

    def lane(self, t, width: float, direction: int, kind: str = "travel", valid=None) -> None:
        self.lanes.append(Lane(self.row(t), width, direction, kind, valid))

    def mirrored(self) -> Layout:
        """The same road for left-hand traffic."""
        swap = {"solid_dashed": "dashed_solid", "dashed_solid": "solid_dashed"}
        bands = [replace(b, t0=-b.t0, t1=-b.t1) for b in self.bands]
        lines = [replace(x, t=-x.t, style=swap.get(x.style, x.style)) for x in self.lines]
        lanes = [replace(x, t=-x.t) for x in self.lanes]
        median = self.median and (self.median[0], -self.median[1])
        return replace(
            self,
            bands=bands,
            lines=lines,
            lanes=lanes,
            left=-np.asarray(self.right),
            right=-np.asarray(self.left),
            verge=self.verge[::-1],
            median=median,
            paved=(-self.paved[1], -self.paved[0]),
        )
