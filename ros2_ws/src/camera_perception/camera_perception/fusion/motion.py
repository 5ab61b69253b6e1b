"""Predict fused objects to another time: by their velocity and the ego motion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from camera_perception.core.types import EgoMotion
from camera_perception.fusion.types import POSITION, POSITION_COV, VELOCITY, VELOCITY_COV, FusedObjects

UNKNOWN_VELOCITY_STD = 5.0  # m/s, of an unknown velocity
ACCELERATION_STD = 3.0  # m/s^2
ISOTROPIC = np.eye(2).ravel()  # covariance xx xy yx yy


def predict(
    objects: FusedObjects, counts: Sequence[int], seconds: Sequence[float], motions: Sequence[EgoMotion | None]
) -> FusedObjects:
    """Predict objects with constant velocity into the frame of the car at the later time.

    counts   numbers of consecutive rows that share a time
    seconds  prediction time of each of these groups
    motions  ego motion during that time, per group; None when unknown
    """
    numbers, elapsed = objects.numbers.copy(), np.repeat(seconds, counts)[:, None]
    unknown = ~objects.moving
    velocity_cov = numbers[:, VELOCITY_COV].copy()
    velocity_cov[unknown] = UNKNOWN_VELOCITY_STD**2 * ISOTROPIC
    velocity = numbers[:, VELOCITY].copy()
    velocity[unknown] = 0.0
    numbers[:, POSITION] += elapsed * velocity
    numbers[:, POSITION_COV] += elapsed**2 * velocity_cov + (ACCELERATION_STD * elapsed**2 / 2) ** 2 * ISOTROPIC
    numbers[:, VELOCITY_COV] += (ACCELERATION_STD * elapsed) ** 2 * ISOTROPIC
    known = np.repeat([motion is not None for motion in motions], counts)
    rows = (known & (objects.over_ground | unknown)).nonzero()[0]
    if len(rows):
        moved = np.repeat([(m.x, m.y, m.yaw) if m else (0.0, 0.0, 0.0) for m in motions], counts, axis=0)
        _transform(numbers, rows, moved[rows])
    return FusedObjects(numbers, objects.counts, objects.classes)


def _transform(numbers: np.ndarray, rows: np.ndarray, moved: np.ndarray) -> None:
    """Transform rows of numbers into the frame of a car that has moved by (R, 3) x, y, yaw."""
    selected, x, y = numbers[rows], *moved[:, :2].T
    cos, sin = np.cos(moved[:, 2]), np.sin(moved[:, 2])
    selected[:, POSITION.start] -= x
    selected[:, POSITION.start + 1] -= y
    for vector in (POSITION, VELOCITY):
        ahead, left = selected[:, vector].T.copy()
        selected[:, vector.start], selected[:, vector.start + 1] = cos * ahead + sin * left, cos * left - sin * ahead
    for cov in (POSITION_COV, VELOCITY_COV):
        xx, xy, _, yy = selected[:, cov].T.copy()
        cross = cos * sin * (yy - xx) + (cos * cos - sin * sin) * xy
        both = 2 * cos * sin * xy
        selected[:, cov] = np.column_stack(
            (cos * cos * xx + both + sin * sin * yy, cross, cross, sin * sin * xx - both + cos * cos * yy)
        )
    numbers[rows] = selected
