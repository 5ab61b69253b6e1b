"""Metrics of a drive, from the fields of its PerceptionFrame messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.core.errors import BagError
from camera_perception.core.types import Status, flag_names
from camera_perception.io.bag_reader import Bag
from camera_perception.io.ros_types import PERCEPTION_FRAME, deserialize, fields_from_message, recorded_types

STAGES = ("decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms")
LAMP_NAMES = {1: "red", 2: "amber", 3: "green", 4: "white"}  # TrafficLightElement.color

Fields = Mapping[str, Any]


def read_frames(path: Path | str, topic: str | None = None) -> list[dict[str, Any]]:
    """Fields of the PerceptionFrame messages of a recording, oldest first; BagError when it has none."""
    with Bag(path) as bag:
        topics = [name for name, kind in bag.topics.items() if kind == PERCEPTION_FRAME and topic in (None, name)]
        if not topics:
            raise BagError(
                f"{path} has no PerceptionFrame messages{f' on {topic}' if topic else ''}: give a replay's output"
            )
        text = bag.contents.definitions.get(PERCEPTION_FRAME)
        store = recorded_types(PERCEPTION_FRAME, text) if text else None
        messages = (deserialize(message.kind, message.data, store) for message in bag.messages(topics))
        return [fields_from_message(message, store) for message in messages]


def stamp_ns_of(frame: Fields) -> int:
    """Header stamp of a frame, nanoseconds."""
    stamp = frame["header"]["stamp"]
    return int(stamp["sec"]) * 10**9 + int(stamp["nanosec"])


def seconds(frames: Sequence[Fields]) -> np.ndarray:
    """(n,) time of each frame since the first, by stamps."""
    stamps = np.array([stamp_ns_of(frame) for frame in frames], np.int64)
    return (stamps - stamps[0]) / 1e9 if len(stamps) else np.zeros(0)


def column(frames: Sequence[Fields], name: str) -> np.ndarray:
    """(n,) one number per frame, nan where it is missing."""
    return np.array([frame.get(name, np.nan) for frame in frames], float)


def latency_table(frames: Sequence[Fields]) -> list[tuple[str, list[float]]]:
    """(stage, [p50, p95, p99, max]) in milliseconds; age only where messages were published live."""
    rows = [(stage.removesuffix("_ms"), column(frames, stage)) for stage in STAGES]
    rows.append(("sum", np.sum([values for _, values in rows], axis=0)))
    rows.append(("age", column(frames, "age_ms")))
    finite = [(name, values[np.isfinite(values)]) for name, values in rows]
    return [(name, np.percentile(values, [50, 95, 99, 100]).tolist()) for name, values in finite if values.size]


def object_table(frames: Sequence[Fields]) -> list[tuple[str, int, int]]:
    """(class, detections, tracks) over the drive, most frequent first."""
    detections: Counter[str] = Counter()
    tracks: dict[str, set[int]] = {}
    for frame in frames:
        for name, track_id in named_tracks(frame):
            detections[name] += 1
            tracks.setdefault(name, set()).add(track_id)
    return [(name, count, len(tracks[name] - {0})) for name, count in detections.most_common()]


def named_tracks(frame: Fields) -> list[tuple[str, int]]:
    """(name, track id) of all objects, traffic lights and lane lines in a frame."""
    objects = [(each["class_name"], each["track_id"]) for each in frame.get("objects", ())]
    lights = [(f"traffic light {lamp_text(each)}", each["track_id"]) for each in frame.get("traffic_lights", ())]
    return objects + lights + [("lane line", each["lane_id"]) for each in frame.get("lanes", ())]


def lamp_text(light: Fields) -> str:
    """Colours of the lit lamps of a traffic light, such as "red"; "unread" without any."""
    return " ".join(LAMP_NAMES.get(lamp["color"], "unknown") for lamp in light["elements"]) or "unread"


def health_table(frames: Sequence[Fields]) -> list[tuple[str, int]]:
    """(status flag, number of frames with it), without the flags that never occurred."""
    counts = Counter(name for frame in frames for name in flag_names(int(frame["status_flags"])))
    return [(flag.name, counts[flag.name]) for flag in Status if flag.name and counts[flag.name]]
