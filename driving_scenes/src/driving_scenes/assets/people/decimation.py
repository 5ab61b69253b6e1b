"""Fewer triangles for people who are far away: vertices that share a cell of a grid become one."""

from __future__ import annotations

import numpy as np

from driving_scenes.base.mesh import Mesh


def clustered(mesh: Mesh, cell: float) -> Mesh:
    """The mesh with one vertex per cell of `cell` metres and side of the surface."""
    # A thin part such as a sleeve keeps its two sides: vertices that face opposite ways stay apart.
    facing = np.abs(mesh.normals).argmax(1)
    sign = np.take_along_axis(mesh.normals, facing[:, None], 1)[:, 0] > 0
    cells = np.floor(mesh.vertices / cell).astype(np.int64) - np.floor(mesh.vertices.min(0) / cell).astype(np.int64)
    code = ((cells[:, 0] * 4096 + cells[:, 1]) * 4096 + cells[:, 2]) * 2 + sign
    _, group = np.unique(code, return_inverse=True)
    group = group.reshape(-1)
    faces = group[mesh.faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
    faces = faces[np.unique(np.sort(faces, 1), axis=0, return_index=True)[1]]
    normals = _mean(mesh.normals, group)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    merged = (_mean(mesh.vertices, group), faces.astype(np.int32), normals, _mean(mesh.colors, group))
    used, index = np.unique(merged[1], return_inverse=True)
    vertices, _, normals, colors = merged
    materials = np.zeros(len(used), np.uint8)
    return Mesh(vertices[used], index.reshape(-1, 3).astype(np.int32), normals[used], colors[used], materials)


def _mean(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    counts = np.bincount(group)
    return np.stack([np.bincount(group, column) / counts for column in values.T], 1).astype(np.float32)
