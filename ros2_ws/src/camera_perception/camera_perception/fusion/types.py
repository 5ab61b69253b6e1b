"""What goes into the fusion of cameras: what each of them saw. Metres in base_link.

What comes out of the fusion of cameras: objects as rows of two tables. Metres in base_link.

Rows are chosen and joined for each camera of each message: two tables take a seventh of the time of a column each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from camera_perception.core.columns import Columns
from camera_perception.core.types import LaneLine, Perception
from camera_perception.draw.scene import class_name


@dataclass(frozen=True, slots=True)
class CameraView:
    """What one camera of the rig saw at one time; only what has metres.

    stamp_ns      when
    names         (N,) class name of each object
    scores        (N,)
    track_ids     (N,) of this camera's tracker
    positions     (N, 2), position_covs (N, 2, 2)
    velocities    (N, 2) nan when unknown, velocity_covs (N, 2, 2)
    over_ground   velocities are over the ground, not relative to the car
    methods       (N,) PositionMethod
    ground_widths (N,) nan when unknown
    coasted       (N,) bool
    lanes         lines with ground
    polygon       (M, 2) the free road; (0, 2) when unknown
    free_distance metres ahead, nan when unknown
    """

    stamp_ns: int
    names: tuple[str, ...]
    scores: np.ndarray
    track_ids: np.ndarray
    positions: np.ndarray
    position_covs: np.ndarray
    velocities: np.ndarray
    velocity_covs: np.ndarray
    over_ground: bool
    methods: np.ndarray
    ground_widths: np.ndarray
    coasted: np.ndarray
    lanes: tuple[LaneLine, ...] = ()
    polygon: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    free_distance: float = float("nan")


def view_of(perception: Perception, classes: tuple[str, ...]) -> CameraView:
    """What the fusion takes of a camera's perception; rows are those of its objects, also where they have no place."""
    objects, road = perception.objects, perception.road
    return CameraView(
        stamp_ns=perception.frame.stamp_ns,
        names=tuple(class_name(classes, int(index)) for index in objects.classes),
        scores=objects.scores,
        track_ids=objects.track_ids,
        positions=objects.positions[:, :2],
        position_covs=objects.position_covs,
        velocities=objects.velocities,
        velocity_covs=objects.velocity_covs,
        over_ground=perception.velocity_over_ground,
        methods=objects.position_methods,
        ground_widths=objects.ground_widths,
        coasted=objects.coasted,
        lanes=tuple(line for line in perception.lanes if line.ground is not None),
        polygon=road.polygon if road is not None else np.zeros((0, 2)),
        free_distance=road.free_distance_ahead if road is not None else float("nan"),
    )


# Columns of numbers
SCORE, WIDTH = 0, 1
PLACE, PLACE_COV, SPEED, SPEED_COV = slice(2, 4), slice(4, 8), slice(8, 10), slice(10, 14)
# Columns of counts, before those of the cameras
KIND, ID, AGE, SEEN, METHOD, OVER_GROUND, COASTED, FIRST = range(8)


@dataclass(frozen=True, slots=True)
class FusedObjects(Columns):
    """N objects over all C cameras at one time, one row per object.

    numbers  (N, 14) float64: score, ground width (nan when unknown), x y, their covariance xx xy yx yy, velocity (nan
             when unknown), its covariance
    counts   (N, 7 + 2 C) int64: kind, track id (the same from camera to camera; 0 before tracking), fused messages
             since it was first seen, ns when a camera last saw it, PositionMethod (the best of those used), whether its
             velocity is over the ground, whether it is only predicted; then its row in the view of each camera (-1
             where it does not see the object), then its track id in each (0 likewise)
    classes  names that kinds are indices into
    """

    numbers: np.ndarray
    counts: np.ndarray
    classes: tuple[str, ...]

    def _rebuilt(self, columns: Iterable[np.ndarray]) -> FusedObjects:
        numbers, counts = columns
        return FusedObjects(numbers, counts, self.classes)

    @property
    def names(self) -> list[str]:
        """Class of each object."""
        return [self.classes[kind] for kind in self.counts[:, KIND].tolist()]

    @property
    def track_ids(self) -> np.ndarray:
        """(N,) int64."""
        return self.counts[:, ID]

    @property
    def positions(self) -> np.ndarray:
        """(N, 2) metres."""
        return self.numbers[:, PLACE]

    @property
    def position_covs(self) -> np.ndarray:
        """(N, 2, 2) square metres."""
        return self.numbers[:, PLACE_COV].reshape(-1, 2, 2)

    @property
    def velocities(self) -> np.ndarray:
        """(N, 2) m/s, nan when unknown."""
        return self.numbers[:, SPEED]

    @property
    def velocity_covs(self) -> np.ndarray:
        """(N, 2, 2)."""
        return self.numbers[:, SPEED_COV].reshape(-1, 2, 2)

    @property
    def moving(self) -> np.ndarray:
        """(N,) bool: velocity is known."""
        return np.isfinite(self.numbers[:, SPEED.start : SPEED_COV.stop]).all(axis=1)

    @property
    def over_ground(self) -> np.ndarray:
        """(N,) bool, of velocities: over the ground, not relative to the car."""
        return self.counts[:, OVER_GROUND] > 0

    @property
    def coasted(self) -> np.ndarray:
        """(N,) bool: nobody saw it lately."""
        return self.counts[:, COASTED] > 0

    @property
    def rows(self) -> np.ndarray:
        """(N, C) row in the view of each camera; -1 where it does not see the object."""
        return self.counts[:, FIRST : FIRST + (self.counts.shape[1] - FIRST) // 2]

    @property
    def camera_ids(self) -> np.ndarray:
        """(N, C) track id in each camera; 0 where it does not see the object."""
        return self.counts[:, FIRST + (self.counts.shape[1] - FIRST) // 2 :]

    @staticmethod
    def empty(classes: Iterable[str], cameras: int) -> FusedObjects:
        """No object of so many cameras."""
        return FusedObjects(np.zeros((0, 14)), np.zeros((0, FIRST + 2 * cameras), np.int64), tuple(classes))

    @staticmethod
    def of(camera: int, cameras: int, view: CameraView, kinds: Mapping[str, int], stamp_ns: int) -> FusedObjects:
        """What one camera of so many sees and has a place, seen at stamp_ns; kinds: class and its number, from 0 on."""
        count = len(view.scores)
        numbers, counts = np.empty((count, 14)), np.zeros((count, FIRST + 2 * cameras), np.int64)
        numbers[:, SCORE], numbers[:, WIDTH] = view.scores, view.ground_widths
        numbers[:, PLACE], numbers[:, SPEED] = view.positions, view.velocities
        numbers[:, PLACE_COV] = view.position_covs.reshape(-1, 4)
        numbers[:, SPEED_COV] = view.velocity_covs.reshape(-1, 4)
        counts[:, KIND] = [kinds[name] for name in view.names]
        counts[:, AGE], counts[:, SEEN], counts[:, METHOD] = 1, stamp_ns, view.methods
        counts[:, OVER_GROUND], counts[:, COASTED] = view.over_ground, view.coasted
        found = FusedObjects(numbers, counts, tuple(kinds))
        found.rows[:], found.camera_ids[:, camera] = -1, view.track_ids
        found.rows[:, camera] = np.arange(count)
        return found[np.flatnonzero(np.isfinite(numbers[:, PLACE.start : PLACE_COV.stop]).all(axis=1))]
