"""Builder of the fake TensorRT: networks, profiles, configurations, and plans with the header of real ones."""

from __future__ import annotations

import json
import weakref
from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import onnx
from fake_trt_values import (
    MAGIC,
    IHostMemory,
    ILogger,
    ITensor,
    MemoryPoolType,
    ProfilingVerbosity,
    check_logger,
)
from onnx import TensorProto, numpy_helper


class INetworkDefinition:
    def __init__(self) -> None:
        self.model: onnx.ModelProto | None = None

    @property
    def num_inputs(self) -> int:
        return len(self.model.graph.input) if self.model else 0

    def get_input(self, index: int) -> ITensor:
        return ITensor(self.model.graph.input[index])


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple] = {}

    def set_shape(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> None:
        self.shapes[input] = tuple(min), tuple(opt), tuple(max)


class ITimingCache:
    def __init__(self, stored: bytes) -> None:
        self.stored = stored

    def serialize(self) -> IHostMemory:
        return IHostMemory(b"timing" + self.stored[:6])


class BuilderFlag(Enum):
    TF32 = 7


class ComputeCapability(IntEnum):
    NONE, CURRENT, SM86 = 0, 1, 86


class IBuilderConfig:
    """Refuses attributes that are not in every version."""

    __slots__ = (
        "_fake",
        "builder_optimization_level",
        "flags",
        "profiles",
        "profiling_verbosity",
        "progress_monitor",
        "timing_cache",
        "workspace",
    )

    def __init__(self, fake: Any) -> None:
        self._fake = fake
        self.builder_optimization_level = 3
        self.flags = {BuilderFlag.TF32}
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.progress_monitor: Any = None
        self.workspace = 0
        self.profiles: list[IOptimizationProfile] = []
        self.timing_cache: Any = lambda: None

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        assert pool is MemoryPoolType.WORKSPACE
        self.workspace = pool_size

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        for low, best, high in profile.shapes.values():
            if not all(a <= b <= c for a, b, c in zip(low, best, high)):
                return -1
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        self._fake.timing_caches.append(serialized_timing_cache)
        fits = serialized_timing_cache == b"" or serialized_timing_cache.startswith(b"timing")
        return ITimingCache(serialized_timing_cache) if fits else None

    def set_timing_cache(self, cache: ITimingCache | None, ignore_mismatch: bool) -> bool:
        if cache is not None:
            self.timing_cache = weakref.ref(cache)  # the caller keeps it alive
        return cache is not None

    def get_timing_cache(self) -> ITimingCache | None:
        return self.timing_cache()


class RtxConfig(IBuilderConfig):
    """Builds for the GPUs that it is told."""

    __slots__ = ("num_compute_capabilities", "targets")

    def __init__(self, fake: Any) -> None:
        super().__init__(fake)
        self.num_compute_capabilities, self.targets = 0, {}

    def set_compute_capability(self, compute_capability: ComputeCapability, index: int) -> bool:
        assert index < self.num_compute_capabilities, "the number of targets comes first"
        self.targets[index] = compute_capability
        return True


class Builder:
    fake: Any

    def __init__(self, logger: ILogger) -> None:
        check_logger(self.fake, logger)
        self.fake.recorder = None

    @property
    def error_recorder(self) -> Any:
        return self.fake.recorder

    @error_recorder.setter
    def error_recorder(self, recorder: Any) -> None:
        assert recorder.initialised, "its __init__ has to call trt.IErrorRecorder.__init__"
        self.fake.recorder = recorder

    def create_network(self, flags: int) -> INetworkDefinition:
        strongly = 1 << int(self.fake.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        assert flags == strongly, "the network has to be strongly typed"
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        config = RtxConfig(self.fake) if self.fake.name == "tensorrt_rtx" else IBuilderConfig(self.fake)
        self.fake.configs.append(config)
        return config

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
        assert network.model is not None, "nothing was parsed into the network"
        for value in network.model.graph.input:
            tensor = ITensor(value)
            if -1 in tensor.shape and not any(tensor.name in p.shapes for p in config.profiles):
                return self._refuse(f"Dynamic input tensor {tensor.name} is missing dimensions in profile 0")
        if problem := unbuildable(network.model, self.fake):
            return self._refuse(problem)
        if config.workspace < self.fake.workspace:
            return self._refuse("Error Code 10: Could not find any implementation for node /stem/conv.")
        if not self._phases(config.progress_monitor):
            return self._refuse("Error Code 7: BuildCanceled")
        shape = config.profiles[0].shapes if config.profiles else {}
        return IHostMemory(serialise(network.model, self.fake, {name: shapes[1] for name, shapes in shape.items()}))

    def _phases(self, monitor: Any) -> bool:
        """As TensorRT does: an outer phase of six steps with inner ones; False after the monitor said stop."""
        if monitor is None:
            return True
        assert getattr(monitor, "initialised", False), "its __init__ has to call trt.IProgressMonitor.__init__"
        monitor.phase_start("Building engine", None, 6)
        for step in range(6 - self.fake.last_steps_missing):
            monitor.phase_start("Tactic selection", "Building engine", 4)
            for inner in range(4):
                if not monitor.step_complete("Tactic selection", inner):
                    return False
            monitor.phase_finish("Tactic selection")
            if not monitor.step_complete("Building engine", step):
                return False
        monitor.phase_finish("Building engine")
        return True

    def _refuse(self, text: str) -> None:
        self.fake.error(text)


def serialise(model: onnx.ModelProto, fake: Any, shapes: dict[str, tuple]) -> bytes:
    """Header as measured on real plans: magic, size at 16, version at 24; then what only this fake reads."""
    about = {"version": fake.version, "sm": fake.sm, "shapes": shapes, "tactic": fake.tactic}
    body = json.dumps(about).encode() + b"\n" + model.SerializeToString()
    header = bytearray(32)
    header[:4] = MAGIC
    header[16:24] = (32 + len(body)).to_bytes(8, "little")
    header[24:27] = bytes(int(part) for part in fake.version.split("."))
    return bytes(header) + body


def unbuildable(model: onnx.ModelProto, fake: Any) -> str:
    """What real TensorRT finds only while building."""
    types = {t.data_type for t in model.graph.initializer}
    if TensorProto.FLOAT8E4M3FN in types and fake.cuda.capability < (8, 9):
        return "model contains HW-specific datatypes: fp8_e4m3"
    dequantised = any(node.op_type == "DequantizeLinear" for node in model.graph.node)
    if dequantised and fake.version.startswith("10.16") and fake.sm == "8.7":
        return "Could not infer output types for operation: dequantize"
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "TopK" and np.max(constants.get(node.input[1], 0)) > 3840:
            return f"TopK {node.name}: K exceeds 3840"
    return ""
