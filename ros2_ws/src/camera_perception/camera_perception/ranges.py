"""What a depth camera and a lidar say about one image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from camera_perception.camera import Camera
from camera_perception.types import Frame


@dataclass(frozen=True, slots=True)
class Depth:
    """A depth image registered to the camera: it shows the same view as the image, in any resolution.

    metres  (h, w) float32 along the optical axis; 0, nan and inf mean nothing seen
    age     seconds between its stamp and the image's
    """

    metres: np.ndarray
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Cloud:
    """Lidar points.

    points  (P, 3) float32 metres in the camera's frame: x right, y down, z forward
    age     seconds between their stamp and the image's
    """

    points: np.ndarray
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Ranges:
    """What other sensors saw near the time of an image."""

    depth: Depth | None = None
    cloud: Cloud | None = None


RangeSource = Callable[[Frame, Camera], Ranges]
