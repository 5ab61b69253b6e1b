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
        self.said: list[str] = []
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
        return SimpleNamespace(info=self.said.append)


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
    heard = TopicTransforms(QuietNode(), object)
    for second in range(3):
        heard.on_moving(tf("base_link", "gimbal", (second, 0, 1), LEVEL, second * SECOND))
    assert heard.base_from("base_link", "gimbal")[0, 3] == 2


def test_without_tf_messages_the_log_says_what_to_do(without_tf2_ros):
    node = QuietNode()
    assert listen(node) is None
    assert node.topics == []
    assert ["camera_pose" in line for line in node.said] == [True]
