"""Anything placed in the scene: an asset with a pose and state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.scene.asset_pool import AssetKey


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
