"""Lane lines on the road: fit, sigma, positions and tracking, on lines with known equations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camera_perception.core.types import EgoMotion, GroundLine, LaneLine, LineColor, LineType
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.lanes.filter import moved_cubic
from camera_perception.lanes.fit import ground_line, locate_lanes
from camera_perception.lanes.roles import ego_lane, with_roles
from camera_perception.lanes.tracker import LaneTracker

K = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
CAMERA = Camera(1280, 720, K, np.zeros(0), base_from_camera=optical_from_rpy((1.5, 0.0, 1.4), (0.0, 0.02, 0.0)))
STEP = 50_000_000
BEND = (1.75, -0.02, 1e-3, 2e-6)


def in_image(poly: tuple[float, ...], noise: float = 0.0, rng: np.random.Generator | None = None, **more) -> LaneLine:
    """A line y = c0 + c1 x + ... as the camera sees it, from 6 to 60 m."""
    x = np.geomspace(6, 60, 40)
    y = np.polynomial.polynomial.polyval(x, poly)
    pixels = CAMERA.pixels_from_base(np.c_[x, y, np.zeros(40)])
    if rng is not None:
        pixels[:, 0] += rng.normal(0, noise, 40)
    return LaneLine(pixels.astype(np.float32), 0.9, **more)


def on_road(*polys: tuple[float, ...], positions: tuple[int, ...] | None = None, x_min: float = 5.0) -> list[LaneLine]:
    x = np.linspace(x_min, 50, 20)
    lines = []
    for number, poly in enumerate(polys):
        c = np.zeros(4)
        c[: len(poly)] = poly
        points = np.c_[x, np.polynomial.polynomial.polyval(x, c)].astype(np.float32)
        ground = GroundLine(points, np.full(20, 0.1, np.float32), c.astype(np.float32), x_min, 50.0)
        lines.append(LaneLine(points, 0.9, position=positions[number] if positions else 0, ground=ground))
    return lines


def test_a_curve_is_fitted_exactly():
    ground = ground_line(in_image(BEND).points, CAMERA)
    np.testing.assert_allclose(ground.points[:, 0], np.geomspace(6, 60, 40)[: len(ground.points)], rtol=1e-3)
    x = np.array([6.0, 15, 30, 40])
    np.testing.assert_allclose(
        np.polynomial.polynomial.polyval(x, ground.poly), np.polynomial.polynomial.polyval(x, BEND), atol=0.05
    )
    assert ground.y_std[-1] > 2 * ground.y_std[0] > 0.05


def test_an_outlier_does_not_bend_the_line():
    line = in_image(BEND)
    line.points[20, 0] += 60
    ground = ground_line(line.points, CAMERA)
    assert np.polynomial.polynomial.polyval(20.0, ground.poly) == pytest.approx(
        np.polynomial.polynomial.polyval(20.0, BEND), abs=0.08
    )


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 2)),
        [[640, 700], [650, 690], [660, 680]],
        [[640 + i, 200 - i] for i in range(20)],  # over the horizon
        [[np.nan, np.nan]] * 20,
    ],
)
def test_too_few_points_on_the_road_give_no_ground_line(points):
    assert ground_line(np.array(points, np.float32).reshape(-1, 2), CAMERA) is None


def test_the_sigma_of_points_covers_their_error():
    rng, inside = np.random.default_rng(2), []
    for _ in range(60):
        ground = ground_line(in_image(BEND, 2.0, rng).points, CAMERA)
        truth = np.polynomial.polynomial.polyval(ground.points[:, 0].astype(float), BEND)
        inside.append(np.abs(ground.points[:, 1] - truth) < 2 * ground.y_std)
    assert np.mean(np.concatenate(inside)) > 0.93


@pytest.mark.parametrize(
    ("lateral", "given", "expected"),
    [
        ((1.8, -1.7), (0, 0), (-1, 1)),
        ((5.3, 1.8, -1.7, -5.2), (0, 0, 0, 0), (-2, -1, 1, 2)),
        ((5.3, -1.7), (0, 0), (-2, 1)),  # the left line of the ego lane is missing
        ((1.8, -1.7, -8.7), (0, 0, 0), (-1, 1, 3)),  # a line in between is missing
        ((1.8, -1.7), (1, -1), (-1, 1)),  # a network that swapped them
        ((4.4, -1.7), (-1, 1), (-1, 1)),  # a wide lane: the network may say so
        ((0.4, -3.1), (-1, 1), (-1, 1)),  # close to the left line
        ((-0.4, -3.9), (-1, 1), (1, 2)),  # over it: the lane beside is the own one now
        ((1e20, 1.8, -400.0), (0, 0, 0), (0, -1, 0)),  # a foreign frame: 127 is the last that a message can say
        ((np.inf, -1.7), (0, 0), (0, 1)),
        ((np.nan, -1.7), (0, 0), (0, 1)),
    ],
)
def test_positions_follow_from_lateral_distance(lateral, given, expected):
    lines = on_road(*[(y,) for y in lateral], positions=given)
    assert tuple(line.position for line in with_roles(lines)) == expected


def test_without_ground_the_networks_positions_are_kept():
    lines = [replace(line, ground=None) for line in on_road((1.8,), (-1.7,), positions=(-2, 3))]
    assert tuple(line.position for line in with_roles(lines)) == (-2, 3)


def test_the_ego_lane_matches_values_computed_by_hand():
    """Lane 3.6 m wide, its middle 0.3 m to the left; it runs 0.05 rad to the right, bending left with 500 m."""
    left, right = (2.1, -0.05, 1e-3), (-1.5, -0.05, 1e-3)
    lane = ego_lane(on_road(left, right, positions=(-1, 1), x_min=0.0))
    assert lane.offset == pytest.approx(-0.3, abs=1e-3)
    assert lane.heading == pytest.approx(0.05, abs=1e-3)
    assert lane.curvature == pytest.approx(1 / 500, rel=0.02)
    assert (lane.width, lane.margin_left, lane.margin_right) == pytest.approx((3.6, 1.15, 0.55), abs=1e-3)


def test_one_line_suffices_with_the_assumed_width_and_the_other_margin_is_unknown():
    lane = ego_lane(on_road((2.0,), positions=(-1,)), lane_width=3.6)
    assert lane.offset == pytest.approx(-0.2, abs=1e-3)
    assert np.isnan(lane.width)
    assert np.isnan(lane.margin_right)
    assert ego_lane([]) is None


def test_the_line_along_the_car_dominates_the_heading_when_lines_disagree():
    """A right line of few points that seems to turn away by 5 degrees; the left one runs ahead."""
    left, right = on_road((1.8, 0.0), (-1.8, -np.tan(np.radians(5.0))), positions=(-1, 1), x_min=0.0)
    assert abs(np.degrees(ego_lane([left, right]).heading)) < 0.3
    both = on_road((1.8, -0.05), (-1.8, -0.05), positions=(-1, 1), x_min=0.0)
    assert np.tan(ego_lane(both).heading) == pytest.approx(0.05)
    assert ego_lane(on_road((2.0,), positions=(-1,), x_min=30.0)) is None


def test_ids_survive_a_lane_change():
    tracker, found = LaneTracker(), []
    for i in range(60):
        shift = -3.5 * i / 59
        lines = on_road((1.75 + shift,), (-1.75 + shift,), (5.25 + shift,))
        found.append(tracker.update(lines, i * STEP))
    assert {tuple(line.lane_id for line in each) for each in found} == {(1, 2, 3)}
    assert [line.position for line in found[0]] == [-1, 1, -2]
    assert [line.position for line in found[-1]] == [1, 2, -1]


def test_a_line_in_the_image_alone_keeps_its_id():
    tracker = LaneTracker()
    ids = []
    for i in range(5):
        line = in_image((1.75, 0.01 * i, 0.0, 0.0))
        other = in_image((-1.75, 0.01 * i, 0.0, 0.0))
        ids.append([each.lane_id for each in tracker.update((line, other), i * STEP)])
    assert ids == [[1, 2]] * 5


def test_tracking_reduces_jitter():
    rng, tracker, raw, calm = np.random.default_rng(7), LaneTracker(), [], []
    for i in range(60):
        trembling = in_image(BEND, 1.0, rng)
        trembling.points[:, 0] += rng.normal(0, 3.0)  # all points err together
        (line,) = locate_lanes((trembling,), CAMERA)
        (found,) = tracker.update((line,), i * STEP)
        at = np.power(25.0, np.arange(4))
        raw.append(line.ground.poly @ at)
        calm.append(found.ground.poly @ at)
    truth = np.polynomial.polynomial.polyval(25.0, BEND)
    assert np.std(calm[20:]) < 0.85 * np.std(raw[20:])
    assert np.mean(calm[20:]) == pytest.approx(truth, abs=0.1)


def test_type_and_colour_are_decided_by_vote():
    tracker = LaneTracker()
    kinds = [LineType.DASHED] * 5 + [LineType.SOLID] + [LineType.DASHED] * 2
    for i, kind in enumerate(kinds):
        line = in_image(BEND, line_type=kind, type_score=0.8, color=LineColor.WHITE, color_score=0.7)
        (found,) = tracker.update((line,), i * STEP)
        assert found.line_type == LineType.DASHED
        assert found.color == LineColor.WHITE
    assert 0.4 < found.type_score < 0.8


def test_a_clock_jump_gives_new_ids():
    tracker = LaneTracker()
    ids = [tracker.update((in_image(BEND),), stamp)[0].lane_id for stamp in (0, STEP, -STEP, 100 * STEP)]
    assert ids == [1, 1, 2, 3]


def test_a_line_transformed_by_ego_motion_is_the_same_line():
    moved = moved_cubic(np.array([1.0, 0.1, 0.0, 0.0]), EgoMotion(10.0, 0.0, np.arctan(0.1)))
    # Parallel to the car now, at the distance of the point (10, 0) from it.
    np.testing.assert_allclose(moved, [2.0 * np.cos(np.arctan(0.1)), 0.0, 0.0, 0.0], atol=1e-6)
