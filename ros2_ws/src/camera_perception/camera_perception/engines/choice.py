"""A choice of backend, and where it is remembered: once per model, machine and installed versions."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from camera_perception.model_spec import ModelSpec

PACKAGES = ("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A backend and how to load it; `text` is what a user may write: "openvino:bf16"."""

    backend: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        precision = self.options.get("precision")
        return f"{self.backend}:{precision}" if precision else self.backend


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "camera_perception"


def cache_path(spec: ModelSpec, tried: list[Candidate], options: dict[str, Any]) -> Path:
    """One file per model, machine, installed backends and options: a change of any asks the question anew."""
    parts = [
        spec.onnx_sha256,
        spec.input.shape,
        _machine(),
        _versions(),
        [c.text for c in tried],
        sorted(options.items()),
    ]
    key = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]
    return cache_folder() / f"engine-{spec.name}-{key}.json"


def remembered(path: Path, tried: list[Candidate]) -> Candidate | None:
    try:
        chosen = json.loads(path.read_text("utf-8"))["chosen"]
        candidate = Candidate(chosen["backend"], chosen["options"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return candidate if candidate in tried else None


def remember(path: Path, candidate: Candidate, milliseconds: dict[str, float]) -> None:
    """A cache that cannot be written costs a second at the next start, nothing else."""
    text = json.dumps({"chosen": asdict(candidate), "milliseconds": milliseconds}, indent=1)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
        part.replace(path)
    except OSError as error:
        log.info("the choice of engine cannot be remembered in %s: %s", path, error)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _machine() -> list[str]:
    """What decides which backend is fastest here; a container's host name would change with every start."""
    return [platform.machine(), _cpu_model(), str(os.cpu_count()), os.environ.get("CUDA_VISIBLE_DEVICES", "")]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
