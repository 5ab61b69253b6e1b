"""One vector per frame for mining: the mean of the network's deepest features, or a thumbnail without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from camera_perception.core.model_spec import ModelSpec, sha256_of

OUTPUT = "fleet_embedding"
THUMBNAIL = (8, 8)  # pixels: "80 Million Tiny Images" (Torralba et al., 2008) finds scenes again with 32 x 32
LEAST_CHANNELS = 32


def add_embedding(spec: ModelSpec, out: Path) -> bool:
    """Write a copy of a model folder whose graph has one more output: (B, C) means of the deepest features.

    The other outputs stay as they are. False, and a plain copy, where the graph has no such features or `onnx` is
    missing.
    """
    shutil.copytree(spec.folder, out, ignore=shutil.ignore_patterns("training", "checkpoints"), dirs_exist_ok=True)
    try:
        import onnx
    except ImportError:
        return False
    model = onnx.load(str(spec.onnx_path))
    name = deepest_features(onnx.shape_inference.infer_shapes(model).graph)
    if not name:
        return False
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    pooled = helper.make_node("GlobalAveragePool", [name], [f"{OUTPUT}_4d"])
    flat = helper.make_node("Flatten", [f"{OUTPUT}_4d"], [f"{OUTPUT}_any"], axis=1)
    cast = helper.make_node("Cast", [f"{OUTPUT}_any"], [OUTPUT], to=kind)
    model.graph.node.extend([pooled, flat, cast])
    model.graph.output.append(helper.make_tensor_value_info(OUTPUT, kind, None))
    _save(onnx.shape_inference.infer_shapes(model).SerializeToString(), spec, out)
    return True


def _save(graph: bytes, spec: ModelSpec, out: Path) -> None:
    path = out / spec.onnx_file
    path.write_bytes(graph)
    data = json.loads((out / "model.json").read_text("utf-8"))
    data["onnx"]["sha256"] = sha256_of(path)
    (out / "model.json").write_text(json.dumps(data, indent=1), "utf-8")


def deepest_features(graph: object) -> str:
    """Name of the tensor with the smallest grid of at least 2 x 2, of these the widest; "" without one."""
    best, name = (0, 0), ""
    for value in graph.value_info:  # type: ignore[attr-defined]
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if len(shape) == 4 and min(shape) > 0 and min(shape[2:]) > 1 and shape[1] >= LEAST_CHANNELS:
            order = (-shape[2] * shape[3], shape[1])
            if not name or order > best:
                best, name = order, value.name
    return name


def thumbnail(image: np.ndarray) -> np.ndarray:
    """(192,) float32 unit vector: the image in 8 x 8 pixels, without its mean."""
    small = cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    return unit_vector(small - small.mean())


def unit_vector(vector: np.ndarray) -> np.ndarray:
    """The vector with length 1; zeros stay."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)
