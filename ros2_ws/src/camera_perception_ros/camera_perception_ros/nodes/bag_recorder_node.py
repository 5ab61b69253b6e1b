"""Records topics into mcap files, for installations without rosbag2. Messages stay serialized.

Either continuously, or into memory, of which the service ~/save writes the last seconds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger

from camera_perception.core.errors import BagError, PerceptionError
from camera_perception.io.bag_writer import BagWriter
from camera_perception.tools.privacy.anonymize import carries_images
from camera_perception.tools.privacy.live import open_live_cover
from camera_perception_ros.bag.channels import recorded_profiles
from camera_perception_ros.bag.record_writer import RecordWriter, check_room, unchanged
from camera_perception_ros.bag.ring_buffer import RingBuffer
from camera_perception_ros.conversions.serialized import message_class
from camera_perception_ros.params.params import Parameters, StrictParametersMixin
from camera_perception_ros.params.recorder import RecorderParams
from camera_perception_ros.runtime.background import when_done
from camera_perception_ros.runtime.process import Stop

DRAIN_TIMEOUT = 2.0  # seconds to empty the subscriptions at the end


class BagRecorderNode(StrictParametersMixin, Node):
    def __init__(self, stop: Stop, **options: Any) -> None:
        super().__init__("bag_recorder", **options)
        self._stop = stop
        self.params = Parameters(self, RecorderParams).read()
        self._cover = open_live_cover(self.params.model) if self.params.anonymize else None
        self._writer = self._open_buffer() if self.params.buffer_seconds else self._open_recording()
        self._discovered: set[str] = set()
        self._received = 0
        self._timer = self.create_timer(0.2, self._discover, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._discover()

    def _open_recording(self) -> RecordWriter:
        params, min_free = self.params, self.params.min_free_mib << 20
        check_room(Path(params.output), min_free)
        bag = BagWriter(
            params.output,
            version=params.format_version,
            sync=params.fsync,
            split_bytes=params.split_mib << 20,
            split_ns=round(params.split_seconds * 1e9),
        )
        return RecordWriter(bag, params.queue_mib << 20, self._failed, self._cover or unchanged, min_free)

    def _open_buffer(self) -> RingBuffer:
        params = self.params
        self.create_service(Trigger, "~/save", self._on_save)
        return RingBuffer(
            Path(params.output), params.format_version, params.buffer_seconds, params.queue_mib << 20,
            self._cover or unchanged, params.min_free_mib << 20,
        )  # fmt: skip

    async def _on_save(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Write the buffer in a thread: meanwhile messages still arrive."""
        assert isinstance(self._writer, RingBuffer)
        try:
            response.message = await when_done(self._writer.save)
            response.success = response.message.startswith("saved")
        except (PerceptionError, OSError) as error:
            response.message = f"not saved: {error}"
        if response.success:  # two lines: rclpy wants one severity for each place in the code
            self.get_logger().info(response.message)
        else:
            self.get_logger().error(response.message)
        return response

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
