"""Image, calibration and transform messages as the library's values and back."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from driving import camera_info, header, image_message, jpeg_message, road
from geometry_msgs.msg import Quaternion, Transform, Vector3
from sensor_msgs.msg import CompressedImage

from camera_perception.core.errors import BadImage, CalibrationError
from camera_perception.core.types import ClassMap
from camera_perception.geometry.camera import optical_from_rpy
from camera_perception_ros.conversions import messages


def test_an_image_message_becomes_its_pixels_time_and_frame():
    frame = messages.frame_from_message(image_message(3))
    np.testing.assert_array_equal(frame.image, road(3))
    assert (frame.stamp_ns, frame.frame_id) == (1_000_150_000_000, "front_optical_frame")


def test_a_jpeg_message_becomes_nearly_its_pixels():
    frame = messages.frame_from_message(jpeg_message(3))
    assert abs(frame.image.astype(int) - road(3)).mean() < 10


@pytest.mark.parametrize("data", [b"", b"\xff\xd8nonsense"])
def test_a_broken_jpeg_is_a_bad_image(data):
    with pytest.raises(BadImage):
        messages.frame_from_message(CompressedImage(header=header(0), format="jpeg", data=array("B", data)))


def test_an_image_there_and_back_keeps_its_bytes():
    message = messages.message_from_image(road()[:, 10:50], "bgr8", header(1))
    assert isinstance(message.data, array)
    np.testing.assert_array_equal(messages.frame_from_message(message).image, road()[:, 10:50])


def test_class_ids_and_colors_are_published_at_their_own_resolution():
    map_ = ClassMap(np.array([[0, 1]], np.uint8), ("a", "b"), np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    ids, colors = messages.message_from_ids(map_, header(0)), messages.message_from_colors(map_, header(0))
    assert (ids.encoding, ids.width, ids.height, ids.step, bytes(ids.data)) == ("mono8", 2, 1, 2, b"\0\1")
    assert (colors.encoding, colors.step, bytes(colors.data)) == ("rgb8", 6, bytes([1, 2, 3, 4, 5, 6]))


def test_a_transform_is_the_same_pose_as_roll_pitch_yaw():
    half = np.radians(30) / 2
    transform = Transform(translation=Vector3(x=1.0, y=2.0, z=3.0), rotation=Quaternion(z=np.sin(half), w=np.cos(half)))
    body_from_optical = optical_from_rpy((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    expected = optical_from_rpy((1.0, 2.0, 3.0), (0.0, 0.0, np.radians(30)))
    np.testing.assert_allclose(messages.pose_from_transform(transform) @ body_from_optical, expected, atol=1e-12)


def test_camera_info_without_calibration_is_refused():
    with pytest.raises(CalibrationError):
        messages.camera_from_message(camera_info(focal=0.0), None)
    camera = messages.camera_from_message(camera_info(), [0.0, 0.0, 1.5, 0.0, 0.0, 0.0])
    assert camera.metric
    assert camera.pixel_from_camera[0, 0] == 120.0
