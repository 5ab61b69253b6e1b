"""The metric scene of one camera or a whole rig at one time, as shown in bird's-eye views."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import LaneLine, Objects, Perception, Relevance
from camera_perception.objects.footprint import footprints


@dataclass(frozen=True, slots=True)
class Surroundings:
    """N objects on the road around the car, metres in base_frame.

    base_frame     "" without metric output
    names          (N,) class of each object
    scores         (N,)
    track_ids      (N,) 0 before tracking
    positions      (N, 2) contact with the road on the side facing the car
    position_covs  (N, 2, 2)
    velocities     (N, 2) m/s, nan when unknown
    coasted        (N,) bool, predicted without detection
    lanes          lines with ground
    roads          polygons (M, 2) of the free road
    free_distance  metres ahead, nan when unknown
    light          state of the traffic light of the ego lane, "" without one
    why_empty      text shown when nothing is known
    velocity_covs  (N, 2, 2), None when not needed
    over_ground    (N,) bool, velocity relative to the road, not to the car; None when not needed
    """

    base_frame: str
    names: tuple[str, ...]
    scores: np.ndarray
    track_ids: np.ndarray
    positions: np.ndarray
    position_covs: np.ndarray
    velocities: np.ndarray
    coasted: np.ndarray
    lanes: tuple[LaneLine, ...] = ()
    roads: tuple[np.ndarray, ...] = field(default=())
    free_distance: float = float("nan")
    light: str = ""
    why_empty: str = ""
    velocity_covs: np.ndarray | None = None
    over_ground: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def footprints(self) -> list[np.ndarray]:
        """(4, 2) corners of the road area covered by each object."""
        return [*footprints(self.positions, self.names, self.velocities)]


def surroundings_of(perception: Perception, spec: ModelSpec) -> Surroundings:
    """The metric scene of one camera."""
    objects, road = perception.objects, perception.road
    located = objects[np.isfinite(objects.positions[:, :2]).all(axis=1)]
    return Surroundings(
        base_frame=perception.base_frame,
        names=tuple(class_names(located, spec)),
        scores=located.scores,
        track_ids=located.track_ids,
        positions=located.positions[:, :2].astype(float),
        position_covs=located.position_covs.astype(float),
        velocities=located.velocities.astype(float),
        coasted=located.coasted,
        lanes=tuple(line for line in perception.lanes if line.ground is not None),
        roads=(road.polygon,) if road is not None and len(road.polygon) >= 3 else (),
        free_distance=road.free_distance_ahead if road is not None else float("nan"),
        light=_ego_light(objects, spec),
        why_empty="" if perception.base_frame else "no metres: not calibrated",
        velocity_covs=located.velocity_covs.astype(float),
        over_ground=np.full(len(located), perception.velocity_over_ground),
    )


def class_name(names: tuple[str, ...], index: int) -> str:
    """The name of a class; "class 12" for an index without a name."""
    return names[index] if 0 <= index < len(names) else f"class {index}"


def class_names(objects: Objects, spec: ModelSpec) -> list[str]:
    """The class name of each object."""
    return [class_name(spec.classes, int(index)) for index in objects.classes]


def light_state(objects: Objects, row: int, spec: ModelSpec) -> str:
    """Name of the most likely state of a traffic light; "" for other objects."""
    head = spec.head("objects")
    states = head.options.get("light_states", ()) if head else ()
    scores = objects.light_states[row]
    known = len(states) == len(scores) > 0 and np.nanmax(np.nan_to_num(scores)) > 0
    return str(states[int(np.nan_to_num(scores).argmax())]) if known else ""


def _ego_light(objects: Objects, spec: ModelSpec) -> str:
    """State of the light of the ego lane with the highest score."""
    ego = np.flatnonzero(objects.relevances == Relevance.EGO)
    rows = ego[np.argsort(-objects.scores[ego])].tolist()
    return next((state for row in rows if (state := light_state(objects, row, spec))), "")
