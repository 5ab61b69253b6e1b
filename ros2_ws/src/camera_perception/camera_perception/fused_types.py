"""What goes into the fusion of cameras: what each of them saw. Metres in base_link."""

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
