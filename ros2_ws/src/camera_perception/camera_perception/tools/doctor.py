"""`camera-perception doctor`: check everything a drive needs, one line per topic with a level and a remedy.

First the library (backends, GPU, recordings), then the nodes (ROS 2, messages, transport, memory settings).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import typer

from camera_perception import __version__, core
from camera_perception.core.shared_memory import SHM, files_of, sweep
from camera_perception.core.text_table import text_table
from camera_perception.engines import BACKENDS, backend_module

MALLOC = {"MALLOC_MMAP_THRESHOLD_": 1 << 30, "MALLOC_TRIM_THRESHOLD_": 1 << 30, "MALLOC_TOP_PAD_": 1 << 27}
MIN_SEGMENT = 16 << 20  # bytes of shared memory per publisher; the stock 512 KiB loses most images
OPTIONAL = {
    "cv_bridge": "more image encodings",
    "tf2_ros": "camera pose from TF",
    "vision_msgs": "vision_msgs output",
    "foxglove_msgs": "Foxglove annotations",
    "diagnostic_updater": "not needed, nodes publish /diagnostics themselves",
}
OK, WARN, ERROR = "ok", "warn", "error"
COLORS = {OK: "green", WARN: "yellow", ERROR: "red"}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One diagnostic result. level: OK, WARN (works, could be better) or ERROR (a drive cannot be processed)."""

    topic: str
    level: str
    text: str


def examine() -> list[Diagnostic]:
    """All checks, from the library up to the nodes."""
    checks: list[Callable[[], Iterator[Diagnostic]]] = [
        library,
        engines,
        gpu,
        recordings,
        ros,
        transport,
        memory,
        leftovers,
    ]
    return [diagnostic for check in checks for diagnostic in check()]


def doctor_command() -> None:
    """Print all results; typer.Exit(1) when one is an error."""
    diagnostics = examine()
    for line, diagnostic in zip(_lines(diagnostics), diagnostics):
        typer.secho(line, fg=COLORS[diagnostic.level] if diagnostic.level != OK else None)
    errors = [diagnostic for diagnostic in diagnostics if diagnostic.level == ERROR]
    if errors:
        typer.secho(f"\n{len(errors)} error{'s' if len(errors) > 1 else ''}: {errors[0].text}", fg="red")
        raise typer.Exit(1)
    typer.secho("\nready: drives can be processed here", fg="green")


def _lines(diagnostics: list[Diagnostic]) -> list[str]:
    rows = [(diagnostic.level, diagnostic.topic, diagnostic.text) for diagnostic in diagnostics]
    return text_table(("", "topic", "result"), rows).splitlines()[2:]


def library() -> Iterator[Diagnostic]:
    """Python, the library and its required packages."""
    versions = ", ".join(f"{name} {_version(name)}" for name in ("numpy", "opencv-python") if _version(name))
    yield Diagnostic("library", OK, f"camera_perception {__version__}, Python {platform.python_version()}, {versions}")
    reason = core.why_no_kernels
    text = f"not in use, frames take longer: {reason}" if reason else "in use"
    yield Diagnostic("compiled part", WARN if reason else OK, text)
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        yield Diagnostic("opencv", ERROR, f"cannot be imported ({error}): apt install libgl1 libglib2.0-0")


def engines() -> Iterator[Diagnostic]:
    """Each backend; a problem only when none is usable."""
    usable = 0
    for name in BACKENDS:
        reason = _unavailable(name)
        usable += reason is None and name != "recorded"
        yield Diagnostic(f"engine {name}", WARN if reason else OK, reason or _engine_text(name))
    if not usable:
        yield Diagnostic("engines", ERROR, "no backend can run a network: pip install onnxruntime")


def _unavailable(name: str) -> str | None:
    """Why a backend cannot be used; None when it can."""
    try:
        reason: str | None = backend_module(name).available()
        return reason
    except ModuleNotFoundError as error:
        return f"not part of this installation ({error.name})"


def _engine_text(name: str) -> str:
    if name == "onnxruntime":
        import onnxruntime

        providers = [p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers()]
        return f"{onnxruntime.__version__}, {', '.join(p for p in providers if p != 'Azure')}"
    if name == "openvino":
        return f"{_version('openvino')}, {' and '.join(backend_module('openvino').precisions())} on the CPU"
    return _version(name) or "replays stored outputs"


