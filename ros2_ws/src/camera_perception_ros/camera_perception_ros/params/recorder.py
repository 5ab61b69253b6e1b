"""The parameters of the bag recorder; all are fixed at start-up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from camera_perception_ros.params.params import ParameterError, param

fixed = partial(param, read_only=True)


@dataclass(frozen=True)
class RecorderParams:
    output: str = fixed(
        "",
        "Folder to record into; it must not exist yet. With buffer_seconds, the folder that gets a recording for "
        "every call of ~/save. Required.",
    )
    topics: list[str] = fixed([""], "Topics to record; an empty name: all.")
    format_version: int = fixed(
        9, "Version of the rosbag2 metadata: 9 for Jazzy and later, 8 for Humble.", low=8, high=9
    )
    queue_mib: int = fixed(
        512,
        "Memory in MiB for messages that wait for the disk, or that buffer_seconds keeps; when it is full, messages "
        "are dropped and counted.",
        low=1,
        high=65536,
    )
    depth: int = fixed(100, "Queue depth of the subscriptions.", low=1, high=10000)
    fsync: bool = fixed(
        False,
        "Wait for the disk twice a second, so that a power cut, too, loses at most a second. Without it only a crash "
        "of the node is that harmless, as the system keeps written data in memory for a while.",
    )
    split_mib: int = fixed(0, "Size in MiB after which the next file begins; 0: no limit.", low=0, high=1 << 20)
    split_seconds: float = fixed(0.0, "Duration after which the next file begins; 0: no limit.", low=0.0, high=1e6)
    min_free_mib: int = fixed(
        256,
        "Recording stops when the disk has less free space than this, in MiB; 0: when it is full.",
        low=0,
        high=1 << 24,
    )
    buffer_seconds: float = fixed(
        0.0,
        "Keep the last seconds in memory and write them only when the service ~/save (std_srvs/Trigger) is called; "
        "0: record to the disk.",
        low=0.0,
        high=3600.0,
    )
    anonymize: bool = fixed(False, "Cover heads and number plates in images before they are written; needs model.")
    model: str = fixed("", "Model folder with classes for people and vehicles, for anonymize.")

    def check(self) -> None:
        if not self.output:
            raise ParameterError("parameter 'output' is empty: give the folder to record into")
        if self.anonymize and not self.model:
            raise ParameterError(
                "parameter 'model' is empty: 'anonymize' needs a model that detects people and vehicles"
            )
