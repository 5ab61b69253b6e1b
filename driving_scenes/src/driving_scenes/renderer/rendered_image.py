"""Output of the renderer for one camera."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from driving_scenes.renderer.gpu import Piece
from driving_scenes.scene.object import SceneObject

IGNORE_CODE = 15  # "ignore" in RenderedImage.labels, which has four bits each for semantic ids and drivable areas


@dataclass(frozen=True, slots=True)
class VisibleObject:
    """An object in view, in the level of detail that it is drawn with."""

    obj: SceneObject
    pieces: list[Piece]
    depth: float  # of its origin, metres along the optical axis


@dataclass(frozen=True, slots=True)
class LabelledPiece:
    """A piece of an object that was drawn with an id."""

    obj: SceneObject
    piece: Piece


@dataclass(frozen=True, slots=True)
class RenderedImage:
    """Linear light and per-pixel ground truth on the camera's canvas (see Camera.canvas).

    light    (H * scale, W * scale, 3) float32 linear radiance
    ids      (H, W)    uint16  index into labelled + 1; 0 elsewhere
    labels   (H, W)    uint8   semantic + 16 * drivable; 15 is "ignore" in each
    depth    (H, W)    float32 metres along the optical axis
    """

    light: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    labelled: list[LabelledPiece] = field(default_factory=list)

    def visible_counts(self) -> np.ndarray:
        """(len(labelled),) visible pixels of each labelled piece."""
        return np.bincount(self.ids.ravel(), minlength=len(self.labelled) + 1)[1:]
