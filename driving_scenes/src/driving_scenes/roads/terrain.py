"""Ground meshes: road bands and the surrounding terrain, with road coordinates for the ground shader."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.base.noise import hills
from driving_scenes.base.semantic_ids import VEGETATION
from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Band, Layout, Surface

VERGE = np.array([0.0, 0.6, 2.0, 4.5, 8.0, 13.0, 20.0, 30.0, 45.0])  # metres from the edge of the built ground


@dataclass(frozen=True, slots=True)
class Ground:
    """Triangles of the ground.

    vertices  (V, 10) float32: world x y z, normal x y z, s, t, surface, label (semantic + 16 * drivable)
    faces     (F, 3)  int32
    """

    vertices: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True, slots=True)
class Terrain:
    """The land beside a road: a bank next to it, hills further out.

    bank       (left, right) slope of the bank, positive upwards
    bank_width (left, right) metres
    relief     standard deviation of the far hills, metres
    """

    bank: tuple[float, float]
    bank_width: tuple[float, float]
    relief: float
    offset: tuple[float, float]
    surface: tuple[Surface, Surface]

    def profile(self, side: int, d: np.ndarray) -> np.ndarray:
        """Height above the road's edge at d metres outside it; side 1 is left."""
        k = 0 if side > 0 else 1
        ditch = -0.04 - 0.25 * np.exp(-(((d - 2.0) / 1.2) ** 2)) * (abs(self.bank[k]) > 0.02)
        height: np.ndarray = ditch + self.bank[k] * np.clip(d - 3.0, 0, self.bank_width[k])
        return height

    def height(self, side: int, d: float) -> float:
        """Profile at one distance."""
        return float(self.profile(side, np.array([d]))[0])


def join_ground(parts: list[Ground]) -> Ground:
    starts = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    faces = np.concatenate([p.faces + start for p, start in zip(parts, starts)])
    return Ground(np.concatenate([p.vertices for p in parts]), faces.astype(np.int32))


def grid_ground(
    points: np.ndarray, s: np.ndarray, t: np.ndarray, surface: int, label: int, valid: np.ndarray | None = None
) -> Ground:
    """Ground from a grid of world points (N, M, 3); rows where `valid` (N,) is False are left out."""
    n, m = points.shape[:2]
    index = np.arange(n * m).reshape(n, m)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1)
    if valid is not None:
        quads = quads[valid[:-1] & valid[1:]]
    quads = quads.reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    along, across = np.gradient(points, axis=0), np.gradient(points, axis=1)
    normals = np.cross(along, across)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-9
    if np.median(normals[..., 2]) < -1e-3:
        normals, faces = -normals, faces[:, ::-1]
    extra = np.broadcast_to([surface, label], (n, m, 2))
    st = np.stack([np.broadcast_to(s[:, None], (n, m)), np.broadcast_to(t, (n, m))], -1)
    vertices = np.concatenate([points, normals, st, extra], -1).reshape(-1, 10)
    return Ground(vertices.astype(np.float32), faces.astype(np.int32))


def band_ground(road: Road, layout: Layout, band: Band) -> Ground:
    """The triangles of one band of a layout."""
    t = np.stack([band.t0, band.t1], 1)
    points = road.at(layout.s[:, None], t, np.stack([band.z0, band.z1], 1))
    return grid_ground(points, layout.s, t, band.surface, band.semantic + 16 * band.drivable, band.valid)


def verge_ground(road: Road, layout: Layout, terrain: Terrain, rng: np.random.Generator) -> list[Ground]:
    """Ditches and banks along both sides, and the land out to the horizon."""
    bend = np.abs(np.gradient(road.heading, road.s)).max() + 1e-6
    out = []
    for side, edge in ((1, layout.left), (-1, layout.right)):
        offsets = layout.row(edge)
        limit = max(0.8 / bend - np.abs(offsets).max(), 6.0)
        d = VERGE * min(1.0, limit / VERGE[-1])
        t = offsets[:, None] + side * d
        points = road.at(layout.s[:, None], t, terrain.profile(side, d))
        rough = hills(points[..., 0], points[..., 1], 37.0, terrain.offset) * np.clip(d / 60, 0, 0.35)
        points[..., 2] += rough * (0.2 + min(terrain.relief, 1.0))
        surface = terrain.surface[0 if side > 0 else 1]
        out.append(grid_ground(points, layout.s, t, surface, VEGETATION))
    return [*out, _land(road, layout, terrain)]


def _land(road: Road, layout: Layout, terrain: Terrain) -> Ground:
    """Rings of land around the drive: below the road near it, hills further away."""
    radius = np.geomspace(12, 2200, 34)
    angle = np.linspace(0, 2 * np.pi, 145)
    center = road.at(60.0, 0.0)
    x = center[0] + radius[:, None] * np.cos(angle)
    y = center[1] + radius[:, None] * np.sin(angle)
    index, distance = road.nearest(np.stack([x, y], -1).reshape(-1, 2))
    index, distance = index.reshape(x.shape), distance.reshape(x.shape)
    heading, base = road.heading[index], road.xyz[index]
    lateral = -(x - base[..., 0]) * np.sin(heading) + (y - base[..., 1]) * np.cos(heading)
    left = lateral > 0
    half = np.where(left, np.max(np.abs(layout.left)), np.max(np.abs(layout.right)))
    d = np.maximum(distance - half, 0)
    profile = np.where(left, terrain.profile(1, d), terrain.profile(-1, d))
    near = np.clip((d - 25) / 40, 0, 1)
    far = np.clip((d - 60) / 500, 0, 1) ** 0.8
    rolling = hills(x, y, 1900, terrain.offset) + 0.4 * hills(x, y, 430, terrain.offset)
    z = (
        base[..., 2]
        + np.where(d < 25, -3.5, profile * near - 3.0 * (1 - near))
        + far * terrain.relief * (rolling + 0.4)
    )
    points = np.stack([x, y, z - 0.3], -1)
    return grid_ground(points, radius, angle * 50, terrain.surface[0], VEGETATION)
