"""The parameters of the bag player; all are fixed when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from camera_perception_ros.params.params import ParameterError, param

fixed = partial(param, read_only=True)


@dataclass(frozen=True)
class PlayerParams:
    bag: str = fixed("", "Folder of the recording (rosbag2, mcap or sqlite3). Required.")
    rate: float = fixed(1.0, "Speed against real time.", low=0.01, high=100.0)
    loop: bool = fixed(False, "Start again at the end.")
    start_offset: float = fixed(0.0, "Seconds to skip at the beginning.", low=0.0, high=1e6)
    start_paused: bool = fixed(False, "Wait for the pause service to say false.")
    topics: list[str] = fixed([""], "Topics to play; an empty name plays all.")
    clock: float = fixed(
        0.0, "Rate of /clock in Hz, for nodes with use_sim_time; 0 publishes none.", low=0.0, high=1000.0
    )
    stamps: str = fixed(
        "bag",
        "Header stamps: bag keeps them; now moves all by one offset so that they begin now.",
        choices=("bag", "now"),
    )
    reliability: str = fixed(
        "reliable", "Of the publishers; reliable serves every subscriber.", choices=("reliable", "best_effort")
    )
    depth: int = fixed(10, "History of the publishers; each image of it takes room in shared memory.", low=1, high=1000)
    wait_for_subscribers: float = fixed(
        0.0, "Seconds to wait for a subscriber of every image topic; 0 starts at once.", low=0.0, high=3600.0
    )
    wait_for_cameras: list[str] = fixed(
        [""],
        "Camera nodes to wait for, as long as for subscribers: before the first image until /diagnostics says that "
        "they are ready, after the last one until every image is answered or replaced.",
    )
    wait_for_listeners: int = fixed(
        0, "Subscribers of its PerceptionFrames that each camera must have found to be ready.", low=0, high=1000
    )
    wait_for_fusion: str = fixed(
        "", "Fusion node that must have found a subscriber, too, before the first image; only with wait_for_cameras."
    )
    summary: str = fixed("", "File that gets the counts as JSON at the end; empty writes none.")

    def check(self) -> None:
        if not self.bag:
            raise ParameterError("parameter 'bag' is empty: give the folder of a recording")
        if self.cameras and not self.wait_for_subscribers:
            raise ParameterError("parameter 'wait_for_cameras' needs 'wait_for_subscribers': the most seconds to wait")
        if self.wait_for_fusion and not self.cameras:
            raise ParameterError(
                "parameter 'wait_for_fusion' needs 'wait_for_cameras': whose frames it brings together"
            )

    @property
    def cameras(self) -> list[str]:
        return [name for name in self.wait_for_cameras if name]
