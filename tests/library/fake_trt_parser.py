"""ONNX parser of the fake TensorRT: rejects what the real one rejects, as measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from fake_trt_build import INetworkDefinition
from fake_trt_values import ILogger, check_logger
from onnx import TensorProto, numpy_helper


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
    fake: Any

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        check_logger(self.fake, logger)
        assert isinstance(network, INetworkDefinition)
        assert self.fake.recorder is None, "a parser whose network has a recorder crashes when it is freed (RTX 1.7.1)"
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
    """Objections of TensorRT's parser: node index, node, text. Also used by the tests of exported graphs."""
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
