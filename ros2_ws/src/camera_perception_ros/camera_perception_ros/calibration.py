"""Which calibrated camera belongs to the images: CameraInfo for the lens, a parameter or TF for the mounting."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from camera_perception.camera import Camera
from camera_perception.errors import CalibrationError
from camera_perception.status import Status
from camera_perception_ros.camera_params import CameraParams
from camera_perception_ros.convert import camera_from_message
from camera_perception_ros.transforms import listen

# What makes two CameraInfo messages the same camera.
OF_THE_CAMERA = ("width", "height", "k", "d", "r", "p", "distortion_model", "binning_x", "binning_y", "roi")


class Calibration:
    """Follows CameraInfo. camera is None until lens and mounting are known; `text` says what is missing."""

    def __init__(self, node: Node, params: CameraParams) -> None:
        self._params = params
        self._last: tuple[Any, ...] | None = None
        self._transforms = None if any(params.camera_pose) else listen(node)
        self.camera: Camera | None = None
        self.flags = Status.UNCALIBRATED
        self.text = f"no CameraInfo on {params.info_topic} yet"

    def on_info(self, message: CameraInfo) -> None:
        """Take over a CameraInfo when it differs from the one before, or as long as TF does not know the mounting."""
        key = tuple(str(getattr(message, name)) for name in OF_THE_CAMERA) + (message.header.frame_id,)
        if key == self._last and not self.flags & Status.TF_MISSING:
            return
        self._last = key
        try:
            rectified = self._params.image_topic.endswith("image_rect")
            self._accept(camera_from_message(message, self._pose(message.header.frame_id), rectified))
        except CalibrationError as error:
            self.camera, self.flags, self.text = None, Status.UNCALIBRATED, str(error)

    def close(self) -> None:
        """Stop listening to TF."""
        if self._transforms is not None:
            self._transforms.close()

    def _accept(self, camera: Camera) -> None:
        self.camera = camera
        self.flags = Status(0) if camera.metric else Status.TF_MISSING
        self.text = (
            "calibrated"
            if camera.metric
            else f"pose of the camera in {self._params.base_frame} unknown: set camera_pose or publish TF"
        )

    def _pose(self, frame_id: str) -> Any:
        if any(self._params.camera_pose):
            return self._params.camera_pose
        return self._transforms.base_from(self._params.base_frame, frame_id) if self._transforms else None
