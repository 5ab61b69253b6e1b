"""Everything with a place on the road at one time, of one camera or of a whole rig: what views from above show."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import LaneLine, Objects, Perception, Relevance
from camera_perception.objects.footprint import footprint


@dataclass(frozen=True, slots=True)
class Surroundings:
    """N things on the road around the car, metres in base_frame.

    base_frame     "" where nothing is known in metres
    names          (N,) class of each thing
    scores         (N,)
    track_ids      (N,) 0 before tracking
    positions      (N, 2) contact with the road on the side towards us
    position_covs  (N, 2, 2)
    velocities     (N, 2) m/s, nan when unknown
    coasted        (N,) bool, nobody sees it now
    lanes          lines with ground
    roads          polygons (M, 2) of the free road
    free_distance  metres ahead, nan when unknown
    light          state of the traffic light that governs the own lane, "" when there is none
    why_empty      why nothing is known, for people
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

    def __len__(self) -> int:
        return len(self.names)

    def footprints(self) -> list[np.ndarray]:
        """(4, 2) corners of the road that each thing covers."""
        rows = zip(self.positions, self.names, self.velocities)
        return [footprint(position, name, velocity) for position, name, velocity in rows]


def surroundings_of(perception: Perception, spec: ModelSpec) -> Surroundings:
    """What one camera sees of the road around the car."""
    objects, road = perception.objects, perception.road
    placed = objects[np.isfinite(objects.positions[:, :2]).all(axis=1)]
    return Surroundings(
        base_frame=perception.base_frame,
        names=tuple(class_name(spec.classes, int(index)) for index in placed.classes),
        scores=placed.scores,
        track_ids=placed.track_ids,
        positions=placed.positions[:, :2].astype(float),
        position_covs=placed.position_covs.astype(float),
        velocities=placed.velocities.astype(float),
        coasted=placed.coasted,
        lanes=tuple(line for line in perception.lanes if line.ground is not None),
        roads=(road.polygon,) if road is not None and len(road.polygon) >= 3 else (),
        free_distance=road.free_distance_ahead if road is not None else float("nan"),
        light=_own_light(objects, spec),
        why_empty="" if perception.base_frame else "no calibration, no metres",
    )


def class_name(names: tuple[str, ...], index: int) -> str:
    """The name of a class; "class 12" for a number that the model does not name."""
    return names[index] if 0 <= index < len(names) else f"class {index}"


def light_state(objects: Objects, row: int, spec: ModelSpec) -> str:
    """Name of the most likely state of a traffic light; "" for everything else."""
    head = spec.head("objects")
    states = head.options.get("light_states", ()) if head else ()
    scores = objects.light_states[row]
    known = len(states) == len(scores) > 0 and np.nanmax(np.nan_to_num(scores)) > 0
    return str(states[int(np.nan_to_num(scores).argmax())]) if known else ""


def _own_light(objects: Objects, spec: ModelSpec) -> str:
    """State of the surest light of the own lane."""
    own = np.flatnonzero(objects.relevances == Relevance.EGO)
    rows = own[np.argsort(-objects.scores[own])].tolist()
    return next((state for row in rows if (state := light_state(objects, row, spec))), "")
