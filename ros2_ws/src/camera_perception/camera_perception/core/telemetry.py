"""GPU temperature, throttling, clock, load and memory: from NVML on desktops and servers, from sysfs on Jetson."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOT = 85.0  # degrees Celsius; Orin throttles from 99, desktop cards from 83 to 90
# NVML clock limit reasons caused by heat or power, not by idling or by user settings.
THROTTLING = (
    (0x4, "power cap"),
    (0x8, "hardware slowdown"),
    (0x20, "heat (software)"),
    (0x40, "heat (hardware)"),
    (0x80, "power brake"),
)


@dataclass(frozen=True, slots=True)
class GpuReading:
    """State of the GPU at one time; None where unknown.

    temperature              degrees Celsius
    load                     0..1
    memory_used, _total      bytes
    throttled                reason for a reduced clock, "" when there is none
    clock, max_clock         MHz
    """

    name: str
    temperature: float | None = None
    load: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    throttled: str = ""
    clock: float | None = None
    max_clock: float | None = None

    @property
    def values(self) -> dict[str, str]:
        """Known values as text, for /diagnostics."""
        known = {"gpu": self.name}
        if self.temperature is not None:
            known["gpu temperature"] = f"{self.temperature:.0f} C"
        if self.load is not None:
            known["gpu load"] = f"{self.load:.0%}"
        if self.memory_used is not None and self.memory_total:
            known["gpu memory"] = f"{self.memory_used / 2**20:.0f} of {self.memory_total / 2**20:.0f} MiB"
        if self.clock is not None:
            known["gpu clock"] = f"{self.clock:.0f}" + (f" of {self.max_clock:.0f} MHz" if self.max_clock else " MHz")
        known["gpu throttled"] = self.throttled or "no"
        return known

    @property
    def hot(self) -> bool:
        return bool(self.throttled) or (self.temperature is not None and self.temperature >= HOT)


def gpu_reader(index: int = 0, root: Path = Path("/")) -> Callable[[], GpuReading | None] | None:
    """A function that reads the GPU in well under a millisecond, or None without a supported GPU.

    root  contains /sys, /proc and /etc; for tests
    """
    if (root / "etc/nv_tegra_release").is_file():
        return lambda: read_jetson(root)
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError:
        return None
    return lambda: read_nvml(pynvml, handle)


def read_nvml(nvml: Any, handle: Any) -> GpuReading | None:
    """Read a GPU through NVML; None when it no longer responds."""

    def query(function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(handle, *arguments)
        except nvml.NVMLError:
            return None  # not every card supports every query

    name = query(nvml.nvmlDeviceGetName)
    if name is None:
        return None
    memory, load = query(nvml.nvmlDeviceGetMemoryInfo), query(nvml.nvmlDeviceGetUtilizationRates)
    reasons = query(nvml.nvmlDeviceGetCurrentClocksThrottleReasons) or 0
    temperature = query(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU)
    return GpuReading(
        name.decode() if isinstance(name, bytes) else name,
        None if temperature is None else float(temperature),
        load.gpu / 100 if load else None,
        memory.used if memory else None,
        memory.total if memory else None,
        ", ".join(text for bit, text in THROTTLING if reasons & bit),
        query(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
        query(nvml.nvmlDeviceGetMaxClockInfo, nvml.NVML_CLOCK_SM),
    )


def read_jetson(root: Path = Path("/")) -> GpuReading:
    """Read a Jetson from sysfs; values that a board lacks are None.

    root  contains /sys and /proc; for tests
    """
    used, total = _memory(root / "proc/meminfo")
    model = _text(root / "proc/device-tree/model").rstrip("\0") or "Jetson"
    return GpuReading(model, _temperature(root), _load(root), used, total, _throttled(root), *_clocks(root))


def _temperature(root: Path) -> float | None:
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        if "gpu" in _text(zone / "type").lower():
            value = _number(zone / "temp")
            return None if value is None else value / 1000
    return None


def _load(root: Path) -> float | None:
    """0..1; the file counts per mille, and its path depends on the L4T release."""
    paths = (
        "sys/devices/platform/gpu.0/load",
        "sys/devices/gpu.0/load",
        "sys/devices/platform/bus@0/17000000.gpu/load",
    )
    values = [value for path in paths if (value := _number(root / path)) is not None]
    return values[0] / 1000 if values else None


def _clocks(root: Path) -> tuple[float | None, float | None]:
    """MHz, current and maximum."""
    for device in sorted((root / "sys/class/devfreq").glob("*")):
        if any(name in device.name for name in ("gpu", "ga10b", "gpc")):
            values = [_number(device / name) for name in ("cur_freq", "max_freq")]
            now, highest = (None if value is None else value / 1e6 for value in values)
            return now, highest
    return None, None


def _throttled(root: Path) -> str:
    """An active cooling device of the GPU means that heat limits the clock."""
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        if "gpu" in _text(device / "type").lower() and (_number(device / "cur_state") or 0) > 0:
            return "heat"
    return ""


def _memory(meminfo: Path) -> tuple[int | None, int | None]:
    """Bytes used and total; CPU and GPU of a Jetson share their memory."""
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
