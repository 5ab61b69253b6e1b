"""Compiled functions of the fusion and their NumPy twins do the same."""

from __future__ import annotations

import numpy as np
import pytest

from camera_perception import core
from camera_perception.core.assignment import INFEASIBLE, match
from camera_perception.fusion.lanes import _fit
from camera_perception.fusion.objects import _close_pairs, merge, squared_distances
from camera_perception.fusion.packed import packed
from camera_perception.fusion.types import (
    AGE,
    CLASS,
    COASTED,
    ID,
    METHOD,
    OVER_GROUND,
    POSITION,
    POSITION_COV,
    SCORE,
    VELOCITY,
    VELOCITY_COV,
    WIDTH,
    FusedObjects,
)
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import FUSED_PERCEPTION

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


@pytest.mark.parametrize(("one", "other"), [(0, 3), (3, 0), (1, 1), (40, 30), (20, 60)])
def test_the_same_fused_objects_are_close(one, other, monkeypatch):
    rng = np.random.default_rng(0)
    a, b = fused(rng, one), fused(rng, other)
    a.numbers[::4], b.numbers[::5, POSITION] = np.nan, 1.0
    compiled = _close_pairs(a, b)
    monkeypatch.setattr(core, "kernels", None)
    assert [each.tolist() for each in compiled] == [each.tolist() for each in _close_pairs(a, b)]
    assert len(compiled[0]) > 5 or min(one, other) < 2


@pytest.mark.parametrize("unknown", [-1, 3])
def test_fused_objects_of_unknown_classes_are_refused(unknown):
    table = fused(np.random.default_rng(0), 2)
    table.counts[1, CLASS] = unknown
    bodies, compatible = np.zeros((3, 4)), np.ones((3, 3), bool)
    with pytest.raises(ValueError, match="contact point"):
        core.kernels.close_pairs(*[table.numbers, table.counts] * 2, bodies, compatible, 9.0, np.empty(2, np.int64))


def seen(rng: np.random.Generator, count: int, camera: int) -> FusedObjects:
    """Objects around the same places in every view, of which some move, are coasted, or have no width."""
    objects = fused(rng, count)
    objects.numbers[:, POSITION] = np.arange(count)[:, None] * (4.0, 0.5) + rng.normal(0, 0.3, (count, 2))
    objects.numbers[:, [SCORE, WIDTH]] = rng.choice([np.nan, 0.2, 0.5, 0.9], (count, 2))
    objects.numbers[:, VELOCITY] = rng.normal(0, 5, (count, 2)) + rng.choice([0, np.nan], (count, 1))
    objects.numbers[:, VELOCITY_COV] = covariances(rng, count).reshape(-1, 4)
    objects.counts[:, [METHOD, OVER_GROUND, COASTED]] = rng.integers(0, (5, 2, 2), (count, 3))
    objects.counts[:, AGE], objects.counts[:, ID] = rng.integers(0, 70_000, count), rng.integers(0, 2**33, count)
    objects.rows[:], objects.rows[:, camera] = -1, np.arange(count)
    objects.camera_ids[:, camera] = rng.integers(0, 2**32, count)
    return objects


@pytest.mark.parametrize(("known", "new"), [(0, 3), (3, 0), (1, 1), (30, 20), (20, 30)])
def test_merged_objects_are_the_same(known, new, monkeypatch):
    rng = np.random.default_rng(0)
    tables = seen(rng, known, 0), seen(rng, new, 1)
    with np.errstate(invalid="ignore"):
        compiled = merge(*tables)
        monkeypatch.setattr(core, "kernels", None)
        twin = merge(*tables)
    assert compiled.classes == twin.classes and len(twin) < known + new or not min(known, new)
    np.testing.assert_array_equal(compiled.counts, twin.counts)
    np.testing.assert_allclose(compiled.numbers, twin.numbers, 1e-9, 1e-12)


def test_merged_lines_are_the_same(monkeypatch):
    """Lines of several cameras, of which some points are equally far."""
    rng = np.random.default_rng(0)
    x = np.round(rng.uniform(3, 60, (4, 40)), 1)
    points = [np.column_stack((each, 1.7 + 2e-4 * each**2 + rng.normal(0, 0.05, 40))) for each in x]
    y_stds = [rng.uniform(0.001, 0.5, 40) for _ in points]
    compiled = _fit(points, y_stds)
    monkeypatch.setattr(core, "kernels", None)
    for one, other in zip(compiled, _fit(points, y_stds)):
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_array_equal(one.y_std, other.y_std)
        np.testing.assert_allclose(one.poly, other.poly, 1e-5, 1e-9)
        assert (one.x_min, one.x_max) == (other.x_min, other.x_max)


@pytest.mark.parametrize("before", ["", "a", "abcdefg"])
def test_fused_objects_are_packed_as_their_fields_are(before, monkeypatch):
    objects = seen(np.random.default_rng(0), 20, 1)
    objects = FusedObjects(objects.numbers, objects.counts, ("car", "Fußgänger", ""))
    objects.rows[::3, 0], objects.camera_ids[::3, 0] = 5, 7
    class_ids = {"car": 3, "Fußgänger": 65_535}

    def message() -> bytes:
        return serialize(FUSED_PERCEPTION, {"header": {"frame_id": before}, "objects": packed(objects, class_ids)})

    compiled = message()
    monkeypatch.setattr(core, "kernels", None)
    assert compiled == message()


def test_pairs_outside_of_their_tables_are_refused():
    table = seen(np.random.default_rng(0), 3, 0)
    arrays = table.numbers, table.counts, table.numbers, table.counts
    merged = np.empty((5, 14)), np.empty((5, table.counts.shape[1]), np.int64)
    for row in (-1, 3):
        rows = np.array([row]), np.array([0])
        with pytest.raises(ValueError, match="rows of both tables"):
            core.kernels.merge_objects(*arrays, *rows, np.arange(5), 0.01, np.ones(1), np.ones(1), *merged)


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
