"""Linear assignment against SciPy: the same pairs, ties included."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from scipy.optimize import linear_sum_assignment as by_scipy

from camera_perception.core.assignment import linear_sum_assignment
from camera_perception.objects.tracker.association import INFEASIBLE, match

COSTS = {
    "continuous": lambda rng, shape: rng.random(shape),
    "integer, with many ties": lambda rng, shape: rng.integers(0, 4, shape).astype(float),
    "rounded": lambda rng, shape: np.round(rng.random(shape), 1),
    "mostly infeasible": lambda rng, shape: np.where(rng.random(shape) < 0.7, INFEASIBLE, 2 * rng.random(shape)),
    "infeasible, with ties": lambda rng, shape: np.where(
        rng.random(shape) < 0.7, INFEASIBLE, np.round(rng.random(shape), 1)
    ),
    "negative": lambda rng, shape: rng.normal(size=shape),
}

TIES = {"integer, with many ties", "rounded", "mostly infeasible", "infeasible, with ties"}


@pytest.fixture(autouse=True)
def ties_broken_alike(request):
    """Which of several best assignments comes out changed with SciPy 1.9."""
    cost = getattr(request.node, "callspec", None) and request.node.callspec.params["cost"]
    if cost in TIES and tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 9):
        pytest.skip(f"SciPy {scipy.__version__} breaks ties in another way")


@pytest.mark.parametrize("cost", COSTS)
def test_pairs_are_those_of_scipy(cost):
    rng = np.random.default_rng(1)
    for _ in range(1500):
        matrix = COSTS[cost](rng, rng.integers(0, 13, 2))
        for own, reference in zip(linear_sum_assignment(matrix), by_scipy(matrix)):
            assert own.tolist() == reference.tolist()


@pytest.mark.parametrize("cost", COSTS)
def test_matches_are_the_feasible_pairs_of_scipy(cost):
    rng = np.random.default_rng(2)
    for _ in range(1500):
        matrix = COSTS[cost](rng, rng.integers(0, 13, 2))
        rows, columns = by_scipy(np.minimum(matrix, INFEASIBLE))
        good = matrix[rows, columns] < INFEASIBLE
        for own, reference in zip(match(matrix), (rows[good], columns[good])):
            assert own.tolist() == reference.tolist()


def test_a_large_matrix_is_assigned_as_by_scipy():
    matrix = np.random.default_rng(3).random((80, 120))
    for own, reference in zip(linear_sum_assignment(matrix), by_scipy(matrix)):
        assert own.tolist() == reference.tolist()
