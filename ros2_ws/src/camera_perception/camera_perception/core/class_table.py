"""What is known of things by the name of their class, for arrays of class indices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike


class ClassTable:
    """Values of one shape by class name, and one for all other names and for indices that are no class."""

    def __init__(self, values: Mapping[str, ArrayLike], otherwise: ArrayLike):
        self.values, self.otherwise = values, otherwise
        self._rows = lru_cache(maxsize=8)(self._stacked)

    def lookup(self, indices: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
        """(N,) indices into `classes` -> (N, *shape of a value)."""
        return self._rows(classes).take(indices + 1, axis=0, mode="clip")

    def _stacked(self, classes: tuple[str, ...]) -> np.ndarray:
        """One row per class and one at either end, where indices that are no class are clipped to."""
        return np.array([self.otherwise, *(self.values.get(name, self.otherwise) for name in classes), self.otherwise])


def class_mask(*names: str) -> ClassTable:
    """Whether a class has one of these names."""
    return ClassTable(dict.fromkeys(names, True), False)
