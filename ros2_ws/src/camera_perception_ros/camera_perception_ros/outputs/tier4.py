"""Boxes in the image and traffic lights as tier4_perception_msgs; imported only where that package is installed.

Autoware's camera detectors publish the same messages: its fusion with lidar clusters takes the boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from std_msgs.msg import Header
from tier4_perception_msgs.msg import (
    DetectedObjectsWithFeature,
    DetectedObjectWithFeature,
    TrafficLightArray,
    TrafficLightElement,
)
from tier4_perception_msgs.msg import TrafficLight as Signal

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Perception
from camera_perception.draw.scene import class_name
from camera_perception_msgs.msg import TrafficLight
from camera_perception_ros.outputs.adapters import Group, from_lights
from camera_perception_ros.outputs.autoware import NOT_OBSTACLES, classification_of, own_lamps
from camera_perception_ros.outputs.publishers import Output


def rois(perception: Perception, header: Header, spec: ModelSpec) -> DetectedObjectsWithFeature:
    """Classes, scores and boxes in the image, cut at its edges; without positions."""
    names = [class_name(spec.classes, int(index)) for index in perception.objects.classes]
    rows = [row for row, name in enumerate(names) if name not in NOT_OBSTACLES]
    found = [_roi(perception, row, names[row]) for row in rows]
    return DetectedObjectsWithFeature(header=header, feature_objects=found)


def _roi(perception: Perception, row: int, name: str) -> DetectedObjectWithFeature:
    objects, (height, width) = perception.objects, perception.frame.image.shape[:2]
    found = DetectedObjectWithFeature()
    found.object.existence_probability = float(objects.scores[row])
    found.object.classification = classification_of(name)
    left, top, right, bottom = np.clip(np.rint(objects.boxes[row]), 0, (width, height, width, height)).astype(int)
    roi = found.feature.roi
    roi.x_offset, roi.y_offset, roi.width, roi.height = map(int, (left, top, right - left, bottom - top))
    return found


def traffic_lights(lights: Sequence[TrafficLight], header: Header, group: int) -> TrafficLightArray | None:
    """The light of the own lane under the map's id; nothing without such a light, None without an id."""
    if not group:
        return None
    lamps = own_lamps(lights, TrafficLightElement)
    signals = [] if lamps is None else [Signal(traffic_light_id=group, elements=lamps)]
    return TrafficLightArray(header=header, signals=signals)


def camera_outputs(group: Group) -> list[Output]:
    return [
        Output("~/tier4/rois", DetectedObjectsWithFeature, rois),
        from_lights(
            "~/tier4/traffic_lights", TrafficLightArray, lambda lights, header: traffic_lights(lights, header, group())
        ),
    ]


def fused_outputs(group: Group) -> list[Any]:
    """None: boxes belong to one camera's image."""
    return []
