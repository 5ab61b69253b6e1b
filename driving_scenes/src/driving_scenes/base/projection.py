"""Matrices that OpenGL wants."""

from __future__ import annotations

import numpy as np

NEAR, FAR = 0.25, 4000.0


def projection(width: int, height: int, fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """(4, 4) clip_from_camera; row 0 of the framebuffer is the top row of the picture."""
    a, b = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    return np.array(
        [
            [2 * fx / width, 0, 2 * cx / width - 1, 0],
            [0, 2 * fy / height, 2 * cy / height - 1, 0],
            [0, 0, a, b],
            [0, 0, 1, 0],
        ]
    )


def orthographic(center: np.ndarray, sun: np.ndarray, reach: float) -> np.ndarray:
    """(4, 4) clip_from_world of parallel light from the sun."""
    side = np.cross([0, 0, 1.0], sun) if abs(sun[2]) < 0.999 else np.array([1.0, 0, 0])
    side /= np.linalg.norm(side)
    up = np.cross(sun, side)
    out = np.eye(4)
    out[:3, :3] = np.stack([side / reach, up / reach, -sun / (reach * 4)])
    out[:3, 3] = -out[:3, :3] @ center
    return out


def column_major(matrix: np.ndarray) -> bytes:
    return np.ascontiguousarray(matrix.T, dtype=np.float32).tobytes()
