"""Constant-velocity Kalman filters, vectorised over tracks."""

from __future__ import annotations

import numpy as np

from camera_perception.core.types import EgoMotion


def predict_ground(
    mean: np.ndarray, cov: np.ndarray, seconds: float, accel_std: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """State (T, 5) x y vx vy height and covariance (T, 5, 5) after `seconds`.

    accel_std (T,) process noise: sigma of the velocity change in m/s per square root of a second, so that the result
              does not depend on the frame rate
    """
    step, noise = (_on_both_axes(each) for each in constant_velocity(seconds))
    step[4, 4] = 1.0  # the height is constant
    return mean @ step.T, step @ cov @ step.T + np.square(accel_std)[:, None, None] * noise


def _on_both_axes(matrix: np.ndarray) -> np.ndarray:
    """(2, 2) of a position and its velocity -> (5, 5) of x y vx vy height."""
    each = np.zeros((5, 5))
    each[0:4:2, 0:4:2] = each[1:4:2, 1:4:2] = matrix
    return each


def update_ground(
    mean: np.ndarray, cov: np.ndarray, position: np.ndarray, position_cov: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(T, 5), (T, 5, 5) after measured positions (T, 2) with covariances (T, 2, 2)."""
    gain = cov[:, :, :2] @ inverse(cov[:, :2, :2] + position_cov)
    updated = mean + (gain @ (position - mean[:, :2])[:, :, None])[:, :, 0]
    reduced = cov - gain @ cov[:, :2]
    return updated, (reduced + reduced.transpose(0, 2, 1)) / 2


def update_range(
    mean: np.ndarray,
    cov: np.ndarray,
    direction: np.ndarray,
    camera_position: np.ndarray,
    range_per_height: np.ndarray,
    var: np.ndarray,
    gate: float,
) -> tuple[np.ndarray, np.ndarray]:
    """(T, 5), (T, 5, 5) after the apparent height, which ties the range of an object to its height.

    direction        (T, 2) unit vectors from the camera at camera_position (2,) to the objects
    range_per_height (T,) metres of range per metre of object height; var (T,) square metres of range
    gate             NIS above which a measurement is ignored
    """
    jacobian = np.zeros_like(mean)
    jacobian[:, :2], jacobian[:, 4] = direction, -range_per_height
    innovation = range_per_height * mean[:, 4] - np.einsum("ni,ni->n", direction, mean[:, :2] - camera_position)
    projected = np.einsum("nij,nj->ni", cov, jacobian)
    innovation_var = np.einsum("ni,ni->n", projected, jacobian) + var
    accepted = np.square(innovation) < gate * innovation_var
    gain = np.where(accepted, 1 / innovation_var, 0.0)[:, None] * projected
    return mean + gain * innovation[:, None], cov - gain[:, :, None] * projected[:, None]


def compensate_ego_motion(mean: np.ndarray, cov: np.ndarray, motion: EgoMotion) -> tuple[np.ndarray, np.ndarray]:
    """(T, 5), (T, 5, 5) in the axes of base_link after the car has moved. Velocities over the ground stay such."""
    turn = np.eye(5)
    turn[:2, :2] = turn[2:4, 2:4] = rotation(-motion.yaw)
    moved = mean.copy()
    moved[:, :2] -= (motion.x, motion.y)
    return moved @ turn.T, turn @ cov @ turn.T


def inverse(matrices: np.ndarray) -> np.ndarray:
    """(..., 2, 2) symmetric matrices inverted; at this size several times faster than LAPACK."""
    found = np.empty_like(matrices)
    a, b, d = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 1]
    scale = 1 / (a * d - b * b)
    found[..., 0, 0], found[..., 1, 1] = d * scale, a * scale
    found[..., 0, 1] = found[..., 1, 0] = -b * scale
    return found


def rotation(angle: float) -> np.ndarray:
    """(2, 2), counter-clockwise."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def predict_scalars(
    mean: np.ndarray, cov: np.ndarray, seconds: float, accel_std: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Independent values with their rates, mean (..., 2) and covariance (..., 2, 2), after `seconds`.

    accel_std (...) sigma of the change of the rate per square root of a second
    """
    step, noise = constant_velocity(seconds)
    return mean @ step.T, step @ cov @ step.T + np.square(accel_std)[..., None, None] * noise


def update_scalars(
    mean: np.ndarray, cov: np.ndarray, value: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(..., 2), (..., 2, 2) after measured values (...) with standard deviations (...)."""
    gain = cov[..., :, 0] / (cov[..., 0, 0] + np.square(sigma))[..., None]
    updated = mean + gain * (value - mean[..., 0])[..., None]
    return updated, cov - gain[..., :, None] * cov[..., :1, :]


def constant_velocity(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """(2, 2) transition of a value and its rate, and (2, 2) process noise for a unit accel_std."""
    step = np.array([[1.0, seconds], [0.0, 1.0]])
    noise = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
    return step, noise
