"""A strict stand-in for the `tensorrt` package and a GPU: ONNX Runtime does the arithmetic, the rules are TensorRT's.

`install(monkeypatch, version)` puts it in place of the real packages. It has the names that 10.3 to 11 share and no
others, so that a name outside fails here as it would on some vehicle. What the documentation forbids (order of calls,
alignment, dead memory, the default stream) is an AssertionError or False; what fails in the field comes back as None
or False with TensorRT's own words in the log.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from enum import Enum, IntEnum
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
from fake_cuda import ALIGNMENT, FakeCuda
from fake_kernels import FakeDriver, FakeNvrtc
from onnx import TensorProto, numpy_helper

MAGIC = b"ftrt"
VERSIONS = ("10.3.0", "10.13.3", "10.16.2", "11.1.0")
OURS = ("tensorrt_log", "tensorrt_builder", "tensorrt_engine")  # bound to one tensorrt at import


def install(monkeypatch, version: str = "10.3.0", cuda: FakeCuda | None = None) -> FakeTensorRt:
    """Stand-ins for tensorrt and cuda.bindings for the length of a test; importing the real ones is undone, too."""
    fake = FakeTensorRt(version, cuda or FakeCuda())
    bindings = ModuleType("cuda.bindings")
    bindings.runtime, bindings.driver, bindings.nvrtc = fake.cuda, fake.driver, fake.nvrtc
    for name, module in {
        "tensorrt": fake.module,
        "cuda": ModuleType("cuda"),
        "cuda.bindings": bindings,
        "cuda.bindings.runtime": fake.cuda,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in OURS:
        monkeypatch.delitem(sys.modules, f"camera_perception.engines.{name}", raising=False)
        package = importlib.import_module("camera_perception.engines")
        monkeypatch.setattr(package, name, None, raising=False)
        monkeypatch.delattr(package, name)
    monkeypatch.setattr(importlib.import_module("camera_perception.engines.cuda_errors"), "_lost", False)
    return fake


class Severity(Enum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class ILogger:
    Severity = Severity
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

    def __init__(self) -> None:
        self.initialised = True


class ErrorCodeTRT(Enum):
    SUCCESS, UNSPECIFIED_ERROR, INTERNAL_ERROR, FAILED_EXECUTION = range(4)


class IErrorRecorder:
    def __init__(self) -> None:
        self.initialised = True


class IProgressMonitor:
    def __init__(self) -> None:
        self.initialised = True


class DataType(Enum):
    FLOAT, HALF, INT8, INT32, BOOL, UINT8, FP8, BF16, INT64 = range(9)


NUMPY = {
    DataType.FLOAT: np.float32,
    DataType.HALF: np.float16,
    DataType.INT8: np.int8,
    DataType.INT32: np.int32,
    DataType.BOOL: np.bool_,
    DataType.UINT8: np.uint8,
    DataType.INT64: np.int64,
}
ONNX_TYPES = {
    TensorProto.FLOAT: DataType.FLOAT,
    TensorProto.FLOAT16: DataType.HALF,
    TensorProto.INT8: DataType.INT8,
    TensorProto.INT32: DataType.INT32,
    TensorProto.BOOL: DataType.BOOL,
    TensorProto.UINT8: DataType.UINT8,
    TensorProto.INT64: DataType.INT64,
    TensorProto.BFLOAT16: DataType.BF16,
}


def nptype(trt_type: DataType) -> type:
    if trt_type not in NUMPY:
        raise TypeError(f"Could not resolve TensorRT datatype {trt_type} to an equivalent numpy datatype.")
    return NUMPY[trt_type]


class MemoryPoolType(Enum):
    WORKSPACE = 0


class ProfilingVerbosity(Enum):
    LAYER_NAMES_ONLY, NONE, DETAILED = range(3)


class TensorIOMode(Enum):
    NONE, INPUT, OUTPUT = range(3)


class ExecutionContextAllocationStrategy(Enum):
    STATIC, ON_PROFILE_CHANGE, USER_MANAGED = range(3)


class LayerInformationFormat(Enum):
    ONELINE, JSON = range(2)


class IHostMemory(bytes):
    @property
    def nbytes(self) -> int:
        return len(self)


class FakeTensorRt:
    """The scene: version, GPU, and what is to go wrong.

    workspace   bytes that building needs
    refuse_cuda_graph  captured launches fail
    corrupt     name of an output that comes out wrong
    broken_node name of a node whose weights are wrong on the device
    fail_launch after so many launches, with this text
    """

    def __init__(self, version: str, cuda: FakeCuda) -> None:
        self.version, self.cuda = version, cuda
        self.driver, self.nvrtc = FakeDriver(cuda), FakeNvrtc()
        self.workspace = 1 << 20
        self.refuse_cuda_graph = False
        self.corrupt = self.broken_node = ""
        self.fail_launch: tuple[int, str] | None = None
        self.no_context = self.no_driver = False
        self.launches = 0
        self.loggers: list[Any] = []
        self.recorder: Any = None
        self.deserialised = 0
        self.timing_caches: list[bytes] = []
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
        module = ModuleType("tensorrt")
        module.__version__ = self.version
        flags = {"STRONGLY_TYPED": 0} if self.major > 10 else {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}
        module.NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", flags)
        for shared in (
            ILogger, ErrorCodeTRT, IErrorRecorder, IProgressMonitor, DataType, MemoryPoolType, ProfilingVerbosity,
            TensorIOMode, ExecutionContextAllocationStrategy, LayerInformationFormat, IHostMemory, nptype,
            ITensor, INetworkDefinition, IOptimizationProfile, ITimingCache, IBuilderConfig, ParserError,
            EngineInspector, IExecutionContext, ICudaEngine,
        ):  # fmt: skip
            setattr(module, shared.__name__, shared)
        for bound in (Builder, OnnxParser, Runtime):  # they know the scene
            setattr(module, bound.__name__, type(bound.__name__, (bound,), {"scene": self}))
        return module


def check_logger(scene: FakeTensorRt, logger: Any) -> None:
    assert isinstance(logger, ILogger), "a logger derived from trt.ILogger"
    assert getattr(logger, "initialised", False), "its __init__ has to call trt.ILogger.__init__"
    if not scene.loggers:
        scene.loggers.append(logger)
    assert scene.loggers[0] is logger, "one logger per process: TensorRT ignores every later one"


class ITensor:
    def __init__(self, value: onnx.ValueInfoProto) -> None:
        self.name = value.name
        self.shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in value.type.tensor_type.shape.dim)
        self.type = value.type.tensor_type.elem_type

    @property
    def dtype(self) -> DataType:
        return ONNX_TYPES[self.type]


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


class IBuilderConfig:
    def __init__(self, scene: FakeTensorRt) -> None:
        self._scene = scene
        self.builder_optimization_level = 3
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.progress_monitor: Any = None
        self.workspace = 0
        self.profiles: list[IOptimizationProfile] = []

    def __setattr__(self, name: str, value: Any) -> None:
        known = {
            "builder_optimization_level",
            "profiling_verbosity",
            "progress_monitor",
            "workspace",
            "profiles",
            "_scene",
        }
        assert name in known, f"IBuilderConfig.{name} is not in every version"
        object.__setattr__(self, name, value)

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        assert pool is MemoryPoolType.WORKSPACE
        self.workspace = pool_size

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        for low, best, high in profile.shapes.values():
            if not all(a <= b <= c for a, b, c in zip(low, best, high)):
                return -1
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        self._scene.timing_caches.append(serialized_timing_cache)
        fits = serialized_timing_cache == b"" or serialized_timing_cache.startswith(b"timing")
        return ITimingCache(serialized_timing_cache) if fits else None

    def set_timing_cache(self, cache: ITimingCache | None, ignore_mismatch: bool) -> bool:
        return cache is not None


class Builder:
    scene: FakeTensorRt

    def __init__(self, logger: ILogger) -> None:
        check_logger(self.scene, logger)

    def create_network(self, flags: int) -> INetworkDefinition:
        strongly = 1 << int(self.scene.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        assert flags == strongly, "the network has to be strongly typed"
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig(self.scene)

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
        assert network.model is not None, "nothing was parsed into the network"
        for value in network.model.graph.input:
            tensor = ITensor(value)
            if -1 in tensor.shape and not any(tensor.name in p.shapes for p in config.profiles):
                return self._refuse(f"Dynamic input tensor {tensor.name} is missing dimensions in profile 0")
        if problem := unbuildable(network.model, self.scene):
            return self._refuse(problem)
        if config.workspace < self.scene.workspace:
            return self._refuse("Error Code 10: Could not find any implementation for node /stem/conv.")
        if not self._phases(config.progress_monitor):
            return self._refuse("Error Code 7: BuildCanceled")
        shape = config.profiles[0].shapes if config.profiles else {}
        return IHostMemory(serialise(network.model, self.scene, {name: shapes[1] for name, shapes in shape.items()}))

    def _phases(self, monitor: Any) -> bool:
        """As TensorRT does: an outer phase of six steps with inner ones; False after the monitor said stop."""
        if monitor is None:
            return True
        assert getattr(monitor, "initialised", False), "its __init__ has to call trt.IProgressMonitor.__init__"
        monitor.phase_start("Building engine", None, 6)
        for step in range(6):
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
        self.scene.error(text)


def serialise(model: onnx.ModelProto, scene: FakeTensorRt, shapes: dict[str, tuple]) -> bytes:
    """Header as measured on real plans: magic, size at 16, version at 24; then what only this stand-in reads."""
    about = {"version": scene.version, "sm": scene.sm, "shapes": shapes}
    body = json.dumps(about).encode() + b"\n" + model.SerializeToString()
    header = bytearray(32)
    header[:4] = MAGIC
    header[16:24] = (32 + len(body)).to_bytes(8, "little")
    header[24:27] = bytes(int(part) for part in scene.version.split("."))
    return bytes(header) + body


def unbuildable(model: onnx.ModelProto, scene: FakeTensorRt) -> str:
    """What real TensorRT finds only while building."""
    types = {t.data_type for t in model.graph.initializer}
    if TensorProto.FLOAT8E4M3FN in types and scene.cuda.capability < (8, 9):
        return "model contains HW-specific datatypes: fp8_e4m3"
    dequantised = any(node.op_type == "DequantizeLinear" for node in model.graph.node)
    if dequantised and scene.version.startswith("10.16") and scene.sm == "8.7":
        return "Could not infer output types for operation: dequantize"
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "TopK" and np.max(constants.get(node.input[1], 0)) > 3840:
            return f"TopK {node.name}: K exceeds 3840"
    return ""


class ParserError:
    def __init__(self, text: str, index: int = -1, node: Any = None) -> None:
        self._text, self._index, self._node = text, index, node

    def code(self) -> Any:
        return 8

    def desc(self) -> str:
        return self._text

    def node(self) -> int:
        return self._index

    def node_name(self) -> str:
        return self._node.name if self._node else ""

    def node_operator(self) -> str:
        return self._node.op_type if self._node else ""


class OnnxParser:
    scene: FakeTensorRt

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        check_logger(self.scene, logger)
        assert isinstance(network, INetworkDefinition)
        self._network, self._errors = network, []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]

    def parse_from_file(self, model: str) -> bool:
        assert isinstance(model, str), "a path as text"
        try:
            with open(model, "rb") as stream:
                return self.parse(stream.read())
        except OSError:
            self._errors.append(ParserError(f"Failed to open file: {model}"))
            return False

    def parse(self, model: bytes) -> bool:
        assert self._network.model is None, "a network is parsed into once"
        try:
            proto = onnx.load_from_string(model)
            onnx.checker.check_model(proto)
        except Exception as error:  # protobuf and onnx raise several
            self._errors.append(ParserError(f"Failed to parse ONNX model: {str(error)[:100]}"))
            return False
        self._errors += [ParserError(text, index, node) for index, node, text in objections(proto)]
        if self._errors:
            return False
        self._network.model = proto
        return True


def objections(model: onnx.ModelProto) -> list[tuple[int, Any, str]]:
    """What TensorRT's parser rejects, as measured; also used by the tests of exported graphs."""
    found = []
    elem_type = {v.name: v.type.tensor_type.elem_type for v in model.graph.input}
    constants = {t.name: t for t in model.graph.initializer}
    inferred = onnx.shape_inference.infer_shapes(model)
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.graph.value_info, *model.graph.output)}
    types |= elem_type | {t.name: t.data_type for t in model.graph.initializer}
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    for index, node in enumerate(model.graph.node):

        def no(text: str, index=index, node=node) -> None:
            found.append((index, node, text))

        if node.domain not in ("", "ai.onnx") or node.op_type in ("NonMaxSuppression", "RoiAlign", "DeformConv", "Det"):
            no(f"No importer registered for op: {node.op_type}")
        kinds = [types.get(name) for name in node.input]
        if node.op_type in ("Transpose", "Slice", "Conv", "Add", "Mul") and kinds and kinds[0] == TensorProto.UINT8:
            no(f"{node.op_type}: input must have type Float, Half, BFloat16, Int32 or Int64")
        if node.op_type == "Conv" and {TensorProto.FLOAT, TensorProto.FLOAT16} <= set(kinds):
            no("Conv: input and kernel weights have different types")
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            if len(node.input) > 2 and np.any(numpy_helper.to_array(constants[node.input[2]])):
                no("Non-zero zero point is not supported")
            if types.get(node.input[1]) == TensorProto.FLOAT16 and opset < 19:
                no("fp16 scales need opset 19")
            if node.input[0] in elem_type:
                no("DequantizeLinear on a network input")
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Resize" and attributes.get("antialias"):
            no("antialias is not supported")
    if opset > 20:
        found.append((-1, None, f"opset {opset} is newer than JetPack 6 reads"))
    return found


