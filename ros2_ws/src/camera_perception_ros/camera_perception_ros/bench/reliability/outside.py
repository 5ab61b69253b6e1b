"""The world around the nodes under test: images at a fixed rate, listeners, clients; and the processes themselves."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from camera_perception_msgs.msg import FusedPerception, PerceptionFrame
from camera_perception_ros.conversions.messages import stamp_ns, time_from_ns

RELIABLE = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
NEWEST = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
SIZE = (96, 160)
SECOND = 1_000_000_000


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
    """

    sent: list[int] = field(default_factory=list)
    answered: dict[int, float] = field(default_factory=dict)
    replaced: dict[int, int] = field(default_factory=dict)
    paused: bool = False
    shift: int = 0

    def last_answer(self) -> float:
        """Monotonic time of the latest answer; 0 without one."""
        return max(self.answered.values(), default=0.0)

    def answers_since(self, began: float) -> bool:
        return self.last_answer() > began

    def lost(self, first: int, last: int) -> int:
        """Images with stamps in a range that were neither answered nor replaced by a newer one."""
        unanswered = sum(first <= stamp <= last and stamp not in self.answered for stamp in self.sent)
        return max(0, unanswered - sum(count for stamp, count in self.replaced.items() if first <= stamp <= last))


class Outside:
    """A node that plays cameras, listens to all answers and calls services."""

    def __init__(self, rate: float = 10.0) -> None:
        rclpy.init()
        self.node = Node("outside", start_parameter_services=False, enable_rosout=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
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
            flow.sent.append(stamp)
            images.publish(message)
            if len(flow.sent) % 10 == 1:
                infos.publish(calibration())

        def answered(frame: PerceptionFrame) -> None:
            stamp = stamp_ns(frame.header.stamp)
            flow.answered[stamp], flow.replaced[stamp] = time.monotonic(), frame.frames_dropped

        self.node.create_timer(1 / self.rate, send)
        self.node.create_subscription(PerceptionFrame, f"/{camera}/{node}/perception", answered, RELIABLE)
        return flow

    def wait(self, condition: Callable[[], object], seconds: float) -> bool:
        """Spin until the condition holds; False after that many seconds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def spin(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def client(self, kind: Any, name: str, seconds: float = 60.0) -> Any:
        """A client that keeps many answers, once its service is there."""
        client = self.node.create_client(kind, name, qos_profile=RELIABLE)
        self.wait(client.service_is_ready, seconds)
        return client

    def unanswered(self, futures: list[Any], seconds: float) -> int:
        """Number of requests without an answer after that many seconds."""
        self.wait(lambda: all(future.done() for future in futures), seconds)
        return sum(not future.done() for future in futures)

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=0.5)
        self.node.destroy_node()
        rclpy.try_shutdown()


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
