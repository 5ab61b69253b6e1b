"""Lane lines and the drivable boundary in the image plane, on lines with known equations."""

from __future__ import annotations

import numpy as np
import pytest

from camera_perception.core.types import ClassMap, LaneLine, LineColor, LineType
from camera_perception.lanes.image_lines import (
    assign_positions,
    boundary,
    inside_image,
    left_to_right,
    line_color,
    line_type,
    resample,
    road_from_drivable,
    u_at,
)

SIZE = (720, 1280)


def straight(u_bottom, slope, near=720, far=400, points=20):
    """u = u_bottom + slope (720 - v), near to far."""
    v = np.linspace(near, far, points)
    return LaneLine(np.column_stack((u_bottom + slope * (720 - v), v)).astype(np.float32), 0.9)


@pytest.mark.parametrize("kind", list(LineType))
def test_line_types_are_found_by_name(kind):
    assert line_type(kind.name.lower()) is kind


@pytest.mark.parametrize("color", list(LineColor))
def test_line_colors_are_found_by_name(color):
    assert line_color(color.name.lower()) is color


def test_invalid_names_are_unknown():
    assert (line_type("wavy"), line_color("")) == (LineType.UNKNOWN, LineColor.UNKNOWN)


@pytest.mark.parametrize("v", [720, 600, 401.5, 400, 300, 719])
def test_a_straight_line_is_extrapolated_beyond_its_ends(v):
    assert u_at(straight(300, 0.8, near=650), v) == pytest.approx(300 + 0.8 * (720 - v), abs=1e-2)


def test_a_curve_is_extrapolated_in_the_direction_of_its_end():
    v = np.linspace(650, 400, 60)
    curve = LaneLine(np.column_stack((640 + 0.001 * (700 - v) ** 2, v)).astype(np.float32), 0.9)
    assert u_at(curve, 700) == pytest.approx(640, abs=5)


@pytest.mark.parametrize("points", [1, 2])
def test_very_short_lines_have_a_crossing(points):
    line = LaneLine(np.array([[100, 700], [110, 690]], np.float32)[:points], 0.9)
    assert u_at(line, 720) == pytest.approx(100 if points == 1 else 80, abs=1e-3)


def test_resampling_spaces_points_evenly_and_keeps_the_ends():
    line = straight(300, 0.75)
    ragged = LaneLine(line.points[[0, 1, 2, 10, 19]], 0.9)
    points = resample(ragged, 11).points
    steps = np.hypot(*np.diff(points, axis=0).T)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-3)
    np.testing.assert_allclose(points[[0, -1]], line.points[[0, -1]])
    np.testing.assert_allclose(points[:, 0], 300 + 0.75 * (720 - points[:, 1]), atol=1e-2)


def test_lines_are_ordered_where_they_cross_the_bottom_not_where_they_end():
    left, right, crossing = straight(200, 1.0), straight(1000, -1.0), straight(600, 1.9)
    assert left_to_right([right, crossing, left]) == (left, crossing, right)
    assert left_to_right([]) == ()


@pytest.mark.parametrize(
    ("bottoms", "expected"),
    [
        ([], []),
        ([300], [-1]),
        ([900], [1]),
        ([1100, 300, -200, 900], [-2, -1, 1, 2]),
        ([700, 900, 1100], [1, 2, 3]),
        ([-500, 100, 300, 1500], [-3, -2, -1, 1]),
    ],
)
def test_positions_count_outwards_from_the_centre(bottoms, expected):
    lines = assign_positions([straight(bottom, (640 - bottom) / 400) for bottom in bottoms], SIZE)
    assert [line.position for line in lines] == expected
    assert [u_at(line, 720) for line in lines] == pytest.approx(sorted(bottoms), abs=1)


def test_points_outside_the_image_and_nan_are_dropped():
    points = np.array([[-1, 5], [0, 0], [1280, 720], [1281, 5], [np.nan, 5], [5, np.inf]])
    np.testing.assert_array_equal(inside_image(points, SIZE), [False, True, True, False, False, False])
    assert inside_image(np.zeros((0, 2)), SIZE).shape == (0,)


def slow_boundary(cells, size):
    """Column by column, from the bottom up."""
    rows, columns = cells.shape
    out = []
    for column in range(columns):
        row = rows
        while row > 0 and cells[row - 1, column]:
            row -= 1
        out.append(((column + 0.5) * size[1] / columns, row * size[0] / rows))
    return np.array(out)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.9, 1.0])
def test_the_boundary_is_the_lowest_cell_that_is_not_road(fraction):
    cells = np.random.default_rng(1).random((90, 40)) < fraction
    np.testing.assert_allclose(boundary(cells, SIZE, columns=64), slow_boundary(cells, SIZE), rtol=1e-6)


def test_the_boundary_has_the_requested_number_of_points():
    cells = np.ones((90, 160), bool)
    cells[:30] = False
    points = boundary(cells, SIZE, columns=16)
    np.testing.assert_allclose(points[:, 1], 240)
    np.testing.assert_allclose(np.diff(points[:, 0]), 80)


def test_every_class_except_background_is_road():
    ids = np.zeros((90, 160), np.uint8)
    ids[45:, :80], ids[45:, 80:] = 1, 2
    drivable = ClassMap(ids, ("background", "road", "alternative"), np.zeros((3, 3), np.uint8))
    road = road_from_drivable(drivable, SIZE)
    assert road.coverage == pytest.approx(0.5)
    np.testing.assert_allclose(road.boundary[:, 1], 360)
    assert road.polygon.shape == (0, 2)
    assert np.isnan(road.free_distance_ahead)
