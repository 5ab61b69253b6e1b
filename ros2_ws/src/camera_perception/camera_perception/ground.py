"""Points of the image on the road, with their uncertainty. The road is the plane z = 0 of base_link."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt

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
    pose = camera.pose
    turn, height = pose[:3, :3], pose[2, 3]
    rays, slopes = camera.rays_with_slopes(pixels)
    rays = rays @ turn.T
    rays[rays[:, 2] > -1e-6] = np.nan
    slant = rays[:, :2] / rays[:, 2:]  # metres along the road per metre of height, negative: the ray goes down
    # How the ray changes by the doubt of u, of v, of pitch (a turn about the camera's x), of roll (about its z).
    bent = np.empty((4, *rays.shape))
    np.multiply(slopes.transpose(2, 0, 1) @ turn[:, :2].T, sigmas.T[:, :, None], out=bent[:2])
    np.matmul(rays, _turns(turn[:, [0, 2]] * (noise.pitch, noise.roll)), out=bent[2:])
    changes = np.empty((5, *slant.shape))
    np.multiply(bent[..., :2] - slant * bent[..., 2:], -height / rays[:, 2:], out=changes[:4])
    np.multiply(slant, -noise.height, out=changes[4])
    return pose[:2, 3] - height * slant, changes.transpose(1, 2, 0) @ changes.transpose(1, 0, 2)


def sure_reach(camera: Camera, noise: GroundNoise, share: float) -> float:
    """Metres from the camera up to which the range of a pixel on a flat road is known to that share, one sigma.

    A ray that descends by an angle a meets the road at h / tan(a): range errs by its square over h for each radian.
    """
    height = float(camera.pose[2, 3])
    angle = hypot(max(noise.pitch, noise.roll), noise.pixel / float(camera.pixel_from_camera[1, 1]))
    return height * sqrt(max(share**2 - (noise.height / height) ** 2, 0.0)) / angle


def _turns(axes: np.ndarray) -> np.ndarray:
    """(2, 3, 3): rays (N, 3) @ these are how rays change per radian of a turn about the columns of axes, axis x ray."""
    (x, p), (y, q), (z, r) = axes.tolist()
    return np.array([[[0, z, -y], [-z, 0, x], [y, -x, 0]], [[0, r, -q], [-r, 0, p], [q, -p, 0]]])


def fused(a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two independent estimates (N, 2) with (N, 2, 2) covariances as one."""
    gain = a_cov @ np.linalg.inv(a_cov + b_cov)
    mean = a + (gain @ (b - a)[:, :, None])[:, :, 0]
    cov = a_cov - gain @ a_cov
    return mean, (cov + cov.transpose(0, 2, 1)) / 2
