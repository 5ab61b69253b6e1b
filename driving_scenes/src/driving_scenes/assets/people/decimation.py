"""Fewer triangles for people who are far away: vertices that share a cell of a grid become one."""

from __future__ import annotations

import numpy as np

from driving_scenes.base.mesh import Mesh

HEAD_CELL = 0.6  # size of the head's cells, of the body's


def clustered(mesh: Mesh, cell: float, neck: float) -> Mesh:
    """The mesh with one vertex per cell of `cell` metres and side of the surface; above z = `neck` it keeps more."""
    # A thin part such as a sleeve keeps its two sides: vertices that face opposite ways stay apart.
    facing = np.abs(mesh.normals).argmax(1)
    sign = np.take_along_axis(mesh.normals, facing[:, None], 1)[:, 0] > 0
    low = mesh.vertices.min(0)
    head = mesh.vertices[:, 2] > neck
    steps = np.where(head, cell * HEAD_CELL, cell)[:, None]
    cells = ((mesh.vertices - low) / steps).astype(np.int64) + head[:, None] * 1000
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
