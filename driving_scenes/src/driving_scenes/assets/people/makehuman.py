"""Bodies, clothes, hair and skins of MakeHuman (CC0), read from people.npz.

Axes of that file: x to the person's left, y up, z forward; unit 0.1 m, stored times 1000.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from driving_scenes.base.mesh import Mesh

METRES = 0.1  # of one unit
OPAQUE = 0.3  # least alpha of a face that is drawn


@dataclass(frozen=True, slots=True)
class Body:
    """A body in its rest pose and how its pose moves each vertex.

    rest     (V, 3) file axes and units
    motion   (V, 3, 4) rotation and translation of each vertex
    """

    rest: np.ndarray
    motion: np.ndarray

    def moved(self) -> np.ndarray:
        """(V, 3) posed vertices."""
        return apply(self.motion, self.rest)


@dataclass(frozen=True, slots=True)
class Surface:
    """A posed part of a person in the renderer's axes, metres; `rest` (V, 3) are its file positions before posing."""

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray  # (V, 3) linear
    rest: np.ndarray


def apply(motion: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(V, 3) points moved by (V, 3, 4) transforms."""
    return np.asarray(np.einsum("vij,vj->vi", motion[..., :3], points) + motion[..., 3])


def forward_left_up(points: np.ndarray) -> np.ndarray:
    """Points of file axes and units as metres in the renderer's axes."""
    return np.asarray(points[:, [2, 0, 1]] * METRES)


def linear_colors(srgb: np.ndarray) -> np.ndarray:
    """Linear albedo of sRGB bytes."""
    x = srgb.astype(np.float64) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


class MakeHuman:
    """The arrays of people.npz with the operations that make a person."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.base = self.arrays["base_vertices"] / 1000.0
        self.bones = [str(name) for name in self.arrays["bones"]]
        weights = self.arrays["weights"].astype(np.float64)
        self.weights = weights / np.maximum(weights.sum(1, keepdims=True), 1e-6)

    def names(self, prefix: str) -> list[str]:
        """Names of the items below a prefix, such as `clothes/`."""
        return sorted({n.split("/")[1] for n in self.arrays if n.startswith(prefix)})

    def shape(self, gender: str, age: str, race: str, weight: str, tall: float) -> np.ndarray:
        """(V, 3) rest positions; tall: -1 smallest to 1 tallest."""
        height = f"{gender}-{age}-{'max' if tall > 0 else 'min'}height"
        shares = {f"{race}-{gender}-{age}": 1.0, f"{gender}-{age}-{weight}weight": 1.0, height: abs(tall)}
        return np.asarray(self.base + sum(k * self.arrays[f"target/{n}"] / 1000.0 for n, k in shares.items()))

    def joints(self, rest: np.ndarray) -> np.ndarray:
        """(B, 3) heads of the bones."""
        index = self.arrays["bone_head_vertices"]
        known = (index >= 0)[..., None]
        return np.asarray((rest[index] * known).sum(1) / np.maximum(known.sum(1), 1))

    def bone_motions(self, rest: np.ndarray, turns: Mapping[str, np.ndarray]) -> np.ndarray:
        """(B, 3, 4) transforms of the bones; turns: rotation (3, 3) of a bone about its head, in file axes."""
        motions = np.zeros((len(self.bones), 3, 4))
        heads = self.joints(rest)
        for i, (name, parent) in enumerate(zip(self.bones, self.arrays["bone_parents"])):
            turn = turns.get(name, np.eye(3))
            offset = heads[i] - turn @ heads[i]
            if parent >= 0:
                above = motions[parent]
                turn, offset = above[:, :3] @ turn, above[:, :3] @ offset + above[:, 3]
            motions[i, :, :3], motions[i, :, 3] = turn, offset
        return motions

    def posed(self, rest: np.ndarray, turns: Mapping[str, np.ndarray]) -> Body:
        """A body in a pose, blended with the four stored weights of each vertex."""
        bones = self.bone_motions(rest, turns)
        index = self.arrays["weight_bones"]
        motion = sum(self.weights[:, k, None, None] * bones[index[:, k]] for k in range(index.shape[1]))
        return Body(rest, np.asarray(motion))

    def worn(self, item: str, body: Body) -> tuple[Surface, np.ndarray]:
        """A piece of clothing or hair on a body, and the body vertices that it hides."""
        part = {n: self.arrays[f"{item}/{n}"] for n in ("ref", "bary", "offset", "vertex", "faces", "rgba", "hides")}
        ref, shares = part["ref"].astype(int), part["bary"].astype(np.float64)
        rest = (body.rest[ref] * shares[..., None]).sum(1) + part["offset"] * self._fit(item, body.rest)
        shares = np.clip(shares, 0, None)
        shares /= np.maximum(shares.sum(1, keepdims=True), 1e-6)
        motion = sum(shares[:, k, None, None] * body.motion[ref[:, k]] for k in range(3))
        vertex, faces = part["vertex"].astype(int), part["faces"].astype(int)
        seen = part["rgba"][faces, 3].mean(1) > OPAQUE * 255
        moved = forward_left_up(apply(np.asarray(motion), rest))
        colors = linear_colors(part["rgba"][:, :3])
        return Surface(moved[vertex], faces[seen], colors, rest[vertex]), part["hides"].astype(int)

    def _fit(self, item: str, rest: np.ndarray) -> np.ndarray:
        """How much larger the body is than the one that an item was made for, along each axis."""
        rows = self.arrays[f"{item}/scale"]
        fits = [abs(rest[int(a), i] - rest[int(b), i]) / c if c and a != b else 1.0 for i, (a, b, c) in enumerate(rows)]
        return np.array(fits)

    def skin(self, name: str, body: Body, hidden: np.ndarray) -> Surface:
        """The visible skin of a body."""
        vertex, faces = self.arrays["body_vertex"].astype(int), self.arrays["body_corner_faces"].astype(int)
        gone = np.zeros(len(body.rest), bool)
        gone[hidden] = True
        faces = faces[~gone[vertex[faces]].all(1)]
        moved = forward_left_up(body.moved())
        return Surface(moved[vertex], faces, linear_colors(self.arrays[name]), body.rest[vertex])


def mesh_of(surface: Surface) -> Mesh:
    """The surface with smooth normals; vertices at the same place share one."""
    x, faces = surface.vertices, surface.faces
    _, same = np.unique(np.round(x, 5), axis=0, return_inverse=True)
    same = same.reshape(-1)
    across = np.cross(x[faces[:, 1]] - x[faces[:, 0]], x[faces[:, 2]] - x[faces[:, 0]])
    normals = np.zeros((same.max() + 1, 3))
    for k in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(same[faces[:, k]], across[:, axis], len(normals))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    colors = np.clip(surface.colors, 0, 0.9).astype(np.float32)
    matte = np.zeros(len(x), np.uint8)
    return Mesh(x.astype(np.float32), faces.astype(np.int32), normals[same].astype(np.float32), colors, matte)


@lru_cache(maxsize=1)
def makehuman(path: Path) -> MakeHuman:
    """The file, read once per process."""
    return MakeHuman(path)
