"""Runtime of the fake TensorRT: plans are checked as TensorRT does, contexts enforce the order of calls."""

from __future__ import annotations

import json
from typing import Any

import onnx
import onnxruntime
from fake_trt_context import IExecutionContext
from fake_trt_values import (
    MAGIC,
    DataType,
    ExecutionContextAllocationStrategy,
    IErrorRecorder,
    ILogger,
    ITensor,
    LayerInformationFormat,
    TensorIOMode,
    check_logger,
)
from onnx import TensorProto, numpy_helper


class Runtime:
    fake: Any

    def __init__(self, logger: ILogger) -> None:
        check_logger(self.fake, logger)
        self._recorder: Any = None

    @property
    def error_recorder(self) -> Any:
        return self._recorder

    @error_recorder.setter
    def error_recorder(self, recorder: Any) -> None:
        assert isinstance(recorder, IErrorRecorder)
        assert recorder.initialised, "its __init__ has to call trt.IErrorRecorder.__init__"
        self._recorder = self.fake.recorder = recorder

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        self.fake.deserialised += 1
        if problem := self._problem(bytes(serialized_engine)):
            self.fake.error(problem)
            return None
        return ICudaEngine(bytes(serialized_engine), self.fake)

    def _problem(self, data: bytes) -> str:
        """TensorRT's own message, collected from real failures."""
        fake = self.fake
        serialization = "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion "
        if fake.no_driver:
            return "CUDA initialization failure with error: 35 (cudaError 35: CUDA driver version is insufficient)"
        if not data:
            return "IRuntime: Error Code 3: API Usage Error (Cannot deserialize with an empty memory buffer)"
        if data[:4] != MAGIC:
            return serialization + "header.magicTag == kEXPECTED_MAGIC_TAG failed.)"
        if int.from_bytes(data[16:24], "little") != len(data):
            return serialization + "plan.header.size == blobSize failed.)"
        about = json.loads(data[32:].split(b"\n", 1)[0])
        if about["version"] != fake.version:
            return (
                serialization + "stdVersionRead == kSERIALIZATION_VERSION failed. Version tag does not match. "
                "Note: Current Version: 237, Serialized Engine Version: 239)"
            )
        if about["sm"] != fake.sm:
            return (
                "The engine plan file is generated on an incompatible device, "
                f"expecting compute {about['sm']} got compute {fake.sm}, please rebuild."
            )
        return ""


class ICudaEngine:
    def __init__(self, data: bytes, fake: Any) -> None:
        head, body = data[32:].split(b"\n", 1)
        self.fake, self.shapes = fake, {n: tuple(s) for n, s in json.loads(head)["shapes"].items()}
        self.model = onnx.load_from_string(body)
        if fake.broken_node:
            break_node(self.model, fake.broken_node)
        graph = self.model.graph
        self.tensors = [*map(ITensor, graph.input), *map(ITensor, graph.output)]
        self.inputs = {value.name for value in graph.input}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.add_session_config_entry("session.disable_quant_qdq", "1")  # Q and DQ as they are written
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
        if self.fake.no_context:
            self.fake.error("Error Code 2: OutOfMemory (Requested size was 734003200 bytes.)")
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
