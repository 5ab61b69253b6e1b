"""What every asset function returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from driving_scenes.base.mesh import Mesh, join

# Semantic ids of perception_models/DATA.md.
BUILDING, POLE, ROAD, SIDEWALK, VEGETATION, SIGN, FENCE, VEHICLE, PEDESTRIAN, RIDER, IGNORE = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    255,
)

PART_LABELS = {  # part name: (BDD category or None, semantic id)
    "pole": (None, POLE),
    "bicycle": ("bicycle", RIDER),
    "motorcycle": ("motorcycle", RIDER),
    **{f"sign {number}": ("traffic sign", SIGN) for number in range(2, 13)},  # the other boards of a gantry
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One thing of the scene, in its own frame: x forward, y left, z up, origin on the ground.

    mesh      what carries the label `category` and `semantic`
    size      (length, width, height) metres of mesh and parts together
    category  BDD category, or None for what is never boxed
    semantic  id of perception_models/DATA.md
    parts     what moves with it under another label, see PART_LABELS
    """

    mesh: Mesh
    size: tuple[float, float, float]
    category: str | None
    semantic: int
    parts: Mapping[str, Mesh] = field(default_factory=dict)

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
    """Independent generators, so that a detail drawn from one changes nothing that is drawn from the others."""
    return [np.random.default_rng(seed) for seed in rng.integers(2**63, size=count)]
