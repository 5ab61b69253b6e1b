"""Fusion of cameras: one time, one object, one id, on scenes with known ground truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camera_perception.core.types import EgoMotion, GroundLine, LaneLine, PositionMethod
from camera_perception.fusion.free_space import merge_polygons
from camera_perception.fusion.lanes import LaneFuser
from camera_perception.fusion.objects import ObjectFuser, intersection
from camera_perception.fusion.types import AGE, CameraView
from camera_perception.geometry.odometry import Odometry

MS = 1_000_000
NOW = 10_000 * MS


def view(
    *positions: tuple[float, float], stamp: int = NOW, ids=None, names="car", speed=(np.nan, np.nan), **more
) -> CameraView:
    n = len(positions)
    kinds = (names,) * n if isinstance(names, str) else tuple(names)
    values = {
        "scores": np.full(n, 0.8),
        "track_ids": np.arange(1, n + 1) if ids is None else np.array(ids),
        "positions": np.array(positions, float).reshape(n, 2),
        "position_covs": np.tile(np.eye(2) * 0.25, (n, 1, 1)),
        "velocities": np.tile(np.array(speed, float), (n, 1)),
        "velocity_covs": np.tile(np.eye(2) * (0.1 if np.isfinite(speed[0]) else np.nan), (n, 1, 1)),
        "over_ground": False,
        "methods": np.full(n, PositionMethod.GROUND_PLANE),
        "ground_widths": np.full(n, np.nan),
        "coasted": np.zeros(n, bool),
    }
    return CameraView(stamp, kinds, **{**values, **more})


def test_no_camera_gives_no_objects():
    assert len(ObjectFuser(2).update({}, NOW)) == 0


def test_detections_of_two_cameras_at_one_position_merge_and_objects_are_sorted_by_distance():
    found = ObjectFuser(2).update({0: view((30, 2), (5, -3)), 1: view((30.4, 2.2), ids=[9])}, NOW)
    assert found.positions.round().tolist() == [[5, -3], [30, 2]]
    assert found.camera_ids.tolist() == [[2, 0], [1, 9]]
    assert found.rows.tolist() == [[1, -1], [0, 0]]
    assert len(set(found.track_ids.tolist())) == 2


@pytest.mark.parametrize(
    ("position", "class_name", "count"),
    [((30.4, 2.2), "truck", 1), ((30.4, 2.2), "pedestrian", 2), ((38.0, 2.0), "car", 2)],
)
def test_only_close_objects_of_compatible_class_merge(position, class_name, count):
    assert len(ObjectFuser(2).update({0: view((30, 2)), 1: view(position, names=class_name)}, NOW)) == count


def test_intersection_of_correlated_estimates_is_never_more_certain_than_the_better_one():
    mean, cov = intersection(np.zeros((1, 2)), np.eye(2)[None], np.array([[2.0, 0]]), np.eye(2)[None])
    np.testing.assert_allclose(mean, [[1.0, 0.0]])  # equal sigmas: the centre
    np.testing.assert_allclose(cov[0], np.eye(2) * 1.01, atol=1e-9)
    _, long_and_wide = intersection(
        np.zeros((1, 2)), np.diag([9.0, 0.1])[None], np.zeros((1, 2)), np.diag([0.1, 9.0])[None]
    )
    assert np.diag(long_and_wide[0]).max() < 0.5  # crossing views see more than either


def test_all_objects_are_predicted_to_one_time():
    late = view((20, 0), stamp=NOW - 200 * MS, speed=(-10.0, 0.0))
    found = ObjectFuser(1).update({0: late}, NOW)
    np.testing.assert_allclose(found.positions, [[18.0, 0.0]])
    assert found.position_covs[0, 0, 0] > 0.25


def test_a_stationary_object_approaches_with_ego_motion():
    odometry = Odometry()
    for i in range(11):
        odometry.add(NOW - 500 * MS + i * 50 * MS, 0.5 * i, 0.0, 0.0)  # 10 m/s
    late = view((20, 1), stamp=NOW - 200 * MS, speed=(0.0, 0.0), over_ground=True)
    found = ObjectFuser(1).update({0: late}, NOW, odometry.between)
    np.testing.assert_allclose(found.positions, [[18.0, 1.0]])


def test_prediction_matches_matrix_algebra():
    """Each camera has its own age and its own ego rotation; positions, velocities and covariances by hand."""
    odometry, rng = Odometry(), np.random.default_rng(4)
    for i in range(11):
        odometry.add(NOW - 500 * MS + i * 50 * MS, 0.4 * i, 0.02 * i * i, 0.05 * i)
    roots = rng.normal(size=(2, 2, 2))
    covs = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(2)
    for age, position, speed in ((40, (20.0, 4.0), (3.0, -1.0)), (180, (-9.0, 2.0), (0.0, 7.0))):
        one = view(position, stamp=NOW - age * MS, speed=speed, over_ground=True)
        one = replace(one, position_covs=covs[:1], velocity_covs=covs[1:])
        other = view((60, -30), stamp=NOW)  # it must not matter
        found = ObjectFuser(2).update({0: one, 1: other}, NOW, odometry.between)
        motion, t = odometry.between(NOW - age * MS, NOW), age / 1000
        c, s = np.cos(motion.yaw), np.sin(motion.yaw)
        turn = np.array([[c, s], [-s, c]])
        moved = turn @ (np.array(position) + t * np.array(speed) - (motion.x, motion.y))
        np.testing.assert_allclose(found.positions[0], moved, atol=1e-9)
        np.testing.assert_allclose(found.velocities[0], turn @ speed, atol=1e-9)
        grown = covs[0] + t**2 * covs[1] + (3.0 * t**2 / 2) ** 2 * np.eye(2)
        np.testing.assert_allclose(found.position_covs[0], turn @ grown @ turn.T, atol=1e-9)
        faster = covs[1] + (3.0 * t) ** 2 * np.eye(2)
        np.testing.assert_allclose(found.velocity_covs[0], turn @ faster @ turn.T, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_intersection_picks_the_best_weight(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 3, (2, 2))
    roots = rng.normal(size=(2, 2, 2)) * rng.uniform(0.2, 3, (2, 1, 1))
    a_cov, b_cov = roots @ roots.transpose(0, 2, 1)
    infos = [np.linalg.inv(cov + 0.01 * np.eye(2)) for cov in (a_cov, b_cov)]
    tried = []
    for weight in np.linspace(0.05, 0.95, 7):
        cov = np.linalg.inv(weight * infos[0] + (1 - weight) * infos[1])
        mean = cov @ (weight * infos[0] @ a + (1 - weight) * infos[1] @ b)
        tried.append((np.trace(cov) * (1 + 0.01 * abs(weight - 0.5)), mean, cov))
    _, mean, cov = min(tried, key=lambda each: each[0])
    found = intersection(a[None], a_cov[None], b[None], b_cov[None])
    np.testing.assert_allclose(found[0][0], mean, atol=1e-8)
    np.testing.assert_allclose(found[1][0], cov, atol=1e-8)


def test_an_object_keeps_its_id_across_cameras():
    """It passes the car on the left: detected ahead, for some frames by both cameras, and finally behind."""
    fuser, ids, rng = ObjectFuser(2), set(), np.random.default_rng(1)
    for i in range(100):
        x, stamp = 25 - 0.5 * i, NOW + i * 50 * MS
        position, views = (x, 3.5), {}
        if x > -1:
            views[0] = view(tuple(position + rng.normal(0, 0.3, 2)), stamp=stamp, ids=[4], speed=(-10, 0))
        if x < 1:
            views[1] = view(tuple(position + rng.normal(0, 0.3, 2)), stamp=stamp - 20 * MS, ids=[77], speed=(-10, 0))
        found = fuser.update(views, stamp)
        assert len(found) == 1
        ids.add(int(found.track_ids[0]))
    assert len(ids) == 1


def test_a_gap_between_two_cameras_is_bridged():
    fuser = ObjectFuser(2)
    found = []
    for i in range(60):
        x, stamp = 15 - 0.5 * i, NOW + i * 50 * MS
        views = (
            {0: view((x, 3), stamp=stamp, speed=(-10, 0))}
            if x > 2
            else {1: view((x, 3), stamp=stamp)}
            if x < -2
            else {}
        )
        found.append(fuser.update(views, stamp))
    assert {int(each.track_ids[0]) for each in found if len(each)} == {1}
    assert [bool(each.coasted[0]) for each in found if len(each)].count(True) == 9


def test_two_cars_side_by_side_do_not_swap():
    fuser, ids = ObjectFuser(2), []
    for i in range(40):
        stamp = NOW + i * 50 * MS
        a, b = (20 - 0.4 * i, 3.0), (20 - 0.4 * i, 6.5)
        views = {
            0: view(a, b, stamp=stamp, ids=[1, 2], speed=(-8, 0)),
            1: view(b, a, stamp=stamp, ids=[5, 6], speed=(-8, 0)),
        }
        found = fuser.update(views, stamp)
        ids.append(tuple(int(found.track_ids[row]) for row in np.argsort(found.positions[:, 1])))
    assert set(ids) == {(1, 2)}


def test_a_clock_jump_resets_with_new_ids():
    fuser = ObjectFuser(1)
    first = fuser.update({0: view((20, 0))}, NOW)
    again = fuser.update({0: view((20, 0), stamp=NOW - 5000 * MS)}, NOW - 5000 * MS)
    assert (first.track_ids[0], again.track_ids[0], again.counts[0, AGE]) == (1, 2, 1)


def test_objects_without_position_are_dropped():
    assert len(ObjectFuser(1).update({0: view((np.nan, 0), (20, 0))}, NOW)) == 1


@pytest.mark.parametrize("cameras", [1, 8])
def test_any_number_of_cameras(cameras):
    views = {number: view((20 + 0.1 * number, 0), ids=[number + 1]) for number in range(cameras)}
    found = ObjectFuser(cameras).update(views, NOW)
    assert found.camera_ids.tolist() == [list(range(1, cameras + 1))]


def line(*poly: float, start: float = 5.0, end: float = 50.0, number: int = 1, score: float = 0.8) -> LaneLine:
    x, c = np.linspace(start, end, 20), np.zeros(4, np.float32)
    c[: len(poly)] = poly
    points = np.c_[x, np.polynomial.polynomial.polyval(x, c)].astype(np.float32)
    ground = GroundLine(points, np.full(20, 0.1, np.float32), c, start, end)
    return LaneLine(np.zeros((0, 2), np.float32), score, lane_id=number, ground=ground)


def test_a_line_detected_by_front_and_rear_cameras_is_one_line():
    fuser = LaneFuser()
    views = {
        0: view(lanes=(line(1.75, 0.01), line(-1.75, 0.01, number=2))),
        1: view(lanes=(line(1.75, 0.01, start=-30, end=-4, number=7),)),
    }
    found = fuser.update(views, NOW)
    assert [each.lane_id for each in found] == [1, 2]
    assert (found[0].ground.x_min, found[0].ground.x_max) == (-30.0, 50.0)
    np.testing.assert_allclose(found[0].ground.poly, [1.75, 0.01, 0, 0], atol=5e-3)
    assert [each.position for each in found] == [-1, 1]
    only_rear = fuser.update(
        {1: view(lanes=(line(1.7, start=-30, end=-4, number=7),), stamp=NOW + 50 * MS)}, NOW + 50 * MS
    )
    assert [each.lane_id for each in only_rear] == [1]


def test_a_line_with_nan_is_dropped_and_does_not_affect_others():
    views = {0: view(lanes=(line(1.75), line(np.nan, number=2))), 1: view(lanes=(line(1.8, start=-30, end=-4),))}
    found = LaneFuser().update(views, NOW)
    assert len(found) == 1
    assert np.isfinite(found[0].ground.poly).all()


def with_sigma(line: LaneLine, y_std: float, position: int = 0) -> LaneLine:
    sigmas = np.full(len(line.ground.points), y_std, np.float32)
    return replace(line, position=position, ground=replace(line.ground, y_std=sigmas))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_observations_of_one_line_are_weighted_by_their_sigmas(order):
    """0.3 m apart, of 0.1 and 0.2 m: (100 * 1.75 + 25 * 2.05) / 125."""
    views = dict(zip(order, (view(lanes=(with_sigma(line(1.75), 0.1),)), view(lanes=(with_sigma(line(2.05), 0.2),)))))
    (found,) = LaneFuser().update(views, NOW)
    np.testing.assert_allclose(found.ground.poly, [1.81, 0, 0, 0], atol=2e-3)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_older_observation_has_less_weight(order):
    """Half a second adds 0.5 * (0.3^2 + (0.02 * 3)^2) = 0.0468 m^2 at 3 m to 0.01: weights 100 and 17.6."""
    near = {"start": 2.0, "end": 4.0}
    new, old = view(lanes=(line(1.75, **near),)), view(lanes=(line(2.05, **near),), stamp=NOW - 500 * MS)
    (found,) = LaneFuser().update(dict(zip(order, (new, old))), NOW)
    there = np.polynomial.polynomial.polyval(3.0, found.ground.poly)
    assert there == pytest.approx((100 * 1.75 + 17.6 * 2.05) / 117.6, abs=3e-3)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(("wrong", "y_std"), [(2.45, 0.1), (0.9, 0.2), (1.2, 0.1), (3.2, 0.3)])
def test_the_most_certain_of_inconsistent_lines_is_used(order, wrong, y_std):
    """Further apart than three sigmas of both; a middle would be where neither sees a line."""
    good, bad = with_sigma(line(1.75, number=4), 0.05, -1), with_sigma(line(wrong, number=9, score=0.9), y_std, -1)
    (found,) = LaneFuser().update(dict(zip(order, (view(lanes=(good,)), view(lanes=(bad,))))), NOW)
    np.testing.assert_allclose(found.ground.poly, [1.75, 0, 0, 0], atol=2e-3)


def test_certainty_is_compared_far_enough_ahead():
    """Near the car both are as sure; 20 m ahead the short one would be guessing."""
    short, far = with_sigma(line(1.2, end=8.0), 0.1, -1), with_sigma(line(1.75), 0.1, -1)
    (found,) = LaneFuser().update({0: view(lanes=(short,)), 1: view(lanes=(far,))}, NOW)
    np.testing.assert_allclose(found.ground.poly, [1.75, 0, 0, 0], atol=2e-3)


def test_inconsistent_cameras_do_not_alternate():
    """Each is the newest in every other message; the line stays with the surer one."""
    good, bad = (with_sigma(line(1.75), 0.1, -1),), (with_sigma(line(2.5), 0.11, -1),)
    for ages in ((0, 100), (100, 0)):
        views = {
            camera: view(lanes=lanes, stamp=NOW - age * MS) for camera, lanes, age in zip((0, 1), (good, bad), ages)
        }
        courses = [each.ground.poly for each in LaneFuser().update(views, NOW, lambda *_: EgoMotion(0.0, 0.0, 0.0))]
        np.testing.assert_allclose(courses, [[1.75, 0, 0, 0]], atol=2e-3)


def test_lines_of_two_lanes_stay_separate():
    left, next_left = with_sigma(line(1.75), 0.1, -1), with_sigma(line(3.4), 0.1, -2)
    assert len(LaneFuser().update({0: view(lanes=(left,)), 1: view(lanes=(next_left,))}, NOW)) == 2


def test_the_ego_lane_lies_between_the_lines_of_all_cameras():
    """Left line of two cameras at 1.81 m as above, the right one of the second camera alone at 1.65 m."""
    views = {
        0: view(lanes=(with_sigma(line(1.75), 0.1, -1),)),
        1: view(lanes=(with_sigma(line(2.05), 0.2, -1), with_sigma(line(-1.65, number=2), 0.2, 1))),
    }
    fuser = LaneFuser()
    lane = fuser.ego_lane(fuser.update(views, NOW))
    expected = {"offset": -0.08, "heading": 0.0, "curvature": 0.0, "width": 3.46}
    expected |= {"margin_left": 1.81 - 0.95, "margin_right": 1.65 - 0.95}
    assert {name: getattr(lane, name) for name in expected} == pytest.approx(expected, abs=3e-3)


def test_a_lane_with_one_line_keeps_its_width():
    fuser, both = LaneFuser(), view(lanes=(with_sigma(line(1.5), 0.1, -1), with_sigma(line(-1.5, number=2), 0.1, 1)))
    for _ in range(200):
        fuser.ego_lane(fuser.update({0: both}, NOW))
    left = view(lanes=(with_sigma(line(1.5), 0.1, -1),))
    lane = fuser.ego_lane(fuser.update({0: left}, NOW))
    assert (lane.offset, lane.margin_left) == pytest.approx((0.0, 0.55), abs=2e-3)
    assert np.isnan([lane.width, lane.margin_right]).all()
    assert fuser.ego_lane(()) is None


def test_an_older_ego_lane_is_transformed_by_ego_motion():
    """10 m/s ahead and 0.2 m to the left in 100 ms: the car is left of the middle now."""
    odometry = Odometry()
    odometry.add(NOW - 100 * MS, 0.0, 0.0, 0.0)
    odometry.add(NOW, 1.0, 0.2, 0.0)
    lanes = (with_sigma(line(1.75), 0.1, -1), with_sigma(line(-1.75, number=2), 0.1, 1))
    fuser = LaneFuser()
    found = fuser.update({0: view(lanes=lanes, stamp=NOW - 100 * MS)}, NOW, odometry.between)
    assert fuser.ego_lane(found).offset == pytest.approx(0.2, abs=1e-3)


def test_odometry_interpolates_rotation():
    odometry = Odometry()
    odometry.add(0, 0.0, 0.0, np.pi / 2)
    odometry.add(100 * MS, 0.0, 2.0, np.pi)
    half = odometry.between(0, 50 * MS)
    assert (half.x, half.y, half.yaw) == pytest.approx((1.0, 0.0, np.pi / 4), abs=1e-9)
    back = odometry.between(100 * MS, 0)
    assert (back.x, back.y, back.yaw) == pytest.approx((0.0, 2.0, -np.pi / 2), abs=1e-9)
    assert odometry.between(0, 5000 * MS) is None
    odometry.add(-9000 * MS, 0.0, 0.0, 0.0)  # a bag that started over
    assert odometry.between(0, 50 * MS) is None


def test_two_free_roads_merge():
    front = np.array([[0, -5], [20, -5], [20, 5], [0, 5]], np.float32)
    rear = front - (15, 0)
    whole = merge_polygons([front, rear])
    assert (whole[:, 0].min(), whole[:, 0].max()) == pytest.approx((-15, 20), abs=1.0)
    assert len(merge_polygons([])) == 0
    assert merge_polygons([front]) is front


def test_a_path_too_narrow_for_a_car_is_removed_from_the_merged_road():
    front = np.array([[0, -5], [20, -5], [20, 0], [40, 0], [20, 0.4], [20, 5], [0, 5]], np.float32)
    rear = np.array([[-15, -5], [5, -5], [5, 5], [-15, 5]], np.float32)
    assert merge_polygons([front, rear])[:, 0].max() == pytest.approx(20, abs=1.0)


@pytest.mark.parametrize("turn", [0.0, 0.015, 0.05])
def test_an_older_line_is_transformed_by_ego_motion(turn):
    """The car drives 2 m on, 0.1 m to the left, and turns: each point of the line is then where paper says."""
    odometry = Odometry()
    odometry.add(NOW - 100 * MS, 0.0, 0.0, 0.0)
    odometry.add(NOW, 2.0, 0.1, turn)
    bend = line(1.75, 0.02, 4e-4)
    found = LaneFuser().update({0: view(lanes=(bend,), stamp=NOW - 100 * MS)}, NOW, odometry.between)[0].ground
    away = bend.ground.points - (2.0, 0.1)
    turned = away @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    np.testing.assert_allclose(found.points, turned, atol=1e-4)
    np.testing.assert_allclose(np.polynomial.polynomial.polyval(turned[:, 0], found.poly), turned[:, 1], atol=0.012)
