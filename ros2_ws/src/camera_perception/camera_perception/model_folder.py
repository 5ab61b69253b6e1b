"""A model folder for somebody's ONNX file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.engines.select import load_engine
from camera_perception.errors import ModelError
from camera_perception.guess_heads import Guess
from camera_perception.inspect_onnx import OnnxFile
from camera_perception.model_spec import check_schema, load_spec, sha256_of
from camera_perception.reference import run_all, write_reference


def model_json(file: OnnxFile, guessed: Guess, name: str) -> dict[str, Any]:
    """A starting model.json, without the hash."""
    shape = file.input.shape
    nchw = shape[1] == 3
    height, width = (shape[2], shape[3]) if nchw else (shape[1], shape[2])
    return {
        "schema": 1,
        "name": name,
        "version": "1",
        "license": file.metadata.get("license") or "unknown",
        "description": file.metadata.get("description") or f"From {file.path.name}; written by inspect-onnx, check it.",
        "onnx": {"file": "model.onnx", "sha256": "0" * 64},
        "input": {
            "name": file.input.name,
            "width": width,
            "height": height,
            **({"batch": shape[0]} if shape[0] > 1 else {}),
            "layout": "nchw" if nchw else "nhwc",
            "dtype": file.input.dtype.name,
            **guessed.input,
        },
        "outputs": guessed.outputs,
    }


def write_folder(file: OnnxFile, data: Mapping[str, Any], out: Path | str) -> Path:
    """The model folder: a copy of the file, model.json, and a reference by ONNX Runtime in fp32.

    ModelError when the folder holds a model already, or when nothing in the graph was recognised.
    """
    out = Path(out)
    if not data["outputs"]:
        raise ModelError(f"no head of {file.path} was recognised: write model.json by hand, beginning with the above")
    if (out / "model.json").exists():
        raise ModelError(f"{out} holds a model already: give another --out or remove it")
    out.mkdir(parents=True, exist_ok=True)
    target = out / data["onnx"]["file"]
    shutil.copyfile(file.path, target)
    data = {**data, "onnx": {**data["onnx"], "sha256": sha256_of(target)}}
    check_schema(data, out / "model.json")
    (out / "model.json").write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    _write_reference(out)
    return out


def _write_reference(folder: Path) -> None:
    """Lets other backends be measured against fp32 on the CPU; it says nothing about whether the guesses are right."""
    spec = load_spec(folder)
    engine = load_engine(spec, "onnxruntime", check=False, device="cpu")
    images = np.stack([_test_image(spec.input.shape[1:], seed) for seed in range(2)])
    if spec.input.dtype != "uint8":
        mean, std = np.array(spec.input.mean), np.array(spec.input.std)
        planes = (3, 1, 1) if spec.input.layout == "nchw" else (3,)
        images = (images * spec.input.scale - mean.reshape(planes)) / std.reshape(planes)
    images = images.astype(spec.input.dtype)
    write_reference(folder / "reference.npz", images, run_all(engine, images))
    engine.close()


def _test_image(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Soft shapes with a little noise, 0..255: flat images exercise too little of a network."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(0, 2 * np.pi, size) for size in shape], indexing="ij")
    waves = [np.sin(axis * rng.uniform(0.5, 4) + rng.uniform(0, 6)) for axis in axes]
    return np.clip(128 + 40 * sum(waves) + rng.normal(0, 8, shape), 0, 255).astype(np.uint8)


def safe_name(text: str) -> str:
    """A model name that the schema takes."""
    name = "".join(c if c.isalnum() and c.isascii() or c in "._-" else "-" for c in text).lstrip("._-")
    return name[:64] or "model"
