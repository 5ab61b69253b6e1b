"""Per-class constants, looked up by class index."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike


class ClassTable:
    """Values of one shape per class name, with a default for other names and for invalid indices."""

    def __init__(self, values: Mapping[str, ArrayLike], default: ArrayLike):
        self.values, self.default = values, default
        self._rows = lru_cache(maxsize=8)(self._row_table)

    def lookup(self, indices: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
        """(N,) indices into `classes` -> (N, *shape of a value)."""
        return self._rows(classes).take(indices + 1, axis=0, mode="clip")

    def _row_table(self, classes: tuple[str, ...]) -> np.ndarray:
        """One row per class, and the default at both ends, where invalid indices are clipped to."""
        return np.array([self.default, *(self.values.get(name, self.default) for name in classes), self.default])


def class_mask(*names: str) -> ClassTable:
    """A table that is true for these class names."""
    return ClassTable(dict.fromkeys(names, True), False)
