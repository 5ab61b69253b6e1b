"""Projection matrices for OpenGL."""

from __future__ import annotations

import numpy as np

NEAR, FAR = 0.25, 4000.0


def projection(width: int, height: int, fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """(4, 4) clip_from_camera; row 0 of the framebuffer is the top row of the image."""
    a, b = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    return np.array(
        [
            [2 * fx / width, 0, 2 * cx / width - 1, 0],
            [0, 2 * fy / height, 2 * cy / height - 1, 0],
            [0, 0, a, b],
            [0, 0, 1, 0],
        ]
    )


def orthographic(center: np.ndarray, sun: np.ndarray, extent: float) -> np.ndarray:
    """(4, 4) clip_from_world for parallel light from the sun, `extent` metres to each side of the centre."""
    side = np.cross([0, 0, 1.0], sun) if abs(sun[2]) < 0.999 else np.array([1.0, 0, 0])
    side /= np.linalg.norm(side)
    up = np.cross(sun, side)
    out = np.eye(4)
    out[:3, :3] = np.stack([side / extent, up / extent, -sun / (extent * 4)])
    out[:3, 3] = -out[:3, :3] @ center
    return out
