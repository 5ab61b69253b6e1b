"""Records topics into an mcap file, for installations without rosbag2. Messages stay serialized."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from camera_perception.core.errors import BagError
from camera_perception.tools.privacy.anonymize import carries_images
from camera_perception.tools.privacy.live import open_live_cover
from camera_perception_ros.bag.channels import recorded_profiles
from camera_perception_ros.bag.record_writer import RecordWriter, unchanged
from camera_perception_ros.conversions.serialized import message_class
from camera_perception_ros.params.params import ParameterError, Parameters, StrictParametersMixin, param
from camera_perception_ros.runtime.process import Stop

DRAIN_TIMEOUT = 2.0  # seconds to empty the subscriptions at the end
fixed = partial(param, read_only=True)


@dataclass(frozen=True)
class RecorderParams:
    output: str = fixed("", "Folder to record into; it must not exist yet. Required.")
    topics: list[str] = fixed([""], "Topics to record; an empty name: all.")
    format_version: int = fixed(
        9, "Version of the rosbag2 metadata: 9 for Jazzy and later, 8 for Humble.", low=8, high=9
    )
    queue_mib: int = fixed(
        512,
        "Memory in MiB for messages that wait for the disk; when it is full, messages are dropped and counted.",
        low=1,
        high=65536,
    )
    depth: int = fixed(100, "Queue depth of the subscriptions.", low=1, high=10000)
    anonymize: bool = fixed(False, "Cover heads and number plates in images before they are written; needs model.")
    model: str = fixed("", "Model folder with classes for people and vehicles, for anonymize.")

    def check(self) -> None:
        if not self.output:
            raise ParameterError("parameter 'output' is empty: give the folder to record into")
        if self.anonymize and not self.model:
            raise ParameterError(
                "parameter 'model' is empty: 'anonymize' needs a model that detects people and vehicles"
            )


class BagRecorderNode(StrictParametersMixin, Node):
    def __init__(self, stop: Stop, **options: Any) -> None:
        super().__init__("bag_recorder", **options)
        self._stop = stop
        self.params = Parameters(self, RecorderParams).read()
        limit_bytes = self.params.queue_mib << 20
        self._cover = open_live_cover(self.params.model) if self.params.anonymize else None
        self._writer = RecordWriter(
            self.params.output, self.params.format_version, limit_bytes, self._failed, self._cover or unchanged
        )
        self._discovered: set[str] = set()
        self._received = 0
        self._timer = self.create_timer(0.2, self._discover, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._discover()

    def _discover(self) -> None:
        wanted = set(filter(None, self.params.topics))
        for topic, types in self.get_topic_names_and_types():
            if topic not in self._discovered and (topic in wanted or not wanted):
                self._discovered.add(topic)
                self._subscribe(topic, types[0])

    def _subscribe(self, topic: str, type_: str) -> None:
        cls = message_class(type_)
        if cls is None:
            self.get_logger().warning(f"{topic} is not recorded: {type_} is not installed")
            return
        if self._cover is not None and carries_images(type_):
            self.get_logger().warning(f"{topic} is not recorded: heads and number plates in {type_} cannot be covered")
            return
        offered = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
        try:
            self._writer.add_topic(topic, type_, recorded_profiles(offered))
        except BagError as error:
            self.get_logger().warning(f"{topic} is not recorded: {error}")
            return

        def on_message(data: bytes) -> None:
            self._received += 1
            self._writer.put(topic, time.time_ns(), data)

        self.create_subscription(cls, topic, on_message, self._qos(offered), raw=True)

    def _qos(self, offered: Sequence[QoSProfile]) -> QoSProfile:
        """QoS that matches all publishers of the topic: reliable or latched only if every one of them is."""
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

    def _drain(self) -> None:
        """Receive what waits in the subscriptions, with a time limit: publishers may still be sending."""
        deadline, idle = time.monotonic() + DRAIN_TIMEOUT, 0
        self.destroy_timer(self._timer)
        while self.executor is not None and idle < 3 and time.monotonic() < deadline:
            before = self._received
            self.executor.spin_once(timeout_sec=0.02)
            idle = 0 if self._received > before else idle + 1

    def close(self) -> None:
        """Receive what has arrived, write it and the metadata; called when the process ends."""
        self._drain()
        self._writer.close()
        if self._cover is not None:
            self._cover.close()
        counts = ", ".join(f"{topic} {count}" for topic, count in sorted(self._writer.written.items())) or "nothing"
        lost = f", {self._writer.lost} lost" if self._writer.lost else ""
        self.get_logger().info(f"recorded {counts}{lost} in {self.params.output}")


def create(stop: Stop) -> list[Node]:
    return [BagRecorderNode(stop)]
