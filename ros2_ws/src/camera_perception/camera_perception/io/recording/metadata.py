"""metadata.yaml of rosbag2 recordings, versions 8 (Humble) and 9."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from camera_perception.io.recording.mcap_file import McapFile
from camera_perception.io.ros_types import typestore


class Topic(NamedTuple):
    """kind is its type, text its definition, offered its QoS as `offered_qos_profiles` of the metadata's version."""

    kind: str
    text: str
    offered: Any


def write_metadata(folder: Path, version: int, topics: Mapping[str, Topic], files: Sequence[McapFile]) -> None:
    """Replace metadata.yaml in one step; OSError leaves the old one."""
    part = folder / "metadata.yaml.part"
    text = yaml.safe_dump({"rosbag2_bagfile_information": _metadata(version, topics, files)}, sort_keys=False)
    try:
        part.write_text(text, "utf-8")
        os.replace(part, folder / "metadata.yaml")
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _metadata(version: int, topics: Mapping[str, Topic], files: Sequence[McapFile]) -> dict[str, Any]:
    counts = sum((file.counts for file in files), Counter[str]())
    starts = [file.start_ns for file in files if file.start_ns is not None]
    ends = [file.end_ns for file in files if file.end_ns is not None]
    span = _span(min(starts, default=0), max(ends, default=0))
    return {
        "version": version,
        "storage_identifier": "mcap",
        "duration": span["duration"],
        "starting_time": span["starting_time"],
        "message_count": sum(counts.values()),
        "topics_with_message_count": [_topic(name, topic, counts[name]) for name, topic in topics.items()],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file.path.name for file in files],
        "files": [_file(file) for file in files],
        "custom_data": None,
        "ros_distro": "camera_perception",
    }


def _file(file: McapFile) -> dict[str, Any]:
    span = _span(file.start_ns or 0, file.end_ns or 0)
    return {"path": file.path.name, **span, "message_count": sum(file.counts.values())}


def _span(start_ns: int, end_ns: int) -> dict[str, Any]:
    return {
        "starting_time": {"nanoseconds_since_epoch": start_ns},
        "duration": {"nanoseconds": max(0, end_ns - start_ns)},
    }


def _topic(name: str, topic: Topic, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "type": topic.kind, "serialization_format": "cdr"}
    metadata["offered_qos_profiles"] = topic.offered
    metadata["type_description_hash"] = type_hash(topic.kind)
    return {"topic_metadata": metadata, "message_count": count}


def type_hash(kind: str) -> str:
    """The RIHS01 hash of a known type, else an empty string."""
    store = typestore()
    return str(store.hash_rihs01(kind)) if kind in store.types else ""
