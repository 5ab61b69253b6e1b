"""Objects moved to another time: by their own velocity, and by how the car drove on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from camera_perception.core.types import EgoMotion
from camera_perception.fusion.types import PLACE, PLACE_COV, SPEED, SPEED_COV, FusedObjects

UNKNOWN_SPEED = 5.0  # m/s, one standard deviation of a velocity that is not known
ACCELERATION = 3.0  # m/s^2
ROUND = np.eye(2).ravel()  # covariance of a doubt that is the same in all directions


def at_later_time(
    objects: FusedObjects, counts: Sequence[int], seconds: Sequence[float], motions: Sequence[EgoMotion | None]
) -> FusedObjects:
    """Objects later: carried by their own velocity, and seen from where the car is then.

    counts   so many of the rows, one after the other, share a time
    seconds  until then, of each of these
    motions  of the car meanwhile; None where it is not known
    """
    numbers, later = objects.numbers.copy(), np.repeat(seconds, counts)[:, None]
    slow = ~objects.moving
    drift = numbers[:, SPEED_COV].copy()
    drift[slow] = UNKNOWN_SPEED**2 * ROUND
    velocity = numbers[:, SPEED].copy()
    velocity[slow] = 0.0
    numbers[:, PLACE] += later * velocity
    numbers[:, PLACE_COV] += later**2 * drift + (ACCELERATION * later**2 / 2) ** 2 * ROUND
    numbers[:, SPEED_COV] += (ACCELERATION * later) ** 2 * ROUND
    known = np.repeat([motion is not None for motion in motions], counts)
    rows = (known & (objects.over_ground | slow)).nonzero()[0]
    if len(rows):
        moved = np.repeat([(m.x, m.y, m.yaw) if m else (0.0, 0.0, 0.0) for m in motions], counts, axis=0)
        _see_from(numbers, rows, moved[rows])
    return replace(objects, numbers=numbers)


def _see_from(numbers: np.ndarray, rows: np.ndarray, moved: np.ndarray) -> None:
    """Turn rows of numbers into the axes of a car that has moved by (R, 3) x, y, yaw."""
    seen, x, y = numbers[rows], *moved[:, :2].T
    cos, sin = np.cos(moved[:, 2]), np.sin(moved[:, 2])
    seen[:, PLACE.start] -= x
    seen[:, PLACE.start + 1] -= y
    for place in (PLACE, SPEED):
        ahead, left = seen[:, place].T.copy()
        seen[:, place.start], seen[:, place.start + 1] = cos * ahead + sin * left, cos * left - sin * ahead
    for cov in (PLACE_COV, SPEED_COV):
        xx, xy, _, yy = seen[:, cov].T.copy()
        cross = cos * sin * (yy - xx) + (cos * cos - sin * sin) * xy
        both = 2 * cos * sin * xy
        seen[:, cov] = np.column_stack(
            (cos * cos * xx + both + sin * sin * yy, cross, cross, sin * sin * xx - both + cos * cos * yy)
        )
    numbers[rows] = seen
