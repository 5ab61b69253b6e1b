"""The calibrated camera of a node: intrinsics from CameraInfo or a file, the pose from a parameter or from TF.

TF comes from tf2_ros where it is installed, otherwise directly from /tf_static and /tf.
"""

from __future__ import annotations

from threading import Lock, RLock
from typing import Any, Protocol

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

from camera_perception.core.errors import CalibrationError
from camera_perception.core.types import Status
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.geometry.camera_views import turned
from camera_perception.geometry.transforms import TfTree
from camera_perception.tools.calibration.calibrate import camera_from_yaml
from camera_perception_ros.conversions.messages import camera_from_message, pose_from_transform, stamp_ns
from camera_perception_ros.params.camera import CameraParams

MOVING = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
STATIC = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Transforms(Protocol):
    """A source of poses between frames."""

    def base_from(self, base: str, frame: str, stamp_ns: int | None = None) -> np.ndarray | None:
        """(4, 4) pose of frame in base, metres; None while the two are not connected. From any thread.

        stamp_ns  time of the pose; the latest is given without it, and where nothing is known of that time
        """

    def close(self) -> None:
        """Stop listening."""


class Tf2Transforms:
    """Transforms from tf2_ros."""

    def __init__(self, node: Node, tf2_ros: Any) -> None:
        self._buffer = tf2_ros.Buffer()  # without a node: it would add a service that nothing removes
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def base_from(self, base: str, frame: str, stamp_ns: int | None = None) -> np.ndarray | None:
        for time in [Time()] if stamp_ns is None or stamp_ns < 0 else [Time(nanoseconds=stamp_ns), Time()]:
            if self._buffer.can_transform(base, frame, time):
                return pose_from_transform(self._buffer.lookup_transform(base, frame, time).transform)
        return None

    def close(self) -> None:
        self._listener.unregister()


class TopicTransforms:
    """Transforms from the topics /tf_static and /tf."""

    def __init__(self, node: Node, message_type: Any) -> None:
        """message_type is tf2_msgs/msg/TFMessage."""
        self._node, self._tree, self._lock = node, TfTree(), Lock()
        self._subscriptions = [
            node.create_subscription(message_type, "/tf_static", self.on_static, STATIC),
            node.create_subscription(message_type, "/tf", self.on_moving, MOVING),
        ]

    def on_static(self, message: Any) -> None:
        for transform in message.transforms:
            self._add(transform, None)

    def on_moving(self, message: Any) -> None:
        for transform in message.transforms:
            self._add(transform, stamp_ns(transform.header.stamp))

    def _add(self, message: Any, stamp: int | None) -> None:
        at, turned = message.transform.translation, message.transform.rotation
        quaternion = (turned.x, turned.y, turned.z, turned.w)
        with self._lock:
            self._tree.add(message.header.frame_id, message.child_frame_id, (at.x, at.y, at.z), quaternion, stamp)

    def base_from(self, base: str, frame: str, stamp_ns: int | None = None) -> np.ndarray | None:
        with self._lock:
            pose = self._tree.base_from(base, frame, stamp_ns)
            return self._tree.base_from(base, frame) if pose is None and stamp_ns is not None else pose

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


def listen(node: Node) -> Transforms | None:
    """Transforms from tf2_ros or from the topics; None, and a line in the log, if tf2_msgs is not installed either."""
    try:
        import tf2_ros
    except ImportError:
        pass
    else:
        return Tf2Transforms(node, tf2_ros)
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        node.get_logger().info(
            "tf2_msgs is not installed, so TF is not available: set camera_pose to get metric output"
        )
        return None
    return TopicTransforms(node, TFMessage)


MOVED = 1e-4  # metres, or of a rotation matrix: smaller changes are rounding errors
STEADY = Clock(clock_type=ClockType.STEADY_TIME)
# Fields by which two CameraInfo messages describe the same camera.
CAMERA_ARRAYS = "k", "d", "r", "p"
CAMERA_FIELDS = "width", "height", "distortion_model", "binning_x", "binning_y", "roi"


