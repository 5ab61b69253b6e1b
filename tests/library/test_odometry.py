"""Ego motion between two images, from poses at other times."""

from __future__ import annotations

import math

import pytest

from camera_perception.geometry.odometry import Odometry, wrap_angle, yaw_from_quaternion

SECOND = 1_000_000_000


def drive(*poses: tuple[float, float, float, float]) -> Odometry:
    odometry = Odometry()
    for seconds, x, y, yaw in poses:
        odometry.add(round(seconds * SECOND), x, y, yaw)
    return odometry


def test_without_poses_there_is_no_motion():
    assert Odometry().between(0, SECOND) is None


@pytest.mark.parametrize("heading", [0.0, 1.0, math.pi, -2.5])
def test_driving_straight_is_motion_in_x_for_any_heading(heading):
    end = (2 * math.cos(heading), 2 * math.sin(heading))
    motion = drive((0.0, 0.0, 0.0, heading), (0.2, *end, heading)).between(0, SECOND // 5)
    assert motion is not None
    assert (motion.x, motion.y, motion.yaw) == pytest.approx((2.0, 0.0, 0.0), abs=1e-12)


def test_poses_are_interpolated_and_briefly_extrapolated():
    odometry = drive((0.0, 0.0, 0.0, 0.0), (0.1, 1.0, 0.0, 0.2))
    assert odometry.between(0, SECOND // 20).x == pytest.approx(0.5)
    assert odometry.between(0, SECOND // 20).yaw == pytest.approx(0.1)
    assert odometry.between(SECOND // 10, SECOND // 5).yaw == pytest.approx(0.2)


def test_yaw_wraps_at_pi():
    motion = drive((0.0, 0.0, 0.0, math.pi - 0.05), (0.1, 0.0, 0.0, -math.pi + 0.05)).between(0, SECOND // 10)
    assert motion.yaw == pytest.approx(0.1)
    assert wrap_angle(3 * math.pi / 2) == pytest.approx(-math.pi / 2)


def test_there_is_no_motion_before_the_first_pose_or_across_a_gap():
    odometry = drive((1.0, 0.0, 0.0, 0.0), (1.1, 1.0, 0.0, 0.0), (3.0, 9.0, 0.0, 0.0))
    assert odometry.between(SECOND // 2, round(1.05 * SECOND)) is None
    assert odometry.between(round(1.05 * SECOND), 2 * SECOND) is None


def test_a_stamp_that_goes_backwards_clears_the_buffer():
    odometry = drive((5.0, 0.0, 0.0, 0.0), (5.1, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
    assert odometry.between(5 * SECOND, round(5.1 * SECOND)) is None


@pytest.mark.parametrize("yaw", [0.0, 0.7, -3.0])
def test_yaw_of_a_quaternion(yaw):
    assert yaw_from_quaternion(0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)) == pytest.approx(yaw)


@pytest.mark.parametrize("leap", [1000.0, -30.0])
def test_a_localisation_jump_is_not_motion(leap):
    """Nothing is moved by the kilometre between two origins; after it the poses count again."""
    odometry = drive((0.0, 0.0, 0.0, 0.0), (0.1, 3.0, 0.0, 0.0), (0.2, leap, 0.0, 0.0))
    assert odometry.between(0, SECOND // 5) is None
    odometry.add(round(0.3 * SECOND), leap + 3.0, 0.0, 0.0)
    assert odometry.between(SECOND // 5, round(0.3 * SECOND)).x == pytest.approx(3.0)


def test_a_correction_of_less_than_a_metre_is_accepted():
    odometry = drive((0.0, 0.0, 0.0, 0.0), (0.01, 0.9, 0.0, 0.0))
    assert odometry.between(0, SECOND // 100).x == pytest.approx(0.9)


def test_poses_with_nan_are_ignored():
    odometry = drive((0.0, 0.0, 0.0, 0.0), (0.1, math.nan, 0.0, 0.0), (0.2, 2.0, 0.0, yaw_from_quaternion(0, 0, 0, 0)))
    odometry.add(round(0.3 * SECOND), 3.0, 0.0, 0.0)
    assert odometry.between(0, round(0.3 * SECOND)).x == pytest.approx(3.0)
