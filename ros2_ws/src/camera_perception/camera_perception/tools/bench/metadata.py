"""Metadata of a benchmark run: machine, versions, load."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from camera_perception.core.model_spec import ModelSpec

PACKAGES = ("numpy", "opencv-python", "opencv-python-headless", "onnxruntime", "openvino", "tensorrt", "rclpy")


def machine() -> dict[str, Any]:
    """Device, operating system, versions and load: the `metadata` section of ros2_benchmark, extended."""
    return {
        "device": device(),
        "cores": len(os.sched_getaffinity(0)),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "ros_distro": os.environ.get("ROS_DISTRO", ""),
        "rmw": os.environ.get("RMW_IMPLEMENTATION", "default"),
        "power_mode": power_mode(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def model_metadata(spec: ModelSpec) -> dict[str, Any]:
    """Name, version, input size, and hash of the ONNX file."""
    size = f"{spec.input.width}x{spec.input.height}"
    return {"name": spec.name, "version": spec.version, "input": size, "sha256": spec.onnx_sha256}


def device() -> str:
    """Board, if any, and processor."""
    board = _first_line(Path("/proc/device-tree/model"))
    names = [line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    return ", ".join(filter(None, (board, names[0] if names else platform.machine())))


def power_mode() -> str:
    """Output of nvpmodel on a Jetson, else the frequency governor, else "unknown"."""
    try:
        done = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=5, check=True)
        return " ".join(done.stdout.split())
    except (OSError, subprocess.SubprocessError):
        return _first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")) or "unknown"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").replace("\0", "").splitlines()
    except OSError:
        return []


def _first_line(path: Path) -> str:
    return next(iter(_lines(path)), "").strip()
