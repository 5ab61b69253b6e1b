"""Compiled functions of the fusion and their NumPy twins do the same."""

from __future__ import annotations

import numpy as np
import pytest

from camera_perception import core
from camera_perception.core.assignment import INFEASIBLE, match
from camera_perception.fusion.objects import intersection, squared_distances
from camera_perception.fusion.types import CLASS, POSITION, POSITION_COV, FusedObjects

pytestmark = pytest.mark.skipif(core.kernels is None, reason="nothing is compiled: make setup, with a C compiler")
CLASSES = ("car", "pedestrian", "bus")


def covariances(rng: np.random.Generator, count: int) -> np.ndarray:
    spread = rng.uniform(-1, 1, (count, 2, 2))
    return np.asarray(spread @ spread.transpose(0, 2, 1) + 0.05 * np.eye(2))


def fused(rng: np.random.Generator, count: int) -> FusedObjects:
    objects = FusedObjects(np.zeros((count, 14)), np.zeros((count, 11), np.int64), CLASSES)
    objects.numbers[:, POSITION] = rng.uniform(-10, 10, (count, 2))
    objects.numbers[:, POSITION_COV] = covariances(rng, count).reshape(-1, 4)
    objects.counts[:, CLASS] = rng.integers(0, len(CLASSES), count)
    return objects


@pytest.mark.parametrize(("one", "other"), [(0, 3), (3, 0), (1, 1), (40, 30)])
def test_distances_of_fused_objects_are_the_same(one, other, monkeypatch):
    rng = np.random.default_rng(0)
    a, b = fused(rng, one), fused(rng, other)
    compiled = squared_distances(a, b)
    monkeypatch.setattr(core, "kernels", None)
    np.testing.assert_allclose(compiled, squared_distances(a, b), 1e-12)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_merged_estimates_are_the_same(count, monkeypatch):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-5, 5, (2, count, 2))
    estimates = a, covariances(rng, count), b, covariances(rng, count)
    compiled = intersection(*estimates)
    monkeypatch.setattr(core, "kernels", None)
    for found, wanted in zip(compiled, intersection(*estimates)):
        np.testing.assert_allclose(found, wanted, 1e-9, 1e-12)


def test_the_same_rows_and_columns_match(monkeypatch):
    """Costs of a few values, so that ties decide, and rows and columns without a partner."""
    rng = np.random.default_rng(0)
    for rows, columns in ((0, 0), (0, 4), (5, 0), (1, 1), (6, 9), (9, 6), (8, 8)):
        cost = rng.integers(0, 3, (rows, columns)).astype(float)
        cost[rng.random(cost.shape) < 0.4] = INFEASIBLE
        compiled = match(cost)
        with monkeypatch.context() as without:
            without.setattr(core, "kernels", None)
            twin = match(cost)
        assert [each.tolist() for each in compiled] == [each.tolist() for each in twin]
