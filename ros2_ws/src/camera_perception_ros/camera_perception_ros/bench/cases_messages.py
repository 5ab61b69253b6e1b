"""Messages against the obvious way to fill them."""

from __future__ import annotations

import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from camera_perception.io.cdr import serialize
from camera_perception.io.message import perception_fields
from camera_perception.io.ros_types import PERCEPTION_FRAME
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.cases_after import spec
from camera_perception.tools.bench.component import Component
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.conversions.messages import message_from_image


def components() -> list[Component]:
    return [image(), frame(20)]


def image() -> Component:
    pixels, header = synthetic_inputs.picture(), Header()
    return Component(
        "Image message of 1280x720 pixels",
        lambda: message_from_image(pixels, "bgr8", header),
        "message.data = pixels.tobytes()",
        lambda: _with_bytes(pixels),
    )


def _with_bytes(pixels: np.ndarray) -> Image:
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="bgr8", step=pixels.strides[0])
    message.data = pixels.tobytes()
    return message


def frame(objects: int) -> Component:
    """The obvious way is to fill messages, nothing in them, and have them serialized: what these cost alone."""
    perception, contract = synthetic_inputs.perception(objects), spec()
    return Component(
        f"PerceptionFrame of {objects} objects, 4 lines",
        lambda: serialize(PERCEPTION_FRAME, perception_fields(perception, contract)),
        "the same messages, empty, serialized by ROS",
        lambda: serialize_message(_empty(objects, len(perception.lanes))),
    )


def _empty(objects: int, lanes: int) -> PerceptionFrame:
    from camera_perception_msgs.msg import DetectedObject, LaneLine

    message = PerceptionFrame()
    message.objects = [DetectedObject() for _ in range(objects)]
    message.lanes = [LaneLine() for _ in range(lanes)]
    return message
