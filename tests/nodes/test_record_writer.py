"""The writer of the recorder: messages are written unchanged, or as its change function returns them."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.offered_qos import profile
from camera_perception.io.ros_types import IMAGE
from camera_perception_ros.bag.channels import open_channels, recorded_profiles
from camera_perception_ros.bag.record_writer import RecordWriter
from camera_perception_ros.params.player import PlayerParams

TOPIC = "/camera/image_raw"


def image(value: int) -> bytes:
    data = np.full(27, value, np.uint8)
    return serialize(IMAGE, {"encoding": "bgr8", "height": 3, "width": 3, "step": 9, "data": data})


def record(folder, change, count: int = 4) -> tuple[list[bytes], RecordWriter, list[str]]:
    failures: list[str] = []
    writer = RecordWriter(BagWriter(folder), 1 << 20, failures.append, change)
    writer.add_topic(TOPIC, IMAGE)
    for number in range(count):
        writer.put(TOPIC, 1 + number, image(number))
    writer.close()
    with Bag(folder) as bag:
        return [message.data for message in bag.messages()], writer, failures


def test_images_are_changed_before_they_reach_the_disk(tmp_path):
    calls = []

    def change(topic, type_, data):
        calls.append((topic, type_))
        return None if data == image(2) else image(200)

    written, writer, failures = record(tmp_path / "bag", change)
    assert written == [image(200)] * 3
    assert calls == [(TOPIC, IMAGE)] * 4
    assert (writer.lost, writer.written[TOPIC], failures) == (1, 3, [])


@pytest.mark.parametrize("error", [RuntimeError("the network is gone"), ValueError("odd")])
def test_when_the_change_fails_nothing_unchanged_is_written(tmp_path, error):
    def change(topic, type_, data):
        if data == image(1):
            raise error
        return data

    written, writer, failures = record(tmp_path / "bag", change)
    assert written == [image(0)]
    assert writer.lost == 3
    assert len(failures) == 1
    assert str(error) in failures[0]


def test_what_publishers_offer_is_recorded_with_the_topic(tmp_path):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    loose = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    writer = RecordWriter(BagWriter(tmp_path / "bag"), 1 << 20, lambda text: None)
    for topic, offered in (("/map", [latched]), ("/mixed", [latched, loose]), ("/tf_static", [])):
        writer.add_topic(topic, IMAGE, recorded_profiles(offered))
        writer.put(topic, 1, image(0))
    writer.close()
    with Bag(tmp_path / "bag") as bag:
        latched = {topic: [qos.durability.name for qos in found] for topic, found in bag.contents.qos.items()}
        assert bag.contents.qos["/mixed"][1].reliability.name == "BEST_EFFORT"
    assert latched == {
        "/map": ["TRANSIENT_LOCAL"], "/mixed": ["TRANSIENT_LOCAL", "VOLATILE"], "/tf_static": ["TRANSIENT_LOCAL"],
    }  # fmt: skip


def test_the_player_latches_what_the_recording_says(context, tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/map", IMAGE, qos=[profile(latched=True)])
        for topic in ("/map", "/tf_static", TOPIC):
            bag.write_fields(topic, IMAGE, 1, {})
    node = Node("player", context=context, use_global_arguments=False)
    with Bag(tmp_path / "bag") as bag:
        channels = open_channels(node, bag, PlayerParams())
    found = {topic: channel.publisher.qos_profile.durability for topic, channel in channels.items()}
    node.destroy_node()
    latched, not_latched = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE
    assert found == {"/map": latched, "/tf_static": latched, TOPIC: not_latched}
