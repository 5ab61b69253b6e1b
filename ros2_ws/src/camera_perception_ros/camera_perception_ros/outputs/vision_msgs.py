"""Detections as vision_msgs; imported only where that package is installed."""

from __future__ import annotations

from std_msgs.msg import Header
from vision_msgs.msg import BoundingBox2D, Detection2D, Detection2DArray, ObjectHypothesisWithPose

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Perception
from camera_perception_ros.outputs.publishers import Output


def detections(perception: Perception, header: Header, spec: ModelSpec) -> Detection2DArray:
    """All objects; class_id is the class name, id the track id."""
    rows = range(len(perception.objects))
    return Detection2DArray(header=header, detections=[_detection(perception, header, spec, row) for row in rows])


def _detection(perception: Perception, header: Header, spec: ModelSpec, row: int) -> Detection2D:
    objects = perception.objects
    detection = Detection2D(header=header, id=str(int(objects.track_ids[row])) if objects.track_ids[row] else "")
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = spec.classes[objects.classes[row]]
    hypothesis.hypothesis.score = float(objects.scores[row])
    detection.results = [hypothesis]
    x0, y0, x1, y1 = objects.boxes[row].tolist()
    detection.bbox = BoundingBox2D(size_x=x1 - x0, size_y=y1 - y0)
    center = detection.bbox.center
    position = getattr(center, "position", center)  # vision_msgs before version 4 (Humble) has no `position`
    position.x, position.y = (x0 + x1) / 2, (y0 + y1) / 2
    return detection


OUTPUTS = [Output("~/detections", Detection2DArray, detections)]
