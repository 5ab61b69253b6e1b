"""What an engine is bound to: the model, its precision and batch, the machine. A difference in any means: build."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from camera_perception.model_spec import ModelSpec, sha256_of

EXTERNAL = (".data", ".bin", ".weight", ".weights")  # suffixes of weights that exporters put beside an ONNX file


@dataclass(frozen=True)
class Machine:
    """What an engine is bound to. driver_major is the CUDA version of the driver."""

    tensorrt: str
    gpu: str
    compute_capability: str
    driver_major: int


@dataclass(frozen=True)
class BuildOptions:
    """What the user may choose about a build; none of it changes results beyond rounding."""

    workspace_mib: int = 2048
    optimization_level: int = 3  # 0..5, TensorRT's own default is 3


@dataclass(frozen=True)
class EngineKey:
    """Everything that makes one engine another. A difference in any field means: build."""

    model: str
    version: str
    onnx_sha256: str  # with weights in files of their own
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
        """For people: perception-0.1.0_fp16_b1_640x384_orin_sm87_trt10.3.0_0123456789ab."""
        m = self.machine
        gpu = re.sub(r"[^a-z0-9]+", "-", m.gpu.lower().replace("nvidia", "")).strip("-")
        where = f"{gpu}_sm{m.compute_capability.replace('.', '')}_trt{m.tensorrt}"
        what = f"{self.model}-{self.version}_{self.precision}_b{self.batch}_{self.width}x{self.height}"
        return f"{what}_{where}_{self.digest[:12]}"

    def differences(self, other: EngineKey) -> list[str]:
        """In words, what other has that this key has not; build options do not count."""
        texts = {
            "onnx_sha256": "another model.onnx",
            "model_json_sha256": "another model.json",
            "precision": f"precision {other.precision}, wanted is {self.precision}",
            "batch": f"batch {other.batch}, wanted is {self.batch}",
        }
        m, here = other.machine, self.machine
        machine_texts = {
            "tensorrt": f"TensorRT {m.tensorrt}, here is {here.tensorrt}",
            "gpu": f"the GPU {m.gpu}, here is {here.gpu}",
            "compute_capability": f"compute capability {m.compute_capability}, here is {here.compute_capability}",
            "driver_major": f"a CUDA {m.driver_major} driver, here is CUDA {here.driver_major}",
        }
        found = [text for name, text in texts.items() if getattr(self, name) != getattr(other, name)]
        return found + [text for name, text in machine_texts.items() if getattr(here, name) != getattr(m, name)]


def onnx_sha256(path: Path) -> str:
    """Of the file alone, or of it and the weights beside it."""
    beside = sorted(p for p in path.parent.iterdir() if p.suffix in EXTERNAL and p.is_file())
    if not beside:
        return sha256_of(path)
    text = "".join(f"{p.name}:{sha256_of(p)}\n" for p in (path, *beside))
    return hashlib.sha256(text.encode()).hexdigest()
