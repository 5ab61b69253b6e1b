"""The ego car's hood at the lower edge of the image, with the wipers and the cowl in front of the windscreen."""

from __future__ import annotations

import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.base.colors import BLACK, DARK, linear, one_of
from driving_scenes.base.mesh import Material, Mesh, join

ROWS, COLUMNS = 25, 97  # vertices
LOWEST, HIGHEST = 0.02, 0.32  # height of a hood as a fraction of the image height
BELOW_HORIZON = 0.1  # least distance of a hood from the horizon, as a fraction of the image height
PAINTS = linear(
    "0b0c0e", "16181b", "2b2e33", "55595e", "8d9196", "b9bcbf", "e8e8e6", "1c2f5a", "5a1414", "7a1a1c", "20402f",
    "3b2a20", "c9b37a", "3f6f9e", "b5561c",
)  # fmt: skip
FINISHES = {Material.PAINT: 0.7, Material.GLASS: 0.1, Material.METAL: 0.1, Material.MATTE: 0.1}


def random_hood(rng: np.random.Generator, camera: Camera) -> Mesh:
    """A hood in the camera's optical frame, 2 to 32 % of the image high, at times with cowl and wipers."""
    top = hood_top(rng, camera)
    parts = [_sheet(rng, camera, top)]
    if rng.random() < 0.45:
        parts += _cowl_and_wipers(rng, camera, top)
    return join(parts)


def hood_top(rng: np.random.Generator, camera: Camera) -> float:
    """Image row of the hood's highest point, clear of the horizon."""
    low, high = [(LOWEST, 0.1), (0.08, 0.2), (0.18, HIGHEST)][rng.choice(3, p=[0.4, 0.4, 0.2])]
    return max(camera.height * (1 - rng.uniform(low, high)), horizon_row(camera) + BELOW_HORIZON * camera.height)


def horizon_row(camera: Camera) -> float:
    """Row in which the middle column meets the horizon of a camera that faces along the road."""
    forward = camera.base_from_camera[:3, 2]
    return float(camera.intrinsics[3] + camera.intrinsics[1] * forward[2] / max(np.hypot(*forward[:2]), 0.1))


def surface(
    camera: Camera,
    u: np.ndarray,
    v: np.ndarray,
    depth: np.ndarray,
    normals: np.ndarray,
    colors: np.ndarray,
    material: int,
) -> Mesh:
    """A sheet through a grid of canvas pixels u, v (R, C) at a depth in metres; normals, colors (R, C, 3)."""
    _, _, cx, cy = camera.canvas
    fx, fy, _, _ = camera.intrinsics
    points = np.stack([(u - cx) / fx * depth, (v - cy) / fy * depth, depth], -1)
    index = np.arange(u.size).reshape(u.shape)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
    return Mesh(
        points.reshape(-1, 3).astype(np.float32),
        faces,
        normals.reshape(-1, 3).astype(np.float32),
        np.broadcast_to(colors, points.shape).reshape(-1, 3).astype(np.float32),
        np.full(u.size, material, np.uint8),
    )


