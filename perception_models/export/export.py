"""Export of a checkpoint to a model folder (model.onnx, model.json, reference.npz, MODEL_CARD.md), with checks."""

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

from perception_models.export.model_card import headline_metrics, model_card
from perception_models.export.model_json import model_outputs
from perception_models.network import PerceptionNet, fuse
from perception_models.network.export_graph import ExportGraph
from perception_models.training.checkpoint import load_network

# Operators that TensorRT 10 and 11, OpenVINO and ONNX Runtime all support at fixed shapes.
ALLOWED = frozenset(
    "Add ArgMax Cast Clip Concat Conv Div Exp Expand Flatten Gather GatherElements Gemm Identity MatMul MaxPool Min Mul"
    " ReduceMax ReduceMean ReduceSum Relu Reshape Resize Shape Sigmoid Slice Softmax Split Sqrt Squeeze Sub"
    " TopK"
    " Transpose Unsqueeze"
    .split()
)  # fmt: skip

MAX_CAMERAS = 64  # limit of model.json


CHECKED_BACKENDS: tuple[tuple[str, dict[str, str]], ...] = (
    ("onnxruntime", {}),
    ("openvino", {"precision": "fp32"}),
    ("openvino", {"precision": "bf16"}),
)


class ExportError(RuntimeError):
    """The settings or the exported graph are unusable on the vehicle; the message names the problem."""


@dataclass
class ExportConfig:
    """Settings of an export.

    license        of the weights; depends on the licences of the training data
    height, width  network input, multiples of 32; 0 uses the last training stage
    batch          images per inference: number of cameras that share the network
    top            maximum rows of objects in the output; 0: 300, or 800 with the branch many
    twin           object branch: one (needs no NMS) or many (model.json then requests NMS); default: the last of
                   network.branches
    on_road        leave out of the drivable area what the semantic map does not call road, for networks whose labels
                   agree on that
    opset          18 to 20
    images         folder of images for reference.npz; default: smooth noise
    references     number of images in reference.npz
    threshold      per head, for model.json; default 0.4, lanes 0.5
    metrics        metrics.json of `evaluate`, for model.json and the model card
    """

    name: str = "perception"
    version: str = "0.1.0"
    license: str = "not stated"
    description: str = ""
    height: int = 0
    width: int = 0
    batch: int = 1
    top: int = 0
    twin: str = ""
    on_road: bool = False
    opset: int = 18
    images: str | None = None
    references: int = 3
    threshold: dict[str, float] = field(default_factory=dict)
    metrics: str | None = None


def export(checkpoint: Path, folder: Path, config: ExportConfig = ExportConfig()) -> list[str]:
    """Write and check a model folder; returns one line per backend. ExportError or EngineError if a check fails."""
    if not 1 <= config.batch <= MAX_CAMERAS:
        raise ExportError(
            f"batch {config.batch}: give 1 to {MAX_CAMERAS}, the number of cameras that share the network"
        )
    net, state = load_network(checkpoint)
    size = _size(config, state)
    graph = ExportGraph(deployable(net), size, config.top, config.twin, config.on_road).eval()
    folder.mkdir(parents=True, exist_ok=True)
    write_onnx(graph, folder / "model.onnx", config.opset, config.batch)
    write_references(graph, folder, reference_images(size, config.references, config.images))
    _write_spec(graph, folder, config, state)
    (folder / "MODEL_CARD.md").write_text(model_card(json.loads((folder / "model.json").read_text())), "utf-8")
    return agreement(folder)


def deployable(net: PerceptionNet) -> PerceptionNet:
    """A copy with batch norms and the input scale folded into the convolutions: the same function, fewer operations."""
    fused = copy.deepcopy(net).eval()
    fuse(fused)
    first = fused.backbone.stem[0]
    assert isinstance(first, torch.nn.Conv2d)
    with torch.no_grad():
        first.weight *= net.input_scale
    fused.input_scale = 1
    return fused


def write_onnx(graph: ExportGraph, path: Path, opset: int, batch: int = 1) -> None:
    """Write one ONNX file with static shapes and only ALLOWED operators."""
    import onnx

    images = torch.zeros(batch, *graph.size, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # warns that torchvision is missing, which we do not use
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            graph, (images,), dynamo=True, opset_version=opset, input_names=["images"],
            output_names=graph.output_names(), external_data=False, verbose=False,
        )  # fmt: skip
    assert program is not None
    program.save(path, external_data=False)
    model = without_traces(onnx.load(path))
    check_graph(model)
    onnx.save(model, path)


