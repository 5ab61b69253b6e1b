"""The value that every asset function returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from driving_scenes.base.mesh import Mesh, join
from driving_scenes.base.semantic_ids import POLE, RIDER, SIGN, VEHICLE

PART_LABELS = {  # part name: (BDD category or None, semantic id)
    "pole": (None, POLE),
    "door": (None, VEHICLE),
    "bicycle": ("bicycle", RIDER),
    "motorcycle": ("motorcycle", RIDER),
    **{f"sign {number}": ("traffic sign", SIGN) for number in range(2, 13)},  # the other boards of a gantry
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One object of a scene, in its own frame: x forward, y left, z up, origin on the ground.

    mesh      geometry labelled with `category` and `semantic`
    size      (length, width, height) metres of mesh and parts together
    category  BDD category; None: no box
    semantic  id, see README.md
    parts     geometry with labels of its own, see PART_LABELS
    seats     (N, 2) x and y of the hips of those who can sit here, facing -y, in metres
    """

    mesh: Mesh
    size: tuple[float, float, float]
    category: str | None
    semantic: int
    parts: Mapping[str, Mesh] = field(default_factory=dict)
    seats: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    def whole(self) -> Mesh:
        """Mesh and parts as one mesh."""
        return join([self.mesh, *self.parts.values()])


def asset_of(mesh: Mesh, category: str | None, semantic: int, parts: Mapping[str, Mesh] | None = None) -> Asset:
    """An asset whose size is measured from its meshes."""
    parts = parts or {}
    vertices = np.concatenate([m.vertices for m in (mesh, *parts.values())])
    length, width, height = (float(s) for s in vertices.max(0) - vertices.min(0))
    return Asset(mesh, (length, width, height), category, semantic, parts)


def branches(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Independent generators: draws from one do not change what the others give."""
    return [np.random.default_rng(seed) for seed in rng.integers(2**63, size=count)]
