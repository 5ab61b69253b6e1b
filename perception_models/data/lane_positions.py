"""Which line is which, for data sets that only give curves: order at the bottom of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perception_models.data.labels import POSITIONS
from perception_models.data.sample import Lane

NEAR_SHARE = 0.4  # of a line's points, from the near end, that are drawn on to the bottom


def placed(lines: Sequence[Lane], size: tuple[int, int]) -> list[Lane]:
    """The lines with positions counted outwards from the middle of the bottom edge; 0 beyond the third.

    size  (height, width) of the image in pixels
    """
    bottom = np.array([foot(line, size[0]) for line in lines])
    out = list(lines)
    for side in (-1, 1):
        ours = [i for i in range(len(lines)) if (bottom[i] >= size[1] / 2) == (side > 0)]
        for rank, i in enumerate(sorted(ours, key=lambda i: side * bottom[i]), 1):
            out[i] = replace(lines[i], position=side * rank if rank <= max(POSITIONS) else 0)
    return out


def foot(line: Lane, height: float) -> float:
    """u where the straight continuation of a line's near part meets the bottom edge."""
    near = line.points[: max(2, round(NEAR_SHARE * len(line.points)))]
    u, v = near.T.astype(float)
    if np.ptp(v) < 1:
        return float(u[0])
    slope, offset = np.polyfit(v, u, 1)
    return float(slope * height + offset)
