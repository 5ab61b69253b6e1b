"""A rig of cameras as the demo and the launch files need it, from a YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from camera_perception.errors import CalibrationError


@dataclass(frozen=True)
class RigCamera:
    """One camera: what it is called, where its images come from, where it sits.

    pose  x y z metres, roll pitch yaw radians in base_link; all zero when TF knows it
    """

    name: str
    image_topic: str
    camera_info_topic: str = ""
    pose: tuple[float, ...] = (0.0,) * 6

    @property
    def namespace(self) -> str:
        """Where the camera's node lives: beside its images."""
        return self.image_topic.rpartition("/")[0] or f"/{self.name}"


def read_rig(path: Path | str) -> list[RigCamera]:
    """The cameras of a rig file; CalibrationError names the entry that is wrong."""
    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
        cameras = content["cameras"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CalibrationError(f"{path} is no rig file ({error}): it needs a list `cameras`") from error
    return [_camera(entry, index, path) for index, entry in enumerate(cameras)]


def _camera(entry: dict[str, Any], index: int, path: Path | str) -> RigCamera:
    try:
        pose = tuple(map(float, entry.get("pose", (0.0,) * 6)))
        topic = entry.get("image_topic") or f"/camera/{entry['name']}/image_raw"
        camera = RigCamera(entry["name"], topic, entry.get("camera_info_topic", ""), pose)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CalibrationError(
            f"{path}: camera {index} needs a name and, where given, a pose of six numbers ({error!r})"
        ) from error
    if len(pose) != 6:
        raise CalibrationError(
            f"{path}: camera '{camera.name}' has a pose of {len(pose)} numbers: expected x y z roll pitch yaw"
        )
    return camera
