"""The world around the nodes under test: images at a fixed rate, listeners, clients; and the processes themselves."""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from camera_perception_msgs.msg import FusedPerception, PerceptionFrame
from camera_perception_ros.bench.endpoints.observer import Observer
from camera_perception_ros.conversions.messages import stamp_ns, time_from_ns

RELIABLE = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
NEWEST = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
SIZE = (96, 160)
SECOND = 1_000_000_000
ENDLESS = 1 << 63
ANSWER = 30.0  # seconds in which a node has to answer after a fault


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image:
    """A noisy grey road."""
    pixels = np.random.default_rng(seed).integers(60, 180, (*size, 3), dtype=np.uint8)
    message = Image(height=size[0], width=size[1], encoding="bgr8", step=3 * size[1], data=array("B", pixels.tobytes()))
    message.header.frame_id = "optical_frame"
    return message


def calibration() -> CameraInfo:
    height, width = SIZE
    message = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = [120.0, 0.0, width / 2, 0.0, 120.0, height / 2, 0.0, 0.0, 1.0]
    message.header.frame_id = "optical_frame"
    return message


@dataclass
class Flow:
    """Images of one camera and their answers, as stamps in nanoseconds.

    answered  monotonic time of arrival by stamp
    replaced  images that a node has replaced by a newer one, by the stamp of that one
    paused    no images are sent
    shift     added to the stamps, nanoseconds
    served    monotonic time at which the latest image with an answer was sent; 0 without one
    latest    stamp of that image
    """

    sent: list[int] = field(default_factory=list)
    answered: dict[int, float] = field(default_factory=dict)
    replaced: dict[int, int] = field(default_factory=dict)
    paused: bool = False
    shift: int = 0
    served: float = 0.0
    latest: int = 0
    _sent_at: dict[int, float] = field(default_factory=dict)

    def send(self, stamp: int) -> None:
        self.sent.append(stamp)
        self._sent_at[stamp] = time.monotonic()

    def answer(self, stamp: int, replaced: int) -> None:
        self.answered[stamp], self.replaced[stamp] = time.monotonic(), replaced
        if (sent_at := self._sent_at.get(stamp, 0.0)) > self.served:
            self.served, self.latest = sent_at, stamp

    def served_since(self, began: float) -> bool:
        """Whether an image that was sent after this time has its answer.

        The time of arrival says less: answers of a process that has ended may still wait to be read.
        """
        return self.served > began

    def lost(self, first: int, last: int) -> int:
        """Images with stamps in a range that were neither answered nor replaced by a newer one."""
        unanswered = sum(first <= stamp <= last and stamp not in self.answered for stamp in self.sent)
        return max(0, unanswered - sum(count for stamp, count in self.replaced.items() if first <= stamp <= last))


class Outside(Observer):
    """A node that plays cameras, listens to all answers and calls services."""

    def __init__(self, rate: float = 10.0) -> None:
        super().__init__("outside")
        self.flows: dict[str, Flow] = {}
        self.fused: list[float] = []  # monotonic times of arrival
        self._pictures = [picture(seed) for seed in range(4)]
        self.rate = rate
        self.node.create_subscription(FusedPerception, "/fusion/fused", self._on_fused, RELIABLE)

    def _on_fused(self, message: FusedPerception) -> None:
        self.fused.append(time.monotonic())

    def play(self, camera: str, node: str = "camera") -> Flow:
        """Send images of a camera from now on, and note the answers of its node, /CAMERA/NODE."""
        flow = self.flows[camera] = Flow()
        images = self.node.create_publisher(Image, f"/{camera}/image_raw", NEWEST)
        infos = self.node.create_publisher(CameraInfo, f"/{camera}/camera_info", RELIABLE)

        def send() -> None:
            if flow.paused:
                return
            message, stamp = self._pictures[len(flow.sent) % len(self._pictures)], time.time_ns() + flow.shift
            message.header.stamp = time_from_ns(stamp)
            flow.send(stamp)
            images.publish(message)
            if len(flow.sent) % 10 == 1:
                infos.publish(calibration())

        def answered(frame: PerceptionFrame) -> None:
            flow.answer(stamp_ns(frame.header.stamp), frame.frames_dropped)

        self.node.create_timer(1 / self.rate, send)
        self.node.create_subscription(PerceptionFrame, f"/{camera}/{node}/perception", answered, RELIABLE)
        return flow

    def lost_since(self, flow: Flow, first: int) -> int:
        """Images of a flow, from that stamp on, that are lost; asked once all earlier ones must have their answer."""
        served = self.wait(partial(flow.served_since, time.monotonic()), ANSWER)
        return flow.lost(first, flow.latest if served else ENDLESS)

    def client(self, kind: Any, name: str, seconds: float = 60.0) -> Any:
        """A client that keeps many answers, once its service is there."""
        client = self.node.create_client(kind, name, qos_profile=RELIABLE)
        self.wait(client.service_is_ready, seconds)
        return client

    def unanswered(self, futures: list[Any], seconds: float) -> int:
        """Number of requests without an answer after that many seconds."""
        self.wait(lambda: all(future.done() for future in futures), seconds)
        return sum(not future.done() for future in futures)


def camera_arguments(camera: str, model: Path, **values: object) -> list[str]:
    """Arguments of a camera node in the namespace of its images."""
    given = {
        "model": model, "engine": "onnxruntime", "engine_threads": 1, "transport": "raw", "autostart": "true",
        "camera_pose": "[1.5, 0.0, 1.4, 0.0, 0.0, 0.0]", "silence": 600.0, **values,
    }  # fmt: skip
    return ["-r", f"__ns:=/{camera}", *ros_arguments(**given)]


def fusion_arguments(*cameras: str) -> list[str]:
    topics = ",".join(f"/{camera}/camera/perception" for camera in cameras)
    return ros_arguments(cameras=f"[{','.join(cameras)}]", topics=f"[{topics}]", autostart="true")


def ros_arguments(**values: object) -> list[str]:
    """-p name:=value for each."""
    return [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]
