"""The manifest of an engine: what it was built from, for which machine, and what was measured.

A difference in model, precision, batch or machine means that the engine does not fit and another one has to be built.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from camera_perception.core.documents.kind import DocumentKind
from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import ModelSpec, onnx_sha256, sha256_of

SCHEMA = 1
DOCUMENT = DocumentKind(
    "a usable engine manifest",
    "json",
    ("camera_perception.engines.tensorrt", "manifest.schema.json"),
    EngineError,
    "build the engine again",
)

Progress = Callable[[str, float], bool]  # of a build: phase and fraction done, 0..1; returning False cancels it


@dataclass(frozen=True)
class Machine:
    """The part of a machine that an engine is bound to. driver_major is the CUDA version of the driver."""

    tensorrt: str
    gpu: str
    compute_capability: str
    driver_major: int


@dataclass(frozen=True)
class BuildOptions:
    """A user's choices for a build; none of them changes results beyond rounding."""

    workspace_mib: int = 2048
    optimization_level: int = 3  # 0..5, TensorRT's own default is 3


@dataclass(frozen=True)
class EngineKey:
    """Identity of an engine; a difference in any field makes it another engine."""

    model: str
    version: str
    onnx_sha256: str  # including weights in files of their own
    model_json_sha256: str
    precision: str
    batch: int
    width: int
    height: int
    machine: Machine
    options: BuildOptions = field(default_factory=BuildOptions)

    @staticmethod
    def of(spec: ModelSpec, machine: Machine, options: BuildOptions | None = None) -> EngineKey:
        return EngineKey(
            spec.name,
            spec.version,
            onnx_sha256(spec.onnx_path),
            sha256_of(spec.folder / "model.json"),
            spec.precision,
            spec.input.batch,
            spec.input.width,
            spec.input.height,
            machine,
            options or BuildOptions(),
        )

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def stem(self) -> str:
        """File name for people: perception-0.1.0_fp16_b1_640x384_orin_sm87_trt10.3.0_0123456789ab."""
        m = self.machine
        gpu = re.sub(r"[^a-z0-9]+", "-", m.gpu.lower().replace("nvidia", "")).strip("-")
        machine = f"{gpu}_sm{m.compute_capability.replace('.', '')}_trt{m.tensorrt}"
        model = f"{self.model}-{self.version}_{self.precision}_b{self.batch}_{self.width}x{self.height}"
        return f"{model}_{machine}_{self.digest[:12]}"

    def differences(self, other: EngineKey) -> list[str]:
        """How other differs from this key, one clause each; build options do not count."""
        texts = {
            "onnx_sha256": "another model.onnx",
            "model_json_sha256": "another model.json",
            "precision": f"precision {other.precision} instead of {self.precision}",
            "batch": f"batch {other.batch} instead of {self.batch}",
        }
        found = [text for name, text in texts.items() if getattr(self, name) != getattr(other, name)]
        built, here = other.machine, self.machine
        machines = {
            "tensorrt": (f"TensorRT {built.tensorrt}", here.tensorrt),
            "gpu": (f"the GPU {built.gpu}", here.gpu),
            "compute_capability": (f"compute capability {built.compute_capability}", here.compute_capability),
            "driver_major": (f"a CUDA {built.driver_major} driver", f"CUDA {here.driver_major}"),
        }
        differing = [pair for name, pair in machines.items() if getattr(built, name) != getattr(here, name)]
        return found + [f"{text}, this machine has {has}" for text, has in differing]


@dataclass(frozen=True)
class Manifest:
    """Contents of the JSON file beside an engine.

    engine          file name; sha256 and nbytes are those of its contents
    inputs, outputs rows of name, shape, type
    parity          per output: worst difference from reference.npz, share of elements outside the tolerance
    accuracy        per task: percentage points lost against the ONNX model; empty without labelled images
    layers          number of layers per number type
    seal            of an engine that was built from a signed model, see seal.py; otherwise empty
    """

    key: EngineKey
    engine: str
    sha256: str
    nbytes: int
    inputs: list[list[Any]]
    outputs: list[list[Any]]
    parity: dict[str, dict[str, float]]
    accuracy: dict[str, float]
    layers: dict[str, int]
    milliseconds: float
    build_seconds: float
    built_at: str
    seal: str = ""

    def text(self) -> str:
        return json.dumps({"schema": SCHEMA, "digest": self.key.digest, **asdict(self)}, indent=1) + "\n"


def read_manifest(path: Path) -> Manifest:
    """EngineError when the file is not a manifest, or was edited."""
    data = DOCUMENT.read(path)
    key = dict(data["key"])
    key["machine"], key["options"] = Machine(**key["machine"]), BuildOptions(**key["options"])
    values = {f.name: data[f.name] for f in fields(Manifest) if f.name != "key" and f.name in data}
    manifest = Manifest(key=EngineKey(**key), **values)
    if data["digest"] != manifest.key.digest:
        raise EngineError(f"{path} is not {DOCUMENT.name} (its digest does not fit its key): {DOCUMENT.remedy}")
    return manifest
