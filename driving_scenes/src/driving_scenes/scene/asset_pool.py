"""A fixed collection of assets, created on first use; a key gives the same asset in every process."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from driving_scenes.assets import ASSETS, PART_LABELS, Asset
from driving_scenes.base.mesh import Mesh

VARIANTS = {
    "car": 120,
    "truck": 48,
    "bus": 32,
    "train": 12,
    "motorcycle": 32,
    "bicycle": 32,
    "pedestrian": 400,
    "rider": 32,
    "traffic_light": 36,
    "traffic_sign": 480,
    "building": 72,
    "tree": 60,
    "bush": 20,
}


@dataclass(frozen=True, slots=True)
class AssetKey:
    """Identifies one asset of the pool; `options` are keyword arguments of its function."""

    asset_type: str
    variant: int = 0
    options: tuple[tuple[str, object], ...] = ()

    @staticmethod
    def random(rng: np.random.Generator, asset_type: str, **options: object) -> AssetKey:
        return AssetKey(asset_type, int(rng.integers(VARIANTS.get(asset_type, 8))), tuple(sorted(options.items())))


@lru_cache(maxsize=4096)
def asset(key: AssetKey, detail: int = 1) -> Asset:
    """The asset of a key."""
    rng = np.random.default_rng([zlib.crc32(key.asset_type.encode()), key.variant])
    return ASSETS[key.asset_type](rng, detail=detail, **dict(key.options))


def size(key: AssetKey) -> tuple[float, float, float]:
    """(length, width, height) in metres."""
    return asset(key).size


def pieces(key: AssetKey, detail: int = 1) -> list[tuple[Mesh, str | None, int]]:
    """(mesh, category, semantic id) of the asset and of each of its parts."""
    whole = asset(key, detail)
    parts = [(mesh, *PART_LABELS[name]) for name, mesh in whole.parts.items()]
    return [(whole.mesh, whole.category, whole.semantic), *parts]
