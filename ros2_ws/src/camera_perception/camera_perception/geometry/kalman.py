"""Constant-velocity Kalman filters, all tracks at once."""

from __future__ import annotations

import numpy as np

from camera_perception.core.types import EgoMotion

UNLIKELY = 8.0  # squared Mahalanobis distance from where on range and height do not speak of one thing


def predict_ground(
    mean: np.ndarray, cov: np.ndarray, seconds: float, drift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(T, 5) x y vx vy height and (T, 5, 5) after some seconds.

    drift (T,) change of velocity, one standard deviation in m/s per square root of a second: the same at any frame rate
    """
    step, noise = (_both_axes(each) for each in walked(seconds))
    step[4, 4] = 1.0  # nothing grows
    return mean @ step.T, step @ cov @ step.T + np.square(drift)[:, None, None] * noise


def _both_axes(matrix: np.ndarray) -> np.ndarray:
    """(2, 2) of a place and its speed as (5, 5) of x y vx vy height."""
    each = np.zeros((5, 5))
    each[0:4:2, 0:4:2] = each[1:4:2, 1:4:2] = matrix
    return each


def update_ground(
    mean: np.ndarray, cov: np.ndarray, place: np.ndarray, place_cov: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(T, 5), (T, 5, 5) after places (T, 2) with (T, 2, 2) covariances were seen."""
    gain = cov[:, :, :2] @ inverse(cov[:, :2, :2] + place_cov)
    moved = mean + (gain @ (place - mean[:, :2])[:, :, None])[:, :, 0]
    reduced = cov - gain @ cov[:, :2]
    return moved, (reduced + reduced.transpose(0, 2, 1)) / 2


def update_range(
    mean: np.ndarray, cov: np.ndarray, sight: np.ndarray, eye: np.ndarray, per_metre: np.ndarray, var: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(T, 5), (T, 5, 5) after things were seen so tall that their range is so many metres per metre of own height.

    sight (T, 2) unit vectors from the eye (2,); var (T,) square metres. What is too unlikely changes nothing.
    """
    look = np.zeros_like(mean)
    look[:, :2], look[:, 4] = sight, -per_metre
    miss = per_metre * mean[:, 4] - np.einsum("ni,ni->n", sight, mean[:, :2] - eye)
    seen = np.einsum("nij,nj->ni", cov, look)
    total = np.einsum("ni,ni->n", seen, look) + var
    gain = np.where(np.square(miss) < UNLIKELY * total, 1 / total, 0.0)[:, None] * seen
    return mean + gain * miss[:, None], cov - gain[:, :, None] * seen[:, None]


def seen_from(mean: np.ndarray, cov: np.ndarray, motion: EgoMotion) -> tuple[np.ndarray, np.ndarray]:
    """The same places and velocities in the axes of a car that has moved; its own speed is not taken off."""
    turn = np.eye(5)
    turn[:2, :2] = turn[2:4, 2:4] = rotation(-motion.yaw)
    moved = mean.copy()
    moved[:, :2] -= (motion.x, motion.y)
    return moved @ turn.T, turn @ cov @ turn.T


def inverse(matrices: np.ndarray) -> np.ndarray:
    """(..., 2, 2) symmetric matrices; for so small ones several times faster than LAPACK."""
    found = np.empty_like(matrices)
    a, b, d = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 1]
    scale = 1 / (a * d - b * b)
    found[..., 0, 0], found[..., 1, 1] = d * scale, a * scale
    found[..., 0, 1] = found[..., 1, 0] = -b * scale
    return found


def rotation(angle: float) -> np.ndarray:
    """(2, 2), counter-clockwise."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def predict_line(mean: np.ndarray, cov: np.ndarray, seconds: float, drift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Many scalars with their speed: (..., 2) and (..., 2, 2) after some seconds.

    drift (...) change of speed, one standard deviation per square root of a second
    """
    step, noise = walked(seconds)
    return mean @ step.T, step @ cov @ step.T + np.square(drift)[..., None, None] * noise


def walked(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """(2, 2) transition of a place and its speed, (2, 2) covariance that unit drift of the speed adds."""
    step = np.array([[1.0, seconds], [0.0, 1.0]])
    noise = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
    return step, noise


def update_line(
    mean: np.ndarray, cov: np.ndarray, value: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same after values (...) with standard deviations (...) were seen."""
    gain = cov[..., :, 0] / (cov[..., 0, 0] + np.square(sigma))[..., None]
    moved = mean + gain * (value - mean[..., 0])[..., None]
    return moved, cov - gain[..., :, None] * cov[..., :1, :]
