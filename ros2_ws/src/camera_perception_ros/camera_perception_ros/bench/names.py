"""Topics and QoS profiles shared by the processes of a measurement."""

from __future__ import annotations

from rclpy.qos import QoSProfile, ReliabilityPolicy

CAMERA = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)  # as the camera node subscribes by default
ANSWER = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)  # as the camera node publishes
LISTENER = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)

ECHO_IMAGES, ECHO = "/bench/echo/image_raw", "/bench/echo/header"
NODE = "camera_perception"


def namespace(camera: str) -> str:
    return f"/bench/{camera}"


def images(camera: str) -> str:
    """Topic of a camera's images."""
    return f"{namespace(camera)}/image_raw"


def info(camera: str) -> str:
    return f"{namespace(camera)}/camera_info"


def perception(camera: str) -> str:
    """Topic of the answers of a camera's node."""
    return f"{namespace(camera)}/{NODE}/perception"
