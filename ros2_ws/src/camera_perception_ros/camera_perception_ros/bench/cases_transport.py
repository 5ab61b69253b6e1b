"""Images lost between two processes, with and without the shared-memory profile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from camera_perception.tools.bench.report import Table
from camera_perception_ros.bench.names import ECHO_IMAGES
from camera_perception_ros.demo.processes import Processes

RATE = 30.0
PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def without_profile(env: Mapping[str, str], domain: int) -> dict[str, str]:
    """The environment without the transport profile, in another domain."""
    return {name: value for name, value in env.items() if name not in PROFILES} | {"ROS_DOMAIN_ID": str(domain)}


def measure(processes: Processes, out: Path, seconds: float) -> dict[str, Any]:
    """Images sent and received by a node that only counts them; best effort, 30 Hz."""
    sent, counted = out / "transport_sent.json", out / "transport_counted.json"
    for file in (sent, counted):
        file.unlink(missing_ok=True)
    processes.start_module("counter", "camera_perception_ros.bench.endpoints.counter", ECHO_IMAGES, str(counted))
    processes.start_module(
        "source", "camera_perception_ros.bench.endpoints.source", ECHO_IMAGES,
        "--rate", str(RATE), "--seconds", str(seconds), "--out", str(sent),
    )  # fmt: skip
    processes.wait("source", seconds * 2 + 60)
    processes.stop("counter", "source")
    stamps, received = json.loads(sent.read_text())[ECHO_IMAGES], json.loads(counted.read_text())
    lost = len(set(stamps) - set(received))
    return {"sent": len(stamps), "received": len(stamps) - lost, "lost": lost, "lost_percent": 100 * lost / len(stamps)}


def transport_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [(name, r["sent"], r["received"], r["lost"], r["lost_percent"]) for name, r in results.items()]
    return Table(
        "Images lost by the transport",
        ("transport", "sent", "received", "lost", "%"),
        rows,
        "1280x720 bgr8 at 30 Hz, best effort, two processes. Target: none with the profile.",
    )
