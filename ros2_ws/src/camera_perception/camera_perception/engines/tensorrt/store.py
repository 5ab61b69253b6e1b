"""Engines on disk: written whole or not at all, by one builder at a time, read only when they are what was checked.

The manifest beside each engine: what it was built from and for, and what was measured.

An engine contains code. It is read only when its manifest names its sha256 and fits model and machine.

What an engine is bound to: the model, its precision and batch, the machine. A difference in any means: build.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from camera_perception.core.errors import EngineBusy, EngineError
from camera_perception.core.model_spec import ModelSpec, sha256_of

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


SCHEMA = 1
LAYERS = ".layers.json"  # suffix of what TensorRT says of an engine's layers


@dataclass(frozen=True)
class Manifest:
    """What is known about one engine file. Lies beside it as JSON.

    engine       file name; sha256 and size of what it must contain
    inputs, outputs  rows of name, shape, type
    parity       per output: worst difference from reference.npz, share outside its tolerance
    accuracy     per task: points that were lost against the ONNX model; empty when nothing labelled was given
    layers       how many layers compute in which number type
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

    def text(self) -> str:
        return json.dumps({"schema": SCHEMA, "digest": self.key.digest, **asdict(self)}, indent=1) + "\n"


def read_manifest(path: Path) -> Manifest:
    """EngineError when the file is not a manifest of ours or was edited."""
    try:
        data = json.loads(path.read_text("utf-8"))
        key = dict(data["key"])
        key["machine"], key["options"] = Machine(**key["machine"]), BuildOptions(**key["options"])
        values = {f.name: data[f.name] for f in fields(Manifest) if f.name != "key"}
        manifest = Manifest(key=EngineKey(**key), **values)
        if (
            data["schema"] != SCHEMA
            or data["digest"] != manifest.key.digest
            or Path(manifest.engine).name != manifest.engine
        ):
            raise ValueError("its digest does not fit its key")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{path} is not a usable engine manifest ({error}): build the engine again") from error
    return manifest


def manifests(folder: Path) -> Iterator[tuple[Path, Manifest]]:
    """The readable manifests of a folder, by name."""
    for path in sorted(path for path in folder.glob("*_trt*.json") if not path.name.endswith(LAYERS)):
        try:
            yield path, read_manifest(path)
        except EngineError:
            continue


def matching(folder: Path, key: EngineKey) -> list[tuple[Path, Manifest]]:
    """Engines of this model for this machine, whatever their build options, the fastest first."""
    found = [(path, manifest) for path, manifest in manifests(folder) if not key.differences(manifest.key)]
    return sorted(found, key=lambda pair: pair[1].milliseconds)


def near_misses(folder: Path, key: EngineKey) -> list[str]:
    """Why engines of a model of that name do not fit, one clause each, the nearest first."""
    found = [key.differences(m.key) for _, m in manifests(folder) if m.key.model == key.model]
    return [", ".join(differences) for differences in sorted(found, key=len) if differences]


HEADER = 28  # bytes of a plan file up to its version; undocumented, so only a hint


def read_plan(folder: Path, manifest: Manifest) -> bytes:
    """The engine's bytes, after their sha256 was compared; only then may they be deserialised. EngineError if not."""
    path = folder / manifest.engine
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineError(f"engine {path} cannot be read ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        size = f"{len(data)} of {manifest.nbytes} bytes" if len(data) != manifest.nbytes else "other contents"
        hint = header_hint(data, manifest.key.machine.tensorrt)
        raise EngineError(f"engine {path} is not the one that was built and checked ({size}{hint})")
    return data


def header_hint(data: bytes, tensorrt: str) -> str:
    """What the first bytes of a plan say about it, for an error text; "" when they say nothing."""
    if len(data) < HEADER or data[:4] != b"ftrt":
        return ", not a TensorRT file"
    wrote = tuple(data[24:27])
    wanted = tuple(int(part) for part in re.findall(r"\d+", tensorrt)[:3])
    return "" if wrote == wanted else f", written by TensorRT {'.'.join(map(str, wrote))}"


def store(folder: Path, manifest: Manifest, plan: bytes, layers: str = "{}") -> Path:
    """Write layers and engine, then the manifest, each complete or not at all; its rename is the moment of change."""
    path = folder / f"{manifest.key.stem}.json"
    before = _engine_of(path)
    write_whole(layers_path(folder, manifest.engine), layers.encode())
    write_whole(folder / manifest.engine, plan)
    write_whole(path, manifest.text().encode())
    if before not in (None, manifest.engine):
        for old in (folder / str(before), layers_path(folder, str(before))):
            old.unlink(missing_ok=True)
    return path


def layers_path(folder: Path, engine: str) -> Path:
    """Beside an engine: what TensorRT's inspector says of each of its layers."""
    return (folder / engine).with_suffix(LAYERS)


def _engine_of(path: Path) -> str | None:
    """The engine that a new one replaces; a broken manifest must not stop the new one."""
    try:
        return read_manifest(path).engine
    except EngineError:
        return None


def write_whole(path: Path, data: bytes) -> None:
    """To a temporary file, onto the disk, then renamed: a power cut leaves the old file or the new one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EngineError(f"{path} cannot be written ({error.strerror}): make room, or choose another --out") from error


@contextmanager
def only_builder(folder: Path, key: EngineKey) -> Iterator[None]:
    """Keep a second builder of the same engine out; a builder that dies gives the lock up."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / f".{key.digest[:16]}.lock").open("w")
    except OSError as error:
        raise EngineError(f"engines cannot be written to {folder} ({error.strerror}): choose another --out") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EngineBusy(f"another process is building this engine in {folder}: wait for it, or stop it") from error
        yield
