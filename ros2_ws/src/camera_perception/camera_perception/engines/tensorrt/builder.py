"""From ONNX to a TensorRT plan. Strongly typed: the precision is that of the ONNX file, no flag can contradict it.

Only names that TensorRT 10.3 to 11 share are used, so that one file serves JetPack 6, JetPack 7 and desktops.

How far a build is: TensorRT's nested phases as one number, and its way to be stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

import tensorrt as trt

from camera_perception.core.errors import BuildCancelled, EngineError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines.tensorrt.errors import BUILD, meaning
from camera_perception.engines.tensorrt.logger import LOGGER, layer_precisions
from camera_perception.engines.tensorrt.store import BuildOptions, write_whole

# Called with a phase and how much of the whole is done, 0..1; returning False cancels the build.
Progress = Callable[[str, float], bool]


class ProgressMonitor(trt.IProgressMonitor):
    """Turns TensorRT's nested phases into one number that only grows. TensorRT calls it from any of its threads.

    What the callback raises must not travel through TensorRT: it cancels the build, and `failure` has it then.
    """

    def __init__(self, progress: Progress) -> None:
        trt.IProgressMonitor.__init__(self)
        self._progress = progress
        self._phases: dict[str, tuple[str | None, int, int]] = {}  # name: parent, steps, done
        self._share = 0.0
        self._lock = RLock()
        self.cancelled = False
        self.failure: Exception | None = None

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        with self._lock:
            self._phases[phase_name] = parent_phase, max(num_steps, 1), 0

    def step_complete(self, phase_name: str, step: int) -> bool:
        with self._lock:
            parent, steps, _ = self._phases.get(phase_name, (None, 1, 0))
            self._phases[phase_name] = parent, steps, min(step + 1, steps)
            self._share = max(self._share, self._total())
            self.cancelled = self.cancelled or not self._tell(phase_name)
            return not self.cancelled

    def phase_finish(self, phase_name: str) -> None:
        with self._lock:
            self._phases.pop(phase_name, None)

    def _tell(self, phase: str) -> bool:
        try:
            return self._progress(phase, self._share) is not False
        except KeyboardInterrupt:
            return False
        except Exception as error:
            self.failure = error
            return False

    def _total(self) -> float:
        """Of the outermost phase, with the part of its present step that inner phases have done."""
        return max((self._done(name) for name, (parent, _, _) in self._phases.items() if not parent), default=0.0)

    def _done(self, name: str) -> float:
        _, steps, done = self._phases[name]
        inner = [self._done(child) for child, (parent, _, _) in self._phases.items() if parent == name]
        return min((done + max(inner, default=0.0)) / steps, 1.0)


MIB = 1 << 20
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """data is the serialized engine; layers counts its layers by the number type that they compute in."""

    data: bytes
    layers: dict[str, int]
    inspection: str  # JSON of TensorRT's engine inspector


def build_plan(
    spec: ModelSpec,
    options: BuildOptions,
    progress: Progress,
    timing_cache: Path | None = None,
    onnx: bytes | None = None,
) -> Plan:
    """Compile the model's ONNX file; EngineError says in the user's words why it cannot be, BuildCancelled that it was.

    onnx  another graph with the same input instead of the model's file; for looking into it
    """
    LOGGER.take()
    builder = trt.Builder(LOGGER)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, LOGGER)
    _parse(parser, spec, onnx)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * MIB)
    config.builder_optimization_level = options.optimization_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    _alive = _timing_cache(config, timing_cache)  # TensorRT keeps no reference of its own
    monitor = ProgressMonitor(progress)
    config.progress_monitor = monitor
    _add_profile(builder, network, config, spec)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        if monitor.failure is not None:
            raise monitor.failure
        if monitor.cancelled:
            raise BuildCancelled(spec.name)
        raise EngineError(f"no engine can be built from {spec.onnx_path}: {meaning(LOGGER.take())}")
    _keep_timing_cache(config, timing_cache)
    data = bytes(memoryview(plan))
    inspection = inspect(data)
    return Plan(data, layer_precisions(inspection), inspection)


def _parse(parser: trt.OnnxParser, spec: ModelSpec, onnx: bytes | None) -> None:
    parsed = parser.parse(onnx) if onnx is not None else parser.parse_from_file(str(spec.onnx_path))
    if parsed:
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    lines = [f"  {_where(error)}: {error.desc()}" for error in errors]
    cause = meaning([error.desc() for error in errors] + LOGGER.take())
    raise EngineError("\n".join([f"TensorRT cannot read {spec.onnx_path}: {cause}", *lines]))


def _where(error: trt.ParserError) -> str:
    operator, name = error.node_operator(), error.node_name()
    return f"node {error.node()} {operator} '{name}'" if operator else "file"


def _add_profile(
    builder: trt.Builder, network: trt.INetworkDefinition, config: trt.IBuilderConfig, spec: ModelSpec
) -> None:
    """A free batch dimension becomes a fixed one; everything else has to be fixed in the ONNX file."""
    images = network.get_input(0)
    shape, wanted = tuple(images.shape), spec.input.shape
    if len(shape) != len(wanted) or any(have not in (-1, want) for have, want in zip(shape[1:], wanted[1:])):
        raise EngineError(
            f"input '{images.name}' of {spec.onnx_path} has the shape {shape}, model.json says {wanted}: "
            "correct its input section, or export the model again"
        )
    if shape[0] not in (-1, wanted[0]):
        raise EngineError(
            f"input '{images.name}' of {spec.onnx_path} has the fixed shape {shape}, wanted is {wanted}: "
            f"export the model with batch={spec.input.batch}, or build with --batch {shape[0]}"
        )
    if -1 not in shape:
        return
    profile = builder.create_optimization_profile()
    profile.set_shape(images.name, wanted, wanted, wanted)
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f"TensorRT refuses the input shape {wanted}: {meaning(LOGGER.take())}")


def _timing_cache(config: trt.IBuilderConfig, path: Path | None) -> trt.ITimingCache | None:
    """What earlier builds on this GPU have measured; a file that TensorRT does not take is as good as none."""
    if path is None:
        return None
    stored = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(stored)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        log.info("the timing cache %s does not fit and is begun anew", path)
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _keep_timing_cache(config: trt.IBuilderConfig, path: Path | None) -> None:
    """What was measured, for the next build; builds of other models on this GPU may write at the same time."""
    cache = config.get_timing_cache() if path is not None else None
    if cache is None or path is None:
        return
    try:
        write_whole(path, bytes(memoryview(cache.serialize())))
    except EngineError as error:
        log.info("the timing cache cannot be written: %s", error)


def inspect(plan: bytes) -> str:
    """What the layers of a plan that was just built are, as JSON; "{}" when TensorRT does not say."""
    engine = trt.Runtime(LOGGER).deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(f"the engine that was just built cannot be loaded: {meaning(LOGGER.take(), BUILD)}")
    return engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON) or "{}"
