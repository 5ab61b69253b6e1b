"""What goes into the fusion of cameras and what comes out. Metres in base_link."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from camera_perception.surroundings import class_name
from camera_perception.types import LaneLine, Perception


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


@dataclass(frozen=True, slots=True)
class FusedObjects:
    """N objects over all C cameras at one time, one row per object.

    names         (N,)    object (str)
    scores        (N,)
    track_ids     (N,)    same object, same number, from camera to camera; 0 before tracking
    ages          (N,)    fused messages since it was first seen
    seen_ns       (N,)    when a camera last saw it
    positions     (N, 2), position_covs (N, 2, 2)
    velocities    (N, 2)  nan when unknown, velocity_covs (N, 2, 2)
    over_ground   (N,)    bool, of velocities
    methods       (N,)    PositionMethod, the best of those used
    ground_widths (N,)    nan when unknown
    coasted       (N,)    bool
    rows          (N, C)  row in the view of each camera; -1 where it does not see the object
    camera_ids    (N, C)  track id in each camera; 0 where it does not see the object
    """

    names: np.ndarray
    scores: np.ndarray
    track_ids: np.ndarray
    ages: np.ndarray
    seen_ns: np.ndarray
    positions: np.ndarray
    position_covs: np.ndarray
    velocities: np.ndarray
    velocity_covs: np.ndarray
    over_ground: np.ndarray
    methods: np.ndarray
    ground_widths: np.ndarray
    coasted: np.ndarray
    rows: np.ndarray
    camera_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: np.ndarray | slice) -> FusedObjects:
        taken = np.arange(len(self))[rows]  # once for all columns; take is several times faster than an index
        return FusedObjects(*(getattr(self, name).take(taken, axis=0) for name in self.__dataclass_fields__))

    def joined(self, *others: FusedObjects) -> FusedObjects:
        """These rows, then those of the others."""
        parts = [part for part in (self, *others) if len(part)]
        if len(parts) < 2:
            return parts[0] if parts else self
        names = self.__dataclass_fields__
        return FusedObjects(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @property
    def moving(self) -> np.ndarray:
        """(N,) bool: velocity is known."""
        return np.isfinite(self.velocities).all(axis=1) & np.isfinite(self.velocity_covs).all(axis=(1, 2))

    @staticmethod
    def of(camera: int, cameras: int, view: CameraView, stamp_ns: int) -> FusedObjects:
        """What one camera of so many sees, seen at stamp_ns."""
        good = np.flatnonzero(
            np.isfinite(view.positions).all(axis=1) & np.isfinite(view.position_covs).all(axis=(1, 2))
        )
        n = len(good)
        rows, ids = np.full((n, cameras), -1), np.zeros((n, cameras), np.int64)
        rows[:, camera], ids[:, camera] = good, view.track_ids[good]
        return FusedObjects(
            names=np.array(view.names, object)[good],
            scores=view.scores[good].astype(float),
            track_ids=np.zeros(n, np.int64),
            ages=np.ones(n, int),
            seen_ns=np.full(n, stamp_ns, np.int64),
            positions=view.positions[good].astype(float),
            position_covs=view.position_covs[good].astype(float),
            velocities=view.velocities[good].astype(float),
            velocity_covs=view.velocity_covs[good].astype(float),
            over_ground=np.full(n, view.over_ground),
            methods=view.methods[good].astype(int),
            ground_widths=view.ground_widths[good].astype(float),
            coasted=view.coasted[good].astype(bool),
            rows=rows,
            camera_ids=ids,
        )
