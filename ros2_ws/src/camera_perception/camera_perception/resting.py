"""Velocities of things of which many stand: a parked car does not creep because its place is known a little worse."""

from __future__ import annotations

import numpy as np

from camera_perception.kalman import inverse

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
