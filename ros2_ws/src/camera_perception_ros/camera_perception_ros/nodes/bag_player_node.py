"""Plays a recording into topics, for installations without rosbag2. Messages stay serialized."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock as TimeSource
from rclpy.clock import ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool

from camera_perception.core.errors import PerceptionError
from camera_perception.io.bag_reader import Bag, RawMessage
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.bag.answers import Answers, parse_answers
from camera_perception_ros.bag.channels import open_channels
from camera_perception_ros.bag.timeline import Timeline
from camera_perception_ros.conversions.messages import time_from_ns
from camera_perception_ros.conversions.serialized import shifted
from camera_perception_ros.params.params import Parameters, StrictParametersMixin
from camera_perception_ros.params.player import PlayerParams
from camera_perception_ros.runtime.process import Stop
from camera_perception_ros.runtime.readiness import NodeReadiness

STEADY = TimeSource(clock_type=ClockType.STEADY_TIME)
IMAGES = (IMAGE, COMPRESSED_IMAGE)
IDLE_TIMEOUT = 5.0  # seconds without a change in the reports of the cameras, after which nothing more is expected


class BagPlayerNode(StrictParametersMixin, Node):
    def __init__(self, stop: Stop, **options: Any) -> None:
        super().__init__("bag_player", **options)
        self._stop = stop
        self.params = Parameters(self, PlayerParams).read()
        self._bag = Bag(self.params.bag)
        if not self._bag.contents.complete:
            self.get_logger().warning(f"{self.params.bag} is damaged: {self._bag.contents.lost}")
        self._timeline = Timeline(self.params.rate)
        self._timeline.pause(self.params.start_paused)
        self._channels = open_channels(self, self._bag, self.params)
        self._clock_publisher = self.create_publisher(Clock, "/clock", 10) if self.params.clock else None
        self._clock_timer = (
            self.create_timer(1 / self.params.clock, self._tick, clock=STEADY) if self.params.clock else None
        )
        self.create_service(SetBool, "~/pause", self._on_pause)
        self._readiness = self._watch_cameras() if self.params.cameras else None
        self._answers = self._watch_answers()
        self.sent: Counter[str] = Counter()
        self.late_ms: list[float] = []
        self._offset_ns = 0
        self._playing = False
        self._thread = threading.Thread(target=self._play_and_stop, name="player", daemon=True)
        self._thread.start()

    def _watch_cameras(self) -> NodeReadiness:
        readiness = NodeReadiness(self.params.cameras, self.params.wait_for_listeners, self.params.wait_for_fusion)
        self.create_subscription(DiagnosticArray, "/diagnostics", readiness.on_diagnostics, 10)
        return readiness

    def _watch_answers(self) -> Answers:
        answers = Answers(parse_answers(self.params.answers))
        for topic, answer in answers.topics.items():
            # Raw: the answers are counted, not read.
            self.create_subscription(PerceptionFrame, answer, partial(_count, answers, topic), 100, raw=True)
        return answers

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._timeline.pause(request.data)
        response.success, response.message = True, "paused" if request.data else "playing"
        return response

    def _tick(self) -> None:
        if self._playing and self._clock_publisher is not None:
            self._clock_publisher.publish(Clock(clock=time_from_ns(self._timeline.bag_now() + self._offset_ns)))

    # The player thread

    def _play_and_stop(self) -> None:
        code = 0
        try:
            self._wait_for_subscribers()
            self._play()
        except PerceptionError as error:
            self.get_logger().error(str(error))
            code = 1
        except Exception as error:
            if not self._stop:
                self.get_logger().error(f"playing stopped: {error!r}")
                code = 1
        self._stop.request(code)

    def _play(self) -> None:
        first = self._bag.contents.start_ns + round(1e9 * self.params.start_offset)
        while not self._stop:
            self._timeline.start(first)
            self._offset_ns = time.time_ns() - first if self.params.stamps == "now" else 0
            self._playing = True
            for message in self._bag.messages(set(self._channels), first):
                if not self._wait(message.stamp_ns):
                    return
                self._wait_for_answer(message.topic)
                self._send(message)
            if not self.params.loop:
                self._wait_until_handled()
                return

    def _wait(self, stamp_ns: int) -> bool:
        """Wait until a message is due; False if the process is to end instead."""
        while not self._stop:
            if self._timeline.wait_until(stamp_ns, lambda: bool(self._stop)):
                return True
        return False

    def _wait_for_answer(self, topic: str) -> None:
        """Stop the recording's time until the last image of the topic is answered."""
        if self._answers.pending(topic):
            paused = self._timeline.paused
            self._timeline.pause(True)
            self._answers.wait(topic, lambda: bool(self._stop))
            self._timeline.pause(paused)

    def _send(self, message: RawMessage) -> None:
        publisher, stamped = self._channels[message.topic]
        late = time.monotonic_ns() - self._timeline.due(message.stamp_ns)
        publisher.publish(shifted(message.data, self._offset_ns) if stamped and self._offset_ns else message.data)
        self.sent[message.topic] += 1
        self._answers.sent(message.topic)
        self.late_ms.append(late / 1e6)

    def _wait_for_subscribers(self) -> None:
        deadline = time.monotonic() + self.params.wait_for_subscribers
        while self.params.wait_for_subscribers and not self._stop:
            missing = self._missing()
            if missing is None:
                if self._readiness is None:
                    time.sleep(1.0)  # discovery has two sides, and the subscriber's may still be missing
                return
            if time.monotonic() > deadline:
                raise PerceptionError(f"{missing} within {self.params.wait_for_subscribers:g} s")
            time.sleep(0.05)

    def _missing(self) -> str | None:
        """What the first image waits for: a subscriber of every image topic, or the named cameras; None when ready."""
        if self._readiness is None:
            return next(
                (f"nobody subscribed to {topic}" for topic in self._images if not self._subscribed(topic)), None
            )
        subscribed, cameras = sum(map(self._subscribed, self._images)), len(self.params.cameras)
        if missing := self._readiness.missing:
            return missing
        return f"{subscribed} of {cameras} cameras subscribed" if subscribed < cameras else None

    @property
    def _images(self) -> list[str]:
        return [topic for topic in self._channels if self._bag.topics[topic] in IMAGES]

    def _subscribed(self, topic: str) -> bool:
        count: int = self._channels[topic][0].get_subscription_count()
        return count > 0

    def _wait_until_handled(self) -> None:
        if self._readiness is None:
            time.sleep(0.3)  # the last images are still on their way
            return
        images = sum(self.sent[topic] for topic in filter(self._subscribed, self._images))
        last = time.monotonic()
        while not self._stop and self._readiness.handled < images:
            if min(self._readiness.unchanged_for, time.monotonic() - last) > IDLE_TIMEOUT:
                return
            time.sleep(0.05)

    def close(self) -> None:
        """Log and write what was sent; called when the process ends."""
        self._thread.join(1.0)
        late = sorted(self.late_ms) or [0.0]
        counts = ", ".join(f"{topic} {count}" for topic, count in sorted(self.sent.items())) or "nothing"
        p95 = late[int(0.95 * (len(late) - 1))]
        self.get_logger().info(f"sent {counts}; late p95 {p95:.1f} ms, max {late[-1]:.1f} ms")
        if self.params.summary:
            summary = {
                "sent": dict(self.sent), "stamp_offset_ns": self._offset_ns, "late_ms_max": late[-1],
                "held_s": round(self._answers.held, 3),
            }  # fmt: skip
            Path(self.params.summary).write_text(json.dumps(summary, indent=1), "utf-8")
        self._bag.close()


def _count(answers: Answers, topic: str, message: bytes) -> None:
    answers.answered(topic)


def create(stop: Stop) -> list[Node]:
    return [BagPlayerNode(stop)]
