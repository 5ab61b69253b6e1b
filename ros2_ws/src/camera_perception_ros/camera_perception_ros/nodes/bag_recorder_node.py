"""Records topics into an mcap, for installations without rosbag2. Messages stay serialized: nothing is decoded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from camera_perception.core.errors import BagError
from camera_perception.tools.privacy.anonymize import carries_images
from camera_perception.tools.privacy.live import open_live_cover
from camera_perception_ros.bag.record_writer import RecordWriter, unchanged
from camera_perception_ros.conversions.serialized import message_class
from camera_perception_ros.params.params import ParameterError, Parameters, param
from camera_perception_ros.runtime.process import Stop

LEAVING = 2.0  # seconds that the recorder may take to empty its subscriptions
fixed = partial(param, read_only=True)


@dataclass(frozen=True)
class RecorderParams:
    output: str = fixed("", "Folder to record into; it must not exist. Required.")
    topics: list[str] = fixed([""], "Topics to record; an empty name records all.")
    format_version: int = fixed(
        9, "Version of the rosbag2 metadata: 9 for Jazzy and later, 8 for Humble.", low=8, high=9
    )
    queue_mib: int = fixed(512, "Memory that may wait for a slow disk; more is dropped and counted.", low=1, high=65536)
    depth: int = fixed(100, "History of the subscriptions.", low=1, high=10000)
    anonymize: bool = fixed(False, "Cover heads and number plates in images before they are written; needs 'model'.")
    model: str = fixed("", "Model folder that finds people and vehicles, for 'anonymize'.")

    def check(self) -> None:
        if not self.output:
            raise ParameterError("parameter 'output' is empty: give the folder to record into")
        if self.anonymize and not self.model:
            raise ParameterError("parameter 'model' is empty: 'anonymize' needs a model that finds people and vehicles")


class BagRecorderNode(Node):
    def __init__(self, stop: Stop, **options: Any) -> None:
        super().__init__("bag_recorder", **options)
        self._stop = stop
        self.params = Parameters(self, RecorderParams).read()
        limit_bytes = self.params.queue_mib << 20
        self._cover = open_live_cover(self.params.model) if self.params.anonymize else None
        self._writer = RecordWriter(
            self.params.output, self.params.format_version, limit_bytes, self._failed, self._cover or unchanged
        )
        self._known: set[str] = set()
        self._taken = 0
        self._timer = self.create_timer(0.2, self._discover, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._discover()

    def _discover(self) -> None:
        wanted = set(filter(None, self.params.topics))
        for topic, kinds in self.get_topic_names_and_types():
            if topic not in self._known and (topic in wanted or not wanted):
                self._known.add(topic)
                self._subscribe(topic, kinds[0])

    def _subscribe(self, topic: str, kind: str) -> None:
        cls = message_class(kind)
        if cls is None:
            self.get_logger().warning(f"{topic} is not recorded: {kind} is not installed")
            return
        if self._cover is not None and carries_images(kind):
            self.get_logger().warning(f"{topic} is not recorded: heads and plates in {kind} cannot be covered")
            return
        try:
            self._writer.add_topic(topic, kind)
        except BagError as error:
            self.get_logger().warning(f"{topic} is not recorded: {error}")
            return

        def take(data: bytes) -> None:
            self._taken += 1
            self._writer.put(topic, time.time_ns(), data)

        self.create_subscription(cls, topic, take, self._qos(topic), raw=True)

    def _qos(self, topic: str) -> QoSProfile:
        """What all publishers of the topic offer: reliable or latched only when every one of them is."""
        offered = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
        reliable = bool(offered) and all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
        latched = bool(offered) and all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
        return QoSProfile(
            depth=self.params.depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )

    def _failed(self, text: str) -> None:
        self.get_logger().error(text)
        self._stop.request(exit_code=1)

    def _take_the_rest(self) -> None:
        """Messages that wait in the subscriptions, for at most a while: others go on publishing."""
        give_up, idle = time.monotonic() + LEAVING, 0
        self.destroy_timer(self._timer)
        while self.executor is not None and idle < 3 and time.monotonic() < give_up:
            before = self._taken
            self.executor.spin_once(timeout_sec=0.02)
            idle = 0 if self._taken > before else idle + 1

    def close(self) -> None:
        """Called when the process ends: takes what has arrived, writes what is queued and the metadata."""
        self._take_the_rest()
        self._writer.close()
        if self._cover is not None:
            self._cover.close()
        counts = ", ".join(f"{topic} {count}" for topic, count in sorted(self._writer.written.items())) or "nothing"
        lost = f", {self._writer.lost} lost" if self._writer.lost else ""
        self.get_logger().info(f"recorded {counts}{lost} in {self.params.output}")


def create(stop: Stop) -> list[Node]:
    return [BagRecorderNode(stop)]
