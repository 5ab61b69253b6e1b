"""Anything placed in the scene: an asset with a pose and state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from driving_scenes.scene.asset_pool import AssetKey, asset

THIN = {"tree", "street_lamp", "pole", "traffic_sign", "traffic_light"}  # only their stem is in the way
STEM = 0.3  # metres, half of its side


@dataclass(slots=True)
class SceneObject:
    """One asset at one pose.

    track    constant over a sequence
    velocity metres per second along the world's x and y
    tint     replaces the colour of painted surfaces, linear RGB
    brake    brightness of the brake lamps, 0..1; blink: of the indicators
    color    state of a traffic light
    """

    key: AssetKey
    world_from_object: np.ndarray
    track: int = 0
    velocity: tuple[float, float] = (0.0, 0.0)
    tint: tuple[float, float, float] | None = None
    brake: float = 0.0
    blink: float = 0.0
    color: str | None = None


def clear(obj: SceneObject, others: list[SceneObject], margin: float = 0.1) -> bool:
    """Whether the footprint of an object keeps `margin` metres from those of others."""
    low, high = _footprint(obj.key)
    x, y = (np.append(np.arange(a, b, 0.4), b) for a, b in zip(low, high))
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2) @ obj.world_from_object[:2, :2].T
    points += obj.world_from_object[:2, 3]
    return not any(_covers(other, points, margin) for other in others)


def _covers(obj: SceneObject, points: np.ndarray, margin: float) -> bool:
    """Whether one of the points (N, 2) of the world lies in the footprint of an object."""
    low, high = _footprint(obj.key)
    local = (points - obj.world_from_object[:2, 3]) @ obj.world_from_object[:2, :2]
    return bool(((local > low - margin) & (local < high + margin)).all(1).any())


@lru_cache(maxsize=4096)
def _footprint(key: AssetKey) -> np.ndarray:
    """(2, 2) least and greatest x, y in metres."""
    if key.asset_type in THIN:
        return np.array([[-STEM, -STEM], [STEM, STEM]])
    vertices = asset(key).whole().vertices[:, :2]
    return np.stack([vertices.min(0), vertices.max(0)])
