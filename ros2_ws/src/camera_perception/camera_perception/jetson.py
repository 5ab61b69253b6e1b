"""How a Jetson's GPU is, from sysfs; files that a board lacks are left out."""

from __future__ import annotations

from pathlib import Path

from camera_perception.gpu_reading import GpuReading


def read_jetson(root: Path = Path("/")) -> GpuReading:
    """A reading; root is where /sys and /proc are, for tests."""
    used, total = _memory(root / "proc/meminfo")
    model = _text(root / "proc/device-tree/model").rstrip("\0") or "Jetson"
    return GpuReading(model, _temperature(root), _load(root), used, total, _throttled(root), *_clock(root))


def _temperature(root: Path) -> float | None:
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        if "gpu" in _text(zone / "type").lower():
            value = _number(zone / "temp")
            return None if value is None else value / 1000
    return None


def _load(root: Path) -> float | None:
    """Per mille, at a place that moved with the L4T release."""
    places = (
        "sys/devices/platform/gpu.0/load",
        "sys/devices/gpu.0/load",
        "sys/devices/platform/bus@0/17000000.gpu/load",
    )
    values = [value for place in places if (value := _number(root / place)) is not None]
    return values[0] / 1000 if values else None


def _clock(root: Path) -> tuple[float | None, float | None]:
    """MHz, now and at most."""
    for device in sorted((root / "sys/class/devfreq").glob("*")):
        if any(name in device.name for name in ("gpu", "ga10b", "gpc")):
            values = [_number(device / name) for name in ("cur_freq", "max_freq")]
            now, most = (None if value is None else value / 1e6 for value in values)
            return now, most
    return None, None


def _throttled(root: Path) -> str:
    """A cooling device of the GPU above its rest state means that heat holds the clock down."""
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        if "gpu" in _text(device / "type").lower() and (_number(device / "cur_state") or 0) > 0:
            return "heat"
    return ""


def _memory(meminfo: Path) -> tuple[int | None, int | None]:
    """CPU and GPU of a Jetson share their memory."""
    rows = dict(line.split(":", 1) for line in _text(meminfo).splitlines() if ":" in line)
    try:
        total, free = (int(rows[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError, IndexError):
        return None, None
    return total - free, total


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.lstrip("-").isdigit() else None
