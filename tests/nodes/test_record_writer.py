"""The writer of the recorder: messages are written unchanged, or as its change function returns them."""

from __future__ import annotations

import numpy as np
import pytest

from camera_perception.io.bag_reader import Bag
from camera_perception.io.ros_types import IMAGE, serialize
from camera_perception_ros.bag.record_writer import RecordWriter

TOPIC = "/camera/image_raw"


def image(value: int) -> bytes:
    data = np.full(27, value, np.uint8)
    return serialize(IMAGE, {"encoding": "bgr8", "height": 3, "width": 3, "step": 9, "data": data})


def record(folder, change, count: int = 4) -> tuple[list[bytes], RecordWriter, list[str]]:
    failures: list[str] = []
    writer = RecordWriter(str(folder), 9, 1 << 20, failures.append, change)
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