def without_traces(model: Any) -> Any:
    """The ONNX model without the stack traces that the exporter writes into it, which name files of this machine."""
    graph = model.graph
    for each in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del each.metadata_props[:]
        each.doc_string = ""
    return model


def check_graph(model: Any) -> None:
    """ExportError if the ONNX graph uses an operator outside ALLOWED or is invalid."""
    import onnx

    onnx.checker.check_model(model)
    if unsupported := sorted({node.op_type for node in model.graph.node} - ALLOWED):
        raise ExportError(
            f"the graph uses {', '.join(unsupported)}, which not every backend supports: change the network"
        )


def agreement(folder: Path) -> list[str]:
    """Check every installed CPU backend against reference.npz; EngineError names the output that deviates most."""
    from camera_perception.core.model_spec import load_spec
    from camera_perception.engines import backend_module
    from camera_perception.engines.reference import require

    spec, lines = load_spec(folder), []
    for backend, options in CHECKED_BACKENDS:
        module = backend_module(backend)
        reason = module.available() or _unsupported(module, options)
        if reason:
            lines.append(f"{backend} {options.get('precision', '')}: not checked, {reason}")
            continue
        engine = module.load(spec, threads=1, **options)
        worst = max(require(engine, spec), key=lambda deviation: deviation.share)
        lines.append(f"{engine.info.name}: agrees with PyTorch; output closest to its tolerance: {worst}")
        engine.close()
    return lines


def _unsupported(module: Any, options: dict[str, str]) -> str | None:
    precision = options.get("precision")
    return None if precision is None or precision in module.precisions() else f"this CPU has no {precision} arithmetic"


def trained_size(state: dict[str, Any]) -> tuple[int, int]:
    """(height, width) of the images in the last training stage of a checkpoint."""
    last = state["config"]["stages"][-1]
    return last["height"], last["width"]


def _size(config: ExportConfig, state: dict[str, Any]) -> tuple[int, int]:
    height, width = trained_size(state)
    return checked_size(config.height or height, config.width or width)


def checked_size(height: int, width: int) -> tuple[int, int]:
    """(height, width); ExportError when the network cannot take images of this size."""
    if height % 32 or width % 32:
        raise ExportError(f"network input {width}x{height}: width and height must be multiples of 32")
    return height, width


@torch.no_grad()
def write_references(graph: ExportGraph, folder: Path, images: np.ndarray) -> None:
    """Write reference.npz: images (N, H, W, 3) uint8 of the graph's size, and its outputs for them."""
    from camera_perception.engines.reference import write_reference

    rows = [graph(torch.from_numpy(image)[None]) for image in images]
    outputs = {name: np.concatenate([row[i].numpy() for row in rows]) for i, name in enumerate(graph.output_names())}
    write_reference(folder / "reference.npz", images, outputs)


def reference_images(size: tuple[int, int], count: int, folder: str | None) -> np.ndarray:
    """(count, H, W, 3) uint8: letterboxed images of a folder, or smooth noise, which also excites every channel."""
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


def history(state: dict[str, Any]) -> dict[str, Any]:
    """The training history recorded in a checkpoint."""
    return {name: state[name] for name in ("step", "config", "soup") if name in state}


def _write_spec(graph: ExportGraph, folder: Path, config: ExportConfig, state: dict[str, Any]) -> None:
    from camera_perception.core.model_spec import check_schema, sha256_of

    spec = {
        "schema": 1,
        "name": config.name,
        "version": config.version,
        "description": config.description or f"multi-task driving perception, size {graph.net.config.size}",
        "license": config.license,
        "onnx": {"file": "model.onnx", "sha256": sha256_of(folder / "model.onnx")},
        "input": {"name": "images", "width": graph.size[1], "height": graph.size[0], "batch": config.batch},
        "outputs": model_outputs(graph.net.config.tasks, config.threshold),
        "training": {**history(state), "export": asdict(config)},
        "metrics": headline_metrics(json.loads(Path(config.metrics).read_text("utf-8"))) if config.metrics else {},
    }
    check_schema(spec, folder / "model.json")
    (folder / "model.json").write_text(json.dumps(spec, indent=1) + "\n", "utf-8")
