"""Results of the demo by camera, read from its recording."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.io.bag_reader import Bag
from camera_perception.io.ros_types import deserialize
from camera_perception_ros.conversions.serialized import header_stamp_ns
from camera_perception_ros.demo.cameras import DemoCamera


@dataclass
class CameraResult:
    """Results of one camera; lists have one row per PerceptionFrame, times are milliseconds."""

    camera: str
    sent: int
    stamps_ns: list[int] = field(default_factory=list)
    replaced_by_frame: list[int] = field(default_factory=list)
    ages_ms: list[float] = field(default_factory=list)
    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    objects_by_frame: list[int] = field(default_factory=list)
    lanes_by_frame: list[int] = field(default_factory=list)
    flags_by_frame: list[int] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)

    @property
    def received(self) -> int:
        return len(self.stamps_ns)

    @property
    def replaced(self) -> int:
        return sum(self.replaced_by_frame)

    @property
    def lost(self) -> int:
        """Frames neither answered nor replaced."""
        return self.sent - self.received - self.replaced


STAGES = ("decode_ms", "preprocess_ms", "inference_ms", "postprocess_ms")


def read_results(bag: Path, cameras: list[DemoCamera], sent: dict[str, int], rate: float = 1.0) -> list[CameraResult]:
    """Results by camera from the demo's recording.

    sent  number of images by topic
    rate  playback speed: ages are recorded by the recording's clock, and given here in real time, stages are in real
          time already
    """
    results = {camera.output("perception"): CameraResult(camera.name, sent.get(camera.topic, 0)) for camera in cameras}
    with Bag(bag) as recording:
        for message in recording.messages(results):
            _add(results[message.topic], deserialize(message.kind, message.data), rate)
    return list(results.values())


def _add(result: CameraResult, message: Any, rate: float) -> None:
    result.stamps_ns.append(message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec)
    result.replaced_by_frame.append(message.frames_dropped)
    stages = {stage: getattr(message, stage) for stage in STAGES}
    for stage, spent in stages.items():
        result.stages_ms.setdefault(stage, []).append(spent)
    # A slowed recording's clock stands still for 10 ms and more at a time: a frame is at least as old as its stages.
    result.ages_ms.append(max(message.age_ms / rate, sum(spent for spent in stages.values() if spent == spent)))
    result.objects_by_frame.append(len(message.objects))
    result.lanes_by_frame.append(len(message.lanes))
    result.flags_by_frame.append(message.status_flags)
    result.classes.update(detection.class_name for detection in message.objects)


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """p50, p95, p99; nan without values."""
    valid = np.array([value for value in values if value == value])
    return tuple(float(np.percentile(valid, q)) if len(valid) else float("nan") for q in (50, 95, 99))  # type: ignore[return-value]


def foreign_headers(result: CameraResult, bag: Path, topic: str, offset_ns: int) -> int:
    """Number of output stamps that are not the stamp of an input image plus the player's offset."""
    with Bag(bag) as recording:
        stamps = {header_stamp_ns(message.data) + offset_ns for message in recording.messages([topic])}
    return sum(stamp not in stamps for stamp in result.stamps_ns)


def as_json(result: CameraResult) -> dict[str, Any]:
    """Results of one camera for summary.json."""
    age, inference = percentiles(result.ages_ms), percentiles(result.stages_ms.get("inference_ms", []))
    return {
        "sent": result.sent,
        "received": result.received,
        "replaced": result.replaced,
        "unaccounted": result.lost,
        "age_ms": dict(zip(("p50", "p95", "p99"), age)),
        "inference_ms": dict(zip(("p50", "p95", "p99"), inference)),
        "detections": dict(result.classes.most_common()),
        "lanes_per_frame": float(np.mean(result.lanes_by_frame)) if result.lanes_by_frame else 0.0,
    }


def answered(results: list[CameraResult]) -> tuple[int, int]:
    """Images answered and images sent, all cameras together."""
    return sum(result.received for result in results), sum(result.sent for result in results)


def verdict(results: list[CameraResult]) -> str:
    """Which share of the images was answered, and what would raise it."""
    done, sent = answered(results)
    share = f"answered {done} of {sent} images ({100 * done / max(sent, 1):.0f} %)"
    if done >= sent:
        return share
    return (
        f"{share}: the engine is slower than the cameras. Without --rate every image is answered; faster are a GPU "
        "(`camera-perception build-engine`), fewer other programs, or fewer cameras"
    )


def table(results: list[CameraResult]) -> str:
    """Results of all cameras as a text table."""
    head = ("camera", "sent", "received", "replaced", "lost", "age ms p50 / p95 / p99", "engine ms p50", "lanes/frame")
    rows = [head, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", *(_classes(result) for result in results)])


def _row(result: CameraResult) -> tuple[str, ...]:
    numbers = as_json(result)
    age = " / ".join(f"{value:.1f}" for value in numbers["age_ms"].values())
    counts = (str(count) for count in (result.sent, result.received, result.replaced, result.lost))
    return (result.camera, *counts, age, f"{numbers['inference_ms']['p50']:.1f}", f"{numbers['lanes_per_frame']:.1f}")


def _classes(result: CameraResult) -> str:
    found = ", ".join(f"{name} {count}" for name, count in result.classes.most_common()) or "none"
    return f"{result.camera}: detected objects: {found}"
