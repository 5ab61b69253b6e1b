"""fp16 inside the ONNX file: weights and activations are halves, with islands of fp32 where a half is not enough.

onnxruntime's and onnxconverter's tools put a cast to fp16 and back between two fp32 nodes, which costs the precision
that the island is there for. Here a tensor is cast only where a half meets an island, once.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

# Never in half precision, wherever it stands: a softmax over 80 columns decides a position.
ISLANDS = ("Softmax", "Constant")
FP32_INPUTS = {"Resize": (1, 2)}  # scales and roi are float32 by definition
LARGEST = 65504.0  # of a half


def half_precision(model: Any) -> Any:
    """An onnx.ModelProto in fp32 -> a new one in fp16. Inputs and outputs keep their types; strongly typed."""
    import onnx

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    island = decoding_nodes(copied) | {node.name for node in copied.graph.node if node.op_type in ISLANDS}
    halved = _Halved(copied, island)
    for node in copied.graph.node:
        halved.add(node)
    del copied.graph.node[:], copied.graph.initializer[:], copied.graph.value_info[:]
    copied.graph.node.extend(halved.nodes)
    copied.graph.initializer.extend(halved.used_constants())
    onnx.checker.check_model(copied, full_check=True)
    return copied


class _Halved:
    """The new graph while it grows, in topological order. Tensors keep their names unless a cast makes a second one."""

    def __init__(self, model: Any, island: set[str]) -> None:
        import onnx

        self.float, self.half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
        self.island = island
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.types = {v.name: v.type.tensor_type.elem_type for v in values}
        self.types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        self.finals = {value.name for value in model.graph.output}
        self.floats = {name for name, kind in self.types.items() if kind == self.float}
        self.nodes: list[Any] = []

    def add(self, node: Any) -> None:
        """Append a copy of a node with inputs of the type that it computes in."""
        import onnx

        new = onnx.NodeProto()
        new.CopyFrom(node)
        halve = node.name not in self.island
        for index, name in enumerate(node.input):
            if name in self.floats and not _converts(node, index):
                fixed = index in FP32_INPUTS.get(node.op_type, ())
                new.input[index] = self._as(name, self.half if halve and not fixed else self.float)
        floats = [name for name in node.output if name in self.floats] if halve else []
        if node.op_type == "Cast" and floats:
            new.attribute[0].i = self.half
        self.nodes.append(new)
        for name in floats:
            self.types[name] = self.half
            if name in self.finals:
                self._give_back(new, name)

    def _as(self, name: str, kind: int) -> str:
        """The name under which a tensor exists in a type; makes the cast or the copy of a constant at first use."""
        import onnx

        if self.types[name] == kind:
            return name
        other = f"{name}_{'half' if kind == self.half else 'float'}"
        if other not in self.types:
            self.types[other] = kind
            if name in self.constants:
                values = np.clip(onnx.numpy_helper.to_array(self.constants[name]), -LARGEST, LARGEST)
                self.constants[other] = onnx.numpy_helper.from_array(values.astype(np.float16), other)
            else:
                self.nodes.append(onnx.helper.make_node("Cast", [name], [other], name=f"cast_{other}", to=kind))
        return other

    def _give_back(self, node: Any, name: str) -> None:
        """An output of the graph stays fp32 under its own name."""
        import onnx

        inner = f"{name}_inner"
        node.output[list(node.output).index(name)] = inner
        self.nodes.append(onnx.helper.make_node("Cast", [inner], [name], name=f"cast_{name}", to=self.float))
        self.types[name], self.types[f"{name}_half"] = self.float, self.half

    def used_constants(self) -> list[Any]:
        read = {name for node in self.nodes for name in node.input}
        return [tensor for name, tensor in self.constants.items() if name in read]


def _converts(node: Any, index: int) -> bool:
    """A cast takes what comes."""
    return bool(node.op_type == "Cast" and index == 0)


def decoding_nodes(model: Any) -> set[str]:
    """Names of the nodes after the last convolution of each branch; unnamed nodes get names.

    They turn features into pixels, ranks and probabilities: cheap, and a half would cost there (between 1024 and 2048
    its steps are a whole pixel).
    """
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    before_conv = leading_to_a_conv(model.graph)
    return {node.name for node in model.graph.node if node.op_type != "Conv" and node.name not in before_conv}


def leading_to_a_conv(graph: Any) -> set[str]:
    """Names of nodes from which a convolution can still be reached: they are the trunk."""
    maker = {name: node for node in graph.node for name in node.output}
    queue = deque(node for node in graph.node if node.op_type in ("Conv", "ConvTranspose"))
    seen: set[str] = set()
    while queue:
        node = queue.popleft()
        for name in node.input:
            source = maker.get(name)
            if source is not None and source.name not in seen:
                seen.add(source.name)
                queue.append(source)
    return seen
