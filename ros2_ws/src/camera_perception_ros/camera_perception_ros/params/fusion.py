"""The parameters of a fusion node. config/fusion.param.yaml of the bringup lists the same ones."""

from __future__ import annotations

from dataclasses import dataclass

from camera_perception_ros.params.params import ParameterError, param


@dataclass(frozen=True)
class FusionParams:
    cameras: list[str] = param([""], "Names of the cameras, as they appear in FusedPerception. Required.")
    topics: list[str] = param(
        [""], "PerceptionFrame topic of each camera; an empty list means CAMERA/camera_perception/perception."
    )
    rate: float = param(20.0, "FusedPerception messages per second.", low=0.1, high=200.0)
    max_age: float = param(0.5, "Seconds after which a camera's frame is left out.", low=0.01, high=60.0, live=True)
    base_frame: str = param(
        "base_link", "Frame of the fused message; frames in another one give only health and scene."
    )
    odometry_topic: str = param("", "Odometry of base_frame: what was seen is moved to now with the car's motion.")
    autostart: bool = param(False, "Configure and activate without being asked.", read_only=True)

    def check(self) -> None:
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
        """Camera name: topic of its frames."""
        given = self.topics if any(self.topics) else [f"{name}/camera_perception/perception" for name in self.names]
        return dict(zip(self.names, given))
