"""Static quantisation of the convolutions of an ONNX file to int8 or fp8, as Q/DQ nodes that TensorRT accepts.

int8: symmetric, zero point 0. fp8 (E4M3, GPUs of compute capability 8.9 and later): the same nodes with other scales
and zero points.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from perception_models.compression.fp16 import decoding_nodes, leading_to_a_conv

# Only inputs of convolutions. Q/DQ behind a convolution would keep TensorRT from fusing the Relu or Add that follows,
# and would spend half of the 8 bits on values that the Relu clips; linear bottlenecks have neither behind them.
OPS = ("Conv",)
OPSET = 19  # the first in which scales may be fp16
MAX_INT8, MAX_FP8 = 127.0, 448.0
MIN_SCALE = 2.0**-24  # the smallest positive fp16


def quantize_convs(
    source: Path, target: Path, name: str, images: Iterable[np.ndarray], batch: int = 1, precision: str = "int8"
) -> int:
    """Write source with int8 or fp8 convolutions to target; returns the number of quantised convolutions.

    name    of the image input
    images  for calibration, (H, W, 3) uint8, preprocessed
    batch   of the network
    """
    import onnx
    from onnx import version_converter
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    model = onnx.load(source)
    if model.opset_import[0].version < OPSET:
        model = version_converter.convert_version(model, OPSET)
    decoding_nodes(model)  # names every node
    fp8 = precision == "fp8"
    excluded = unquantised(model) | (without_fp8_kernels(model) if fp8 else set())
    onnx.save(model, target)
    quantize_static(
        target,
        target,
        CalibrationImages(name, images, batch),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(OPS),
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=sorted(excluded),
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "DedicatedQDQPair": False,
            "CalibMovingAverage": True,
            "AddQDQPairToWeight": fp8,
            "OpTypesToExcludeOutputQuantization": list(OPS),
        },
    )
    quantized = onnx.load(target)
    bypass_qdq(quantized, excluded)
    if fp8:
        fp8_from_int8(quantized)
    onnx.save(quantized, target)
    return sum(node.op_type == "Conv" and node.name not in excluded for node in model.graph.node)


class CalibrationImages:
    """Images one by one, in the interface of onnxruntime's calibration data readers."""

    def __init__(self, name: str, images: Iterable[np.ndarray], batch: int = 1) -> None:
        self._name, self._images, self._batch = name, iter(images), batch

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {self._name: np.repeat(image[None], self._batch, 0)}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return iter(self.get_next, None)


def unquantised(model: Any) -> set[str]:
    """Nodes excluded from quantisation: decoding, first, last and depthwise convolutions, all after a softmax."""
    trunk = leading_to_a_conv(model.graph)
    outside = {node.name for node in model.graph.node if node.name not in trunk}  # with the last convolutions
    convs = [node.name for node in model.graph.node if node.op_type == "Conv"]
    return outside | set(convs[:1]) | after_a_softmax(model.graph) | depthwise(model.graph)


def depthwise(graph: Any) -> set[str]:
    """Names of convolutions that filter each channel alone: in int8 they make engines five times as big."""
    groups = {
        node.name: attribute.i
        for node in graph.node
        for attribute in node.attribute
        if node.op_type == "Conv" and attribute.name == "group"
    }
    return {name for name, count in groups.items() if count > 1}


def after_a_softmax(graph: Any) -> set[str]:
    """Names of softmax nodes and of all downstream of them: 8 bits cannot represent their small differences."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    queue = deque(node for node in graph.node if node.op_type == "Softmax")
    visited = {node.name for node in queue}
    while queue:
        for name in queue.popleft().output:
            fresh = [node for node in readers.get(name, []) if node.name not in visited]
            visited.update(node.name for node in fresh)
            queue.extend(fresh)
    return visited


def bypass_qdq(model: Any, excluded: set[str]) -> None:
    """Feed rounded values to quantised convolutions and the sums beside them only; other nodes read the original.

    excluded  names of nodes that stay unquantised
    """
    sources = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    originals = {n.output[0]: sources[n.input[0]] for n in model.graph.node if n.input and n.input[0] in sources}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Add") or node.name in excluded:
            for index, name in enumerate(node.input):
                node.input[index] = originals.get(name, name)


def fp8_from_int8(model: Any) -> None:
    """Turn symmetric int8 Q/DQ nodes into fp8 ones, in place. Weights must have Q nodes, not be stored as int8."""
    import onnx

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    used = [node.input[1:3] for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for name in {scale for scale, _ in used}:
        scale = onnx.numpy_helper.to_array(constants[name]) * np.float32(MAX_INT8 / MAX_FP8)
        constants[name].CopyFrom(onnx.numpy_helper.from_array(np.maximum(scale, np.float32(MIN_SCALE)), name))
    for name in {zero for _, zero in used}:
        shape, count = constants[name].dims, int(np.prod(constants[name].dims))
        fp8 = onnx.TensorProto.FLOAT8E4M3FN
        constants[name].CopyFrom(onnx.helper.make_tensor(name, fp8, shape, bytes(count), raw=True))


def without_fp8_kernels(model: Any) -> set[str]:
    """Names of convolutions for which TensorRT has no fp8 kernel.

    The rules of NVIDIA Model Optimizer: fewer than 16 channels, input and output channels with different remainders
    modulo 16, or kernels of more than 32 pixels.
    """
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    convs = {node.name: shapes.get(node.input[1], ()) for node in model.graph.node if node.op_type == "Conv"}
    return {name for name, shape in convs.items() if not _has_fp8_kernel(shape)}


def _has_fp8_kernel(shape: Any) -> bool:
    outputs, inputs, *kernel = shape or (0, 0)
    return bool(min(outputs, inputs) >= 16 and outputs % 16 == inputs % 16 and np.prod(kernel) <= 32)
