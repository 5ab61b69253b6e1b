"""A depth image or a lidar beside the camera, on real topics: ranges follow it, and what is broken is said."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from driving import RELIABLE, Ear, camera_info, header, image_message
from sensor_msgs.msg import Image, PointCloud2, PointField
from test_transforms import LEVEL, QuietNode, tf

from camera_perception_msgs.msg import DetectedObject
from camera_perception_ros.camera import calibration
from camera_perception_ros.camera.calibration import Heard

POSE = [1.5, 0.0, 1.4, 0.0, 0.0, 0.0]  # of the camera; the bright block is a car before it


def depth_image(number: int, metres: float, **changes: Any) -> Image:
    """Of half the camera's size, in millimetres."""
    pixels = np.full((48, 80), 1000 * metres, "<u2")
    message = Image(header=header(number), height=48, width=80, step=160, encoding="16UC1")
    message.data = array("B", pixels.tobytes())
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def wall_of_points(number: int, forward: float) -> PointCloud2:
    """A wall so far ahead of the lidar."""
    across = np.linspace(-1.0, 1.0, 41)
    y, z = (grid.ravel() for grid in np.meshgrid(across, across))
    points = np.c_[np.full(len(y), forward), y, z].astype("<f4")
    fields = [PointField(name=name, offset=4 * axis, datatype=7, count=1) for axis, name in enumerate("xyz")]
    message = PointCloud2(header=header(number, "lidar"), height=1, width=len(points), fields=fields)
    message.point_step, message.row_step, message.data = 12, points.nbytes, array("B", points.tobytes())
    return message


def started(rig: Any, kind: type, **topic: str) -> tuple[Any, Any]:
    """A calibrated rig and a publisher at its range topic."""
    it = rig(camera_pose=POSE, **topic)
    it.activate()
    publisher = it.outside.create_publisher(kind, *topic.values(), RELIABLE)
    it.infos.publish(camera_info())
    it.spin_until(lambda: it.node._calibration.camera and publisher.get_subscription_count(), what="calibration")
    return it, publisher


def car_with(it: Any, publisher: Any, number: int, *messages: Any) -> Any:
    """What the node says about the car in an image, after these messages."""
    memory, before = it.node._perceiver.ranges, len(it.perception.heard)
    for message in messages:
        publisher.publish(message)
    kept = memory._clouds if messages and isinstance(messages[0], PointCloud2) else memory._depths
    if messages:
        it.spin_until(lambda: messages[-1] in [message for _, message in kept._items], what="the range message")
    it.send(image_message(number))
    (car,) = [found for found in it.answers(before + 1)[-1].objects if found.class_name == "car"]
    return car


def test_range_follows_the_depth_image_and_then_the_road_again(rig):
    it, depths = started(rig, Image, depth_topic="/depth")
    car = car_with(it, depths, 0, depth_image(0, 12.0))
    assert car.position_method == DetectedObject.DEPTH
    assert (car.range, car.position.x) == (pytest.approx(13.5, abs=0.01), pytest.approx(13.5, abs=0.01))
    later = car_with(it, depths, 10)
    assert later.position_method in (DetectedObject.GROUND_PLANE, DetectedObject.SIZE_PRIOR)
    assert later.range < 12.0  # 7.6 m before the camera by its lower edge


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "rgb8"}, "'rgb8' is unknown"),
        ({"data": array("B", b"\1" * 9)}, "truncated"),
        ({"header": header(0, "depth_optical_frame")}, "registered"),
        ({"header": header(40)}, "within 60 ms"),
    ],
    ids=["encoding", "cut short", "not registered", "another time"],
)
def test_a_depth_image_that_cannot_be_used_leaves_the_ground_plane_and_is_named(rig, changes, words):
    it, depths = started(rig, Image, depth_topic="/depth")
    diagnostics = Ear(it.outside, DiagnosticArray, "/diagnostics")
    car = car_with(it, depths, 0, depth_image(0, 12.0, **changes))
    assert car.position_method in (DetectedObject.GROUND_PLANE, DetectedObject.SIZE_PRIOR)
    it.spin_until(lambda: words in said(diagnostics), what="the reason in diagnostics")
    assert it.state == "active"


def said(diagnostics: Ear) -> str:
    """The last word about range sensors."""
    parts = [part for message in diagnostics.heard for part in message.status if part.name.endswith("Range sensors")]
    return parts[-1].message if parts else ""


def test_range_follows_the_lidar_once_tf_knows_where_it_is(rig, monkeypatch):
    """5 m ahead of a lidar that sits 1 m ahead of base_link."""
    heard = Heard(QuietNode(), object)
    monkeypatch.setattr(calibration, "listen", lambda node: heard)
    it, clouds = started(rig, PointCloud2, lidar_topic="/points")
    lost = car_with(it, clouds, 0, wall_of_points(0, 5.0))
    assert lost.position_method in (DetectedObject.GROUND_PLANE, DetectedObject.SIZE_PRIOR)
    assert "TF does not know where the lidar's frame 'lidar' is" in it.node._perceiver.ranges.problems["lidar"]
    heard.on_static(tf("base_link", "lidar", (1.0, 0.0, 1.0), LEVEL))
    car = car_with(it, clouds, 200, wall_of_points(200, 5.0))
    assert (car.position_method, car.range) == (DetectedObject.LIDAR, pytest.approx(6.0, abs=0.01))
    assert it.node._perceiver.ranges.problems == {}


def test_without_topics_nothing_is_subscribed_or_said(rig):
    it = rig(camera_pose=POSE)
    it.activate()
    kinds = {subscription.msg_type for subscription in it.node.subscriptions}
    assert PointCloud2 not in kinds
    assert len([subscription for subscription in it.node.subscriptions if subscription.msg_type is Image]) == 1
    assert it.node._perceiver.ranges is None
