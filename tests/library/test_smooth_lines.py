"""Lines that jump between rows: kept, refitted or refused."""

from __future__ import annotations

import numpy as np
import pytest

from camera_perception.lanes.smooth import _bases, smooth

WIDTH, HORIZON = 640.0, 180.0
TOLERANCE, AGREEING = 5 / 640, 0.6
ROWS = np.arange(380.0, 200.0, -8.0)  # near to far


def road_line(offset: float, curvature: float = 0.0, rows: np.ndarray = ROWS) -> np.ndarray:
    """Image of y = offset + curvature x^2 / 2 on a flat road, 1.5 m below a camera with a focal length of 600 px."""
    x = 600 * 1.5 / (rows - HORIZON)
    return np.column_stack((320 - 600 * (offset + curvature * x**2 / 2) / x, rows))


def smoothed(points, weights=None):
    weights = np.ones(len(points)) if weights is None else weights
    return smooth(points, weights, WIDTH, TOLERANCE, AGREEING)


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 6, len(ROWS)])
@pytest.mark.parametrize(("offset", "curvature"), [(1.8, 0.0), (-1.8, 0.004), (5.4, -0.004)])
def test_smooth_lines_are_left_as_they_are(rows, offset, curvature):
    line = road_line(offset, curvature)[:rows] + np.random.default_rng(0).uniform(-1, 1, (rows, 1)) * (1, 0)
    assert smoothed(line) is line


@pytest.mark.parametrize("wrong", [[3], [0, 1, 2], [4, 9, 14, 19], [10, 11, 12, 13, 14, 15]])
@pytest.mark.parametrize("curvature", [0.0, 0.002])
def test_rows_on_another_line_are_replaced_by_the_curve_of_the_others(wrong, curvature):
    line = road_line(1.8, curvature)
    seen = line.copy()
    seen[wrong, 0] -= 60
    found = smoothed(seen)
    expected = line[np.isin(line[:, 1], found[:, 1])]
    np.testing.assert_allclose(found, expected, atol=2.0)
    assert len(found) >= len(line) - len(wrong)


def test_a_wrong_end_is_cut_off():
    seen = road_line(1.8)
    seen[:5, 0] += np.linspace(90, 20, 5)
    np.testing.assert_array_equal(smoothed(seen)[:, 1], ROWS[5:])


def test_confident_rows_decide_which_half_is_right():
    line, other = road_line(1.8), road_line(-1.8)
    seen = np.where(np.arange(len(line))[:, None] % 2 == 0, line, other)
    weights = np.where(np.arange(len(line)) % 2 == 0, 1.0, 0.5)
    np.testing.assert_allclose(smoothed(seen, weights), line[: -1 if len(line) % 2 == 0 else None], atol=1.0)


@pytest.mark.parametrize(
    "points",
    [
        np.column_stack((320 + 40 * np.random.default_rng(1).normal(size=len(ROWS)), ROWS)),  # zigzag
        np.array([[300, 380], [340, 372], [300, 364]], float),  # short and not straight
        np.where(np.arange(len(ROWS))[:, None] % 2, road_line(1.8), road_line(-1.8)),  # two lines, equally
    ],
)
def test_lines_without_agreement_are_refused(points):
    assert smoothed(points).shape == (0, 2)


def test_the_same_line_always_gives_the_same_curve():
    seen = road_line(1.8, 0.002) + np.random.default_rng(2).normal(0, 6, (len(ROWS), 1)) * (1, 0)
    np.testing.assert_array_equal(smoothed(seen.copy()), smoothed(seen.copy()))


def test_what_is_remembered_of_lines_is_small():
    rows = np.linspace(0.3, 0.7, 72)
    assert _bases.cache_info().maxsize * _bases(rows.tobytes()).nbytes < 2_000_000