def gpu() -> Iterator[Diagnostic]:
    """The GPU and its driver."""
    if Path("/etc/nv_tegra_release").is_file():
        yield Diagnostic("gpu", OK, "Jetson, " + Path("/etc/nv_tegra_release").read_text().splitlines()[0].lstrip("# "))
        return
    text = _run("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    if text is None:
        yield Diagnostic("gpu", WARN, "no NVIDIA driver (nvidia-smi is missing or fails): networks run on the CPU")
        return
    tensorrt = _unavailable("tensorrt") and _unavailable("tensorrt_rtx")
    yield Diagnostic("gpu", WARN if tensorrt else OK, text + ("; TensorRT is not usable" if tensorrt else ""))


def recordings() -> Iterator[Diagnostic]:
    """Packages that read and write bags, and free disk space."""
    missing = [name for name in ("rosbags", "mcap") if find_spec(name) is None]
    if missing:
        yield Diagnostic("recordings", WARN, f"cannot be read or written: pip install {' '.join(missing)}")
    else:
        yield Diagnostic("recordings", OK, f"rosbags {_version('rosbags')}, mcap {_version('mcap')}")
    if find_spec("av") is None:
        yield Diagnostic("films", WARN, "written as WebM, slowly and larger: pip install av")
    else:
        yield Diagnostic("films", OK, f"H.264, which browsers play (PyAV {_version('av')})")
    free = shutil.disk_usage(".").free >> 30
    yield Diagnostic(
        "disk", OK if free >= 5 else WARN, f"{free} GiB free here; a raw 1280x720 camera at 30 Hz fills 5 GiB/min"
    )


def ros() -> Iterator[Diagnostic]:
    """ROS 2, our messages, and optional packages."""
    if find_spec("rclpy") is None:
        yield Diagnostic(
            "ros",
            WARN,
            "no rclpy: library and replay work, nodes do not: source ros2_ws/env.sh or /opt/ros/.../setup.bash",
        )
        return
    yield Diagnostic(
        "ros",
        OK,
        f"{os.environ.get('ROS_DISTRO', 'unknown distribution')}, domain {os.environ.get('ROS_DOMAIN_ID', '0')}",
    )
    if find_spec("camera_perception_msgs") is None:
        yield Diagnostic(
            "messages",
            WARN,
            "camera_perception_msgs is not built or not sourced: run make setup, then source ros2_ws/env.sh",
        )
    else:
        yield Diagnostic("messages", OK, "camera_perception_msgs is importable")
    absent = [f"{name} ({use})" for name, use in OPTIONAL.items() if find_spec(name) is None]
    yield Diagnostic(
        "optional", OK, f"not installed: {', '.join(absent)}" if absent else "all optional packages are installed"
    )


def transport() -> Iterator[Diagnostic]:
    """The DDS profile: without it, most best-effort images between processes are lost."""
    if find_spec("rclpy") is None:
        return
    rmw = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if "fastrtps" not in rmw:
        yield Diagnostic("dds", OK, f"{rmw}: the Fast DDS profile of this project does not apply")
        return
    profile = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE", "")
    if not profile:
        yield Diagnostic(
            "dds", WARN, "FASTRTPS_DEFAULT_PROFILES_FILE is not set, so images get lost: source ros2_ws/env.sh"
        )
    elif not Path(profile).is_file():
        yield Diagnostic(
            "dds",
            ERROR,
            f"FASTRTPS_DEFAULT_PROFILES_FILE names {profile}, which does not exist: source ros2_ws/env.sh again",
        )
    else:
        yield _segment(Path(profile))


def _segment(profile: Path) -> Diagnostic:
    found = re.search(r"<segment_size>\s*(\d+)\s*</segment_size>", profile.read_text("utf-8", "replace"))
    size = int(found.group(1)) if found else 0
    if size < MIN_SEGMENT:
        return Diagnostic(
            "dds",
            WARN,
            f"{profile} sets {size >> 10} KiB of shared memory per publisher: "
            f"images need {MIN_SEGMENT >> 20} MiB or more",
        )
    return Diagnostic("dds", OK, f"shared memory segments of {size >> 20} MiB ({profile.name})")


def memory() -> Iterator[Diagnostic]:
    """malloc settings: by default glibc returns image buffers to the kernel after every frame."""
    if platform.libc_ver()[0] != "glibc":
        return
    low = [name for name, least in MALLOC.items() if _number(os.environ.get(name, "")) < least]
    if low:
        yield Diagnostic("malloc", WARN, f"{', '.join(low)} not set, which costs 3 ms per image: source ros2_ws/env.sh")
    else:
        yield Diagnostic("malloc", OK, "image buffers are reused between frames")


def leftovers() -> Iterator[Diagnostic]:
    """Free shared memory, and files that killed processes left in it."""
    if not SHM.is_dir():
        return
    files, dead = files_of(SHM), sweep(SHM, remove=False)
    size, free = sum(_size(path) for path in files) >> 20, shutil.disk_usage(SHM).free >> 20
    level = WARN if size > 256 or free < 512 else OK
    advice = f", {len(dead)} of them left by killed processes: the next node to start removes them" if dead else ""
    yield Diagnostic("shared memory", level, f"{free} MiB free, {len(files)} Fast DDS files of {size} MiB{advice}")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _run(*command: str) -> str | None:
    """First line of a command's output; None when the command is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines: list[str] = done.stdout.strip().splitlines()
    return lines[0] if lines else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0  # removed in the meantime


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
