"""Tracks as objects: what a frame shows with what is known about it, and what is only predicted.

Velocities of things of which many stand: a parked car does not creep because its place is known a little worse.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.core.types import Detections, Objects
from camera_perception.geometry.kalman import inverse
from camera_perception.objects.tracker.config import TrackRules
from camera_perception.objects.tracker.light_states import shown_lights
from camera_perception.objects.tracker.tracks import Tracks

STANDING = 0.5  # probability that a thing stands, as long as nothing is known about it


def rested(velocities: np.ndarray, covs: np.ndarray, haste: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of velocities over the ground, when a thing either stands or has any speed.

    velocities, covs  (N, 2) m/s and (N, 2, 2), as measured
    haste             (N,) m/s, how fast such things go: one standard deviation

    What is likely to stand is drawn towards nought, what surely moves is left as it is ("spike and slab", Mitchell and
    Beauchamp 1988).
    """
    still = STANDING * _density(velocities, covs)
    moving = (1 - STANDING) * _density(velocities, covs + np.square(haste)[:, None, None] * np.eye(2))
    share = (moving / (still + moving))[:, None, None]
    outer = velocities[:, :, None] * velocities[:, None]
    return share[:, :, 0] * velocities, share * covs + share * (1 - share) * outer


def _density(values: np.ndarray, covs: np.ndarray) -> np.ndarray:
    """(N,) of normal distributions around nought, but for a common factor."""
    far = np.einsum("ni,nij,nj->n", values, inverse(covs), values)
    return np.exp(-far / 2) / np.sqrt(covs[:, 0, 0] * covs[:, 1, 1] - np.square(covs[:, 0, 1]))


SETTLED = 4  # sightings before there can be a velocity


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
    objects = objects.with_rows(
        slice(None),
        track_ids=tracks.ids[rows],
        ages=tracks.ages[rows],
        classes=tracks.classes[rows],
        light_states=shown_lights(tracks)[rows],
    )
    objects = objects.with_rows(
        at,
        positions=np.column_stack((tracks.place[row, :2], np.zeros(len(row)))),
        position_covs=tracks.covs[row],
        position_methods=tracks.methods[row],
    )
    speeds, covs = tracks.place[row, 2:4], tracks.speed_covs[row]
    sure = (tracks.hits[row] >= SETTLED) & (np.trace(covs, axis1=1, axis2=2) < 2 * rules.speed_doubt**2)
    if over_ground:
        speeds, covs = rested(speeds, covs, tracks.haste[row])
    return objects.with_rows(at[sure], velocities=speeds[sure], velocity_covs=covs[sure])
