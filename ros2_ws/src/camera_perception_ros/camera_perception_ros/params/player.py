"""The parameters of the bag player; all are fixed at start-up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from camera_perception_ros.params.params import ParameterError, param

fixed = partial(param, read_only=True)


@dataclass(frozen=True)
class PlayerParams:
    bag: str = fixed("", "Folder of the recording (rosbag2, mcap or sqlite3). Required.")
    rate: float = fixed(1.0, "Playback speed; 1 is real time.", low=0.01, high=100.0)
    loop: bool = fixed(False, "Restart at the end of the recording.")
    start_offset: float = fixed(0.0, "Seconds to skip at the start of the recording.", low=0.0, high=1e6)
    start_paused: bool = fixed(False, "Start paused, until the pause service is called with false.")
    topics: list[str] = fixed([""], "Topics to play; an empty name: all.")
    clock: float = fixed(0.0, "Rate of /clock in Hz, for nodes with use_sim_time; 0: no /clock.", low=0.0, high=1000.0)
    stamps: str = fixed(
        "bag",
        "Header stamps: bag keeps them; now shifts all by the same offset, so that they start at the current time.",
        choices=("bag", "now"),
    )
    reliability: str = fixed(
        "reliable", "QoS of the publishers; reliable matches every subscriber.", choices=("reliable", "best_effort")
    )
    depth: int = fixed(10, "Queue depth of the publishers; each queued image takes shared memory.", low=1, high=1000)
    wait_for_subscribers: float = fixed(
        0.0, "Seconds to wait for a subscriber of every image topic; 0: start at once.", low=0.0, high=3600.0
    )
    wait_for_cameras: list[str] = fixed(
        [""],
        "Camera nodes to wait for: at the start until /diagnostics reports that they are ready (at most "
        "wait_for_subscribers seconds), at the end until every image is processed or replaced.",
    )
    wait_for_listeners: int = fixed(
        0, "Number of PerceptionFrame subscribers that each camera must have discovered to be ready.", low=0, high=1000
    )
    wait_for_fusion: str = fixed(
        "", "Fusion node that must have discovered a subscriber before the first image; needs wait_for_cameras."
    )
    answers: list[str] = fixed(
        [""],
        "IMAGE_TOPIC=PERCEPTION_TOPIC pairs: the next image of the topic waits until a PerceptionFrame answers the "
        "last one, and the recording's time stands still meanwhile; an empty entry: never wait.",
    )
    summary: str = fixed("", "JSON file for the message counts, written at the end; empty: none.")

    def check(self) -> None:
        if not self.bag:
            raise ParameterError("parameter 'bag' is empty: give the folder of a recording")
        if self.cameras and not self.wait_for_subscribers:
            raise ParameterError(
                "parameter 'wait_for_cameras' needs 'wait_for_subscribers': the maximum waiting time in seconds"
            )
        if self.wait_for_fusion and not self.cameras:
            raise ParameterError(
                "parameter 'wait_for_fusion' needs 'wait_for_cameras': name the cameras that the node fuses"
            )

        for pair in filter(None, self.answers):
            if not all(pair.partition("=")):
                raise ParameterError(f"parameter 'answers' has '{pair}': write IMAGE_TOPIC=PERCEPTION_TOPIC")

    @property
    def cameras(self) -> list[str]:
        return [name for name in self.wait_for_cameras if name]
