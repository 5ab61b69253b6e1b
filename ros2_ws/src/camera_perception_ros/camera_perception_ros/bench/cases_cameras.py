"""Cost of additional cameras: 1, 2 and 4 nodes at the same rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from camera_perception.tools.bench import statistics
from camera_perception.tools.bench.report import Table
from camera_perception_ros.bench.cases_streams import Sender, Stream
from camera_perception_ros.bench.endpoints.process_stats import computing_ms
from camera_perception_ros.bench.harness import Nodes


def measure(
    sender: Sender, nodes: Nodes, cameras: Sequence[str], counts: Sequence[int], rate: float, seconds: float
) -> dict[str, Any]:
    """Metrics by number of cameras, which send in turn within a period, like cameras without a common trigger."""
    results = {}
    for count in counts:
        chosen = cameras[:count]
        before = [computing_ms(nodes.pid(camera)) for camera in chosen]
        streams = sender.run(chosen, rate, seconds)
        after = [computing_ms(nodes.pid(camera)) for camera in chosen]
        results[str(count)] = _metrics(list(streams.values()), np.subtract(after, before).sum())
    return results


def _metrics(streams: Sequence[Stream], computing: float) -> dict[str, Any]:
    each = [stream.metrics(float("inf")) for stream in streams]
    latency = [
        time for s in streams for time in statistics.latencies(s.sent, {k: a.received_ns for k, a in s.answers.items()})
    ]
    return {
        "latency_ms": statistics.spread(latency),
        "inference_ms": float(np.median([figure["inference_ms"]["p50"] for figure in each])),
        "computing_ms_per_frame": computing / max(sum(len(stream.answers) for stream in streams), 1),
        "frames": sum(len(stream.answers) for stream in streams),
        "sent": sum(len(stream.sent) for stream in streams),
    }


def cameras_table(results: Mapping[str, Mapping[str, Any]], rate: float) -> Table:
    one = next(iter(results.values()))["computing_ms_per_frame"]
    rows = [
        (int(count), r["latency_ms"]["p50"], r["latency_ms"]["p95"], r["inference_ms"], r["computing_ms_per_frame"],
         r["computing_ms_per_frame"] / one, f"{r['frames']}/{r['sent']}")
        for count, r in results.items()
    ]  # fmt: skip
    return Table(
        "Cost per camera",
        ("cameras", "p50 ms", "p95", "engine ms", "computing ms per frame", "ratio to one camera", "answered"),
        rows,
        f"One node each, {rate:.3g} images per second and camera. Computing: CPU time of all threads of the nodes.",
    )
