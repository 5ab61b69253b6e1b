"""A recorder with `anonymize` covers what its model detects before it writes."""

from __future__ import annotations

import numpy as np
import pytest
from driving import image_message, parameters
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String

from camera_perception.core.errors import PerceptionError
from camera_perception.io.bag_reader import Bag
from camera_perception.io.ros_types import deserialize
from camera_perception_ros.nodes.bag_recorder_node import BagRecorderNode
from camera_perception_ros.runtime.process import Stop

TOPICS = ["/front/image_raw", "/note"]


def recorder(context, executor, **values) -> BagRecorderNode:
    node = BagRecorderNode(Stop(), context=context, parameter_overrides=parameters(topics=TOPICS, **values))
    executor.add_node(node)
    return node


def scene(number: int) -> np.ndarray:
    """(96, 160, 3): a textured road with one bright car, which the hand-made model finds."""
    image = np.random.default_rng(number).integers(60, 120, (96, 160, 3), dtype=np.uint8)
    image[50:70, 60:100] = np.random.default_rng(99).integers(215, 255, (20, 40, 3), dtype=np.uint8)
    return image


def test_recorded_images_are_covered(context, executor, spin_until, tiny_model, tmp_path):
    node = recorder(context, executor, output=str(tmp_path / "bag"), anonymize=True, model=str(tiny_model))
    outside = Node("outside", context=context)
    executor.add_node(outside)
    images, notes = outside.create_publisher(Image, TOPICS[0], 10), outside.create_publisher(String, TOPICS[1], 10)
    spin_until(lambda: images.get_subscription_count() and notes.get_subscription_count(), what="the recorder listens")
    for number in range(3):
        images.publish(image_message(number, scene(number)))
    notes.publish(String(data="as it was"))
    spin_until(lambda: sum(node._writer.written.values()) == 4, what="all is written")
    node.close()
    with Bag(tmp_path / "bag") as bag:
        recorded = [deserialize(message.kind, message.data) for message in bag.messages([TOPICS[0]])]
        assert [deserialize(m.kind, m.data).data for m in bag.messages([TOPICS[1]])] == ["as it was"]
    for number, message in enumerate(recorded):
        sent = image_message(number, scene(number))
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (
            sent.header.stamp.sec,
            sent.header.stamp.nanosec,
        )
        changed = (message.data.reshape(96, 160, 3) != scene(number)).any(axis=2)
        assert changed[57:70, 64:96].mean() > 0.9
        assert not changed[:50].any()
        assert not changed[:, :50].any()


def test_without_a_model_it_does_not_start(context, tmp_path):
    with pytest.raises(PerceptionError, match="'anonymize' needs a model"):
        BagRecorderNode(
            Stop(), context=context, parameter_overrides=parameters(output=str(tmp_path / "bag"), anonymize=True)
        )
    assert not (tmp_path / "bag").exists()
