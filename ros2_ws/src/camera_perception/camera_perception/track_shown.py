"""Tracks as objects: what a frame shows with what is known about it, and what is only predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.resting import rested
from camera_perception.track_lights import shown_lights
from camera_perception.track_rules import TrackRules
from camera_perception.tracks import Tracks
from camera_perception.types import Detections, Objects

SETTLED = 4  # sightings before there can be a velocity
CHANGED = (
    "track_ids", "ages", "classes", "light_states", "positions", "position_covs", "position_methods",
    "velocities", "velocity_covs",
)  # fmt: skip


def coasting(rows: Tracks, stamp_ns: int, rules: TrackRules) -> Objects:
    """Tracks as objects where they should be by now; described gives them their ids and places."""
    faded = rows.scores * np.exp(-(stamp_ns - rows.seen) / 1e9 / rules.show)
    guess = Detections(
        rows.boxes.astype(np.float32),
        faded.astype(np.float32),
        rows.classes.astype(np.int32),
        rows.lights.astype(np.float32),
    )
    alone = np.ones(len(rows), bool)
    return replace(Objects.of(guess), coasted=alone, truncated=rows.truncated, ground_widths=rows.widths)


def described(
    objects: Objects, rows: np.ndarray, tracks: Tracks, stamp_ns: int, rules: TrackRules, over_ground: bool
) -> Objects:
    """Objects with what their tracks know; rows (N,) of tracks.

    over_ground  whether velocities are over the ground, where many things stand, or relative to the car
    """
    known = np.isfinite(tracks.place[rows, 0]) & (stamp_ns - tracks.placed[rows] <= 1e9 * rules.show)
    at, row = np.flatnonzero(known), rows[known]
    columns = {name: getattr(objects, name).copy() for name in CHANGED}
    columns["track_ids"][:] = tracks.ids[rows]
    columns["ages"][:] = tracks.ages[rows]
    columns["classes"][:] = tracks.classes[rows]
    columns["light_states"][:] = shown_lights(tracks)[rows]
    columns["positions"][at] = np.column_stack((tracks.place[row, :2], np.zeros(len(row))))
    columns["position_covs"][at] = tracks.covs[row]
    columns["position_methods"][at] = tracks.methods[row]
    speeds, covs = tracks.place[row, 2:4], tracks.speed_covs[row]
    sure = (tracks.hits[row] >= SETTLED) & (np.trace(covs, axis1=1, axis2=2) < 2 * rules.speed_doubt**2)
    if over_ground:
        speeds, covs = rested(speeds, covs, tracks.haste[row])
    columns["velocities"][at[sure]], columns["velocity_covs"][at[sure]] = speeds[sure], covs[sure]
    return replace(objects, **columns)


def joined(a: Objects, b: Objects) -> Objects:
    """The rows of both."""
    if not len(b):
        return a
    return Objects(*(np.concatenate((getattr(a, name), getattr(b, name))) for name in a.__dataclass_fields__))
