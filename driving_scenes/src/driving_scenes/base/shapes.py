"""Basic shapes as meshes with outward faces and unit normals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from driving_scenes.base.mesh import Material, Mesh

Values = ArrayLike

_BOX_FACES = np.array(
    [
        [0, 2, 1],
        [1, 2, 3],
        [4, 5, 6],
        [5, 7, 6],
        [0, 1, 4],
        [1, 5, 4],
        [2, 6, 3],
        [3, 6, 7],
        [0, 4, 2],
        [2, 4, 6],
        [1, 3, 5],
        [3, 7, 5],
    ]
)
_BOX_CORNERS = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)], float) - 0.5


def shaded(
    points: np.ndarray, faces: np.ndarray, color: Values, material: Values | int = Material.MATTE, crease: float = 40.0
) -> Mesh:
    """Triangles whose shading is smooth across edges flatter than `crease` degrees and hard across all others.

    points (V, 3), faces (F, 3); color and material are one value, or one per face. Faces without area are dropped.
    """
    points, faces = np.asarray(points, float), np.asarray(faces)
    corners = points[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])  # length is twice the area
    area = np.linalg.norm(cross, axis=1)
    keep = area > 1e-8
    faces, cross = faces[keep], cross[keep]
    unit = cross / area[keep, None]
    colors = np.broadcast_to(np.asarray(color, np.float32), (len(keep), 3))[keep]
    materials = np.broadcast_to(np.asarray(material, np.uint8), len(keep))[keep]
    if crease <= 0:
        return _unshared(
            points[faces].reshape(-1, 3), np.repeat(unit, 3, 0), np.repeat(colors, 3, 0), np.repeat(materials, 3)
        )
    normals = _corner_normals(points, faces, cross, unit, np.cos(np.radians(crease)))
    return _shared(points, faces, normals, colors, materials)


def _corner_normals(
    points: np.ndarray, faces: np.ndarray, cross: np.ndarray, unit: np.ndarray, cos_crease: float
) -> np.ndarray:
    """(3F, 3) normal of each face corner: the mean over the faces at its vertex that bend less than the crease."""
    vertex = faces.ravel()
    order = np.argsort(vertex, kind="stable")
    count = np.bincount(vertex, minlength=len(points))
    rank = np.arange(len(vertex)) - np.repeat(np.cumsum(count) - count, count)
    around = np.full((len(points), count.max(initial=1)), len(faces))
    around[vertex[order], rank] = order // 3
    none = np.zeros((1, 3), np.float32)
    cross, unit = np.concatenate([cross, none], dtype=np.float32), np.concatenate([unit, none], dtype=np.float32)
    near = around[vertex]  # 3F D
    mine = unit[np.repeat(np.arange(len(faces)), 3)]
    smooth = (unit[near] @ mine[:, :, None])[..., 0] > cos_crease
    total = (smooth[:, None].astype(np.float32) @ cross[near])[:, 0]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 1e-12, total / np.maximum(length, 1e-12), mine)


def _shared(
    points: np.ndarray, faces: np.ndarray, normals: np.ndarray, colors: np.ndarray, materials: np.ndarray
) -> Mesh:
    """Merge corners of equal position, normal, colour and material into one vertex."""
    paint = (colors * 255).astype(np.int64) @ (1, 256, 65536) + materials.astype(np.int64) * 2**24
    turn = np.round(normals * 31 + 32).astype(np.int64) @ (1, 64, 4096)
    key = (faces.ravel() * 2654435761 + turn) * 40503 + np.repeat(paint, 3)
    _, first, where = np.unique(key, return_index=True, return_inverse=True)
    return Mesh(
        points[faces.ravel()[first]].astype(np.float32),
        where.reshape(-1, 3).astype(np.int32),
        normals[first].astype(np.float32),
        np.repeat(colors, 3, 0)[first].astype(np.float32),
        np.repeat(materials, 3)[first].astype(np.uint8),
    )


def _unshared(vertices: np.ndarray, normals: np.ndarray, colors: np.ndarray, materials: np.ndarray) -> Mesh:
    faces = np.arange(len(vertices), dtype=np.int32).reshape(-1, 3)
    return Mesh(
        vertices.astype(np.float32),
        faces,
        normals.astype(np.float32),
        colors.astype(np.float32),
        materials.astype(np.uint8),
    )


def flat(corners: Values, faces: Values, color: Values, material: Values | int = Material.MATTE) -> Mesh:
    """Triangles with a hard edge everywhere."""
    return shaded(np.asarray(corners), np.asarray(faces), color, material, crease=0)


def quads(corners: np.ndarray, color: Values, material: Values | int = Material.MATTE) -> Mesh:
    """N separate four-sided faces: corners (N, 4, 3) counter-clockwise; colour and material one or one each."""
    n = len(corners)
    color = np.repeat(np.broadcast_to(np.asarray(color, np.float32), (n, 3)), 2, 0)
    material = np.repeat(np.broadcast_to(np.asarray(material, np.uint8), n), 2)
    faces = (np.arange(n)[:, None, None] * 4 + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return flat(np.asarray(corners, float).reshape(-1, 3), faces, color, material)


def box(center: Values, size: Values, color: Values, material: int = Material.MATTE, top: Values | float = 1.0) -> Mesh:
    """A box by centre and (length, width, height); top scales its upper face in x and y."""
    corners = _BOX_CORNERS * np.asarray(size, float)
    corners[4:, :2] *= top
    return flat(corners + np.asarray(center, float), _BOX_FACES, color, material)


def boxes(centers: np.ndarray, sizes: Values, color: Values, material: int = Material.MATTE) -> Mesh:
    """N boxes: centers (N, 3), sizes (3,) or (N, 3), one colour or (N, 3)."""
    centers = np.asarray(centers, float).reshape(-1, 3)
    n = len(centers)
    corners = _BOX_CORNERS * np.broadcast_to(np.asarray(sizes, float), (n, 3))[:, None] + centers[:, None]
    faces = (np.arange(n)[:, None, None] * 8 + _BOX_FACES).reshape(-1, 3)
    return flat(
        corners.reshape(-1, 3), faces, np.repeat(np.broadcast_to(np.asarray(color, float), (n, 3)), 12, 0), material
    )


def lattice(
    points: np.ndarray,
    color: Values,
    material: Values | int = Material.MATTE,
    crease: float = 40.0,
    closed: bool = False,
    keep: np.ndarray | None = None,
) -> Mesh:
    """The surface through a grid of points (R, C, 3), facing column direction x row direction.

    color and material are one, or one per cell (R-1, C-1[, 3]); closed joins the last column to the first;
    cells where keep (R-1, C-1) is False are holes.
    """
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    if closed:
        index = np.concatenate([index, index[:, :1]], 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2)  # R-1 C-1 2 3
    cells = faces.shape[:2]
    color = np.broadcast_to(np.asarray(color, np.float32), (*cells, 3)).reshape(-1, 3)
    material = np.broadcast_to(np.asarray(material, np.uint8), cells).ravel()
    chosen = np.ones(len(color), bool) if keep is None else keep.ravel()
    faces = faces.reshape(-1, 2, 3)[chosen].reshape(-1, 3)
    return shaded(points.reshape(-1, 3), faces, np.repeat(color[chosen], 2, 0), np.repeat(material[chosen], 2), crease)


def tube(
    path: Values, radii: Values, color: Values, material: int = Material.MATTE, sides: int = 8, caps: bool = True
) -> Mesh:
    """A round limb along a path (K, 3) with radii (K,), or (K, 2) for the two directions across it, y-like first."""
    path, radii = np.asarray(path, float), np.asarray(radii, float)
    radii = np.stack([radii, radii], 1) if radii.ndim == 1 else radii
    color = np.asarray(color, np.float32)
    if caps:
        path, radii = (
            np.concatenate([path[:1], path, path[-1:]]),
            np.concatenate([radii[:1] * 0, radii, radii[-1:] * 0]),
        )
        if color.ndim == 2:
            color = np.concatenate([color[:1], color, color[-1:]])
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    main = path[-1] - path[0]
    across = np.array([0.0, 1, 0]) if abs(main[1]) < 0.8 * np.linalg.norm(main) else np.array([1.0, 0, 0])
    across = across - along * (along @ across)[:, None]
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    other = np.cross(along, across)
    angle = np.arange(sides) * (2 * np.pi / sides)
    ring = across[:, None] * (np.cos(angle)[:, None] * radii[:, None, :1]) + other[:, None] * (
        np.sin(angle)[:, None] * radii[:, None, 1:]
    )
    return lattice(path[:, None] + ring, color if color.ndim == 1 else color[:, None], material, crease=60, closed=True)


def rods(
    starts: Values, ends: Values, radius: Values | float, color: Values, material: int = Material.MATTE, sides: int = 5
) -> Mesh:
    """N open straight tubes; radius is one, (N,), or (N, 2) at start and end."""
    starts, ends = np.asarray(starts, float).reshape(-1, 3), np.asarray(ends, float).reshape(-1, 3)
    n = len(starts)
    radius = np.asarray(radius, float)
    radius = np.broadcast_to(radius[:, None] if radius.ndim == 1 else radius, (n, 2))
    along = ends - starts
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.cross(along, np.where(np.abs(along[:, 2:]) > 0.9, [[1.0, 0, 0]], [[0, 0, 1.0]]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(along, across)
    angle = np.arange(sides) * (2 * np.pi / sides)
    ring = across[:, None] * np.cos(angle)[:, None] + other[:, None] * np.sin(angle)[:, None]  # N S 3
    vertices = np.stack(
        [starts[:, None] + ring * radius[:, :1, None], ends[:, None] + ring * radius[:, 1:, None]], 1
    )  # N 2 S 3
    side = np.arange(sides)
    after = (side + 1) % sides
    faces = np.concatenate(
        [np.stack([side, after, sides + after], 1), np.stack([side, sides + after, sides + side], 1)]
    )
    faces = (np.arange(n)[:, None, None] * 2 * sides + faces).reshape(-1, 3)
    normals = np.repeat(ring[:, None], 2, 1).reshape(-1, 3)
    colors = np.broadcast_to(np.asarray(color, np.float32).reshape(-1, 1, 3), (n, 2 * sides, 3)).reshape(-1, 3)
    count = len(normals)
    return Mesh(
        vertices.reshape(-1, 3).astype(np.float32),
        faces.astype(np.int32),
        normals.astype(np.float32),
        np.ascontiguousarray(colors),
        np.full(count, int(material), np.uint8),
    )


def prism(
    outline: Values, low: float, high: float, color: Values, material: int = Material.MATTE, crease: float = 40.0
) -> Mesh:
    """A convex outline (N, 2) in x, y, counter-clockwise, extruded from z = low to z = high, closed at both ends."""
    outline = np.asarray(outline, float)
    n = len(outline)
    points = np.concatenate([np.c_[outline, np.full(n, low)], np.c_[outline, np.full(n, high)]])
    i = np.arange(n)
    j = (i + 1) % n
    fan = np.arange(1, n - 1)
    zero = np.zeros_like(fan)
    faces = [
        np.c_[i, j, n + j],
        np.c_[i, n + j, n + i],
        np.c_[zero, fan + 1, fan],
        np.c_[n + zero, n + fan, n + fan + 1],
    ]
    return shaded(points, np.concatenate(faces), color, material, crease)


def disc(radius: Values | float, sides: int = 12, turn: float = 0.0) -> np.ndarray:
    """(sides, 2) points of a circle, counter-clockwise; radius is one or one per point."""
    angle = np.arange(sides) * (2 * np.pi / sides) + turn
    return np.asarray(np.stack([np.cos(angle), np.sin(angle)], 1) * np.reshape(radius, (-1, 1)))


def rotated(mesh: Mesh, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, at: Values = (0, 0, 0)) -> Mesh:
    """The mesh rolled about x, pitched about y, yawed about z, then moved to `at`."""
    (cz, sz), (cy, sy), (cx, sx) = [(np.cos(a), np.sin(a)) for a in (yaw, pitch, roll)]
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = about_z @ about_y @ about_x, at
    return mesh.moved(pose)


def grounded(mesh: Mesh, z: float = 0.0) -> Mesh:
    """The mesh with its lowest point at height z."""
    pose = np.eye(4)
    pose[2, 3] = z - mesh.vertices[:, 2].min()
    return mesh.moved(pose)


def join_flat(outlines: Sequence[np.ndarray], colors: Sequence[np.ndarray], material: int = Material.MATTE) -> Mesh:
    """Convex plane polygons (N, 3), counter-clockwise, each in its colour."""
    starts = np.cumsum([0, *(len(o) for o in outlines)])
    fans = [
        np.stack([np.full(len(o) - 2, s), np.arange(s + 1, s + len(o) - 1), np.arange(s + 2, s + len(o))], 1)
        for o, s in zip(outlines, starts)
    ]
    paints = np.repeat(np.stack(colors), [len(o) - 2 for o in outlines], 0)
    return flat(np.concatenate(outlines), np.concatenate(fans), paints, material)