class Runtime:
    scene: FakeTensorRt

    def __init__(self, logger: ILogger) -> None:
        check_logger(self.scene, logger)
        self._recorder: Any = None

    @property
    def error_recorder(self) -> Any:
        return self._recorder

    @error_recorder.setter
    def error_recorder(self, recorder: Any) -> None:
        assert isinstance(recorder, IErrorRecorder)
        assert recorder.initialised, "its __init__ has to call trt.IErrorRecorder.__init__"
        self._recorder = self.scene.recorder = recorder

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        self.scene.deserialised += 1
        if problem := self._problem(bytes(serialized_engine)):
            self.scene.error(problem)
            return None
        return ICudaEngine(bytes(serialized_engine), self.scene)

    def _problem(self, data: bytes) -> str:
        """TensorRT's own words, collected from real failures."""
        scene = self.scene
        serialization = "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion "
        if scene.no_driver:
            return "CUDA initialization failure with error: 35 (cudaError 35: CUDA driver version is insufficient)"
        if not data:
            return "IRuntime: Error Code 3: API Usage Error (Cannot deserialize with an empty memory buffer)"
        if data[:4] != MAGIC:
            return serialization + "header.magicTag == kEXPECTED_MAGIC_TAG failed.)"
        if int.from_bytes(data[16:24], "little") != len(data):
            return serialization + "plan.header.size == blobSize failed.)"
        about = json.loads(data[32:].split(b"\n", 1)[0])
        if about["version"] != scene.version:
            return (
                serialization + "stdVersionRead == kSERIALIZATION_VERSION failed. Version tag does not match. "
                "Note: Current Version: 237, Serialized Engine Version: 239)"
            )
        if about["sm"] != scene.sm:
            return (
                "The engine plan file is generated on an incompatible device, "
                f"expecting compute {about['sm']} got compute {scene.sm}, please rebuild."
            )
        return ""


