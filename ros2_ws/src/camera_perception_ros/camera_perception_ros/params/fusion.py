"""The parameters of a fusion node; config/fusion.param.yaml of the bringup lists them too."""

from __future__ import annotations

from dataclasses import dataclass

from camera_perception_ros.params import adapters
from camera_perception_ros.params.lock import LOCK
from camera_perception_ros.params.params import ParameterError, param


@dataclass(frozen=True)
class FusionParams:
    cameras: list[str] = param([""], "Names of the cameras in FusedPerception. Required.")
    topics: list[str] = param([""], "PerceptionFrame topic of each camera; empty: CAMERA/camera_perception/perception.")
    rate: float = param(20.0, "Rate of FusedPerception messages in Hz.", low=0.1, high=200.0)
    max_age: float = param(
        0.5, "Age in seconds above which a camera's frame is left out.", low=0.01, high=60.0, live=True
    )
    base_frame: str = param(
        "base_link",
        "Frame of the fused message; cameras with another base_frame contribute only health, lights and scene.",
    )
    odometry_topic: str = param(
        "", "Odometry of base_frame: compensates the car's motion since each camera's frame. Empty: none."
    )
    lock_parameters: bool = LOCK
    adapters: list[str] = param([""], adapters.DESCRIPTION)
    traffic_light_group: int = param(
        0,
        "Id in the map of the traffic light group that governs the car's lane, for the autoware adapter; 0: unknown, "
        "nothing is published.",
        low=0,
        high=2**62,
        live=True,
    )
    autostart: bool = param(
        False, "Configure and activate on start-up; false when a lifecycle manager is used.", read_only=True
    )

    def check(self) -> None:
        adapters.chosen(self.adapters)
        if not self.names:
            raise ParameterError("parameter 'cameras' is empty: name the cameras to fuse")
        if len(set(self.names)) != len(self.names):
            raise ParameterError("parameter 'cameras' names a camera twice")
        if any(self.topics) and len(self.topics) != len(self.names):
            raise ParameterError(f"parameter 'topics' has {len(self.topics)} entries for {len(self.names)} cameras")

    @property
    def names(self) -> list[str]:
        return [name for name in self.cameras if name]

    @property
    def topic_of(self) -> dict[str, str]:
        """PerceptionFrame topics by camera name."""
        topics = self.topics if any(self.topics) else [f"{name}/camera_perception/perception" for name in self.names]
        return dict(zip(self.names, topics))
