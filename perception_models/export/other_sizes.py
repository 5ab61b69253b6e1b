"""The network of a model folder at other input sizes, in subfolders: for cameras of another aspect ratio."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.core.model_spec import load_other_sizes, load_spec, read_json, sha256_of
from camera_perception.engines.reference import read_reference
from perception_models.export.export import (
    ExportConfig,
    ExportError,
    agreement,
    checked_size,
    deployable,
    history,
    write_onnx,
    write_references,
)
from perception_models.network import PerceptionNet
from perception_models.network.export_graph import ExportGraph
from perception_models.training.checkpoint import load_network

SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")


def export_sizes(checkpoint: Path, folder: Path, sizes: Iterable[str]) -> list[str]:
    """Write the network of a model folder at other input sizes into its subfolders; one line per size and backend.

    All but the size is that of the folder, which `checkpoint` was exported to: settings, thresholds, calibration, and
    the images of its reference, cut to the size. Other sizes that the folder had before are removed.

    sizes  WIDTHxHEIGHT, multiples of 32
    ExportError for a size or checkpoint that does not fit, EngineError if a backend disagrees with PyTorch
    """
    wanted = {name: parsed_size(name) for name in sizes}
    net, state = load_network(checkpoint)
    data = read_json(folder)
    if history(state) != history(data.get("training", {})):
        raise ExportError(f"{folder} was not exported from {checkpoint}: give its checkpoint, or export it again")
    lines = [line for name, size in wanted.items() for line in _write(net, folder, name, size)]
    for name in set(data.get("other_sizes", ())) - wanted.keys():
        shutil.rmtree(folder / name)
    _store(folder, {**data, "other_sizes": list(wanted)})
    load_other_sizes(load_spec(folder))
    return lines


def copy_settings(folder: Path) -> None:
    """Make the model.json of each other size that of the folder again, after its thresholds were changed."""
    data = read_json(folder)
    for name in data.get("other_sizes", ()):
        _describe(folder / name, data, parsed_size(name))


def parsed_size(text: str) -> tuple[int, int]:
    """(height, width) of WIDTHxHEIGHT; ExportError for another text, and for sizes that no network takes."""
    match = SIZE.fullmatch(text)
    if match is None:
        raise ExportError(f"input size '{text}': expected WIDTHxHEIGHT, such as 544x416")
    return checked_size(int(match[2]), int(match[1]))


def _write(net: PerceptionNet, folder: Path, name: str, size: tuple[int, int]) -> list[str]:
    """Write one size beside the other one of the same name, check it, and put it in its place."""
    data = read_json(folder)
    config = ExportConfig(**data["training"]["export"])
    graph = ExportGraph(deployable(net), size, config.top, config.twin, config.on_road).eval()
    with tempfile.TemporaryDirectory(dir=folder) as work:
        part = Path(work) / name
        part.mkdir()
        write_onnx(graph, part / "model.onnx", config.opset, config.batch)
        write_references(graph, part, _filled(read_reference(folder / "reference.npz").images, size))
        _describe(part, data, size)
        lines = [f"{name}: {line}" for line in agreement(part)]
        shutil.rmtree(folder / name, ignore_errors=True)
        part.replace(folder / name)
    return lines


def _filled(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, h, w, 3) uint8 -> (N, *size, 3): scaled until they fill the size, and their middle cut out."""
    import cv2

    height, width = size
    scale = max(height / images.shape[1], width / images.shape[2])
    large = [cv2.resize(image, None, fx=scale, fy=scale) for image in images]
    top, left = (large[0].shape[0] - height) // 2, (large[0].shape[1] - width) // 2
    return np.stack([image[top : top + height, left : left + width] for image in large])


def _describe(folder: Path, data: dict[str, Any], size: tuple[int, int]) -> None:
    """Write the model.json of one size: that of the model, without metrics, which are those of the model."""
    height, width = size
    training = {**data["training"], "export": {**data["training"]["export"], "height": height, "width": width}}
    onnx = {"file": "model.onnx", "sha256": sha256_of(folder / "model.onnx")}
    kept = {key: value for key, value in data.items() if key not in ("other_sizes", "metrics")}
    size_input = {**data["input"], "height": height, "width": width}
    _store(folder, {**kept, "input": size_input, "onnx": onnx, "training": training})


def _store(folder: Path, data: dict[str, Any]) -> None:
    part = folder / "model.json.part"
    part.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    part.replace(folder / "model.json")
