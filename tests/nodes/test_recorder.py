"""The recorder: kill -9 loses at most a second, a disk that fills ends it early, and the last seconds on request."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

import pytest
from driving import parameters
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

from camera_perception.core.errors import BagError
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import IMAGE, deserialize
from camera_perception_ros.bag.record_writer import RecordWriter
from camera_perception_ros.bag.ring_buffer import RingBuffer
from camera_perception_ros.nodes.bag_recorder_node import BagRecorderNode
from camera_perception_ros.runtime.process import Stop

Usage = namedtuple("Usage", "total used free")
MESSAGE = serialize(IMAGE, {})

# Two topics, one of which falls silent: its last message must not wait for a next one.
KILLED = """
import os, sys, time
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import IMAGE
from camera_perception_ros.bag.record_writer import RecordWriter
writer = RecordWriter(BagWriter(sys.argv[1]), 1 << 20, print)
data = serialize(IMAGE, {})
for topic in ("/silent", "/flowing"):
    writer.add_topic(topic, IMAGE)
writer.put("/silent", time.time_ns(), data)
print("ready", flush=True)
while True:
    writer.put("/flowing", time.time_ns(), data)
    time.sleep(0.05)
"""


def test_kill_9_loses_at_most_a_second_of_small_messages(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "bag")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    time.sleep(2.0)
    process.send_signal(signal.SIGKILL)
    killed_ns = time.time_ns()
    process.wait()
    with Bag(tmp_path / "bag") as bag:
        assert not bag.contents.complete
        assert bag.contents.counts["/silent"] == 1
        last = [message.stamp_ns for message in bag.messages(["/flowing"])][-1]
    assert killed_ns - last < 1e9


def test_recording_stops_while_there_is_room_to_finish(tmp_path, monkeypatch):
    failures: list[str] = []
    writer = RecordWriter(BagWriter(tmp_path / "bag"), 1 << 20, failures.append, min_free=100 << 20)
    writer.add_topic("/a", IMAGE)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 30, 1 << 30, 99 << 20))
    writer.put("/a", 1, MESSAGE)
    deadline = time.monotonic() + 30.0
    while not writer.broken and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.put("/a", 2, MESSAGE)
    writer.close()
    assert failures == [writer.broken]
    assert "only 99 MiB are free" in writer.broken
    assert (writer.written, writer.lost) == ({"/a": 1}, 1)
    with Bag(tmp_path / "bag") as bag:
        assert bag.contents.complete
        assert bag.contents.counts == {"/a": 1}


def test_without_room_it_does_not_start(context, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 30, 1 << 30, 99 << 20))
    with pytest.raises(BagError, match="make room, or lower 'min_free_mib'"):
        BagRecorderNode(Stop(), context=context, parameter_overrides=parameters(output=str(tmp_path / "a" / "bag")))
    assert list(tmp_path.iterdir()) == []


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def buffer(tmp_path):
    """(RingBuffer of 10 s and 10 messages, its clock)"""
    clock = Clock()
    ring = RingBuffer(tmp_path / "saved", 9, 10.0, 10 * len(MESSAGE), now=clock)
    ring.add_topic("/a", IMAGE)
    ring.add_topic("/tf_static", IMAGE)
    return ring, clock


def feed(buffer, seconds, topic="/a"):
    ring, clock = buffer
    for second in seconds:
        clock.now = float(second)
        ring.put(topic, second * 10**9, MESSAGE)


def saved(folder):
    (recording,) = folder.iterdir()
    with Bag(recording) as bag:
        return [(message.topic, message.stamp_ns // 10**9) for message in bag.messages()]


def test_only_the_last_seconds_are_saved_and_latched_topics_always(buffer, tmp_path):
    ring, clock = buffer
    feed(buffer, [0], "/tf_static")
    feed(buffer, [95, 101, 105, 111])
    clock.now = 112.0
    text = ring.save()
    assert text.startswith("saved 3 messages of the last 6.0 s in ")
    assert saved(tmp_path / "saved") == [("/tf_static", 105), ("/a", 105), ("/a", 111)]
    assert ring.written == {"/tf_static": 1, "/a": 2}


def test_the_memory_of_the_buffer_is_bounded(buffer, tmp_path):
    feed(buffer, range(100, 100 + 10))
    for number in range(15):
        buffer[0].put("/a", (109 + number) * 10**9, MESSAGE)
    assert len(buffer[0]._messages) == 10
    assert "raise 'queue_mib'" in buffer[0].save()
    assert len(saved(tmp_path / "saved")) == 10


def test_two_saves_in_a_second_are_two_recordings(buffer, tmp_path):
    assert buffer[0].save().startswith("nothing to save")
    feed(buffer, [1, 2])
    assert buffer[0].save() != buffer[0].save()
    assert len(list((tmp_path / "saved").iterdir())) == 2


def test_the_service_saves_what_was_received_before_the_call(context, executor, spin_until, tmp_path):
    values = parameters(output=str(tmp_path / "out"), topics=["/note", "/map"], buffer_seconds=30.0)
    node = BagRecorderNode(Stop(), context=context, parameter_overrides=values)
    outside = Node("outside", context=context)
    executor.add_node(node)
    executor.add_node(outside)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    notes, maps = outside.create_publisher(String, "/note", 10), outside.create_publisher(String, "/map", latched)
    client = outside.create_client(Trigger, "/bag_recorder/save")
    spin_until(lambda: notes.get_subscription_count() and maps.get_subscription_count(), what="the recorder listens")
    spin_until(client.service_is_ready, what="the service is there")
    maps.publish(String(data="road"))
    for number in range(3):
        notes.publish(String(data=str(number)))
    spin_until(lambda: node._received == 4, what="all is received")
    assert not (tmp_path / "out").exists()
    answer = client.call_async(Trigger.Request())
    spin_until(answer.done, what="the answer")
    assert answer.result().success, answer.result().message
    (folder,) = (tmp_path / "out").iterdir()
    assert str(folder) in answer.result().message
    with Bag(folder) as bag:
        texts = [deserialize(message.kind, message.data).data for message in bag.messages(["/note"])]
        assert texts == ["0", "1", "2"]
        assert [qos.durability.name for qos in bag.contents.qos["/map"]] == ["TRANSIENT_LOCAL"]
    node.close()
