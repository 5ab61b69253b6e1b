"""How the GPU is: temperature, throttling, clock, load, memory. NVML on desktops and servers, sysfs on Jetson."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from camera_perception.gpu_reading import GpuReading
from camera_perception.jetson import read_jetson

__all__ = ["GpuReading", "gpu_reader", "read_nvml"]

# NVML's reasons for a lower clock that mean heat or power, not idleness or the user's wish.
THROTTLING = (
    (0x4, "power cap"),
    (0x8, "hardware slowdown"),
    (0x20, "heat (software)"),
    (0x40, "heat (hardware)"),
    (0x80, "power brake"),
)


def gpu_reader(index: int = 0, root: Path = Path("/")) -> Callable[[], GpuReading | None] | None:
    """A function that takes a reading in well under a millisecond, or None where there is nothing to read.

    root  where /sys, /proc and /etc are; for tests
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
    """None when the GPU does not answer any more."""

    def ask(question: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return question(handle, *arguments)
        except nvml.NVMLError:
            return None  # not every card knows everything

    name = ask(nvml.nvmlDeviceGetName)
    if name is None:
        return None
    memory, load = ask(nvml.nvmlDeviceGetMemoryInfo), ask(nvml.nvmlDeviceGetUtilizationRates)
    reasons = ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons) or 0
    temperature = ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU)
    return GpuReading(
        name.decode() if isinstance(name, bytes) else name,
        None if temperature is None else float(temperature),
        load.gpu / 100 if load else None,
        memory.used if memory else None,
        memory.total if memory else None,
        ", ".join(text for bit, text in THROTTLING if reasons & bit),
        ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
        ask(nvml.nvmlDeviceGetMaxClockInfo, nvml.NVML_CLOCK_SM),
    )
