"""Images at a fixed rate: which are answered, how late, and where the others were lost."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.tools.bench import statistics
from camera_perception.tools.bench.report import Table, against
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.bench import names
from camera_perception_ros.bench.endpoints.process_stats import Samples
from camera_perception_ros.bench.harness import Answer, Harness
from camera_perception_ros.demo.processes import Processes

LIMIT_AGE = 2.5  # engine times
PERCENT = ("transport_loss", "deliberate_skip", "error")


@dataclass(frozen=True)
class Stream:
    """Images sent to one camera's node and its answers."""

    sent: dict[int, int]
    answers: dict[int, Answer]

    def metrics(self, deadline_ms: float) -> dict[str, Any]:
        """Metrics under ros2_benchmark's names and ours; deadline_ms is from sending to receiving."""
        received = {stamp: answer.received_ns for stamp, answer in self.answers.items()}
        frames = [answer.read() for answer in self.answers.values()]
        ages, engine = (
            [frame.age_ms for frame in frames],
            statistics.spread([f.inference_ms for f in frames if _ran(f)]),
        )
        skipped, failed = sum(frame.frames_dropped for frame in frames), sum(not _ran(frame) for frame in frames)
        age = statistics.spread(ages)
        return {
            **statistics.basic_metrics(self.sent, received),
            "latency_ms": statistics.spread(statistics.latencies(self.sent, received)),
            "age_at_publish_ms": age,
            "age_p99_in_engine_times": age["p99"] / engine["p50"],
            "inference_ms": engine,
            "loss_percent": statistics.loss(len(self.sent), len(received), skipped, failed),
            "deadline_ms": deadline_ms,
            "deadline_missed_percent": statistics.missed_deadlines(self.sent, received, deadline_ms),
            "period_jitter_ms": statistics.period_jitter_ms(received),
        }


def _ran(frame: PerceptionFrame) -> bool:
    return not np.isnan(frame.inference_ms)


@dataclass(frozen=True)
class Sender:
    """Starts the process that plays the cameras and records the answers."""

    harness: Harness
    processes: Processes
    out: Path
    images: Path | None

    def run(
        self, cameras: Sequence[str], rate: float, seconds: float, watched: Samples | None = None
    ) -> dict[str, Stream]:
        """Camera: its stream of `rate` images per second. `watched` takes samples meanwhile."""
        for camera in cameras:
            self.harness.answers[camera].clear()
        name, file = f"source_{len(cameras)}_{rate:.3g}", self.out / "sent.json"
        file.unlink(missing_ok=True)
        arguments = ["--rate", str(rate), "--seconds", str(seconds), "--out", str(file)]
        arguments += ["--images", str(self.images)] if self.images else []
        self.processes.start_module(
            name,
            "camera_perception_ros.bench.endpoints.source",
            *(names.images(camera) for camera in cameras),
            *arguments,
        )
        self._record(name, seconds, watched)
        sent = json.loads(file.read_text("utf-8"))
        return {
            camera: Stream({stamp: stamp for stamp in sent[names.images(camera)]}, dict(self.harness.answers[camera]))
            for camera in cameras
        }

    def _record(self, name: str, seconds: float, watched: Samples | None) -> None:
        deadline = time.monotonic() + 2 * seconds + 60
        while name not in self.processes.ended() and time.monotonic() < deadline:
            self.harness.spin(0.1)
            if watched is not None:
                watched.take()
        self.harness.spin(0.3)


def rates_table(sections: dict[str, dict[str, Any]]) -> Table:
    rows = []
    for name, section in sections.items():
        latency, loss = section["latency_ms"], section["loss_percent"]
        rate = section.get(statistics.PREFIX + "MEAN_FRAME_RATE", float("nan"))
        rows.append((name, rate, *latency.values(), *(loss[kind] for kind in PERCENT)))
    return Table(
        "Fixed rates",
        ("offered", "answered fps", "p50 ms", "p95", "p99", "max", "transport loss %", "deliberate skip %", "error %"),
        rows,
        "Published to received, matched by stamp, best effort between processes. A skip is an image replaced by a "
        "newer one before it was processed.",
    )


def overload_table(section: dict[str, Any], memory: dict[str, float]) -> Table:
    age = section["age_at_publish_ms"]
    rows = [
        ("offered, fps", section[statistics.PREFIX + "MEAN_PLAYBACK_FRAME_RATE"]),
        ("answered, fps", section[statistics.PREFIX + "MEAN_FRAME_RATE"]),
        ("engine p50, ms", section["inference_ms"]["p50"]),
        ("age at publish p50, ms", age["p50"]),
        ("age at publish p99, ms", age["p99"]),
        ("age at publish p99, engine times", against(section["age_p99_in_engine_times"], LIMIT_AGE)),
        ("transport loss, %", section["loss_percent"]["transport_loss"]),
        ("memory at the start, MB", memory["first_mb"]),
        ("memory at the end, MB", memory["last_mb"]),
        ("memory, MB per minute", memory["mb_per_minute"]),
    ]
    return Table("Offered twice the sustainable rate", ("figure", "value"), rows, f"For {memory['seconds']:.0f} s.")
