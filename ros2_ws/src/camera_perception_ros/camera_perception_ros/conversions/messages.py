"""Conversions between ROS messages and the library's types."""

from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from camera_perception.core.errors import BadImage
from camera_perception.core.types import ClassMap, Frame, Task
from camera_perception.geometry.camera import Camera, camera_from_info, optical_from_rpy
from camera_perception.geometry.odometry import yaw_from_quaternion
from camera_perception.geometry.transforms import pose_from_quaternion
from camera_perception.image.encodings import MAX_PIXELS
from camera_perception.image.reader import ImageReader
from camera_perception_ros.conversions.cv_bridge import fallback
from camera_perception_ros.conversions.image_bytes import ImageBytes

TASKS = {
    "objects": Task.OBJECTS,
    "lanes": Task.LANES,
    "drivable": Task.DRIVABLE,
    "scene": Task.SCENE,
    "semantic": Task.SEMANTIC,
}


def stamp_ns(stamp: Time) -> int:
    """Nanoseconds of a ROS time."""
    return int(stamp.sec * 1_000_000_000 + stamp.nanosec)


def time_from_ns(nanoseconds: int) -> Time:
    return Time(sec=int(nanoseconds // 1_000_000_000), nanosec=int(nanoseconds % 1_000_000_000))


def frame_from_message(
    message: ImageBytes | Image | CompressedImage, max_pixels: int = MAX_PIXELS, reader: ImageReader | None = None
) -> Frame:
    """Pixels, time and frame of an image message; BadImage when it holds no valid image or one above max_pixels.

    reader  of the messages of one camera in order; a new one by default
    """
    reader = reader or ImageReader(fallback=fallback())
    pixels = reader.read(message, max_pixels)
    return Frame(pixels, stamp_ns(message.header.stamp), message.header.frame_id, int(reader.flags))


def camera_from_message(message: CameraInfo, pose: list[float] | np.ndarray | None, rectified: bool = False) -> Camera:
    """The calibrated camera; CalibrationError when the message holds no valid calibration.

    pose       x y z roll pitch yaw of the camera in base_link, or base_from_camera (4, 4) from TF; None: unknown
    rectified  the images are rectified (image_rect)
    """
    if isinstance(pose, list):
        x, y, z, roll, pitch, yaw = pose
        pose = optical_from_rpy((x, y, z), (roll, pitch, yaw))
    return camera_from_info(message, pose, rectified)


def pose_from_transform(transform: Any) -> np.ndarray:
    """base_from_camera (4, 4) of a geometry_msgs/Transform; CalibrationError when its rotation is invalid."""
    at, turned = transform.translation, transform.rotation
    return pose_from_quaternion((at.x, at.y, at.z), (turned.x, turned.y, turned.z, turned.w))


def pose_from_odometry(message: Odometry) -> tuple[int, float, float, float]:
    """Stamp in nanoseconds, x, y in metres, yaw in radians."""
    at, turned = message.pose.pose.position, message.pose.pose.orientation
    return stamp_ns(message.header.stamp), at.x, at.y, yaw_from_quaternion(turned.x, turned.y, turned.z, turned.w)


def message_from_image(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """(H, W) or (H, W, 3) uint8 pixels as an Image with the given header."""
    pixels = np.ascontiguousarray(pixels)
    message = Image(
        header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=pixels.strides[0]
    )
    message.data = array("B")
    message.data.frombytes(pixels.data.cast("B"))
    return message


def message_from_jpeg(pixels: np.ndarray, quality: int, header: Header) -> CompressedImage:
    """(H, W, 3) BGR pixels as a jpeg CompressedImage."""
    done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise BadImage(f"cannot encode a {pixels.shape} image as jpeg")
    message = CompressedImage(header=header, format="bgr8; jpeg compressed bgr8")
    message.data = array("B", jpeg.tobytes())
    return message


def message_from_ids(map_: ClassMap, header: Header) -> Image:
    """Class ids as mono8, at network resolution."""
    return message_from_image(map_.ids, "mono8", header)


def message_from_colors(map_: ClassMap, header: Header) -> Image:
    """Class colours as rgb8, at network resolution."""
    return message_from_image(map_.colors[map_.ids], "rgb8", header)
