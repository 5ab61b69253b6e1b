"""Reference line of a road: curvature and grade change linearly, as in clothoids and vertical curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

STEP = 2.0  # metres between samples
BEHIND, AHEAD = 80.0, 420.0  # metres of road around s = 0


@dataclass(frozen=True, slots=True)
class Road:
    """A curve in the world, sampled every STEP metres; s runs along it, t to the left, both in metres.

    s       (N,)   arc length; drives start near s = 0
    xyz     (N, 3) world position of t = 0
    heading (N,)   radians, not wrapped
    """

    s: np.ndarray
    xyz: np.ndarray
    heading: np.ndarray

    @staticmethod
    def random(rng: np.random.Generator, radius: float, grade: float, ahead: float = AHEAD) -> Road:
        """A road with bend radii above `radius` metres and slopes below `grade` (0.05 is 5 %)."""
        s = np.arange(-BEHIND, ahead + STEP, STEP)
        curvature = _wander(rng, s, 90, 1 / radius)
        slope = _wander(rng, s, 110, grade)
        return Road.from_curvature(s, curvature, slope)

    @staticmethod
    def from_curvature(s: np.ndarray, curvature: np.ndarray, slope: np.ndarray) -> Road:
        """Integrate curvature (1/m, left positive) and slope; s = 0 lies at the origin, heading 0."""
        heading = np.cumsum(curvature) * STEP
        heading -= np.interp(0, s, heading)
        xyz = np.cumsum(np.c_[np.cos(heading), np.sin(heading), slope], 0) * STEP
        xyz -= [np.interp(0, s, xyz[:, k]) for k in range(3)]
        return Road(s, xyz, heading)

    def at(self, s: ArrayLike, t: ArrayLike, up: ArrayLike = 0.0) -> np.ndarray:
        """World points (..., 3) of road coordinates."""
        s, t, up = np.broadcast_arrays(np.asarray(s, float), t, up)
        heading = np.interp(s, self.s, self.heading)
        x, y, z = (np.interp(s, self.s, self.xyz[:, k]) for k in range(3))
        return np.stack([x - t * np.sin(heading), y + t * np.cos(heading), z + up], -1)

    def pose(self, s: float, t: float, yaw: float = 0.0, up: float = 0.0) -> np.ndarray:
        """(4, 4) world_from_object at s, t and height `up`; `yaw` is relative to the road's heading."""
        ahead, behind = self.at(s + 1, 0), self.at(s - 1, 0)
        pitch = np.arctan2(ahead[2] - behind[2], 2.0) * np.cos(yaw)
        return pose(self.at(s, t, up), float(np.interp(s, self.s, self.heading)) + yaw, pitch)

    def nearest(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Index of the nearest sample and distance to it, for (M, 2) world points."""
        coarse = self.xyz[::4, :2].astype(np.float32)
        apart = ((xy[:, None].astype(np.float32) - coarse) ** 2).sum(-1)
        index = apart.argmin(1)
        return index * 4, np.sqrt(apart[np.arange(len(xy)), index])

    def locate(self, xy: np.ndarray) -> tuple[float, float]:
        """s and t of a world point (2,), metres."""
        index = int(self.nearest(xy[None])[0][0])
        cos, sin = np.cos(self.heading[index]), np.sin(self.heading[index])
        x, y = xy - self.xyz[index, :2]
        return float(self.s[index] + x * cos + y * sin), float(y * cos - x * sin)


def pose(position: np.ndarray, yaw: float, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """(4, 4) world_from_object from angles in radians: pitch is positive nose up, roll positive right side down."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    nose = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
    lean = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn @ nose @ lean, position
    return out


def _wander(rng: np.random.Generator, s: np.ndarray, spacing: float, limit: float) -> np.ndarray:
    knots = np.arange(s[0] - spacing, s[-1] + 2 * spacing, spacing) + rng.uniform(0, spacing)
    values: np.ndarray = rng.uniform(-limit, limit, len(knots)) * (rng.random(len(knots)) < 0.75)
    return np.asarray(np.interp(s, knots, values))
