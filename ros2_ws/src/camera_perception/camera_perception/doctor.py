"""`camera-perception doctor`: one line per thing that a drive needs, with a verdict and what to do."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import typer

from camera_perception import __version__
from camera_perception.doctor_ros import leftovers, memory, ros, transport
from camera_perception.engines import BACKENDS, backend_module
from camera_perception.finding import BAD, HINT, OK, Finding
from camera_perception.text_table import text_table

COLORS = {OK: "green", HINT: "yellow", BAD: "red"}


def examine() -> list[Finding]:
    """Everything, in the order in which one would look."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        library,
        engines,
        gpu,
        recordings,
        ros,
        transport,
        memory,
        leftovers,
    ]
    return [finding for check in checks for finding in check()]


def doctor_command() -> None:
    """Print the findings; typer.Exit(1) when one is bad."""
    findings = examine()
    for line, finding in zip(_lines(findings), findings):
        typer.secho(line, fg=COLORS[finding.verdict] if finding.verdict != OK else None)
    bad = [finding for finding in findings if finding.verdict == BAD]
    if bad:
        typer.secho(f"\n{len(bad)} problem{'s' if len(bad) > 1 else ''}: {bad[0].text}", fg="red")
        raise typer.Exit(1)
    typer.secho("\nready: a drive can be processed here", fg="green")


def _lines(findings: list[Finding]) -> list[str]:
    rows = [(finding.verdict, finding.topic, finding.text) for finding in findings]
    return text_table(("", "what", "finding"), rows).splitlines()[2:]


def library() -> Iterator[Finding]:
    """Python, the library and what it always needs."""
    versions = ", ".join(f"{name} {_version(name)}" for name in ("numpy", "opencv-python", "scipy") if _version(name))
    yield Finding("library", OK, f"camera_perception {__version__}, Python {platform.python_version()}, {versions}")
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        yield Finding("opencv", BAD, f"cannot be imported ({error}): apt install libgl1 libglib2.0-0")


def engines() -> Iterator[Finding]:
    """Each backend; bad only when none is left."""
    usable = 0
    for name in BACKENDS:
        reason = _unavailable(name)
        usable += reason is None and name != "recorded"
        yield Finding(f"engine {name}", HINT if reason else OK, reason or _engine_text(name))
    if not usable:
        yield Finding("engines", BAD, "no backend can run a network: pip install onnxruntime")


def _unavailable(name: str) -> str | None:
    try:
        return backend_module(name).available()
    except ModuleNotFoundError as error:
        return f"not part of this installation ({error.name})"


def _engine_text(name: str) -> str:
    if name == "onnxruntime":
        import onnxruntime

        providers = [p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers()]
        return f"{onnxruntime.__version__}, {', '.join(p for p in providers if p != 'Azure')}"
    if name == "openvino":
        return f"{_version('openvino')}, {' and '.join(backend_module('openvino').precisions())} on the CPU"
    return _version(name) or "plays stored outputs"


def gpu() -> Iterator[Finding]:
    """The accelerator, by its driver."""
    if Path("/etc/nv_tegra_release").is_file():
        yield Finding("gpu", OK, "Jetson, " + Path("/etc/nv_tegra_release").read_text().splitlines()[0].lstrip("# "))
        return
    text = _run("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    if text is None:
        yield Finding("gpu", HINT, "no NVIDIA driver (nvidia-smi is missing or fails): networks run on the CPU")
        return
    tensorrt = _unavailable("tensorrt")
    yield Finding("gpu", HINT if tensorrt else OK, text + (", TensorRT is not usable" if tensorrt else ""))


def recordings() -> Iterator[Finding]:
    """What reads and writes bags, and room for them."""
    missing = [name for name in ("rosbags", "mcap") if find_spec(name) is None]
    if missing:
        yield Finding("recordings", HINT, f"cannot be read or written: pip install {' '.join(missing)}")
    else:
        yield Finding("recordings", OK, f"rosbags {_version('rosbags')}, mcap {_version('mcap')}")
    free = shutil.disk_usage(".").free >> 30
    yield Finding(
        "disk", OK if free >= 5 else HINT, f"{free} GiB free here; a raw 1280x720 camera at 30 Hz fills 5 GiB/min"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _run(*command: str) -> str | None:
    """First line of a command's output; None when it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else None
