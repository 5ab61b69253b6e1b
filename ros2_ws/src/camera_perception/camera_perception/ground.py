"""Points of the image on the road, with their uncertainty. The road is the plane z = 0 of base_link."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camera_perception.camera import Camera


@dataclass(frozen=True, slots=True)
class GroundNoise:
    """One standard deviation of everything between a pixel and a place on the road.

    The angles hold the pitching of the car on its springs and the slope of the road, not only the mounting.
    """

    pixel: float = 1.0  # pixels, of any edge
    box: float = 0.015  # share of the box, added to pixel
    pitch: float = np.radians(0.4)
    roll: float = np.radians(0.3)
    height: float = 0.02  # metres


DEFAULT_NOISE = GroundNoise()


def ground_with_covariance(
    pixels: np.ndarray, sigmas: np.ndarray, camera: Camera, noise: GroundNoise = DEFAULT_NOISE
) -> tuple[np.ndarray, np.ndarray]:
    """Where pixels lie on the road, and how sure that is: first-order propagation of pixel, pitch, roll and height.

    pixels  (N, 2) u v
    sigmas  (N, 2) one standard deviation of u and v, pixels
    returns (N, 2) metres in base_link and (N, 2, 2) square metres; nan at or above the horizon
    """
    n, pose = len(pixels), camera.pose
    pixels = np.asarray(pixels, float)
    probes = np.concatenate((pixels, pixels + (1.0, 0.0), pixels + (0.0, 1.0)))
    rays = camera.rays_from_pixels(probes) @ pose[:3, :3].T
    ray, by_u, by_v = rays[:n], rays[n : 2 * n] - rays[:n], rays[2 * n :] - rays[:n]
    ray = np.where(ray[:, 2:] < -1e-6, ray, np.nan)
    height = pose[2, 3]
    slant = ray[:, :2] / ray[:, 2:]  # metres along the road per metre of height, negative: the ray goes down
    lateral, forward = pose[:3, 0], pose[:3, 2]
    changes = np.stack(
        (
            _shift(ray, slant, height, by_u) * sigmas[:, :1],
            _shift(ray, slant, height, by_v) * sigmas[:, 1:],
            _shift(ray, slant, height, _turned(ray, lateral)) * noise.pitch,
            _shift(ray, slant, height, _turned(ray, forward)) * noise.roll,
            -slant * noise.height,
        )
    )  # 5 N 2
    cov = changes.transpose(1, 2, 0) @ changes.transpose(1, 0, 2)
    return pose[:2, 3] - height * slant, cov


def _turned(rays: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """How (N, 3) rays change with a turn about an axis, per radian: axis x ray. np.cross takes ten times as long."""
    x, y, z = axis
    return rays @ np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]])


def _shift(ray: np.ndarray, slant: np.ndarray, height: float, change: np.ndarray) -> np.ndarray:
    """How a point on the road moves when its ray changes: derivative of -height * ray_xy / ray_z."""
    return -height * (change[:, :2] - slant * change[:, 2:]) / ray[:, 2:]


def fused(a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two independent estimates (N, 2) with (N, 2, 2) covariances as one."""
    gain = a_cov @ np.linalg.inv(a_cov + b_cov)
    mean = a + (gain @ (b - a)[:, :, None])[:, :, 0]
    cov = a_cov - gain @ a_cov
    return mean, (cov + cov.transpose(0, 2, 1)) / 2
