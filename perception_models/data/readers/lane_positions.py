"""Lane positions for data sets that only give curves: the order of the lines at the bottom of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perception_models.data.labels import POSITIONS
from perception_models.data.sample import Lane

NEAR_FRACTION = 0.4  # of the points of a line, from the near end, that are extrapolated to the bottom edge


def assign_positions(lines: Sequence[Lane], size: tuple[int, int]) -> list[Lane]:
    """The lines with positions counted outwards from the middle of the bottom edge; 0 beyond the third.

    size  (height, width) of the image in pixels
    """
    bottom = np.array([bottom_crossing(line, size[0]) for line in lines])
    out = list(lines)
    for side in (-1, 1):
        on_side = [i for i in range(len(lines)) if (bottom[i] >= size[1] / 2) == (side > 0)]
        for rank, i in enumerate(sorted(on_side, key=lambda i: side * bottom[i]), 1):
            out[i] = replace(lines[i], position=side * rank if rank <= max(POSITIONS) else 0)
    return out


def bottom_crossing(line: Lane, height: float) -> float:
    """u where the near part of a line, extrapolated straight, meets the bottom edge."""
    near = line.points[: max(2, round(NEAR_FRACTION * len(line.points)))]
    u, v = near.T.astype(float)
    if np.ptp(v) < 1:
        return float(u[0])
    slope, offset = np.polyfit(v, u, 1)
    return float(slope * height + offset)