class ICudaEngine:
    def __init__(self, data: bytes, scene: FakeTensorRt) -> None:
        head, body = data[32:].split(b"\n", 1)
        self.scene, self.shapes = scene, {n: tuple(s) for n, s in json.loads(head)["shapes"].items()}
        self.model = onnx.load_from_string(body)
        if scene.broken_node:
            break_node(self.model, scene.broken_node)
        graph = self.model.graph
        self.tensors = [*map(ITensor, graph.input), *map(ITensor, graph.output)]
        self.inputs = {value.name for value in graph.input}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        self.session = onnxruntime.InferenceSession(self.model.SerializeToString(), options, ["CPUExecutionProvider"])

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return self.tensors[index].name

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensor(name).shape

    def get_tensor_dtype(self, name: str) -> DataType:
        return self.tensor(name).dtype

    def tensor(self, name: str) -> ITensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def create_execution_context(self, strategy: ExecutionContextAllocationStrategy) -> IExecutionContext | None:
        if self.scene.no_context:
            self.scene.error("Error Code 2: OutOfMemory (Requested size was 734003200 bytes.)")
            return None
        return IExecutionContext(self)

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector(self)


def break_node(model: onnx.ModelProto, name: str) -> None:
    """Give one node wrong weights, as a miscompiled kernel would."""
    node = next(node for node in model.graph.node if node.name == name)
    for weights in model.graph.initializer:
        if weights.name in node.input:
            wrong = numpy_helper.to_array(weights)
            weights.CopyFrom(numpy_helper.from_array((wrong * 1.7).astype(wrong.dtype), weights.name))


