"""The parts of the ego car that its own cameras see: hood, dashboard, wipers, side mirrors and flanks.

All are drawn in the camera's optical frame; their pixels are labelled semantic "ignore" and drivable 0.
"""

from __future__ import annotations

import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.base.colors import DARK, one_of
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.renderer.ego_hood import PAINTS, blade, horizon_row, near_depth, random_hood, surface

HOOD, DASHBOARD, WIPER = 0.45, 0.12, 0.03  # probabilities in a front view
FLANK = 0.5  # probability in a side view
COLUMNS = 41


def random_ego_car(rng: np.random.Generator, camera: Camera, around: bool = False) -> Mesh | None:
    """What a camera sees of its own car; None if it sees nothing. `around`: a side or rear camera."""
    parts = _side_view(rng, camera) if around else _front_view(rng, camera)
    return join(parts) if parts else None


def _front_view(rng: np.random.Generator, camera: Camera) -> list[Mesh]:
    parts = [random_hood(rng, camera)] if rng.random() < HOOD else []
    if rng.random() < DASHBOARD:
        parts.append(_dashboard(rng, camera))
    if rng.random() < WIPER:
        parts.append(_moving_wiper(rng, camera))
    return parts


def _side_view(rng: np.random.Generator, camera: Camera) -> list[Mesh]:
    """Flank and mirror at the edge of the image where the car is; the trunk lid of a camera that looks back."""
    forward = camera.base_from_camera[:3, 2]
    yaw = float(np.degrees(np.arctan2(forward[1], forward[0])))
    if rng.random() > FLANK:
        return []
    if abs(yaw) > 150:
        return [random_hood(rng, camera)]
    right = (yaw > 0) == (abs(yaw) < 90)  # on the left of the car, its front is to the right
    color = one_of(rng, PAINTS, 0.2)
    parts = [_flank(rng, camera, right, color)] if rng.random() < 0.7 else []
    return parts + ([_mirror(rng, camera, right, color)] if abs(yaw) < 90 or not parts else [])


def _dashboard(rng: np.random.Generator, camera: Camera) -> Mesh:
    """A dark, rounded edge at the bottom, below 14 % of the image height."""
    width, height, _, _ = camera.canvas
    top = max(camera.height * (1 - rng.uniform(0.03, 0.14)), horizon_row(camera) + 0.15 * camera.height)
    _, first = camera.in_canvas(np.array([[camera.width / 2, top]]))[0]
    x, rows = np.linspace(-1, 1, COLUMNS), np.linspace(0, 1, 9)[:, None]
    shape = 9, COLUMNS
    binnacle = np.exp(-(((x - rng.uniform(-0.8, 0.8)) / rng.uniform(0.15, 0.4)) ** 4)) * rng.uniform(0, 0.04)
    v = first + height * (rng.uniform(0, 0.08) * x**2 - binnacle) + rows * (height + 40 - first)
    u = np.broadcast_to((x * 0.75 + 0.5) * width, shape)
    normals = np.stack([0.2 * np.broadcast_to(x, shape), -np.ones(shape), np.broadcast_to(0.2 - rows, shape)], -1)
    tone = DARK * rng.uniform(0.4, 4) * (1 + rng.normal(0, 0.1, (*shape, 1)))
    return surface(camera, u, v, near_depth(camera, v, np.full(shape, 0.6)), normals, tone, Material.MATTE)


def _moving_wiper(rng: np.random.Generator, camera: Camera) -> Mesh:
    """A blade in the middle of its sweep."""
    width, height, _, _ = camera.canvas
    angle, length = rng.uniform(0.3, 2.6), rng.uniform(0.5, 1.0) * height
    start = rng.uniform(0.1, 0.7) * width, height * 1.08
    end = start[0] + length * np.cos(angle), start[1] - length * np.sin(angle)
    return blade(camera, start, end, rng.uniform(0.012, 0.03) * height)


def _flank(rng: np.random.Generator, camera: Camera, right: bool, color: np.ndarray) -> Mesh:
    """The painted side of the car along one edge of the image, wider towards the bottom."""
    width, height, _, _ = camera.canvas
    rows, x = np.linspace(0, 1, COLUMNS)[:, None], np.linspace(0, 1, 9)
    top = height * rng.uniform(0.25, 0.75)
    reach = width * rng.uniform(0.04, 0.2) * np.sqrt(rows) * (1 - 0.1 * np.sin(rows * 6))
    inward = 40 - (reach + 40) * x
    u = width + inward if right else -inward
    v = np.broadcast_to(top + rows * (height + 40 - top), u.shape)
    toward = 1 if right else -1
    normals = np.stack([-toward * (0.4 + 0.9 * x + 0 * rows), -0.6 * (1 - rows) + 0 * u, -0.6 + 0 * u], -1)
    dark = np.where((np.abs(rows - rng.uniform(0.2, 0.5)) < 0.015) & (x < 0.8), 0.1, 1.0)[..., None]
    return surface(camera, u, v, near_depth(camera, v, np.full(u.shape, 0.7)), normals, color * dark, Material.PAINT)


def _mirror(rng: np.random.Generator, camera: Camera, right: bool, color: np.ndarray) -> Mesh:
    """The housing of a side mirror, an ellipsoid cut by the edge of the image."""
    width, height, _, _ = camera.canvas
    radius = np.array([rng.uniform(0.08, 0.2) * width, rng.uniform(0.06, 0.15) * height])
    middle = np.array([width - 0.4 * radius[0] if right else 0.4 * radius[0], height * rng.uniform(0.55, 0.85)])
    angle, ring = np.linspace(0, 2 * np.pi, COLUMNS), np.linspace(0, 1, 9)[:, None]
    around = (
        np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.7,
        np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.6,
    )
    u, v = (middle[k] + radius[k] * ring * around[k] for k in (0, 1))
    normals = np.stack([ring * np.cos(angle), ring * np.sin(angle), -np.sqrt(1.02 - ring**2) + 0 * angle], -1)
    finish = Material.PAINT if rng.random() < 0.6 else Material.MATTE
    tone = color if finish == Material.PAINT else DARK
    return surface(camera, u, v, near_depth(camera, v, np.full(u.shape, 0.6)), normals, tone, finish)
