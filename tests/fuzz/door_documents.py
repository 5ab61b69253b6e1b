"""Doors for files on disk: model folders, rigs, calibrations, manifests, profiles, checkpoints."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
from cases import Make, documents, either, files
from door import Door
from door_messages import camera_info_seeds, seed

from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.engines.onnxruntime import load
from camera_perception.engines.reference import check, read_reference
from camera_perception.engines.tensorrt.manifest import EngineKey, Machine, Manifest, read_manifest
from camera_perception.engines.tensorrt.store import matching
from camera_perception.geometry.rig import read_rig
from camera_perception.tools.calibration.calibrate import camera_from_yaml
from camera_perception.tools.drift.profile import DOCUMENT, _profile


def written(folder: Path, name: str, case: bytes) -> Path:
    path = folder / name
    path.write_bytes(case)
    return path


@cache
def tiny() -> Path:
    from tiny_models import write_tiny_model

    return write_tiny_model(Path(tempfile.mkdtemp(prefix="fuzz")) / "tiny")


@cache
def tiny_spec() -> ModelSpec:
    return load_spec(tiny())


def with_tiny(folder: Path, without: str) -> Path:
    """The folder of the case with all files of the tiny model but one."""
    for path in tiny().iterdir():
        if path.name != without and not (folder / path.name).exists():
            shutil.copyfile(path, folder / path.name)
    return folder


def model_json(case: bytes, folder: Path) -> None:
    written(with_tiny(folder, "model.json"), "model.json", case)
    spec = load_spec(folder)
    from camera_perception.decode.heads import check_all

    check_all(spec, tiny_shapes())


@cache
def tiny_shapes() -> dict[str, tuple[int, ...]]:
    engine = load(tiny_spec(), threads=1)
    return {name: tensor.shape for name, tensor in engine.outputs.items()}


def model_json_seeds() -> list[bytes]:
    return [(tiny() / "model.json").read_bytes()]


def onnx(case: bytes, folder: Path) -> None:
    """A changed network with the right hash, as of a model folder from a stranger."""
    from camera_perception.core.model_spec import onnx_sha256

    path = written(with_tiny(folder, "model.onnx"), "model.onnx", case)
    data = json.loads((tiny() / "model.json").read_text())
    data["onnx"]["sha256"] = onnx_sha256(path)
    (folder / "model.json").write_text(json.dumps(data))
    engine = load(load_spec(folder), threads=1)
    try:
        check(engine, engine.spec)
    finally:
        engine.close()


def onnx_seeds() -> list[bytes]:
    return [(tiny() / "model.onnx").read_bytes()]


def reference(case: bytes, folder: Path) -> None:
    read_reference(written(folder, "reference.npz", case))


def reference_seeds() -> list[bytes]:
    stored = io.BytesIO()
    with zipfile.ZipFile(tiny() / "reference.npz") as source, zipfile.ZipFile(stored, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    small = io.BytesIO()
    tolerance = np.array(json.dumps({"a": {"atol": 0.1, "rtol": 0, "share": 0}}))
    np.savez(
        small, images=np.zeros((1, 2, 2, 3), np.uint8), **{"outputs/a": np.zeros((1, 2)), "tolerance.json": tolerance}
    )
    return [small.getvalue(), (tiny() / "reference.npz").read_bytes(), stored.getvalue()]


def rig(case: bytes, folder: Path) -> None:
    read_rig(written(folder, "rig.yaml", case))


def rig_seeds() -> list[bytes]:
    pose = [1.5, 0.0, 1.4, 0.0, 0.05, 0.0]
    front = {"name": "front", "pose": pose, "image_topic": "/a/image_raw", "calibration": "a.yaml", "rectified": False}
    return [seed({"cameras": [front, {"name": "left", "camera_info_topic": "/b"}]}), b"cameras: [&a {name: front}, *a]"]


def rig_cases(seeds: list[bytes]) -> Make:
    return either(documents(seeds[:1]), files(seeds))


def calibration(case: bytes, folder: Path) -> None:
    path = written(folder, "camera.yaml", case)
    camera_from_yaml(path)
    camera_from_yaml(path, rectified=True)


def calibration_seeds() -> list[bytes]:
    out = []
    for each in camera_info_seeds():
        d = json.loads(each)
        matrices = {"camera_matrix": d["k"], "distortion_coefficients": d["d"], "projection_matrix": d["p"]}
        sizes = {"image_width": 640, "image_height": 384, "distortion_model": d["model"]}
        out.append(seed({**sizes, **{name: {"rows": 1, "cols": 1, "data": v} for name, v in matrices.items()}}))
    return out


def manifest(case: bytes, folder: Path) -> None:
    path = written(folder, "a_trt.json", case)
    matching(folder, KEY)
    read_manifest(path)


KEY = EngineKey("tiny", "1", "0" * 64, "1" * 64, "fp32", 1, 160, 96, Machine("10.3.0", "Orin", "8.7", 12))


def manifest_seeds() -> list[bytes]:
    values = {"inputs": [["images", [1, 2], "uint8"]], "outputs": [], "parity": {"a": {"worst": 0.1}}}
    values |= {"accuracy": {}, "layers": {"int8": 3}, "milliseconds": 1.0, "build_seconds": 1.0, "built_at": "x"}
    made = Manifest(key=KEY, engine="a.engine", sha256="0" * 64, nbytes=3, **values)
    return [made.text().encode(), json.dumps(asdict(made)).encode()]


def profile(case: bytes, folder: Path) -> None:
    _profile(DOCUMENT.read(written(folder, "profile.json", case)))


def profile_seeds() -> list[bytes]:
    figures = {"lane count": {"histogram": {"2": 5.0}, "spread": 0.1}, "objects": {"histogram": {}, "spread": 0}}
    head = {"schema": 1, "model": "m", "sha256": "0" * 64, "thresholds": {"objects": 0.4}, "window": 60.0}
    return [seed({**head, "seconds": 100.0, "frames": 100, "source": "a", "figures": figures})]


def checkpoint(case: bytes, folder: Path) -> None:
    from perception_models.training.checkpoint import load_network

    load_network(written(folder, "a.safetensors", _with_state(case)))


def checkpoint_seeds() -> list[bytes]:
    return [seed({"network": _network(), "step": 3, "world": 1, "config": {"precision": "32"}})]


def _network() -> dict:
    from perception_models.network.config import of_size

    return {**asdict(of_size("t")), "tasks": ["drivable"]}


@cache
def _weights() -> dict:
    from perception_models.network import NetworkConfig, PerceptionNet

    net = PerceptionNet(NetworkConfig(**_network()))
    return {f"average.{name}": tensor.contiguous() for name, tensor in net.state_dict().items()}


def _with_state(case: bytes) -> bytes:
    from safetensors.torch import save

    return save(_weights(), {"state": case.decode("utf-8", "replace")})


def checkpoint_file(case: bytes, folder: Path) -> None:
    from perception_models.training.checkpoint import load_network

    load_network(written(folder, "a.safetensors", case))


def checkpoint_file_seeds() -> list[bytes]:
    return [_with_state(each) for each in checkpoint_seeds()]


DOORS = [
    Door("model_json", model_json, model_json_seeds, documents),
    Door("onnx", onnx, onnx_seeds, files),
    Door("reference", reference, reference_seeds, files),
    Door("rig", rig, rig_seeds, rig_cases),
    Door("calibration", calibration, calibration_seeds, documents),
    Door("manifest", manifest, manifest_seeds, documents),
    Door("profile", profile, profile_seeds, documents),
    Door("checkpoint_state", checkpoint, checkpoint_seeds, documents),
    Door("checkpoint_file", checkpoint_file, checkpoint_file_seeds, files),
]
