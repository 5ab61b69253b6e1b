"""Conversion of ONNX files to fp16, with fp32 islands where half precision is not enough.

The tools of onnxruntime and onnxconverter insert a cast to fp16 and back between two fp32 nodes, which loses the
precision the island is meant to keep. Here a tensor is cast only where fp16 meets an island, and only once.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

# Always fp32, wherever it occurs: a softmax over 80 columns determines a position.
ISLANDS = ("Softmax", "Constant")
MOVING = {"Cast", "Transpose", "Identity", "Constant"}  # calculate nothing
TRUNK = {"Conv", "ConvTranspose", "QuantizeLinear"}  # operators with which the trunk begins
FP32_INPUTS = {"Resize": (1, 2)}  # scales and roi are float32 by definition
MAX_FP16 = 65504.0


def to_fp16(model: Any) -> Any:
    """An onnx.ModelProto in fp32 -> a new one in fp16, strongly typed. Inputs and outputs keep their types."""
    import onnx

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    island = (
        decoding_nodes(copied)
        | preparing_nodes(copied)
        | {node.name for node in copied.graph.node if node.op_type in ISLANDS}
    )
    converter = _Converter(copied, island)
    for node in copied.graph.node:
        converter.add(node)
    del copied.graph.node[:], copied.graph.initializer[:], copied.graph.value_info[:]
    copied.graph.node.extend(converter.nodes)
    copied.graph.initializer.extend(converter.used_constants())
    onnx.checker.check_model(copied, full_check=True)
    return copied


class _Converter:
    """Builds the new graph in topological order. Tensors keep their names unless a cast makes a second one."""

    def __init__(self, model: Any, island: set[str]) -> None:
        import onnx

        self.fp32, self.fp16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
        self.island = island
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.types = {v.name: v.type.tensor_type.elem_type for v in values}
        self.types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        self.outputs = {value.name for value in model.graph.output}
        self.floats = {name for name, data_type in self.types.items() if data_type == self.fp32}
        self.nodes: list[Any] = []

    def add(self, node: Any) -> None:
        """Append a copy of a node, with inputs of the type that it computes in."""
        import onnx

        new = onnx.NodeProto()
        new.CopyFrom(node)
        convert = node.name not in self.island
        for index, name in enumerate(node.input):
            if name in self.floats and not (node.op_type == "Cast" and index == 0):  # a cast accepts any type
                fixed = index in FP32_INPUTS.get(node.op_type, ())
                new.input[index] = self._as(name, self.fp16 if convert and not fixed else self.fp32)
        floats = [name for name in node.output if name in self.floats] if convert else []
        if node.op_type == "Cast" and floats:
            new.attribute[0].i = self.fp16
        self.nodes.append(new)
        for name in floats:
            self.types[name] = self.fp16
            if name in self.outputs:
                self._restore_output(new, name)

    def _as(self, name: str, data_type: int) -> str:
        """Name of a tensor in a data type; creates the cast or the copy of a constant on first use."""
        import onnx

        if self.types[name] == data_type:
            return name
        other = f"{name}_{'half' if data_type == self.fp16 else 'float'}"
        if other not in self.types:
            self.types[other] = data_type
            if name in self.constants:
                values = np.clip(onnx.numpy_helper.to_array(self.constants[name]), -MAX_FP16, MAX_FP16)
                self.constants[other] = onnx.numpy_helper.from_array(values.astype(np.float16), other)
            else:
                self.nodes.append(onnx.helper.make_node("Cast", [name], [other], name=f"cast_{other}", to=data_type))
        return other

    def _restore_output(self, node: Any, name: str) -> None:
        """Cast an output of the graph back to fp32, under its own name."""
        import onnx

        inner = f"{name}_inner"
        node.output[list(node.output).index(name)] = inner
        self.nodes.append(onnx.helper.make_node("Cast", [inner], [name], name=f"cast_{name}", to=self.fp32))
        self.types[name], self.types[f"{name}_half"] = self.fp32, self.fp16

    def used_constants(self) -> list[Any]:
        read = {name for node in self.nodes for name in node.input}
        return [tensor for name, tensor in self.constants.items() if name in read]


def decoding_nodes(model: Any) -> set[str]:
    """Names of the nodes after the last convolution of each branch; unnamed nodes get names.

    They turn features into pixels, ranks and probabilities. They are cheap, and fp16 is too coarse for them: between
    1024 and 2048 its steps are a whole pixel.
    """
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    before_conv = leading_to_a_conv(model.graph)
    return {node.name for node in model.graph.node if node.op_type != "Conv" and node.name not in before_conv}


def preparing_nodes(model: Any) -> set[str]:
    """Names of the nodes between the images and the trunk if they calculate: fp16 is too coarse for means over an image
    and for fractions of grey levels up to 255. Nodes must have names.
    """
    images = {value.name for value in model.graph.input}  # and what is made of them before the trunk
    before = []
    for node in model.graph.node:  # in topological order
        if images & set(node.input) and node.op_type not in TRUNK:
            images |= set(node.output)
            before.append(node)
    return {node.name for node in before} if {node.op_type for node in before} - MOVING else set()


def leading_to_a_conv(graph: Any) -> set[str]:
    """Names of the nodes with a convolution downstream: the trunk."""
    maker = {name: node for node in graph.node for name in node.output}
    queue = deque(node for node in graph.node if node.op_type in ("Conv", "ConvTranspose"))
    visited: set[str] = set()
    while queue:
        node = queue.popleft()
        for name in node.input:
            source = maker.get(name)
            if source is not None and source.name not in visited:
                visited.add(source.name)
                queue.append(source)
    return visited
