"""The manifest beside each engine: what it was built from and for, and what was measured.

An engine contains code. It is read only when its manifest names its sha256 and fits model and machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from camera_perception.engine_key import BuildOptions, EngineKey, Machine
from camera_perception.errors import EngineError

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