class Calibration:
    """Follows CameraInfo and TF, or reads a file; CalibrationError when the file is no calibration.

    camera    None while the intrinsics are unknown
    flags     UNCALIBRATED or TF_MISSING while something is missing
    text      what is missing, or wrong with CameraInfo
    mismatch  that images and CameraInfo name different frames; empty if they do not
    """

    def __init__(self, node: Node, params: CameraParams) -> None:
        self._params, self._node = params, node
        self._last: CameraInfo | None = None
        self.mismatch = ""
        self._seen: np.ndarray | None = None  # the pose of TF in use
        self._lock = RLock()  # CameraInfo arrives in the executor's thread, images are processed in another
        needed = params.lidar_topic or not any(params.camera_pose)
        self._transforms = listen(node) if needed else None
        # TF may become known long after a CameraInfo that is published only once.
        self._timer = node.create_timer(0.5, self._retry_tf, clock=STEADY) if self._transforms is not None else None
        self.camera: Camera | None = None
        self.flags = Status.UNCALIBRATED
        self.text = f"no CameraInfo on {params.info_topic} yet"
        if params.calibration_file:
            pose = optical_from_rpy(params.camera_pose[:3], params.camera_pose[3:])
            self._accept(camera_from_yaml(params.calibration_file, pose, params.without_distortion))

    def on_info(self, message: CameraInfo) -> None:
        """Use a CameraInfo if it differs from the last one, or while TF does not know the camera's pose."""
        with self._lock:
            self._on_info(message)

    def at(self, stamp_ns: int, frame_id: str = "") -> tuple[Camera | None, Status]:
        """The camera at the time of an image, with `flags`, and MOUNTING_CHANGED if TF has moved it since the last.

        frame_id  of the image; `mismatch` says when CameraInfo names another
        """
        with self._lock:
            self.mismatch = self._mismatch(frame_id)
            moved = self._follow(stamp_ns)
            return self.camera, self.flags | Status.MOUNTING_CHANGED if moved else self.flags

    def _mismatch(self, frame_id: str) -> str:
        named = self._last.header.frame_id if self._last is not None else ""
        if not (named and frame_id) or named == frame_id or self._params.calibration_file:
            return ""
        return f"images are of frame '{frame_id}', CameraInfo of '{named}': make the driver send one frame_id"

    def _follow(self, stamp_ns: int) -> bool:
        """Use the pose of TF at a time; whether it differs from the one in use by more than MOVED."""
        if self._last is None or self._transforms is None or any(self._params.camera_pose):
            return False
        before, now = self._seen, self._pose(self._last.header.frame_id, stamp_ns)
        if now is None or (before is not None and np.abs(now - before).max() <= MOVED):
            return False
        self._place(self._last, now)
        return before is not None

    def _on_info(self, message: CameraInfo) -> None:
        same = self._last is not None and _key(self._last) == _key(message)
        if self._params.calibration_file or (same and not self.flags & Status.TF_MISSING):
            return
        self._last = message
        self._place(message, self._pose(message.header.frame_id, stamp_ns(message.header.stamp)))

    def _place(self, message: CameraInfo, pose: Any) -> None:
        self._seen = pose
        try:
            self._accept(camera_from_message(message, pose, self._params.without_distortion))
        except CalibrationError as error:
            self.camera, self.flags, self.text = None, Status.UNCALIBRATED, str(error)

    def close(self) -> None:
        """Stop listening to TF."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        if self._transforms is not None:
            self._transforms.close()

    def _retry_tf(self) -> None:
        if self._last is not None and self.flags & Status.TF_MISSING:
            self.on_info(self._last)

    def _accept(self, camera: Camera) -> None:
        self.camera = camera = turned(camera, self._params.rotate, self._params.mirror)
        self.flags = Status(0) if camera.metric else Status.TF_MISSING
        self.text = (
            "calibrated"
            if camera.metric
            else f"the camera's pose in {self._params.base_frame} is unknown: set camera_pose or publish TF"
        )

    def _pose(self, frame_id: str, stamp_ns: int) -> Any:
        if any(self._params.camera_pose):
            return self._params.camera_pose
        return self.base_from(frame_id, stamp_ns)

    def base_from(self, frame_id: str, stamp_ns: int | None = None) -> np.ndarray | None:
        """(4, 4) pose of a frame in base_frame at a time, by default the latest; None while TF does not know it."""
        return self._transforms.base_from(self._params.base_frame, frame_id, stamp_ns) if self._transforms else None


def _key(message: CameraInfo) -> list[bytes | str]:
    """What two messages of the same camera have in common. Bytes of arrays: their text takes forty times as long."""
    numbers = [np.asarray(getattr(message, name), np.float64).tobytes() for name in CAMERA_ARRAYS]
    return [*numbers, *[str(getattr(message, name)) for name in CAMERA_FIELDS], message.header.frame_id]
