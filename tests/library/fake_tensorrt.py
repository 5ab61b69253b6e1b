"""A strict fake of the `tensorrt` package and a GPU: ONNX Runtime does the arithmetic, the rules are TensorRT's.

`install(monkeypatch, version)` replaces the real packages by it. It has only the names that 10.3 to 11 share, so that
any other name fails here as it would on some vehicle. What the documentation forbids (order of calls,
alignment, dead memory, the default stream) is an AssertionError or False; what fails in the field comes back as None
or False with TensorRT's own message in the log.
"""

from __future__ import annotations

import importlib
import sys
from enum import IntEnum
from types import ModuleType
from typing import Any

from fake_cuda import FakeCuda
from fake_kernels import FakeDriver, FakeNvrtc
from fake_trt_build import (
    Builder,
    BuilderFlag,
    ComputeCapability,
    IBuilderConfig,
    INetworkDefinition,
    IOptimizationProfile,
    ITimingCache,
)
from fake_trt_context import IExecutionContext
from fake_trt_parser import OnnxParser, ParserError, objections
from fake_trt_run import EngineInspector, ICudaEngine, Runtime
from fake_trt_values import (
    DataType,
    ErrorCodeTRT,
    ExecutionContextAllocationStrategy,
    IErrorRecorder,
    IHostMemory,
    ILogger,
    IProgressMonitor,
    ITensor,
    LayerInformationFormat,
    MemoryPoolType,
    ProfilingVerbosity,
    Severity,
    TensorIOMode,
    nptype,
)

__all__ = ["VERSIONS", "Builder", "FakeTensorRt", "install", "objections"]

VERSIONS = ("10.3.0", "10.13.3", "10.16.2", "11.1.0")
# Modules of this project that import tensorrt, and so have to be imported again.
IMPORTERS = ("logger", "progress", "builder", "plan", "engine")
RTX = "tensorrt_rtx"


def install(
    monkeypatch, version: str = "10.3.0", cuda: FakeCuda | None = None, flavour: str = "tensorrt"
) -> FakeTensorRt:
    """Replace tensorrt, or tensorrt_rtx, and cuda.bindings for the length of a test."""
    fake = FakeTensorRt(version, cuda or FakeCuda(), flavour)
    bindings = ModuleType("cuda.bindings")
    bindings.runtime, bindings.driver, bindings.nvrtc = fake.cuda, fake.driver, fake.nvrtc
    for name, module in {
        flavour: fake.module,
        "cuda": ModuleType("cuda"),
        "cuda.bindings": bindings,
        "cuda.bindings.runtime": fake.cuda,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    package = importlib.import_module("camera_perception.engines.tensorrt")
    for name in IMPORTERS:  # set, then deleted: so the undoing restores what was there, or that nothing was
        monkeypatch.setitem(sys.modules, f"{package.__name__}.{name}", None)
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}")
        monkeypatch.setattr(package, name, None, raising=False)
        monkeypatch.delattr(package, name)
    monkeypatch.setattr(importlib.import_module(f"{package.__name__}.package"), "_used", [])
    cuda_bindings = importlib.import_module("camera_perception.engines.cuda.bindings")
    monkeypatch.setattr(cuda_bindings, "_needs_reset", False)
    monkeypatch.setattr(cuda_bindings, "_context_lost", None)
    return fake


class FakeTensorRt:
    """State of the fake: version, GPU, and what is to go wrong.

    workspace         bytes that building needs
    tactic            what the builder finds fastest: another one makes a plan of other bytes
    last_steps_missing steps of the outermost phase that are announced and never reported
    refuse_cuda_graph captured launches fail
    corrupt           name of an output with wrong values
    broken_node       name of a node whose weights are wrong on the device
    fail_launch       fail after that many launches, with that message
    """

    def __init__(self, version: str, cuda: FakeCuda, name: str = "tensorrt") -> None:
        self.version, self.cuda, self.name = version, cuda, name
        self.driver, self.nvrtc = FakeDriver(cuda), FakeNvrtc()
        self.workspace, self.tactic = 1 << 20, 0
        self.refuse_cuda_graph, self.last_steps_missing = False, 0
        self.corrupt = self.broken_node = ""
        self.fail_launch: tuple[int, str] | None = None
        self.no_context = self.no_driver = False
        self.launches = 0
        self.loggers: list[Any] = []
        self.recorder: Any = None
        self.deserialised = 0
        self.timing_caches: list[bytes] = []
        self.configs: list[Any] = []
        self.module = self._module()

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def sm(self) -> str:
        return "{}.{}".format(*self.cuda.capability)

    def error(self, text: str) -> None:
        """Into the log, and to the error recorder where one is attached."""
        for logger in self.loggers[:1]:
            logger.log(Severity.ERROR, text)
        if self.recorder is not None:
            self.recorder.report_error(ErrorCodeTRT.FAILED_EXECUTION, text)

    def _module(self) -> ModuleType:
        module = ModuleType(self.name)
        module.__version__ = self.version
        flags = {"STRONGLY_TYPED": 0} if self.major > 10 else {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}
        if self.name == RTX:
            module.ComputeCapability = ComputeCapability
        module.NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", flags)
        for shared in (
            ILogger, ErrorCodeTRT, IErrorRecorder, IProgressMonitor, DataType, MemoryPoolType, ProfilingVerbosity,
            TensorIOMode, ExecutionContextAllocationStrategy, LayerInformationFormat, IHostMemory, nptype,
            BuilderFlag, ITensor, INetworkDefinition, IOptimizationProfile, ITimingCache, IBuilderConfig, ParserError,
            EngineInspector, IExecutionContext, ICudaEngine,
        ):  # fmt: skip
            setattr(module, shared.__name__, shared)
        for bound in (Builder, OnnxParser, Runtime):  # they need the state of the fake
            setattr(module, bound.__name__, type(bound.__name__, (bound,), {"fake": self}))
        return module
