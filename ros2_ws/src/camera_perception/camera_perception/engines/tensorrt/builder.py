"""From ONNX to a TensorRT plan. Strongly typed: the precision is that of the ONNX file, no flag can contradict it.

Uses only names that TensorRT 10.3 to 11 share, so that one file serves JetPack 6, JetPack 7 and desktops.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camera_perception.core.errors import BuildCancelled, EngineError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines.tensorrt.errors import explain
from camera_perception.engines.tensorrt.logger import LOGGER, ErrorRecorder
from camera_perception.engines.tensorrt.manifest import BuildOptions, Progress
from camera_perception.engines.tensorrt.package import set_target, trt
from camera_perception.engines.tensorrt.progress import ProgressMonitor
from camera_perception.engines.tensorrt.store import write_whole

MIB = 1 << 20
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A compiled network.

    data        the serialized engine
    layers      number of layers per number type
    inspection  JSON of TensorRT's engine inspector
    """

    data: bytes
    layers: dict[str, int]
    inspection: str


def build_plan(
    spec: ModelSpec,
    options: BuildOptions,
    progress: Progress,
    timing_cache: Path | None = None,
    onnx: bytes | None = None,
    target: str = "CURRENT",
) -> Plan:
    """Compile the model's ONNX file. EngineError has the cause in the user's terms; BuildCancelled when cancelled.

    onnx    another graph with the same input instead of the model's file, for inspecting the model
    target  GPUs that the engine is for, where the package builds for others than the one at hand: package.set_target
    """
    LOGGER.take()
    builder = trt.Builder(LOGGER)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, LOGGER)
    _parse(parser, spec, onnx)
    # Not before: a parser whose network has a recorder crashes the process when it is freed (RTX 1.7.1).
    builder.error_recorder = recorder = ErrorRecorder()
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * MIB)
    config.builder_optimization_level = options.optimization_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and outside the tolerance of fp32
    _alive = _load_timing_cache(config, timing_cache)  # TensorRT keeps no reference of its own
    monitor = ProgressMonitor(progress)
    config.progress_monitor = monitor
    _add_profile(builder, network, config, spec)
    set_target(config, target)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        if monitor.failure is not None:
            raise monitor.failure
        if monitor.cancelled:
            raise BuildCancelled(spec.name)
        raise EngineError(f"no engine can be built from {spec.onnx_path}: {explain(recorder.take() or LOGGER.take())}")
    monitor.finish()
    _store_timing_cache(config, timing_cache)
    data = bytes(memoryview(plan))
    inspection = inspect(data)
    return Plan(data, layer_precisions(inspection), inspection)


def _parse(parser: trt.OnnxParser, spec: ModelSpec, onnx: bytes | None) -> None:
    parsed = parser.parse(onnx) if onnx is not None else parser.parse_from_file(str(spec.onnx_path))
    if parsed:
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    lines = [f"  {_where(error)}: {error.desc()}" for error in errors]
    cause = explain([error.desc() for error in errors] or LOGGER.take())
    raise EngineError("\n".join([f"TensorRT cannot read {spec.onnx_path}: {cause}", *lines]))


def _where(error: trt.ParserError) -> str:
    operator, name = error.node_operator(), error.node_name()
    return f"node {error.node()} {operator} '{name}'" if operator else "file"


def _add_profile(
    builder: trt.Builder, network: trt.INetworkDefinition, config: trt.IBuilderConfig, spec: ModelSpec
) -> None:
    """Fix a dynamic batch dimension; all other dimensions have to be fixed in the ONNX file."""
    images = network.get_input(0)
    shape, expected = tuple(images.shape), spec.input.shape
    if len(shape) != len(expected) or any(have not in (-1, want) for have, want in zip(shape[1:], expected[1:])):
        raise EngineError(
            f"input '{images.name}' of {spec.onnx_path} has the shape {shape}, model.json declares {expected}: "
            "correct its input section, or export the model again"
        )
    if shape[0] not in (-1, expected[0]):
        raise EngineError(
            f"input '{images.name}' of {spec.onnx_path} has the fixed shape {shape}, but {expected} is needed: "
            f"export the model with batch={spec.input.batch}, or build with --batch {shape[0]}"
        )
    if -1 not in shape:
        return
    profile = builder.create_optimization_profile()
    profile.set_shape(images.name, expected, expected, expected)
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f"TensorRT rejects the input shape {expected}: {explain(LOGGER.take())}")


def _load_timing_cache(config: trt.IBuilderConfig, path: Path | None) -> trt.ITimingCache | None:
    """The measurements of earlier builds on this GPU; a file that TensorRT rejects is replaced by an empty cache."""
    if path is None:
        return None
    stored = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(stored)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        log.info("TensorRT rejects the timing cache %s: starting with an empty one", path)
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _store_timing_cache(config: trt.IBuilderConfig, path: Path | None) -> None:
    """Save the measurements for the next build; builds of other models may write the file at the same time."""
    cache = config.get_timing_cache() if path is not None else None
    if cache is None or path is None:
        return
    try:
        write_whole(path, bytes(memoryview(cache.serialize())))
    except EngineError as error:
        log.info("the timing cache cannot be written: %s", error)


def inspect(plan: bytes) -> str:
    """TensorRT's description of the layers of a fresh plan, as JSON; "{}" when there is none."""
    engine = trt.Runtime(LOGGER).deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(f"the engine that was just built cannot be loaded: {explain(LOGGER.take())}")
    return engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON) or "{}"


def layer_precisions(inspection: str) -> dict[str, int]:
    """Number of layers per number type of their first output: {"Half": 52, "Int8": 40, "Float": 9}."""
    try:
        layers = json.loads(inspection).get("Layers", [])
    except (ValueError, AttributeError):
        return {}
    return dict(Counter(_precision(layer) for layer in layers if isinstance(layer, dict)).most_common())


def _precision(layer: dict[str, Any]) -> str:
    """Formats read "Half NHWC8 ..." or "Int8 ..."; older ones "Channel major FP16 format ..."."""
    text = str((layer.get("Outputs") or [{}])[0].get("Format/Datatype", "unknown"))
    # UInt8 holds Int8, BFloat16 holds Float16 and Float: the longer name first.
    types = ("UInt8", "Int8", "BFloat16", "BF16", "Half", "FP16", "FP8", "FP32", "Float", "Int32", "Int64", "Bool")
    aliases = {"FP16": "Half", "FP32": "Float", "BF16": "BFloat16"}
    found = next((name for name in types if name.lower() in text.lower()), "unknown")
    return aliases.get(found, found)
