"""Rules for ONNX graphs that TensorRT 10.3 to 11 accept: operators, types, shapes, Q and DQ nodes.

Measured on NVIDIA's parser and builder unless stated otherwise. Stricter than they are, so that one file works with
every version and the engine is the graph that was checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from perception_models.export.export import ALLOWED

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16}
TYPES = FLOATS | {TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL}
EIGHT_BITS = {TensorProto.INT8, TensorProto.FLOAT8E4M3FN}
OUTPUTS = {TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT32}  # int64 would need a binding of eight bytes
SAME_TYPE = {"Add", "Clip", "Concat", "Conv", "Div", "Gemm", "MatMul", "Max", "Min", "Mul", "Sub"}
MAX_TOPK = 3840


class Graph:
    """An ONNX graph with its lookups."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
        self.graph, self.opset = graph, {o.domain: o.version for o in model.opset_import}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.values = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}
        self.types = {name: v.type.tensor_type.elem_type for name, v in self.values.items()}
        self.types |= {name: tensor.data_type for name, tensor in self.constants.items()}
        self.makers = {name: node for node in graph.node for name in node.output}

    def readers(self, name: str) -> list[Any]:
        return [node for node in self.graph.node if name in node.input]

    def maker(self, name: str) -> str:
        """The operation that makes a tensor; "" for inputs and constants."""
        return self.makers[name].op_type if name in self.makers else ""

    def array(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self.constants[name])


def violations(model: onnx.ModelProto) -> list[str]:
    """A sentence for every violation, with its node."""
    g = Graph(model)
    rules = (operations, types, pixels, nodes, quantisation)
    return [problem for rule in rules for problem in rule(g)]


def operations(g: Graph) -> Iterator[str]:
    if set(g.opset) - {"", "ai.onnx"} or not 18 <= g.opset.get("", 0) <= 20:
        yield f"opsets {g.opset}: expected 18 to 20 of the default domain"
    for node in g.graph.node:
        if node.op_type not in ALLOWED | {"QuantizeLinear", "DequantizeLinear"}:
            yield f"{node.op_type} is not allowed"


def types(g: Graph) -> Iterator[str]:
    for name, data_type in g.types.items():
        if data_type not in TYPES | EIGHT_BITS:
            yield f"{name} is {TensorProto.DataType.Name(data_type)}"
    for name, value in g.values.items():
        if not all(d.HasField("dim_value") and d.dim_value > 0 for d in value.type.tensor_type.shape.dim):
            yield f"{name} has a dynamic shape"
    yield from (
        f"output {o.name} is not float, uint8 or int32" for o in g.graph.output if g.types[o.name] not in OUTPUTS
    )
    yield from (
        f"{t.name} is stored in another file" for t in g.graph.initializer if t.data_location == TensorProto.EXTERNAL
    )


def pixels(g: Graph) -> Iterator[str]:
    """uint8 enters by a Cast to a float type and leaves by a Cast from one; no other node reads it."""
    for node in g.graph.node:
        if any(g.types.get(name) == TensorProto.UINT8 for name in node.input) and node.op_type != "Cast":
            yield f"{node.op_type} '{node.name}' reads uint8"
        if node.op_type == "Cast" and TensorProto.UINT8 in (g.types[node.input[0]], g.types[node.output[0]]):
            if not FLOATS & {g.types[node.input[0]], g.types[node.output[0]]}:
                yield f"Cast '{node.name}' between uint8 and a non-float type"


def nodes(g: Graph) -> Iterator[str]:
    for node in g.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        floats = {g.types[name] for name in node.input if name in g.types} & FLOATS
        if node.op_type in SAME_TYPE and len(floats) > 1:
            yield f"{node.op_type} '{node.name}' mixes fp16 and fp32"
        if node.op_type == "TopK" and (g.array(node.input[1]).max() > MAX_TOPK or attributes.get("sorted", 1) != 1):
            yield f"TopK '{node.name}' is too large or not sorted"
        if node.op_type == "Resize" and (attributes.get("antialias") or attributes.get("mode") == b"cubic"):
            yield f"Resize '{node.name}' with antialias or cubic"
        if node.op_type == "MaxPool" and len(node.output) > 1:
            yield f"MaxPool '{node.name}' outputs indices"


def quantisation(g: Graph) -> Iterator[str]:
    """Zero points 0, finite positive scales, one per tensor or per channel of a weight; convolutions only."""
    for node in g.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            yield from (f"{node.op_type} '{node.name}': {problem}" for problem in _scale(g, node))
        if node.op_type == "QuantizeLinear":
            if {reader.op_type for reader in g.readers(node.output[0])} != {"DequantizeLinear"}:
                yield f"QuantizeLinear '{node.name}' is not read by DequantizeLinear alone"
            # Behind a convolution without activation, as in linear bottlenecks, nothing is left unfused or clipped.
            fused = {reader.op_type for reader in g.readers(node.input[0])} & {"Relu", "Clip", "Add"}
            if g.maker(node.input[0]) in ("Softmax", "DequantizeLinear") or g.maker(node.input[0]) == "Conv" and fused:
                yield f"QuantizeLinear '{node.name}' behind {g.maker(node.input[0])}"
        if node.op_type == "DequantizeLinear":
            # NVIDIA: also on the residual branch of a sum, which is then fused with the convolution before it.
            others = {reader.op_type for reader in g.readers(node.output[0])} - {"Conv", "Add"}
            if others:
                yield f"DequantizeLinear '{node.name}' is read by {', '.join(sorted(others))}"
        if node.op_type == "Conv" and len({g.maker(name) == "DequantizeLinear" for name in node.input[:2]}) > 1:
            yield f"Conv '{node.name}' has only one input in eight bits"


def _scale(g: Graph, node: Any) -> Iterator[str]:
    tensor, scale_name, *zero = node.input
    if tensor in {value.name for value in g.graph.input}:
        yield "reads the image"
    if not zero or g.types[zero[0]] not in EIGHT_BITS or np.any(g.array(zero[0]).astype(np.float32)):
        yield "its zero point is not 0 in int8 or fp8"
    scale = g.array(scale_name).astype(np.float32)
    if not np.isfinite(scale).all() or (scale <= 0).any():
        yield "its scale is not positive"
    if g.types[scale_name] == TensorProto.FLOAT16 and g.opset[""] < 19:
        yield "fp16 scales need opset 19"
    if scale.size > 1:
        source = g.makers[tensor].input[0] if tensor in g.makers else tensor
        weights = source in g.constants or tensor in g.constants
        axis = {a.name: helper.get_attribute_value(a) for a in node.attribute}.get("axis", 1)
        if not weights or axis != 0:
            yield "has per-channel scales on a tensor other than a weight, or not on axis 0"
