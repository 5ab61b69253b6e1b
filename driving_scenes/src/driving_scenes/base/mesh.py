"""Triangle meshes with per-vertex colour and material."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Material(IntEnum):
    """Surface type; object.frag defines the gloss and emission of each."""

    MATTE = 0  # plaster, brick, cloth, skin, rubber
    PAINT = 1  # car body: coloured with a clear coat
    GLASS = 2  # dark, smooth, mirrors the sky
    METAL = 3  # rims, poles, guard rails
    FOLIAGE = 4  # leaves and grass: two-sided, light passes
    HEADLAMP = 5  # white emitter when lights are on
    TAILLAMP = 6  # red emitter: dim when lights are on, bright when braking
    INDICATOR = 7  # amber emitter when blinking
    SIGN = 8  # retro-reflective sheet: signs, plates
    SIGNAL_LIT = 9  # traffic-light lens that shines in its vertex colour
    SIGNAL_DARK = 10  # traffic-light lens that is off
    WINDOW = 11  # building window: mirrors by day, some shine at night
    PICTURE = 12  # retro-reflective sheet with a picture of the sign atlas: its colour is u, v, tile / TILES


TILES = 1024  # of the sign atlas, at most


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles in the frame of their object: x forward, y left, z up, origin on the ground under the centre.

    vertices  (V, 3) float32 metres
    faces     (F, 3) int32   indices into vertices, counter-clockwise seen from outside
    normals   (V, 3) float32 unit length; a hard edge repeats its vertices
    colors    (V, 3) float32 linear albedo 0..1
    materials (V,)   uint8   Material
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    materials: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.vertices)
        shapes = self.vertices.shape, self.normals.shape, self.colors.shape, self.materials.shape
        if shapes != ((n, 3), (n, 3), (n, 3), (n,)) or self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise ValueError(
                f"expected V x 3 vertices, normals, colors, V materials, F x 3 faces; got {shapes}, {self.faces.shape}"
            )
        if len(self.faces) and (self.faces.min() < 0 or self.faces.max() >= n):
            raise ValueError(f"faces point outside the {n} vertices")

    def moved(self, world_from_object: np.ndarray) -> Mesh:
        """The same mesh after a rigid (4, 4) transform."""
        rotation, translation = world_from_object[:3, :3], world_from_object[:3, 3]
        vertices = (self.vertices @ rotation.T + translation).astype(np.float32)
        return Mesh(vertices, self.faces, (self.normals @ rotation.T).astype(np.float32), self.colors, self.materials)


def join(meshes: list[Mesh]) -> Mesh:
    """Concatenate meshes; an empty list gives the empty mesh."""
    if not meshes:
        none = np.zeros((0, 3), np.float32)
        return Mesh(none, np.zeros((0, 3), np.int32), none, none, np.zeros(0, np.uint8))
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + start for m, start in zip(meshes, starts)]).astype(np.int32),
        np.concatenate([m.normals for m in meshes]),
        np.concatenate([m.colors for m in meshes]),
        np.concatenate([m.materials for m in meshes]),
    )
