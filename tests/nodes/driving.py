"""Helpers of the node tests: images as messages, nodes as processes, and a subscriber that keeps its messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)


def header(number: int, frame_id: str = "front_optical_frame") -> Header:
    """Stamps of a 20 Hz camera."""
    return Header(stamp=Time(sec=1000 + number // 20, nanosec=number % 20 * 50_000_000), frame_id=frame_id)


def road(seed: int = 0) -> np.ndarray:
    """(96, 160, 3) BGR: a grey road under a blue sky with one bright block."""
    image = np.random.default_rng(seed).integers(90, 120, (96, 160, 3), dtype=np.uint8)
    image[:48] = (200, 160, 120)
    image[60:70, 70:90] = 250
    return image


def image_message(number: int, pixels: np.ndarray | None = None, encoding: str = "bgr8") -> Image:
    pixels = road(number) if pixels is None else pixels
    message = Image(header=header(number), height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.step = pixels.strides[0]
    message.data = array("B", pixels.tobytes())
    return message


def jpeg_message(number: int) -> CompressedImage:
    message = CompressedImage(header=header(number), format="jpeg")
    message.data = array("B", cv2.imencode(".jpg", road(number))[1].tobytes())
    return message


def camera_info(number: int = 0, focal: float = 120.0) -> CameraInfo:
    """A calibrated 160 x 96 camera; focal 0 makes it uncalibrated."""
    message = CameraInfo(header=header(number), width=160, height=96, distortion_model="plumb_bob")
    message.d = [0.0] * 5
    message.k = np.array([focal, 0, 80, 0, focal, 48, 0, 0, 1 if focal else 0], float)
    return message


class Listener:
    """Subscribes to a topic and keeps every message."""

    def __init__(self, node: Node, kind: Any, topic: str, qos: QoSProfile = RELIABLE) -> None:
        self.messages: list[Any] = []
        self.subscription = node.create_subscription(kind, topic, self.messages.append, qos)


def reported(diagnostics: Listener, text: str) -> bool:
    """Whether a message of /diagnostics holds this text."""
    return any(text in status.message for message in diagnostics.messages for status in message.status)


def process_environment() -> dict[str, str]:
    """As the tests' own, with one thread per process."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env.pop("ROS_LOCALHOST_ONLY", None)
    return env


def shipped_environment() -> dict[str, str]:
    """As a user's who sourced our environment: the shared-memory profile. For processes that nothing here kills."""
    profile = str(Path(__file__).parents[2] / "launch/config/fastdds_shm.xml")
    return {
        **process_environment(),
        "FASTRTPS_DEFAULT_PROFILES_FILE": profile,
        "FASTDDS_DEFAULT_PROFILES_FILE": profile,
    }


def start_node(node: str, *arguments: str, log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A node of camera_perception_ros as a process; arguments follow --ros-args."""
    command = [sys.executable, "-m", "camera_perception_ros.nodes.main", node, "--ros-args", *arguments]
    with log.open("wb") as stream:
        return subprocess.Popen(
            command, stdout=stream, stderr=stream, env=env or process_environment(), start_new_session=True
        )


def catches_signals(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has come so far that SIGTERM reaches a handler of its own."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def parameters(**values: object) -> list[Any]:
    """rclpy parameter overrides of a node made in the test."""
    from rclpy.parameter import Parameter

    return [Parameter(name, value=value) for name, value in values.items()]


def ros_arguments(**values: object) -> list[str]:
    """The same for a node that is a process: -p name:=value for each."""
    return [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]
