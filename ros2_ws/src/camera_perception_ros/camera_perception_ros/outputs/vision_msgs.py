"""Detections as vision_msgs; imported only where that package is installed.

class_id of a hypothesis is the class name; `~/label_info` gives the number of each name. id is the track id.
"""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    BoundingBox3D,
    Detection2D,
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    LabelInfo,
    ObjectHypothesisWithPose,
    VisionClass,
    VisionInfo,
)

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Perception
from camera_perception.draw.scene import Surroundings, class_name
from camera_perception_msgs.msg import ModelInfo
from camera_perception_ros.outputs.adapters import Group, from_surroundings
from camera_perception_ros.outputs.poses import metric_header, pose_of, size_of
from camera_perception_ros.outputs.publishers import Output

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def detections(perception: Perception, header: Header, spec: ModelSpec) -> Detection2DArray:
    """All objects; class_id is the class name, id the track id."""
    rows = range(len(perception.objects))
    return Detection2DArray(header=header, detections=[_detection(perception, header, spec, row) for row in rows])


def _detection(perception: Perception, header: Header, spec: ModelSpec, row: int) -> Detection2D:
    objects = perception.objects
    detection = Detection2D(header=header, id=str(int(objects.track_ids[row])) if objects.track_ids[row] else "")
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = class_name(spec.classes, int(objects.classes[row]))
    hypothesis.hypothesis.score = float(objects.scores[row])
    detection.results = [hypothesis]
    x0, y0, x1, y1 = objects.boxes[row].tolist()
    detection.bbox = BoundingBox2D(size_x=x1 - x0, size_y=y1 - y0)
    center = detection.bbox.center
    position = getattr(center, "position", center)  # vision_msgs before version 4 (Humble) has no `position`
    position.x, position.y = (x0 + x1) / 2, (y0 + y1) / 2
    return detection


def detections_3d(surroundings: Surroundings, header: Header) -> Detection3DArray | None:
    """Objects with a position, as boxes of the size that is usual for their class; None without metres."""
    if not surroundings.base_frame:
        return None
    header = metric_header(surroundings, header)
    found = [_detection_3d(surroundings, header, row) for row in range(len(surroundings))]
    return Detection3DArray(header=header, detections=found)


def _detection_3d(surroundings: Surroundings, header: Header, row: int) -> Detection3D:
    track_id, pose = int(surroundings.track_ids[row]), pose_of(surroundings, row)
    hypothesis = ObjectHypothesisWithPose(pose=pose)
    hypothesis.hypothesis.class_id = surroundings.names[row]
    hypothesis.hypothesis.score = float(surroundings.scores[row])
    box = BoundingBox3D(center=pose.pose, size=size_of(surroundings.names[row]))
    return Detection3D(header=header, results=[hypothesis], bbox=box, id=str(track_id) if track_id else "")


class ModelDescription:
    """`~/label_info` and `~/vision_info`, transient local: late subscribers get the model in use."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node, self._changes = node, 0
        self._labels = node.create_publisher(LabelInfo, "~/label_info", LATCHED)
        self._vision = node.create_publisher(VisionInfo, "~/vision_info", LATCHED)

    def publish(self, info: ModelInfo) -> None:
        self._changes += 1
        self._labels.publish(label_info(info))
        self._vision.publish(vision_info(info, self._labels.topic_name, self._changes))

    def close(self) -> None:
        self._node.destroy_publisher(self._labels)
        self._node.destroy_publisher(self._vision)


def label_info(info: ModelInfo) -> LabelInfo:
    """The classes of the objects head and its smallest threshold."""
    heads = [head for head in info.heads if head.name == "objects"]
    names = [name for head in heads for name in head.class_names]
    thresholds = [value for head in heads for value in head.thresholds]
    classes = [VisionClass(class_id=number, class_name=name) for number, name in enumerate(names)]
    return LabelInfo(header=info.header, class_map=classes, threshold=min(thresholds, default=0.0))


def vision_info(info: ModelInfo, database: str, version: int) -> VisionInfo:
    """The model by name; its database of classes is the topic `database`, with the number of models so far."""
    method = f"{info.model_name} {info.model_version}"
    return VisionInfo(header=info.header, method=method, database_location=database, database_version=version)


def camera_outputs(group: Group) -> list[Output]:
    """`~/detections` is there without an adapter."""
    return [from_surroundings("~/detections_3d", Detection3DArray, detections_3d)]


def fused_outputs(group: Group) -> list[Output]:
    return [Output("~/detections_3d", Detection3DArray, lambda each, header, lights: detections_3d(each, header))]


OUTPUTS = [Output("~/detections", Detection2DArray, detections)]
