"""A depth image or a lidar beside the camera, on real topics: objects get its range, and its problems are reported."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from driving import RELIABLE, Listener, camera_info, header, image_message
from sensor_msgs.msg import Image, PointCloud2, PointField
from test_transforms import LEVEL, QuietNode, tf

from camera_perception_msgs.msg import DetectedObject
from camera_perception_ros.camera import calibration
from camera_perception_ros.camera.calibration import TopicTransforms

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
    """A wall ahead of the lidar, at this distance in metres."""
    across = np.linspace(-1.0, 1.0, 41)
    y, z = (grid.ravel() for grid in np.meshgrid(across, across))
    points = np.c_[np.full(len(y), forward), y, z].astype("<f4")
    fields = [PointField(name=name, offset=4 * axis, datatype=7, count=1) for axis, name in enumerate("xyz")]
    message = PointCloud2(header=header(number, "lidar"), height=1, width=len(points), fields=fields)
    message.point_step, message.row_step, message.data = 12, points.nbytes, array("B", points.tobytes())
    return message


def started(make_camera: Any, kind: type, **topic: str) -> tuple[Any, Any]:
    """A calibrated camera and a publisher on its range topic."""
    camera = make_camera(camera_pose=POSE, **topic)
    camera.activate()
    publisher = camera.outside.create_publisher(kind, *topic.values(), RELIABLE)
    camera.infos.publish(camera_info())
    camera.spin_until(lambda: camera.calibration.camera and publisher.get_subscription_count(), what="calibration")
    return camera, publisher


def car_with(camera: Any, publisher: Any, number: int, *messages: Any) -> Any:
    """The car in the answer to an image, after these range messages."""
    memory, before = camera.processor.ranges, len(camera.perception.messages)
    for message in messages:
        publisher.publish(message)
    kept = memory._clouds if messages and isinstance(messages[0], PointCloud2) else memory._depths
    if messages:
        camera.spin_until(lambda: messages[-1] in [message for _, message in kept._items], what="the range message")
    camera.send(image_message(number))
    (car,) = [found for found in camera.answers(before + 1)[-1].objects if found.class_name == "car"]
    return car


def test_range_follows_the_depth_image_and_then_the_road_again(make_camera):
    camera, depths = started(make_camera, Image, depth_topic="/depth")
    car = car_with(camera, depths, 0, depth_image(0, 12.0))
    assert car.position_method == DetectedObject.DEPTH
    assert (car.range, car.position.x) == (pytest.approx(13.5, abs=0.01), pytest.approx(13.5, abs=0.01))
    later = car_with(camera, depths, 10)
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
def test_an_unusable_depth_image_is_reported_and_the_ground_plane_is_used(make_camera, changes, words):
    camera, depths = started(make_camera, Image, depth_topic="/depth")
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    car = car_with(camera, depths, 0, depth_image(0, 12.0, **changes))
    assert car.position_method in (DetectedObject.GROUND_PLANE, DetectedObject.SIZE_PRIOR)
    camera.spin_until(lambda: words in range_status(diagnostics), what="the reason in diagnostics")
    assert camera.state == "active"


def range_status(diagnostics: Listener) -> str:
    """The latest message about range sensors."""
    parts = [part for message in diagnostics.messages for part in message.status if part.name.endswith("Range sensors")]
    return parts[-1].message if parts else ""


def test_range_follows_the_lidar_once_tf_knows_where_it_is(make_camera, monkeypatch):
    """5 m ahead of a lidar that sits 1 m ahead of base_link."""
    heard = TopicTransforms(QuietNode(), object)
    monkeypatch.setattr(calibration, "listen", lambda node: heard)
    camera, clouds = started(make_camera, PointCloud2, lidar_topic="/points")
    lost = car_with(camera, clouds, 0, wall_of_points(0, 5.0))
    assert lost.position_method in (DetectedObject.GROUND_PLANE, DetectedObject.SIZE_PRIOR)
    assert "TF does not know where the lidar's frame 'lidar' is" in camera.processor.ranges.problems["lidar"]
    heard.on_static(tf("base_link", "lidar", (1.0, 0.0, 1.0), LEVEL))
    car = car_with(camera, clouds, 200, wall_of_points(200, 5.0))
    assert (car.position_method, car.range) == (DetectedObject.LIDAR, pytest.approx(6.0, abs=0.01))
    assert camera.processor.ranges.problems == {}


def test_without_topics_nothing_is_subscribed_or_reported(make_camera):
    camera = make_camera(camera_pose=POSE)
    camera.activate()
    kinds = {subscription.msg_type for subscription in camera.node.subscriptions}
    assert PointCloud2 not in kinds
    assert len([subscription for subscription in camera.node.subscriptions if subscription.msg_type is Image]) == 1
    assert camera.processor.ranges is None
