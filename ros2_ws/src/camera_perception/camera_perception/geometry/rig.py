"""Rig files: the cameras of a car, with their topics, poses and calibrations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camera_perception.core.documents.kind import DocumentKind
from camera_perception.core.errors import CalibrationError

DOCUMENT = DocumentKind(
    "a usable rig file",
    "yaml",
    ("camera_perception.geometry", "rig.schema.json"),
    CalibrationError,
    "correct it, see config/rig_example.yaml",
)


@dataclass(frozen=True)
class RigCamera:
    """One camera of a rig.

    pose         x y z metres, roll pitch yaw radians in base_link; None when TF provides it
    calibration  camera_info YAML with the intrinsics, requires pose; None when CameraInfo is published
    rectified    the images are rectified, whatever their topic name
    """

    name: str
    image_topic: str
    camera_info_topic: str = ""
    pose: tuple[float, ...] | None = None
    calibration: Path | None = None
    rectified: bool = False

    @property
    def namespace(self) -> str:
        """Namespace of the camera's node: that of its images."""
        return self.image_topic.rpartition("/")[0] or f"/{self.name}"


def read_rig(path: Path | str) -> tuple[RigCamera, ...]:
    """Read a rig file; CalibrationError names the wrong entry and what is expected."""
    path = Path(path)
    content = DOCUMENT.read(path)
    cameras = tuple(_camera(entry, path.parent) for entry in content["cameras"])
    twice = {each.name for each in cameras if [other.name for other in cameras].count(each.name) > 1}
    if twice:
        raise CalibrationError(f"{path} names a camera twice: {', '.join(sorted(twice))}")
    for camera in cameras:
        if camera.pose is not None and camera.pose[2] <= 0:
            raise CalibrationError(f"{path}: camera '{camera.name}' is at or below the road: z of its pose must be > 0")
    return cameras


def _camera(entry: dict[str, Any], folder: Path) -> RigCamera:
    return RigCamera(
        name=entry["name"],
        image_topic=entry.get("image_topic", f"/camera/{entry['name']}/image_raw"),
        camera_info_topic=entry.get("camera_info_topic", ""),
        pose=tuple(map(float, entry["pose"])) if any(entry.get("pose", ())) else None,
        calibration=(folder / entry["calibration"]).absolute() if "calibration" in entry else None,
        rectified=bool(entry.get("rectified", False)),
    )
