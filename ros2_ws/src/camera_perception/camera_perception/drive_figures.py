"""Figures of a drive, from the fields of its PerceptionFrame messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.bag import Bag
from camera_perception.bag_types import PERCEPTION_FRAME, deserialize, fields_from_message, recorded_types
from camera_perception.errors import BagError
from camera_perception.status import Status, names_of

STAGES = ("decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms")

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


def seconds(frames: Sequence[Fields]) -> np.ndarray:
    """(n,) time of each frame after the first, by stamps."""
    stamps = [frame["header"]["stamp"] for frame in frames]
    nanoseconds = np.array([_get(stamp, "sec") * 10**9 + _get(stamp, "nanosec") for stamp in stamps], np.int64)
    return (nanoseconds - nanoseconds[0]) / 1e9 if len(nanoseconds) else np.zeros(0)


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
    seen: Counter[str] = Counter()
    tracks: dict[str, set[int]] = {}
    for frame in frames:
        for name, track_id in things(frame):
            seen[name] += 1
            tracks.setdefault(name, set()).add(track_id)
    return [(name, count, len(tracks[name] - {0})) for name, count in seen.most_common()]


def things(frame: Fields) -> list[tuple[str, int]]:
    """(name, track id) of all objects, lights and lines in a frame."""
    objects = [(thing["class_name"], thing["track_id"]) for thing in frame.get("objects", ())]
    lights = [(f"traffic light {lamp_text(thing)}", thing["track_id"]) for thing in frame.get("traffic_lights", ())]
    return objects + lights + [("lane line", thing["lane_id"]) for thing in frame.get("lanes", ())]


def lamp_text(light: Fields) -> str:
    """ "red" and the like of a traffic light, "unread" without a lit lamp."""
    names = {1: "red", 2: "amber", 3: "green", 4: "white"}
    return " ".join(names.get(lamp["color"], "unknown") for lamp in light["elements"]) or "unread"


def health_table(frames: Sequence[Fields]) -> list[tuple[str, int]]:
    """(status flag, frames that had it), flags that never occurred left out."""
    counts = Counter(name for frame in frames for name in names_of(int(frame["status_flags"])))
    return [(flag.name, counts[flag.name]) for flag in Status if flag.name and counts[flag.name]]


def _get(stamp: Any, name: str) -> int:
    return int(stamp[name])
