"""Objects moved to another time: by their own velocity, and by how the car drove on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.fused_types import FusedObjects
from camera_perception.kalman import rotation
from camera_perception.types import EgoMotion

UNKNOWN_SPEED = 5.0  # m/s, one standard deviation of a velocity that is not known
ACCELERATION = 3.0  # m/s^2


def at_later_time(objects: FusedObjects, seconds: float, motion: EgoMotion | None) -> FusedObjects:
    """Objects `seconds` later: carried by their own velocity, and seen from where the car is then."""
    moving = objects.moving
    velocity = np.where(moving[:, None], objects.velocities, 0.0)
    drift = np.where(moving[:, None, None], objects.velocity_covs, UNKNOWN_SPEED**2 * np.eye(2))
    positions = objects.positions + seconds * velocity
    covs = objects.position_covs + seconds**2 * drift + (ACCELERATION * seconds**2 / 2) ** 2 * np.eye(2)
    velocities, velocity_covs = objects.velocities, objects.velocity_covs + (ACCELERATION * seconds) ** 2 * np.eye(2)
    if motion is not None:
        turn, still = rotation(-motion.yaw), objects.over_ground | ~moving
        positions = np.where(still[:, None], (positions - (motion.x, motion.y)) @ turn.T, positions)
        covs = np.where(still[:, None, None], turn @ covs @ turn.T, covs)
        velocities = np.where(still[:, None], velocities @ turn.T, velocities)
        velocity_covs = np.where(still[:, None, None], turn @ velocity_covs @ turn.T, velocity_covs)
    return replace(objects, positions=positions, position_covs=covs, velocities=velocities, velocity_covs=velocity_covs)
