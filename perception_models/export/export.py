"""From a checkpoint to a model folder: model.onnx, model.json, reference.npz, MODEL_CARD.md; checked here."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception_models.export.model_card import figures_of, model_card
from perception_models.export.model_json import model_outputs
from perception_models.network import PerceptionNet, fuse
from perception_models.network.export_graph import ExportGraph
from perception_models.training.checkpoint import load_network

# Operators that TensorRT 10 and 11, OpenVINO and ONNX Runtime all take at fixed shapes.
ALLOWED = frozenset(
    "Add ArgMax Cast Clip Concat Conv Div Exp Expand Flatten Gather GatherElements Gemm Identity MatMul MaxPool Min Mul"
    " ReduceMax ReduceMean ReduceSum Relu Reshape Resize Shape Sigmoid Slice Softmax Split Squeeze Sub TopK"
    " Transpose Unsqueeze"
    .split()
)  # fmt: skip

MOST_CAMERAS = 64  # what model.json allows


class ExportError(RuntimeError):
    """The exported graph is not what the vehicle needs; the message says how it differs."""


@dataclass
class ExportConfig:
    """How to export.

    height, width  network input, multiples of 32; 0 takes the last training stage's
    batch          images that go through the network together: cameras of a rig that share it
    top            objects that leave the graph
    twin           one (no NMS needed) or many (model.json then asks the vehicle for NMS)
    opset          18 to 20
    images         folder of pictures for reference.npz; without one, drawn noise
    threshold      of each head in model.json, where it should not be 0.4
    license        of the weights; what the training data allow decides it
    """

    name: str = "perception"
    version: str = "0.1.0"
    license: str = "not stated"
    description: str = ""
    height: int = 0
    width: int = 0
    batch: int = 1
    top: int = 300
    twin: str = "one"
    opset: int = 18
    images: str | None = None
    references: int = 3
    threshold: dict[str, float] = field(default_factory=dict)
    metrics: str | None = None  # metrics.json of `evaluate`, for model.json and the card


def export(checkpoint: Path, folder: Path, config: ExportConfig = ExportConfig()) -> list[str]:
    """Write the folder; returns one line per backend that agreed. ExportError or EngineError when one does not."""
    if not 1 <= config.batch <= MOST_CAMERAS:
        raise ExportError(f"batch {config.batch}: give 1 to {MOST_CAMERAS}, the cameras that share the network")
    net, state = load_network(checkpoint)
    size = _size(config, state)
    final = ExportGraph(deployable(net), size, config.top, config.twin).eval()
    folder.mkdir(parents=True, exist_ok=True)
    write_onnx(final, folder / "model.onnx", config.opset, config.batch)
    _write_reference(final, folder, config)
    _write_spec(final, folder, config, state)
    (folder / "MODEL_CARD.md").write_text(model_card(json.loads((folder / "model.json").read_text())), "utf-8")
    return agreement(folder)


def deployable(net: PerceptionNet) -> PerceptionNet:
    """A copy with batch norms and the input scale folded into the convolutions: the same function, fewer steps."""
    net = fuse(copy.deepcopy(net).eval())
    with torch.no_grad():
        net.backbone.stem[0].weight *= net.input_scale
    net.input_scale = 1
    return net


def write_onnx(final: ExportGraph, path: Path, opset: int, batch: int = 1) -> None:
    """Static shapes, one file, only ALLOWED operators."""
    import onnx

    images = torch.zeros(batch, *final.size, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # torchvision, which we do not use, is missing
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            final, (images,), dynamo=True, opset_version=opset, input_names=["images"],
            output_names=final.output_names(), external_data=False, verbose=False,
        )  # fmt: skip
    program.save(path, external_data=False)
    check_graph(onnx.load(path))


def check_graph(model: Any) -> None:
    """ExportError when the ONNX graph uses an operator outside ALLOWED, or is not valid."""
    import onnx

    onnx.checker.check_model(model)
    if strange := sorted({node.op_type for node in model.graph.node} - ALLOWED):
        raise ExportError(f"the graph uses {', '.join(strange)}, which not every backend takes: change the network")


def agreement(folder: Path) -> list[str]:
    """Run every installed CPU backend against reference.npz; EngineError names the worst output of one that differs."""
    from camera_perception.core.model_spec import load_spec
    from camera_perception.engines import backend_module
    from camera_perception.engines.reference import require

    spec, lines = load_spec(folder), []
    for backend, options in (
        ("onnxruntime", {}),
        ("openvino", {"precision": "fp32"}),
        ("openvino", {"precision": "bf16"}),
    ):
        module = backend_module(backend)
        reason = module.available() or _lacks(module, options)
        if reason:
            lines.append(f"{backend} {options.get('precision', '')}: not checked, {reason}")
            continue
        engine = module.load(spec, threads=1, **options)
        worst = max(require(engine, spec), key=lambda deviation: deviation.share)
        lines.append(f"{engine.info.name}: agrees with torch; nearest to its tolerance: {worst}")
        engine.close()
    return lines


def _lacks(module: Any, options: dict[str, str]) -> str | None:
    precision = options.get("precision")
    return None if precision is None or precision in module.precisions() else f"this CPU has no {precision} arithmetic"


def _size(config: ExportConfig, state: dict[str, Any]) -> tuple[int, int]:
    last = state["config"]["stages"][-1]
    size = config.height or last["height"], config.width or last["width"]
    if size[0] % 32 or size[1] % 32:
        raise ExportError(f"input of {size[1]}x{size[0]} pixels: width and height must be multiples of 32")
    return size


@torch.no_grad()
def _write_reference(final: ExportGraph, folder: Path, config: ExportConfig) -> None:
    from camera_perception.engines.reference import write_reference

    images = reference_images(final.size, config.references, config.images)
    rows = [final(torch.from_numpy(image)[None]) for image in images]
    outputs = {name: np.concatenate([row[i].numpy() for row in rows]) for i, name in enumerate(final.output_names())}
    write_reference(folder / "reference.npz", images, outputs)


def reference_images(size: tuple[int, int], count: int, folder: str | None) -> np.ndarray:
    """(count, H, W, 3) uint8: letterboxed pictures of a folder, or soft noise, which excites every channel too."""
    import cv2

    from perception_models.data.files import list_images, read_image
    from perception_models.data.sample import Sample
    from perception_models.data.targets import targets

    if folder is not None:
        paths = list_images(Path(folder))
        chosen = [paths[i * len(paths) // count] for i in range(count)]
        return np.stack([targets(Sample(p.name, read_image(p)), size)["images"] for p in chosen])
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, size[0] // 16, size[1] // 16, 3), dtype=np.uint8)
    return np.stack([cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC) for image in coarse])


def _history(state: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says about how it was made."""
    return {name: state[name] for name in ("step", "config", "soup") if name in state}


def _write_spec(final: ExportGraph, folder: Path, config: ExportConfig, state: dict[str, Any]) -> None:
    from camera_perception.core.model_spec import check_schema, sha256_of

    spec = {
        "schema": 1,
        "name": config.name,
        "version": config.version,
        "description": config.description or f"multi-task driving perception, size {final.net.config.size}",
        "license": config.license,
        "onnx": {"file": "model.onnx", "sha256": sha256_of(folder / "model.onnx")},
        "input": {"name": "images", "width": final.size[1], "height": final.size[0], "batch": config.batch},
        "outputs": model_outputs(final.net.config.tasks, config.threshold),
        "training": {**_history(state), "export": asdict(config)},
        "metrics": figures_of(json.loads(Path(config.metrics).read_text("utf-8"))) if config.metrics else {},
    }
    check_schema(spec, folder / "model.json")
    (folder / "model.json").write_text(json.dumps(spec, indent=1) + "\n", "utf-8")
