"""Ground-plane projection with uncertainty, and the current pitch of the camera against the road.

The road is the plane z = 0 of base_link.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from camera_perception import core
from camera_perception.geometry.camera import Camera


@dataclass(frozen=True, slots=True)
class GroundNoise:
    """Error sources of ground-plane projection, one standard deviation each.

    The angles cover the mounting, the pitching of the car on its suspension and the slope of the road.
    """

    pixel: float = 1.0  # pixels, of any box edge
    box: float = 0.015  # fraction of the box size, added to pixel
    pitch: float = np.radians(0.4)
    roll: float = np.radians(0.3)
    height: float = 0.02  # metres


DEFAULT_NOISE = GroundNoise()


def ground_with_covariance(
    pixels: np.ndarray, sigmas: np.ndarray, camera: Camera, noise: GroundNoise = DEFAULT_NOISE
) -> tuple[np.ndarray, np.ndarray]:
    """Project pixels onto the road, with first-order propagation of pixel, pitch, roll and height errors.

    pixels  (N, 2) u v
    sigmas  (N, 2), or (1, 2) for all: one standard deviation of u and v, pixels
    returns (N, 2) metres in base_link and (N, 2, 2) square metres; nan at or above the horizon
    """
    pose = camera.pose
    height = pose[2, 3]
    rays, jacobians = camera.rays_with_jacobians(pixels)
    if core.kernels is not None:
        found, covs = np.empty((len(rays), 2)), np.empty((len(rays), 2, 2))
        values = np.concatenate((pose.ravel(), (noise.pitch, noise.roll, noise.height)))
        core.kernels.ground_with_covariance(
            rays, np.ascontiguousarray(jacobians), np.asarray(sigmas, float), values, found, covs
        )
        return found, covs
    x, y, _ = rays.T
    perturbed = np.zeros((5, 3, len(rays)))  # the ray, and its change by one sigma of u, v, pitch (x), roll (z)
    perturbed[0] = rays.T
    np.multiply(jacobians.transpose(2, 1, 0), sigmas.T[:, None], out=perturbed[1:3, :2])
    perturbed[3, 1], perturbed[3, 2] = -noise.pitch, noise.pitch * y
    perturbed[4, 0], perturbed[4, 1] = -noise.roll * y, noise.roll * x
    perturbed = pose[:3, :3] @ perturbed
    down = np.where(perturbed[0, 2] > -1e-6, np.nan, perturbed[0, 2])
    slant = perturbed[0, :2] / down  # metres along the road per metre of height; negative, as the ray descends
    changes = np.empty((5, *slant.shape))
    np.multiply(perturbed[1:, :2] - slant * perturbed[1:, 2:], -height / down, out=changes[:4])
    np.multiply(slant, -noise.height, out=changes[4])
    return pose[:2, 3] - height * slant.T, np.einsum("kin,kjn->nij", changes, changes)


def reliable_range(camera: Camera, noise: GroundNoise, max_relative_std: float) -> float:
    """Range in metres up to which a pixel on a flat road has at most this relative range error, one sigma.

    A ray that descends by an angle a meets the road at range r = h / tan(a), where dr/da = r^2 / h.
    """
    height = float(camera.pose[2, 3])
    angle = math.hypot(max(noise.pitch, noise.roll), noise.pixel / float(camera.pixel_from_camera[1, 1]))
    return height * math.sqrt(max(max_relative_std**2 - (noise.height / height) ** 2, 0.0)) / angle


def combine_estimates(
    a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Combine two independent estimates (N, 2) with (N, 2, 2) covariances."""
    gain = a_cov @ np.linalg.inv(a_cov + b_cov)
    mean = a + (gain @ (b - a)[:, :, None])[:, :, 0]
    cov = a_cov - gain @ a_cov
    return mean, (cov + cov.transpose(0, 2, 1)) / 2


TIME_CONSTANT = 1.0  # seconds
PRIOR_STD = math.radians(0.4)  # radians, of suspension pitch and road slope together
MEASUREMENT_STD = math.radians(0.35)  # radians, of the lane lines of one frame
MIN_STD = math.radians(0.12)  # radians, lower bound of the reported sigma
GATE_SIGMAS = 4.0  # standard deviations beyond which a measurement is rejected


class RoadPitch:
    """Estimates how the camera is currently pitched against the road, relative to its calibration.

    A scalar Kalman filter that decays to the calibration in about a second and is corrected by straight lane lines.

    angle  radians to pitch the calibrated camera down
    sigma  one standard deviation of the angle
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Return to the prior."""
        self._mean, self._variance = 0.0, PRIOR_STD**2
        self._stamp_ns: int | None = None

    @property
    def angle(self) -> float:
        return self._mean

    @property
    def sigma(self) -> float:
        return max(math.sqrt(self._variance), MIN_STD)

    def update(self, measurement: float | None, stamp_ns: int) -> None:
        """Advance by one frame.

        measurement  pitch from the lane lines of the frame, radians; None without straight lines
        """
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        if seconds < 0:
            self.reset()
        self._stamp_ns = stamp_ns
        decay = math.exp(-max(seconds, 0.0) / TIME_CONSTANT)
        self._mean, self._variance = decay * self._mean, decay**2 * self._variance + (1 - decay**2) * PRIOR_STD**2
        if measurement is None:
            return
        innovation, innovation_variance = measurement - self._mean, self._variance + MEASUREMENT_STD**2
        if abs(innovation) > GATE_SIGMAS * math.sqrt(innovation_variance):
            return
        gain = self._variance / innovation_variance
        self._mean, self._variance = self._mean + gain * innovation, (1 - gain) * self._variance
