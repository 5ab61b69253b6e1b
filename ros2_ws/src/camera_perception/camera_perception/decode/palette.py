"""Colours for class maps whose model.json brings none."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from camera_perception.core.model_spec import HeadSpec

# Okabe and Ito's eight colours, told apart with any colour vision (RGB); black first for the background
OKABE_ITO = np.array(
    [
        [0, 0, 0],
        [0, 158, 115],
        [230, 159, 0],
        [86, 180, 233],
        [240, 228, 66],
        [0, 114, 178],
        [213, 94, 0],
        [204, 121, 167],
    ],
    np.uint8,
)


def colors_of(head: HeadSpec) -> np.ndarray:
    """(len(classes), 3) uint8 RGB."""
    if head.colors:
        return np.array(head.colors, np.uint8)
    return _okabe_ito(len(head.classes))


@lru_cache
def _okabe_ito(count: int) -> np.ndarray:
    """(count, 3) uint8, over and over again."""
    return OKABE_ITO[np.arange(count) % len(OKABE_ITO)]
