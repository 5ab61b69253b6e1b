"""The ego car's hood at the lower edge of the image."""

from __future__ import annotations

import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.base.mesh import Material, Mesh

ROWS, COLUMNS = 9, 25  # vertices


def random_ego_hood(rng: np.random.Generator, camera: Camera) -> Mesh:
    """A curved sheet in the camera's optical frame that covers the lowest 2 to 14 % of the image."""
    width, height, cx, cy = camera.canvas
    fx, fy, _, _ = camera.intrinsics
    _, top = camera.in_canvas(np.array([[camera.width / 2, camera.height * rng.uniform(0.86, 0.98)]]))[0]
    x = np.linspace(-1, 1, COLUMNS)
    drop = height * rng.uniform(0.02, 0.12) * np.abs(x) ** rng.uniform(1.5, 4) * np.sign(rng.uniform(0.2, 1))
    ridge = height * rng.uniform(0, 0.015) * np.exp(-(((np.abs(x) - rng.uniform(0.4, 0.8)) / 0.12) ** 2))
    rows = np.linspace(0, 1, ROWS)
    grid = ROWS, COLUMNS
    u = np.broadcast_to((x * 0.75 + rng.normal(0, 0.05)) * width + cx, grid)
    v = top + drop - ridge + rows[:, None] * (height + 40 - top)
    depth = np.broadcast_to(1.75 - 0.6 * rows[:, None], grid)
    points = np.stack([(u - cx) / fx * depth, (v - cy) / fy * depth, depth], -1)
    tilt = (rows[:, None] - 0.15) * rng.uniform(0.5, 1.6)
    normals = np.stack([np.broadcast_to(0.25 * x, grid), -np.ones(grid), -np.broadcast_to(1.1 - tilt, grid) * 0.5], -1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    index = np.arange(ROWS * COLUMNS).reshape(grid)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    tone = rng.choice([0.01, 0.05, 0.2, 0.6], p=[0.4, 0.25, 0.2, 0.15]) * (1 + rng.normal(0, 0.2, 3))
    n = ROWS * COLUMNS
    color = np.broadcast_to(np.clip(tone, 0.005, 0.8), (n, 3)).astype(np.float32)
    return Mesh(
        points.reshape(n, 3).astype(np.float32),
        faces,
        normals.reshape(n, 3).astype(np.float32),
        color,
        np.full(n, Material.PAINT, np.uint8),
    )
