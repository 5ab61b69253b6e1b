"""NVIDIA's package that this process uses: TensorRT, or TensorRT for RTX, which has the same names.

Classes of this folder derive from classes of the package, so that a process decides once, with its first engine.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from camera_perception.core.errors import EngineError

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["PACKAGES", "RTX", "STANDARD", "backend", "machine_version", "set_target", "trt", "unavailable", "use"]

STANDARD, RTX = "tensorrt", "tensorrt_rtx"
PACKAGES = STANDARD, RTX
INSTALL = {
    STANDARD: "on Jetson apt install python3-libnvinfer and use a venv with --system-site-packages, elsewhere "
    "pip install tensorrt",
    RTX: "pip install tensorrt-rtx-cu13, or tensorrt-rtx-cu12 for a CUDA 12 driver",
}
_used: list[str] = []


def unavailable(package: str) -> str | None:
    """Why a package cannot be imported, or None."""
    try:
        import_module(package)
    except ImportError as error:
        return f"{package} cannot be imported ({error}): {INSTALL[package]}"
    return None


def use(package: str) -> None:
    """Decide for a package; EngineError when this process has decided for the other one."""
    if _used and _used[0] != package:
        raise EngineError(
            f"this process already runs engines of {_used[0]}, and cannot load {package} beside it: use {_used[0]}, or "
            "start another process"
        )
    _used[:] = [package]


def backend() -> str:
    """The package in use; TensorRT where nothing was decided."""
    return _used[0] if _used else STANDARD


def __getattr__(name: str) -> ModuleType:
    """`trt`: the package's module."""
    if name != "trt":
        raise AttributeError(name)
    use(backend())
    return import_module(backend())


def machine_version() -> str:
    """Version of the package: "10.3.0", or "rtx-1.7.1.116"."""
    version = str(import_module(backend()).__version__)
    return f"rtx-{version}" if backend() == RTX else version


def set_target(config: Any, target: str) -> None:
    """The GPUs that an engine is for. TensorRT builds for the GPU at hand; RTX is told, and builds without a GPU, too.

    target  name of a trt.ComputeCapability: CURRENT, SM86
    """
    if backend() == RTX:
        config.num_compute_capabilities = 1
        config.set_compute_capability(import_module(RTX).ComputeCapability.__members__[target], 0)
