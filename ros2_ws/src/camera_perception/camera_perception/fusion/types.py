"""Input and output of camera fusion. Metres in base_link.

Fused objects are two matrices instead of one array per column: rows are selected and concatenated for each camera of
each message, which takes a seventh of the time this way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from camera_perception.core.columns import Columns
from camera_perception.core.types import LaneLine, Perception
from camera_perception.draw.scene import class_name


@dataclass(frozen=True, slots=True)
class CameraView:
    """The metric output of one camera of the rig at one time.

    stamp_ns      time of the image
    names         (N,) class name of each object
    scores        (N,)
    track_ids     (N,) of this camera's tracker
    positions     (N, 2), position_covs (N, 2, 2)
    velocities    (N, 2) nan when unknown, velocity_covs (N, 2, 2)
    over_ground   whether velocities are over the ground, not relative to the car
    methods       (N,) PositionMethod
    ground_widths (N,) nan when unknown
    coasted       (N,) bool
    lanes         lines with ground
    polygon       (M, 2) free road; (0, 2) when unknown
    free_distance metres ahead; nan when unknown
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


def camera_view(perception: Perception, classes: tuple[str, ...]) -> CameraView:
    """The fusion input from a camera's perception; one row per object, also for objects without position."""
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
POSITION, POSITION_COV, VELOCITY, VELOCITY_COV = slice(2, 4), slice(4, 8), slice(8, 10), slice(10, 14)
# Columns of counts, before those of the cameras
CLASS, ID, AGE, STAMP, METHOD, OVER_GROUND, COASTED, CAMERAS = range(8)


@dataclass(frozen=True, slots=True)
class FusedObjects(Columns):
    """N objects over all C cameras at one time, one row per object.

    numbers  (N, 14) float64: score, ground width (nan when unknown), x y, their covariance xx xy yx yy, velocity (nan
             when unknown), its covariance
    counts   (N, 7 + 2 C) int64: class, track id (the same in all cameras; 0 before tracking), fused messages
             since it was created, ns of its last detection, PositionMethod (the best of those used), whether its
             velocity is over the ground, whether it is coasted; then its row in the view of each camera (-1 where it
             is not detected), then its track id in each camera (0 where it is not detected)
    classes  class names
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
        return [self.classes[index] for index in self.counts[:, CLASS].tolist()]

    @property
    def track_ids(self) -> np.ndarray:
        """(N,) int64."""
        return self.counts[:, ID]

    @property
    def positions(self) -> np.ndarray:
        """(N, 2) metres."""
        return self.numbers[:, POSITION]

    @property
    def position_covs(self) -> np.ndarray:
        """(N, 2, 2) square metres."""
        return self.numbers[:, POSITION_COV].reshape(-1, 2, 2)

    @property
    def velocities(self) -> np.ndarray:
        """(N, 2) m/s, nan when unknown."""
        return self.numbers[:, VELOCITY]

    @property
    def velocity_covs(self) -> np.ndarray:
        """(N, 2, 2)."""
        return self.numbers[:, VELOCITY_COV].reshape(-1, 2, 2)

    @property
    def moving(self) -> np.ndarray:
        """(N,) bool: velocity is known."""
        known: np.ndarray = np.isfinite(self.numbers[:, VELOCITY.start : VELOCITY_COV.stop]).all(axis=1)
        return known

    @property
    def over_ground(self) -> np.ndarray:
        """(N,) bool: velocity is over the ground, not relative to the car."""
        return self.counts[:, OVER_GROUND] > 0

    @property
    def coasted(self) -> np.ndarray:
        """(N,) bool: predicted, without a current detection."""
        return self.counts[:, COASTED] > 0

    @property
    def rows(self) -> np.ndarray:
        """(N, C) row in the view of each camera; -1 where the object is not detected."""
        return self.counts[:, CAMERAS : CAMERAS + (self.counts.shape[1] - CAMERAS) // 2]

    @property
    def camera_ids(self) -> np.ndarray:
        """(N, C) track id in each camera; 0 where the object is not detected."""
        return self.counts[:, CAMERAS + (self.counts.shape[1] - CAMERAS) // 2 :]

    @staticmethod
    def empty(classes: Iterable[str], cameras: int) -> FusedObjects:
        """An empty table for a number of cameras."""
        return FusedObjects(np.zeros((0, 14)), np.zeros((0, CAMERAS + 2 * cameras), np.int64), tuple(classes))

    @staticmethod
    def of(
        views: Mapping[int, CameraView], cameras: int, class_indices: Mapping[str, int], stamp_ns: int
    ) -> tuple[FusedObjects, list[int]]:
        """The objects of cameras that have a position, detected at stamp_ns, camera by camera; their number in each.

        class_indices  index of each class name, counted from 0
        """
        sizes = [len(view.scores) for view in views.values()]
        found = FusedObjects(
            np.empty((sum(sizes), 14)), np.zeros((sum(sizes), CAMERAS + 2 * cameras), np.int64), tuple(class_indices)
        )
        if not views:
            return found, sizes
        _fill(found, [*views.values()], sizes, stamp_ns)
        found.counts[:, CLASS] = [class_indices[name] for view in views.values() for name in view.names]
        found.rows[:] = -1
        for end, size, (camera, view) in zip(accumulate(sizes), sizes, views.items()):
            found.rows[end - size : end, camera] = np.arange(size)
            found.camera_ids[end - size : end, camera] = view.track_ids
        located = np.isfinite(found.numbers[:, POSITION.start : POSITION_COV.stop]).all(axis=1)
        if located.all():
            return found, sizes
        return found[located], [int(each.sum()) for each in np.split(located, [*accumulate(sizes)][:-1])]


def _fill(found: FusedObjects, views: Sequence[CameraView], sizes: Sequence[int], stamp_ns: int) -> None:
    """Write the columns that views have."""
    numbers, counts = found.numbers, found.counts
    numbers[:, SCORE] = np.concatenate([view.scores for view in views])
    numbers[:, WIDTH] = np.concatenate([view.ground_widths for view in views])
    numbers[:, POSITION] = np.concatenate([view.positions for view in views])
    numbers[:, POSITION_COV] = np.concatenate([view.position_covs for view in views]).reshape(-1, 4)
    numbers[:, VELOCITY] = np.concatenate([view.velocities for view in views])
    numbers[:, VELOCITY_COV] = np.concatenate([view.velocity_covs for view in views]).reshape(-1, 4)
    counts[:, AGE], counts[:, STAMP] = 1, stamp_ns
    counts[:, METHOD] = np.concatenate([view.methods for view in views])
    counts[:, OVER_GROUND] = np.repeat([view.over_ground for view in views], sizes)
    counts[:, COASTED] = np.concatenate([view.coasted for view in views])