class EngineInspector:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        assert format is LayerInformationFormat.JSON
        half = any(t.data_type == TensorProto.FLOAT16 for t in self._engine.model.graph.initializer)
        outputs = [{"Name": "x", "Format/Datatype": "Half NHWC8" if half else "Float NCHW"}]
        return json.dumps({"Layers": [{"Name": n.name, "Outputs": outputs} for n in self._engine.model.graph.node]})


class IExecutionContext:
    """Profile, then shapes, then addresses, then launches."""

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine, self._scene = engine, engine.scene
        self._profile = False
        self._shapes: dict[str, tuple] = {}
        self._addresses: dict[str, int] = {}
        self._launched = False

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        assert stream_handle in self._scene.cuda.streams, "a live stream that is not the default one"
        assert not self._shapes, "the profile comes before the shapes"
        self._profile = profile_index == 0
        return self._profile

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        assert self._profile, "the profile comes before the shapes"
        allowed = self._engine.shapes.get(name, self._engine.get_tensor_shape(name))
        if tuple(shape) != tuple(allowed):
            self._scene.error(f"setInputShape: {name} is {tuple(shape)}, the profile allows {tuple(allowed)}")
            return False
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert type(memory) is int
        if memory % ALIGNMENT or name not in {tensor.name for tensor in self._engine.tensors}:
            self._scene.error(f"setTensorAddress: {name}: address {memory:#x} is not aligned to {ALIGNMENT} bytes")
            return False
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        scene = self._scene
        assert type(stream_handle) is int
        assert stream_handle in scene.cuda.streams, "a live stream that is not the default one"
        if self._shapes.keys() != self._engine.inputs or len(self._addresses) != len(self._engine.tensors):
            scene.error("enqueueV3: Error Code 3: not all shapes and addresses are set")
            return False
        captured = scene.cuda.capturing(stream_handle)
        assert self._launched or not captured, "the first launch must not be recorded"
        if captured and scene.refuse_cuda_graph:
            scene.error("operation not permitted when stream is capturing")
            return False
        if not captured and self._fails():
            return False
        self._launched = True
        scene.cuda.put(stream_handle, "network", self._work(dict(self._addresses)))
        return True

    def _fails(self) -> bool:
        self._scene.launches += 1
        if self._scene.fail_launch is None or self._scene.launches <= self._scene.fail_launch[0]:
            return False
        self._scene.error(self._scene.fail_launch[1])
        return True

    def _work(self, addresses: dict[str, int]) -> Callable[[], None]:
        """Reads and writes device memory at the time it runs; the memory must still be there then."""
        names = [tensor.name for tensor in self._engine.tensors if tensor.name not in self._engine.inputs]

        def work() -> None:
            feeds = {name: self._array(name, addresses[name], shape) for name, shape in self._shapes.items()}
            for name, value in zip(names, self._engine.session.run(names, feeds)):
                if name == self._scene.corrupt:
                    value = value + np.ones_like(value)
                self._array(name, addresses[name], value.shape)[...] = value

        return work

    def _array(self, name: str, address: int, shape: Sequence[int]) -> np.ndarray:
        dtype = np.dtype(nptype(self._engine.get_tensor_dtype(name)))
        piece = self._scene.cuda.live(address)
        start = address - piece.owner.ctypes.data
        nbytes = int(np.prod(shape)) * dtype.itemsize
        assert address + nbytes <= piece.address + piece.nbytes, f"tensor {name} leaves its memory"
        return piece.owner[start : start + nbytes].view(dtype).reshape(shape)
