"""Occupancy grid from hand-made polygons and footprints."""

from __future__ import annotations

import numpy as np
import pytest

from camera_perception.fusion.free_space import FREE, OCCUPIED, UNKNOWN, Grid, merge_polygons, occupancy
from camera_perception.objects.footprint import CAR, center_from_contact, footprint, heading_of

STANDING = np.full(2, np.nan)
SQUARE = np.array([[0, -5], [20, -5], [20, 5], [0, 5]], float)


def at(grid: Grid, x: float, y: float) -> int:
    """The cell that contains a point, by the definition of nav_msgs/OccupancyGrid."""
    column, row = (int((value - start) // grid.resolution) for value, start in zip((x, y), grid.origin))
    return int(grid.cells[row, column])


def test_an_empty_grid_is_unknown():
    grid = occupancy([], [])
    assert grid.cells.shape == (120, 200)  # 60 m across, 100 m along
    assert (grid.cells == UNKNOWN).all()


def test_cells_are_free_occupied_or_unknown():
    grid = occupancy([SQUARE], [footprint(np.array([10.0, 0.0]), "car", STANDING)])
    points = {(10.3, 0.3): OCCUPIED, (14.3, 0.3): OCCUPIED, (15.3, 0.3): FREE, (9.2, 0.3): FREE, (12.3, 1.8): FREE}
    points |= {(15.3, 9.0): UNKNOWN, (-3.0, 0.0): UNKNOWN}
    assert {point: at(grid, *point) for point in points} == points


def test_the_fraction_of_occupied_cells_is_the_area_of_the_objects():
    grid = occupancy([], [footprint(np.array([20.0, 10.0]), "bus", STANDING)], resolution=0.1)
    assert (grid.cells == OCCUPIED).sum() * 0.01 == pytest.approx(11.0 * 2.6, rel=0.1)


@pytest.mark.parametrize("point", [(1e6, 0.0), (-60.0, 3.0)])
def test_objects_outside_the_grid_change_nothing(point):
    assert (occupancy([], [footprint(np.array(point), "car", STANDING)]).cells == UNKNOWN).all()


@pytest.mark.parametrize(
    ("position", "velocity", "middle"),
    [
        ((10.0, 0.0), (np.nan, np.nan), (12.25, 0.0)),  # ahead: half its length behind the contact
        ((10.0, 0.0), (0.0, 8.0), (10.925, 0.0)),  # it crosses: half its width
        ((0.0, 5.0), (np.nan, np.nan), (0.0, 5.925)),  # beside us: half its width
    ],
)
def test_a_body_extends_behind_its_contact_point(position, velocity, middle):
    found = center_from_contact(np.array(position), CAR[:2], heading_of(np.array(velocity)))
    np.testing.assert_allclose(found, middle, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_road_with_nan_corners_frees_nothing(value):
    broken = SQUARE.copy()
    broken[1] = value
    assert (occupancy([broken], []).cells == UNKNOWN).all()
    assert merge_polygons([SQUARE, broken]) is SQUARE
    assert len(merge_polygons([broken])) == 0
