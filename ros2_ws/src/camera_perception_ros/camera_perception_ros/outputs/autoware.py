"""Objects and traffic lights as autoware_perception_msgs; imported only where that package is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoware_perception_msgs.msg import (
    DetectedObject,
    DetectedObjectKinematics,
    DetectedObjects,
    ObjectClassification,
    Shape,
    TrafficLightGroup,
    TrafficLightGroupArray,
)
from autoware_perception_msgs.msg import TrafficLightElement as Lamp
from std_msgs.msg import Header

from camera_perception.draw.scene import Surroundings
from camera_perception_msgs.msg import TrafficLight, TrafficLightElement
from camera_perception_ros.outputs.adapters import Group, from_lights, from_surroundings
from camera_perception_ros.outputs.poses import metric_header, moves, pose_of, size_of, twist_of
from camera_perception_ros.outputs.publishers import Output

# Our class: theirs. They have no riders: two-wheelers include the person on them.
LABELS = {
    "car": ObjectClassification.CAR,
    "van": ObjectClassification.CAR,
    "truck": ObjectClassification.TRUCK,
    "bus": ObjectClassification.BUS,
    "trailer": ObjectClassification.TRAILER,
    "motorcycle": ObjectClassification.MOTORCYCLE,
    "bicycle": ObjectClassification.BICYCLE,
    "rider": ObjectClassification.BICYCLE,
    "person": ObjectClassification.PEDESTRIAN,
    "pedestrian": ObjectClassification.PEDESTRIAN,
}
NOT_OBSTACLES = ("traffic light", "traffic sign")  # as an unknown object, one would stop the car
# Names of our constants of colour, shape and status; their numbers differ between packages and releases.
CONSTANTS = (
    "RED", "AMBER", "GREEN", "WHITE", "CIRCLE", "LEFT_ARROW", "RIGHT_ARROW", "UP_ARROW", "DOWN_ARROW",
    "DOWN_LEFT_ARROW", "DOWN_RIGHT_ARROW", "CROSS", "SOLID_OFF", "SOLID_ON", "FLASHING", "UNKNOWN",
)  # fmt: skip
NAMES = {getattr(TrafficLightElement, name): name for name in CONSTANTS}


def classification_of(name: str) -> list[ObjectClassification]:
    return [ObjectClassification(label=LABELS.get(name, ObjectClassification.UNKNOWN), probability=1.0)]


def detected_objects(surroundings: Surroundings, header: Header) -> DetectedObjects | None:
    """Objects with a position; None without metres, which says nothing about objects."""
    if not surroundings.base_frame:
        return None
    rows = [row for row, name in enumerate(surroundings.names) if name not in NOT_OBSTACLES]
    found = [_object(surroundings, row) for row in rows]
    return DetectedObjects(header=metric_header(surroundings, header), objects=found)


def _object(surroundings: Surroundings, row: int) -> DetectedObject:
    name, score = surroundings.names[row], float(surroundings.scores[row])
    return DetectedObject(
        existence_probability=score,
        classification=classification_of(name),
        kinematics=_kinematics(surroundings, row),
        shape=Shape(type=Shape.BOUNDING_BOX, dimensions=size_of(name)),
    )


def _kinematics(surroundings: Surroundings, row: int) -> DetectedObjectKinematics:
    """Without a heading the orientation is that of the car, and marked as unavailable."""
    kinds, pose, twist = DetectedObjectKinematics, pose_of(surroundings, row), twist_of(surroundings, row)
    kinematics = DetectedObjectKinematics(
        pose_with_covariance=pose, has_position_covariance=bool(pose.covariance.any())
    )
    kinematics.orientation_availability = kinds.AVAILABLE if moves(surroundings, row) else kinds.UNAVAILABLE
    if twist is not None:
        kinematics.has_twist, kinematics.twist_with_covariance = True, twist
        kinematics.has_twist_covariance = bool(twist.covariance.any())
    return kinematics


def own_lamps(lights: Sequence[TrafficLight], kind: Any) -> list[Any] | None:
    """The lamps of the surest light of the own lane, as messages of this kind; None without such a light."""
    own = [light for light in lights if light.relevance == TrafficLight.EGO]
    if not own:
        return None
    best = max(own, key=lambda light: light.score)
    return [_lamp(element, kind) for element in best.elements] or [_unknown(best, kind)]


def _lamp(element: TrafficLightElement, kind: Any) -> Any:
    values = {field: getattr(kind, NAMES[getattr(element, field)]) for field in ("color", "shape", "status")}
    return kind(confidence=element.confidence, **values)


def _unknown(light: TrafficLight, kind: Any) -> Any:
    return kind(color=kind.UNKNOWN, shape=kind.UNKNOWN, status=kind.UNKNOWN, confidence=light.score)


def light_groups(lights: Sequence[TrafficLight], header: Header, group: int) -> TrafficLightGroupArray | None:
    """The light of the own lane under the map's id of its group; no group without such a light, None without an id."""
    if not group:
        return None
    lamps = own_lamps(lights, Lamp)
    groups = [] if lamps is None else [TrafficLightGroup(traffic_light_group_id=group, elements=lamps)]
    return TrafficLightGroupArray(stamp=header.stamp, traffic_light_groups=groups)


def camera_outputs(group: Group) -> list[Output]:
    return [
        from_surroundings("~/autoware/objects", DetectedObjects, detected_objects),
        from_lights(
            "~/autoware/traffic_lights",
            TrafficLightGroupArray,
            lambda lights, header: light_groups(lights, header, group()),
        ),
    ]


def fused_outputs(group: Group) -> list[Output]:
    return [
        Output("~/autoware/objects", DetectedObjects, lambda each, header, lights: detected_objects(each, header)),
        Output(
            "~/autoware/traffic_lights",
            TrafficLightGroupArray,
            lambda each, header, lights: light_groups(lights, header, group()),
        ),
    ]
