"""perception-models quantize: fp16, int8 and fp8 variants of a model folder, checked on the CPU."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import ModelSpec, load_spec, sha256_of
from camera_perception.engines.build.gates import MAX_POINTS_LOST
from camera_perception.engines.reference import check, read_reference, write_reference
from camera_perception.engines.select import load_engine
from camera_perception.image.letterbox import Preprocessor
from camera_perception.tools.replay.source import open_source
from perception_models.compression.fp16 import to_fp16
from perception_models.compression.qdq import quantize_convs

PRECISIONS = ("fp16", "int8", "fp8")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Quantized:
    """A variant. deviations: one line per output compared with the reference; lost: points of 100 per task."""

    folder: Path
    convs: int
    deviations: list[str]
    lost: dict[str, float]


def quantize(
    folder: Path,
    precision: str,
    calibration: Path | None = None,
    labelled: Path | None = None,
    count: int = 200,
    most_lost: float | None = None,
    camera: str | None = None,
) -> Quantized:
    """Write folder/fp16, folder/int8 or folder/fp8. An existing variant is replaced only if the new one passes.

    calibration  recording, video or folder of images typical of later use; int8 and fp8 only
    labelled     labelled images to measure the loss per task; ModelError if it exceeds most_lost
    count        maximum calibration images, evenly spaced
    most_lost    points of 100 a task may lose; default 0.2 for fp16, 1 for int8 and fp8
    camera       image topic of a recording with several cameras
    """
    spec = load_spec(folder)
    if precision not in PRECISIONS:
        raise ModelError(f"precision '{precision}': expected {', '.join(PRECISIONS)}")
    if spec.precision != "fp32":
        raise ModelError(f"{folder} is {spec.precision} already: give the fp32 model it was made from")
    eight_bits = precision != "fp16"
    if eight_bits and calibration is None:
        raise ModelError(f"{precision} needs --calibration: a recording, a video or a folder of images, 100 or more")
    if eight_bits and labelled is None:
        log.warning(
            "the accuracy of %s was not measured: give --labelled, or run `perception-models precisions`", precision
        )
    with tempfile.TemporaryDirectory(dir=folder) as work:
        part = Path(work) / precision
        part.mkdir()
        convs = _write_onnx(spec, precision, part, calibration if eight_bits else None, count, camera)
        _write_json(spec, precision, part)
        _write_reference(spec, part)
        made = _checked(spec, part, convs, labelled, MAX_POINTS_LOST[precision] if most_lost is None else most_lost)
        target = folder / precision
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
    return Quantized(target, made.convs, made.deviations, made.lost)


def _write_onnx(
    spec: ModelSpec, precision: str, part: Path, calibration: Path | None, count: int, camera: str | None
) -> int:
    import onnx

    path, convs = part / "model.onnx", 0
    if calibration is None:
        model = onnx.load(spec.onnx_path)
    else:
        images = calibration_images(spec, calibration, count, camera)
        convs = quantize_convs(spec.onnx_path, path, spec.input.name, images, spec.input.batch, precision)
        model = onnx.load(path)
    onnx.save(to_fp16(model), path)
    return convs


def calibration_images(spec: ModelSpec, source: Path, count: int, camera: str | None = None) -> list[np.ndarray]:
    """At most `count` images, evenly spaced, preprocessed as on the vehicle."""
    arrivals = list(open_source(source, camera).arrivals)
    chosen = [arrivals[i] for i in np.unique(np.linspace(0, len(arrivals) - 1, count).astype(int))] if arrivals else []
    if not chosen:
        raise ModelError(f"{source} holds no images: give a recording, a video or a folder of images")
    prepare, images = Preprocessor(spec.input), []
    for arrival in chosen:
        images.append(np.empty(spec.input.shape[1:], spec.input.dtype))
        prepare(arrival.frame().image, images[-1])
    return images


def _write_json(spec: ModelSpec, precision: str, part: Path) -> None:
    data = json.loads((spec.folder / "model.json").read_text("utf-8"))
    data.pop("other_sizes", None)
    data["precision"] = precision
    data["onnx"] = {"file": "model.onnx", "sha256": sha256_of(part / "model.onnx")}
    data["training"] = {**data.get("training", {}), "quantized_from": spec.onnx_sha256}
    _store(part, data)


def _store(part: Path, data: dict[str, Any]) -> None:
    (part / "model.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")


def store_points_lost(folder: Path, lost: dict[str, float]) -> None:
    """Write what a variant loses, points of 100 per task, into its model.json."""
    data = json.loads((folder / "model.json").read_text("utf-8"))
    _store(folder, {**data, "metrics": {**data.get("metrics", {}), "points_lost": lost}})


def _write_reference(spec: ModelSpec, part: Path) -> None:
    """fp16 must reproduce the original. int8 and fp8 are other functions: their reference is the unoptimised graph."""
    if spec.reference is None:
        return
    variant = load_spec(part)
    if variant.precision == "fp16":
        shutil.copy(spec.reference, part / "reference.npz")
        return
    original = read_reference(spec.reference)
    run = unoptimised_run(variant)
    rows = [run(image) for image in original.images]
    outputs = {name: np.concatenate([row[name] for row in rows]) for name in original.outputs}
    write_reference(part / "reference.npz", original.images, outputs, original.tolerances)


def unoptimised_run(spec: ModelSpec) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """One image at a time through ONNX Runtime without graph optimisations: Q and DQ nodes exactly as written."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(spec.onnx_path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    batch = spec.input.batch

    def run(image: np.ndarray) -> dict[str, np.ndarray]:
        rows = session.run(names, {spec.input.name: np.repeat(image[None], batch, 0)})
        return {name: row[:1] for name, row in zip(names, rows)}

    return run


def _checked(spec: ModelSpec, part: Path, convs: int, labelled: Path | None, most: float) -> Quantized:
    """ModelError if the variant deviates from its reference or loses too much."""
    variant = load_spec(part)
    engine = load_engine(variant, "onnxruntime", device="cpu", spin=False, fuse=False, check=False)
    try:
        deviations = check(engine, variant)
        if bad := [str(deviation) for deviation in deviations if not deviation.ok]:
            raise ModelError(
                f"the {variant.precision} variant does not reproduce its reference: {'; '.join(bad)}: if that is "
                "noise, export again with images=FOLDER of road images"
            )
        lost = _lost(spec, variant, engine, labelled)
    finally:
        engine.close()
    if bad := [f"{task} {points:.2f}" for task, points in lost.items() if points > most]:
        raise ModelError(
            f"the {variant.precision} variant loses more than {most:g} points in: {', '.join(bad)}. It was discarded; "
            "give more calibration images, or train with quantisation in the loop"
        )
    if lost:
        store_points_lost(part, lost)
    return Quantized(part, convs, [str(deviation) for deviation in deviations], lost)


def _lost(spec: ModelSpec, variant: ModelSpec, engine: Any, labelled: Path | None) -> dict[str, float]:
    if labelled is None:
        return {}
    from perception_models.evaluation.engine_gate import figures

    baseline = load_engine(spec, "onnxruntime", device="cpu", spin=False)
    try:
        wanted, got = figures(spec, baseline, labelled), figures(variant, engine, labelled)
    finally:
        baseline.close()
    return {task: round(100 * (value - got.get(task, 0.0)), 3) for task, value in wanted.items()}
