"""Cameras of a recording, and parameter files for their nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from camera_perception.core.errors import BagError
from camera_perception.geometry.rig import read_rig
from camera_perception.io.bag_reader import Bag
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE

NODE = "camera_perception"
ODOMETRY = "nav_msgs/msg/Odometry"


@dataclass(frozen=True)
class DemoCamera:
    """One image topic of the recording.

    topic     as recorded, with /compressed for compressed images
    pose      x y z roll pitch yaw in base_link, all zero when unknown
    """

    name: str
    topic: str
    transport: str
    pose: tuple[float, ...] = (0.0,) * 6

    @property
    def image_topic(self) -> str:
        return self.topic.removesuffix("/compressed")

    @property
    def info_topic(self) -> str:
        return self.image_topic.rpartition("/")[0] + "/camera_info"

    @property
    def namespace(self) -> str:
        return self.image_topic.rpartition("/")[0] or "/camera"

    def output(self, name: str) -> str:
        """Full name of an output topic of this camera's node."""
        return f"{self.namespace}/{NODE}/{name}"


def cameras_of(bag: Path) -> list[DemoCamera]:
    """The cameras of a recording; mounting poses come from its rig.yaml. BagError when there is no image topic."""
    with Bag(bag) as recording:
        topics = recording.topics
    cameras: dict[str, DemoCamera] = {}
    for topic, message_type in sorted(topics.items()):
        if message_type in (IMAGE, COMPRESSED_IMAGE):
            camera = _camera(topic, message_type)
            cameras.setdefault(camera.image_topic, camera)  # raw sorts before its compressed sibling
    if not cameras:
        raise BagError(f"{bag} holds no images: its topics are {', '.join(sorted(topics)) or 'none'}")
    rig = bag / "rig.yaml"
    poses = {camera.name: camera.pose for camera in read_rig(rig) if camera.pose} if rig.is_file() else {}
    return [DemoCamera(c.name, c.topic, c.transport, poses.get(c.name, c.pose)) for c in cameras.values()]


def _camera(topic: str, message_type: str) -> DemoCamera:
    parts = topic.removesuffix("/compressed").strip("/").split("/")
    return DemoCamera(
        parts[-2] if len(parts) > 1 else parts[0], topic, "raw" if message_type == IMAGE else "compressed"
    )


def odometry_of(bag: Path) -> str:
    """The first odometry topic of a recording; empty when there is none."""
    with Bag(bag) as recording:
        return next((topic for topic, message_type in sorted(recording.topics.items()) if message_type == ODOMETRY), "")


def played_topics(bag: Path, cameras: list[DemoCamera], odometry: str) -> list[str]:
    """Topics of the recording that the nodes subscribe to."""
    wanted = [topic for camera in cameras for topic in (camera.topic, camera.info_topic)]
    with Bag(bag) as recording:
        return [topic for topic in (*wanted, odometry) if topic in recording.topics]


def write_params(path: Path, values: dict[str, Any]) -> str:
    """Write a ROS parameter file that applies to any node; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}, sort_keys=False), "utf-8")
    return str(path)