def near_depth(camera: Camera, v: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Depth in metres, reduced where the road would be nearer than that."""
    slope = np.maximum((v - camera.canvas[3]) / camera.intrinsics[1], 1e-3)
    return np.asarray(np.maximum(np.minimum(depth, 0.7 * camera.base_from_camera[2, 3] / slope), 0.3))


def _sheet(rng: np.random.Generator, camera: Camera, top: float) -> Mesh:
    width, height, cx, cy = camera.canvas
    _, first = camera.in_canvas(np.array([[camera.width / 2, top]]))[0]
    x, rows = np.linspace(-1, 1, COLUMNS), np.linspace(0, 1, ROWS)[:, None]
    side, drop = _outline(rng, x, height)
    grid = ROWS, COLUMNS
    u = np.broadcast_to((x * rng.uniform(0.6, 0.95) + rng.normal(0, 0.06)) * width + cx, grid)
    v = first + drop + rows * (height + 40 - first)
    slope = np.maximum((v - cy) / camera.intrinsics[1], 0.02)
    # Steep at its front edge, where the line of sight touches it, and almost level before the windscreen.
    lean = slope * (1 - rng.uniform(0.5, 1.05) * rows ** rng.uniform(0.25, 0.9))
    across = (u - cx) / camera.intrinsics[0] * 0.3 * (1 - rows)
    normals = np.stack([np.broadcast_to(side, grid) + across, -np.ones(grid), lean], -1)
    depth = near_depth(camera, v, np.broadcast_to(1.9 - 0.7 * rows, grid))
    color = one_of(rng, PAINTS, 0.2) * _gaps(rng, x, rows)[..., None]
    finish = rng.choice(list(FINISHES), p=list(FINISHES.values()))
    return surface(camera, u, v, depth, normals, color, int(finish))


def _outline(rng: np.random.Generator, x: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Sideways lean of the surface and fall of its upper edge in pixels, from the middle to the fenders."""
    drop = height * rng.uniform(0.01, 0.14) * np.abs(x) ** rng.uniform(1.3, 4) + height * rng.normal(0, 0.008) * x
    side = rng.uniform(0.05, 0.4) * x
    for _ in range(rng.integers(0, 3)):
        at, wide, high = rng.uniform(0.15, 0.85), rng.uniform(0.02, 0.1), rng.uniform(-0.004, 0.016)
        bump = np.exp(-(((np.abs(x) - at) / wide) ** 2))
        drop = drop - height * high * bump
        side = side - np.sign(x) * (np.abs(x) - at) / wide * bump * rng.uniform(0.1, 0.6)
    return side, drop


def _gaps(rng: np.random.Generator, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(ROWS, COLUMNS) factor of the colour: dark lines between hood, fenders and grille, dust elsewhere."""
    out = np.ones((ROWS, COLUMNS)) + rng.normal(0, rng.uniform(0, 0.06), (ROWS, COLUMNS))
    if rng.random() < 0.5:
        at = rng.uniform(0.35, 0.8) + rows * rng.uniform(-0.1, 0.1)
        out *= 1 - 0.9 * (np.abs(np.abs(x) - at) < 0.013)
    if rng.random() < 0.2:
        out *= np.where(rows < rng.uniform(0.03, 0.2), rng.uniform(0.05, 0.6), 1.0)
    return out


def _cowl_and_wipers(rng: np.random.Generator, camera: Camera, top: float) -> list[Mesh]:
    """The black strip under the windscreen, and blades that rest on it."""
    width, height, _, _ = camera.canvas
    strip = rng.uniform(0.15, 0.55) * (camera.height - top)
    x, rows = np.linspace(-1, 1, COLUMNS), np.linspace(0, 1, 5)[:, None]
    _, bottom = camera.in_canvas(np.array([[camera.width / 2, camera.height]]))[0]
    u = np.broadcast_to((x * 0.7 + 0.5) * width, (5, COLUMNS))
    v = bottom - strip + height * rng.uniform(0, 0.05) * x**2 + rows * (strip + height - bottom + 40)
    slits = np.where((np.arange(COLUMNS) % 4 < 2) | (rows < 0.4), 1.0, 0.3)[..., None] * DARK * rng.uniform(0.4, 1.3)
    normals = np.stack([0 * u, -np.ones(u.shape), np.broadcast_to(0.3 * (rows - 0.5), u.shape)], -1)
    parts = [surface(camera, u, v, near_depth(camera, v, 0 * u + 0.95), normals, slits, Material.MATTE)]
    rest = bottom - strip * rng.uniform(0.1, 1.0)
    for start in (rng.uniform(-0.1, 0.3), rng.uniform(0.45, 0.75)) if rng.random() < 0.7 else ():
        end = start + rng.uniform(0.3, 0.5), rest - height * rng.uniform(0, 0.05)
        parts.append(blade(camera, (start * width, rest), (end[0] * width, end[1]), rng.uniform(0.006, 0.016) * height))
    return parts


def blade(camera: Camera, start: tuple[float, float], end: tuple[float, float], thickness: float) -> Mesh:
    """A slightly bent wiper between two canvas pixels."""
    t = np.linspace(0, 1, 17)
    axis = np.subtract(end, start)
    across = np.array([-axis[1], axis[0]]) / np.hypot(*axis)
    middle = np.asarray(start) + t[:, None] * axis + across * (np.sin(np.pi * t) * 0.02 * np.hypot(*axis))[:, None]
    half = thickness / 2 * (1 - 0.5 * t)
    edges = np.stack([middle + across * half[:, None], middle - across * half[:, None]])  # 2 17 2
    u, v = edges[..., 0], edges[..., 1]
    normals = np.broadcast_to(np.array([0.2, -0.7, -0.7]), (*u.shape, 3))
    return surface(camera, u, v, near_depth(camera, v, 0 * u + 0.8), normals, BLACK * 1.5, Material.MATTE)
