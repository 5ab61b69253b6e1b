"""Points of the image on the road, with their uncertainty. The road is the plane z = 0 of base_link.

How far the camera looks down on the road just now: the car nods on its springs, and roads have slopes.

One angle, pulled back to the calibration in about a second, corrected by lane lines where they are straight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np

from camera_perception.geometry.camera import Camera


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
    sigmas  (N, 2), or (1, 2) for all: one standard deviation of u and v, pixels
    returns (N, 2) metres in base_link and (N, 2, 2) square metres; nan at or above the horizon
    """
    pose = camera.pose
    height = pose[2, 3]
    rays, slopes = camera.rays_with_slopes(pixels)
    x, y, _ = rays.T
    bent = np.zeros((5, 3, len(rays)))  # the ray, and its change by the doubt of u, of v, of pitch (about x), roll (z)
    bent[0] = rays.T
    np.multiply(slopes.transpose(2, 1, 0), sigmas.T[:, None], out=bent[1:3, :2])
    bent[3, 1], bent[3, 2] = -noise.pitch, noise.pitch * y
    bent[4, 0], bent[4, 1] = -noise.roll * y, noise.roll * x
    bent = pose[:3, :3] @ bent
    down = np.where(bent[0, 2] > -1e-6, np.nan, bent[0, 2])
    slant = bent[0, :2] / down  # metres along the road per metre of height, negative: the ray goes down
    changes = np.empty((5, *slant.shape))
    np.multiply(bent[1:, :2] - slant * bent[1:, 2:], -height / down, out=changes[:4])
    np.multiply(slant, -noise.height, out=changes[4])
    return pose[:2, 3] - height * slant.T, np.einsum("kin,kjn->nij", changes, changes)


def reliable_range(camera: Camera, noise: GroundNoise, share: float) -> float:
    """Metres from the camera up to which the range of a pixel on a flat road is known to that share, one sigma.

    A ray that descends by an angle a meets the road at h / tan(a): range errs by its square over h for each radian.
    """
    height = float(camera.pose[2, 3])
    angle = hypot(max(noise.pitch, noise.roll), noise.pixel / float(camera.pixel_from_camera[1, 1]))
    return height * sqrt(max(share**2 - (noise.height / height) ** 2, 0.0)) / angle


def fused(a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two independent estimates (N, 2) with (N, 2, 2) covariances as one."""
    gain = a_cov @ np.linalg.inv(a_cov + b_cov)
    mean = a + (gain @ (b - a)[:, :, None])[:, :, 0]
    cov = a_cov - gain @ a_cov
    return mean, (cov + cov.transpose(0, 2, 1)) / 2


MEMORY = 1.0  # seconds
USUAL = math.radians(0.4)  # one standard deviation of nodding and slope together
SEEN = math.radians(0.35)  # one standard deviation of what the lines of one frame say
FLOOR = math.radians(0.12)  # nobody is surer than that
FAR_OFF = 4.0  # standard deviations, from where on a frame is not believed


class RoadPitch:
    """angle: radians to turn the calibrated camera further down; sigma: one standard deviation of that."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Only what is usual is known."""
        self._mean, self._variance = 0.0, USUAL**2
        self._stamp_ns: int | None = None

    @property
    def angle(self) -> float:
        return self._mean

    @property
    def sigma(self) -> float:
        return max(math.sqrt(self._variance), FLOOR)

    def update(self, seen: float | None, stamp_ns: int) -> None:
        """One frame later; seen is what its lane lines say, radians, or None without straight lines."""
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        if seconds < 0:
            self.reset()
        self._stamp_ns = stamp_ns
        keep = math.exp(-max(seconds, 0.0) / MEMORY)
        self._mean, self._variance = keep * self._mean, keep**2 * self._variance + (1 - keep**2) * USUAL**2
        if seen is None or abs(seen - self._mean) > FAR_OFF * math.sqrt(self._variance + SEEN**2):
            return
        gain = self._variance / (self._variance + SEEN**2)
        self._mean, self._variance = self._mean + gain * (seen - self._mean), (1 - gain) * self._variance
