"""Building blocks: every function gives a Mesh with outward faces and unit normals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception_models.render.mesh import Material, Mesh, join

Color = Sequence[float]


def flat(corners: np.ndarray, faces: np.ndarray, color: np.ndarray | Color, material: int = Material.MATTE) -> Mesh:
    """Flat-shaded triangles: corners (V, 3), faces (F, 3); vertices are repeated so that every face has its own normal.

    color is one colour, or (F, 3) a colour per face.
    """
    triangles = np.asarray(corners, np.float32)[np.asarray(faces, np.int32)]  # F 3 3
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    area = np.linalg.norm(normals, axis=1)
    keep = area > 1e-10
    triangles, normals = triangles[keep], normals[keep] / area[keep, None]
    colors = np.broadcast_to(np.asarray(color, np.float32), (len(faces), 3))[keep]
    n = 3 * len(triangles)
    return Mesh(
        triangles.reshape(n, 3).astype(np.float32),
        np.arange(n, dtype=np.int32).reshape(-1, 3),
        np.repeat(normals, 3, 0).astype(np.float32),
        np.repeat(colors, 3, 0).astype(np.float32),
        np.full(n, int(material), np.uint8),
    )


_BOX_FACES = np.array(
    [[0, 2, 1], [1, 2, 3], [4, 5, 6], [5, 7, 6], [0, 1, 4], [1, 5, 4], [2, 6, 3], [3, 6, 7], [0, 4, 2], [2, 4, 6], [1, 3, 5], [3, 7, 5]]
)
_BOX_CORNERS = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)], float) - 0.5


def box(center: Color, size: Color, color: Color, material: int = Material.MATTE, top: float | tuple[float, float] = 1.0) -> Mesh:
    """A box by centre and (length, width, height); top scales its upper face in x and y."""
    corners = _BOX_CORNERS * np.asarray(size, float)
    corners[4:, :2] *= top
    return flat(corners + np.asarray(center, float), _BOX_FACES, color, material)
