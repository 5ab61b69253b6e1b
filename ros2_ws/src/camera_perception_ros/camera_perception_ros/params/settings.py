"""Settings of tracking and localisation as ROS parameters tracker.* and localization.*, read at configure.

A parameter that is given wins over model.json, which wins over the default of the library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from camera_perception.core.errors import PerceptionError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.objects.config import LocalizationConfig
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception_ros.params.params import declare, descriptor, param

SECTIONS: dict[str, type[TrackerConfig] | type[LocalizationConfig]] = {
    "tracker": TrackerConfig,
    "localization": LocalizationConfig,
}


@dataclass(frozen=True)
class Settings:
    """The parameters that were given: full name -> value."""

    given: dict[str, Any]

    def of(self, spec: ModelSpec) -> dict[str, Any]:
        """The arguments `tracker` and `localization` of a Pipeline for a model."""
        from_model = {"tracker": spec.tracker, "localization": spec.localization}
        return {section: cls(**{**from_model[section], **self.section(section)}) for section, cls in SECTIONS.items()}

    def section(self, section: str) -> dict[str, Any]:
        """Setting -> value of one section."""
        return {name.partition(".")[2]: v for name, v in self.given.items() if name.startswith(f"{section}.")}


class SettingParameters:
    """Declares the settings of a node; frozen() returns whether they may not change at the moment."""

    def __init__(self, node: Node, frozen: Callable[[], bool]) -> None:
        self._node, self._frozen = node, frozen
        entries = {f"{section}.{entry.name}": entry for section, cls in SECTIONS.items() for entry in fields(cls)}
        self.names = tuple(entries)
        self._given = {name for name in entries if node.has_parameter(name)}
        for name, entry in entries.items():
            declared = param(entry.default, **entry.metadata)
            declared.name = name
            declare(node, name, entry.default, descriptor(declared))
        node.add_on_set_parameters_callback(self._on_set)

    def read(self) -> Settings:
        """The settings that were given; PerceptionError for a value that is not allowed."""
        settings = Settings({name: self._node.get_parameter(name).value for name in sorted(self._given)})
        _check(settings)
        return settings

    def _on_set(self, changes: list[Parameter]) -> SetParametersResult:
        ours = {change.name: change.value for change in changes if change.name in self.names}
        if ours and self._frozen():
            reason = f"'{next(iter(ours))}' cannot change now: deactivate and clean up the node first"
            return SetParametersResult(successful=False, reason=reason)
        try:
            _check(Settings(ours))
        except PerceptionError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._given.update(ours)
        return SetParametersResult(successful=True)


def _check(settings: Settings) -> None:
    for section, cls in SECTIONS.items():
        cls(**settings.section(section))
