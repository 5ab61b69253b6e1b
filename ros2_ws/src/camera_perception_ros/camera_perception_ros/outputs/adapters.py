"""Messages of other stacks, off by default: what the parameter `adapters` adds to the outputs of a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Perception
from camera_perception.draw.scene import Surroundings, surroundings_of
from camera_perception.io.perception_frame import traffic_light_fields
from camera_perception_msgs.msg import ModelInfo, TrafficLight, TrafficLightElement
from camera_perception_ros.outputs.publishers import Output
from camera_perception_ros.params.adapters import ADAPTERS, chosen
from camera_perception_ros.params.params import ParameterError

Group = Callable[[], int]  # id of the traffic light group of the own lane, 0 when unknown


def _module(adapter: str) -> Any:
    try:
        return import_module(f"camera_perception_ros.outputs.{adapter}")
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in ADAPTERS.values():
            raise
        raise ParameterError(
            f"parameter 'adapters' has '{adapter}', which needs the package {package}: install it (apt has "
            "ros-$ROS_DISTRO-vision-msgs and -autoware-perception-msgs), or build it in your workspace"
        ) from error


def camera_adapters(names: list[str], group: Group) -> list[Output]:
    """Outputs of a camera node; ParameterError when a package is not installed."""
    return [output for name in chosen(names) for output in _module(name).camera_outputs(group)]


def fused_adapters(names: list[str], group: Group) -> list[Output]:
    """Outputs of a fusion node, built from its surroundings, header and traffic lights."""
    return [output for name in chosen(names) for output in _module(name).fused_outputs(group)]


class ModelDescriptions:
    """The latched messages in which adapters describe the model; published whenever it changes."""

    def __init__(self, node: LifecycleNode, names: list[str]) -> None:
        modules = [_module(name) for name in chosen(names)]
        self._all = [module.ModelDescription(node) for module in modules if hasattr(module, "ModelDescription")]

    def publish(self, info: ModelInfo) -> None:
        for each in self._all:
            each.publish(info)

    def close(self) -> None:
        for each in self._all:
            each.close()


def from_surroundings(topic: str, kind: type, build: Callable[[Surroundings, Header], Any]) -> Output:
    """An output of a camera node, built from its metric scene."""

    def built(perception: Perception, header: Header, spec: ModelSpec) -> Any:
        return build(surroundings_of(perception, spec), header)

    return Output(topic, kind, built)


def from_lights(topic: str, kind: type, build: Callable[[Sequence[TrafficLight], Header], Any]) -> Output:
    """An output of a camera node, built from its traffic lights."""

    def built(perception: Perception, header: Header, spec: ModelSpec) -> Any:
        return build([_light(fields) for fields in traffic_light_fields(perception, spec)], header)

    return Output(topic, kind, built)


def _light(fields: dict[str, Any]) -> TrafficLight:
    elements = [TrafficLightElement(**element) for element in fields["elements"]]
    return TrafficLight(**{**fields, "elements": elements})
