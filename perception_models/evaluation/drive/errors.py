"""Error statistics shared by the measurements of this package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from camera_perception.core.types import Objects
from camera_perception.geometry.camera import Camera


def range_error(objects: Objects, row: int, truth: np.ndarray, camera: Camera) -> tuple[float, float, float]:
    """(true range, error along the viewing ray, that error in standard deviations); metres.

    truth  (2,) true position, metres in base_link
    """
    ray = truth - camera.pose[:2, 3]
    ray = ray / np.linalg.norm(ray)
    error = (objects.positions[row, :2] - truth) @ ray
    sigma = np.sqrt(ray @ objects.position_covs[row] @ ray)
    return float(np.linalg.norm(truth)), float(error), float(error / sigma)


def median(values: Sequence[float] | np.ndarray) -> float:
    """nan for no values."""
    return float(np.median(values)) if len(values) else float("nan")


def percent_within(errors: np.ndarray, sigmas: float) -> float:
    """Percentage of normalised errors below `sigmas`; nans are left out, no values give nan."""
    known = np.abs(errors[np.isfinite(errors)])
    return 100 * float(np.mean(known < sigmas)) if len(known) else float("nan")
