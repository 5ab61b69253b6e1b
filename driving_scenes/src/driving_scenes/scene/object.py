"""Something that stands or moves in the scene."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from driving_scenes.scene.asset_pool import Key


@dataclass(slots=True)
class SceneObject:
    """One asset at one place.

    track    constant over a sequence; 0 for what is never boxed
    velocity metres per second along the world's x and y
    lights   brake and indicator brightness 0..1
    """

    key: Key
    world_from_object: np.ndarray
    track: int = 0
    velocity: tuple[float, float] = (0.0, 0.0)
    tint: tuple[float, float, float] | None = None
    brake: float = 0.0
    blink: float = 0.0
    color: str | None = None  # of a traffic light
    shadow: bool = True
    extra: dict = field(default_factory=dict)
