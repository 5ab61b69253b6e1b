"""What an engine gives back for one camera."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from driving_scenes.renderer.gpu import Piece
from driving_scenes.scene.object import SceneObject


@dataclass(slots=True)
class Observations:
    """A labelled piece of a thing that was drawn with an id."""

    thing: SceneObject
    piece: Piece


@dataclass(slots=True)
class Picture:
    """What came out, on the camera's canvas (see Camera.canvas).

    light  (H * scale, W * scale, 3) float32 linear radiance
    ids    (H, W)    uint16  index into seen + 1, 0 for everything else
    labels (H, W)    uint8   semantic + 16 * drivable; semantic 15 is "ignore"
    depth  (H, W)    float32 metres along the optical axis
    """

    light: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    seen: list[Observations] = field(default_factory=list)
