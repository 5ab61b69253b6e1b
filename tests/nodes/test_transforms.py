"""TF without tf2_ros: the camera's pose from the topics; without TF messages the log says what to do."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from driving import camera_info
from geometry_msgs.msg import TransformStamped

from camera_perception.core.types import Status
from camera_perception.geometry.camera import optical_from_rpy
from camera_perception.geometry.transforms import MAX_MOVING_TRANSFORMS
from camera_perception_ros.camera.calibration import Calibration, TopicTransforms, listen
from camera_perception_ros.conversions.messages import time_from_ns
from camera_perception_ros.params.camera import CameraParams

SECOND = 1_000_000_000
OPTICAL = (-0.5, 0.5, -0.5, 0.5)  # x right, y down, z forward in a body that looks ahead
LEVEL = (0.0, 0.0, 0.0, 1.0)


class QuietNode:
    """What the listeners need of a node, without ROS."""

    def __init__(self) -> None:
        self.topics: list[str] = []
        self.logged: list[str] = []
        self.timers: list[Any] = []

    def create_subscription(self, kind: Any, topic: str, callback: Any, qos: Any) -> str:
        self.topics.append(topic)
        return topic

    def destroy_subscription(self, topic: str) -> None:
        self.topics.remove(topic)

    def create_timer(self, seconds: float, callback: Any, clock: Any) -> Any:
        self.timers.append(callback)
        return callback

    def destroy_timer(self, callback: Any) -> None:
        self.timers.remove(callback)

    def get_logger(self) -> Any:
        return SimpleNamespace(info=self.logged.append)


def tf(parent: str, child: str, xyz: tuple[float, ...], turned: tuple[float, ...], stamp_ns: int = 0) -> Any:
    """A TFMessage with one transform."""
    stamped = TransformStamped(child_frame_id=child)
    stamped.header.frame_id, stamped.header.stamp = parent, time_from_ns(stamp_ns)
    for axis, value in zip("xyz", xyz):
        setattr(stamped.transform.translation, axis, float(value))
    for axis, value in zip("xyzw", turned):
        setattr(stamped.transform.rotation, axis, float(value))
    return SimpleNamespace(transforms=[stamped])


@pytest.fixture
def without_tf2_ros(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    monkeypatch.setitem(sys.modules, "tf2_msgs", None)
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    return monkeypatch


def test_a_calibration_gets_the_camera_pose_from_the_tf_topics(without_tf2_ros):
    without_tf2_ros.setitem(sys.modules, "tf2_msgs.msg", SimpleNamespace(TFMessage=object))
    without_tf2_ros.setitem(sys.modules, "tf2_msgs", SimpleNamespace())
    node = QuietNode()
    calibration = Calibration(node, CameraParams())
    assert node.topics == ["/tf_static", "/tf"]
    calibration.on_info(camera_info())
    assert calibration.flags == Status.TF_MISSING
    calibration._transforms.on_static(tf("base_link", "front_body", (1.5, 0, 1.4), LEVEL))
    calibration._transforms.on_static(tf("front_body", "front_optical_frame", (0, 0, 0), OPTICAL))
    calibration.on_info(camera_info())
    assert calibration.flags == Status(0)
    np.testing.assert_allclose(calibration.camera.pose, optical_from_rpy((1.5, 0, 1.4), (0, 0, 0)), atol=1e-12)
    calibration.close()
    assert (node.topics, node.timers) == ([], [])


def test_tf_that_arrives_after_the_only_camera_info_is_used(without_tf2_ros):
    without_tf2_ros.setitem(sys.modules, "tf2_msgs.msg", SimpleNamespace(TFMessage=object))
    without_tf2_ros.setitem(sys.modules, "tf2_msgs", SimpleNamespace())
    node = QuietNode()
    calibration = Calibration(node, CameraParams())
    calibration.on_info(camera_info())
    node.timers[0]()
    assert (calibration.flags, calibration.camera.metric) == (Status.TF_MISSING, False)
    calibration._transforms.on_static(tf("base_link", "front_optical_frame", (1.5, 0, 1.4), OPTICAL))
    node.timers[0]()
    assert (calibration.flags, calibration.camera.metric) == (Status(0), True)


def test_a_moving_transform_is_the_latest():
    transforms = TopicTransforms(QuietNode(), object)
    for second in range(3):
        transforms.on_moving(tf("base_link", "gimbal", (second, 0, 1), LEVEL, second * SECOND))
    assert transforms.base_from("base_link", "gimbal")[0, 3] == 2


def test_without_tf_messages_the_log_says_what_to_do(without_tf2_ros):
    node = QuietNode()
    assert listen(node) is None
    assert node.topics == []
    assert ["camera_pose" in line for line in node.logged] == [True]


@pytest.fixture
def followed(without_tf2_ros):
    """A calibration 1.4 m above the road, by TF."""
    without_tf2_ros.setitem(sys.modules, "tf2_msgs.msg", SimpleNamespace(TFMessage=object))
    without_tf2_ros.setitem(sys.modules, "tf2_msgs", SimpleNamespace())
    calibration = Calibration(QuietNode(), CameraParams())
    calibration._transforms.on_static(tf("base_link", "body", (1.5, 0, 1.4), LEVEL))
    calibration._transforms.on_static(tf("body", "front_optical_frame", (0, 0, 0), OPTICAL))
    calibration.on_info(camera_info())
    return calibration


def height_and_flags(calibration: Calibration, stamp_ns: int) -> tuple[float | None, Status]:
    camera, flags = calibration.at(stamp_ns)
    return (None if camera is None or not camera.metric else round(float(camera.pose[2, 3]), 6)), flags


def test_a_mounting_published_anew_is_followed_and_flagged_once(followed):
    assert height_and_flags(followed, SECOND) == (1.4, Status(0))
    followed._transforms.on_static(tf("base_link", "body", (1.5, 0, 2.8), LEVEL))
    followed.on_info(camera_info())  # the same intrinsics: not looked at again
    assert height_and_flags(followed, 2 * SECOND) == (2.8, Status.MOUNTING_CHANGED)
    assert height_and_flags(followed, 3 * SECOND) == (2.8, Status(0))
    assert followed.at(4 * SECOND)[0] is followed.at(5 * SECOND)[0]  # nothing is rebuilt for each image


def test_a_moving_mounting_is_that_of_each_image(followed):
    for tenth in range(20):
        moving = tf("base_link", "body", (1.5, 0, 1.4 + 0.1 * tenth), LEVEL, SECOND + tenth * SECOND // 10)
        followed._transforms.on_moving(moving)
    found = [height_and_flags(followed, SECOND + tenth * SECOND // 10)[0] for tenth in (3, 12, 7)]
    assert found == pytest.approx([1.7, 2.6, 2.1])
    assert height_and_flags(followed, 60 * SECOND)[0] == pytest.approx(3.3)  # TF has fallen silent: the latest


def calls_of(function: Any, *arguments: Any) -> int:
    """Number of calls, of Python and C functions, that a call makes."""
    count = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return count


def test_an_image_costs_the_same_however_much_tf_has_arrived(followed):
    transforms = followed._transforms
    for step in range(2 * MAX_MOVING_TRANSFORMS):  # as many as are kept, and as many again
        transforms.on_moving(tf("base_link", "body", (1.5, 0, 1.4), LEVEL, SECOND + step * SECOND // 100))
    at = SECOND * 4
    followed.at(at, "front_optical_frame")
    before = calls_of(followed.at, at, "front_optical_frame")
    for step in range(2 * MAX_MOVING_TRANSFORMS, 20 * MAX_MOVING_TRANSFORMS):
        transforms.on_moving(tf("base_link", "body", (1.5, 0, 1.4), LEVEL, SECOND + step * SECOND // 100))
        transforms.on_moving(tf("map", f"other_{step}", (0, 0, 0), LEVEL, step * SECOND // 100))
    at = SECOND * 40
    assert calls_of(followed.at, at, "front_optical_frame") == pytest.approx(before, abs=4)  # steps of a bisection
    assert before < 100  # 476 when the nearest of the moving ones is sought one by one


def test_a_mounting_that_stays_is_not_built_again_for_each_image(followed, monkeypatch):
    built = []
    monkeypatch.setattr("camera_perception_ros.camera.calibration.camera_from_message", lambda *a: built.append(a))
    for step in range(50):  # published again and again, as robot_state_publisher does
        followed._transforms.on_static(tf("base_link", "body", (1.5, 0, 1.4), LEVEL))
        followed.on_info(camera_info())
        followed.at(step * SECOND, "front_optical_frame")
    assert built == []


def test_a_mounting_under_the_road_is_refused_until_it_is_corrected(followed):
    followed._transforms.on_static(tf("base_link", "body", (1.5, 0, -0.2), LEVEL))
    assert height_and_flags(followed, SECOND) == (None, Status.UNCALIBRATED | Status.MOUNTING_CHANGED)
    followed._transforms.on_static(tf("base_link", "body", (1.5, 0, 1.5), LEVEL))
    assert height_and_flags(followed, 2 * SECOND) == (1.5, Status.MOUNTING_CHANGED)
    assert followed.text == "calibrated"


def test_images_and_camera_info_of_different_frames_are_named(followed):
    followed.at(SECOND, "front_optical_frame")
    assert followed.mismatch == ""
    followed.at(SECOND, "front_link")
    assert "images are of frame 'front_link', CameraInfo of 'front_optical_frame'" in followed.mismatch


def test_tf2_is_asked_for_the_time_of_the_frame_then_for_the_latest_and_closed_at_the_end(monkeypatch):
    asked, closed = [], []
    known = tf("base_link", "camera", (1.5, 0, 1.4), LEVEL).transforms[0]

    class Buffer:
        def can_transform(self, base, frame, time):
            asked.append(time.nanoseconds)
            return time.nanoseconds == 0  # of that moment nothing is known

        def lookup_transform(self, base, frame, time):
            return known

    def listener(buffer, node):
        return SimpleNamespace(unregister=lambda: closed.append(buffer))

    monkeypatch.setitem(sys.modules, "tf2_ros", SimpleNamespace(Buffer=Buffer, TransformListener=listener))
    calibration = Calibration(QuietNode(), CameraParams())
    assert calibration._transforms.base_from("base_link", "camera", 7 * SECOND)[2, 3] == 1.4
    assert asked == [7 * SECOND, 0]
    calibration.close()
    assert len(closed) == 1
