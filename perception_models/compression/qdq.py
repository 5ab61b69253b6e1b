"""int8 or fp8 on the convolution paths of an ONNX file: Q/DQ nodes with zero point 0, as TensorRT wants them.

fp8 (E4M3) instead of int8: the same Q/DQ nodes with other scales and zero points, for GPUs from compute 8.9 on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from perception_models.compression.fp16 import decoding_nodes, leading_to_a_conv

LARGEST_INT8, LARGEST_FP8 = 127.0, 448.0
LEAST = 2.0**-24  # the smallest scale that is not zero as a half


def fp8_from_int8(model: Any) -> None:
    """Turn symmetric int8 Q/DQ nodes into fp8 ones, in place. Weights have to be quantised by Q nodes, not stored."""
    import onnx

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    used = [node.input[1:3] for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for name in {scale for scale, _ in used}:
        scale = onnx.numpy_helper.to_array(constants[name]) * np.float32(LARGEST_INT8 / LARGEST_FP8)
        constants[name].CopyFrom(onnx.numpy_helper.from_array(np.maximum(scale, np.float32(LEAST)), name))
    for name in {zero for _, zero in used}:
        shape, count = constants[name].dims, int(np.prod(constants[name].dims))
        kind = onnx.TensorProto.FLOAT8E4M3FN
        constants[name].CopyFrom(onnx.helper.make_tensor(name, kind, shape, bytes(count), raw=True))


def without_fp8_kernels(model: Any) -> set[str]:
    """Names of convolutions that TensorRT has no fp8 kernel for.

    NVIDIA Model Optimizer leaves the same ones out: fewer than 16 channels, channels in and out that 16 divides with
    different rests, kernels of more than 32 pixels.
    """
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    convs = {node.name: shapes.get(node.input[1], ()) for node in model.graph.node if node.op_type == "Conv"}
    return {name for name, shape in convs.items() if not _fits(shape)}


def _fits(shape: Any) -> bool:
    outside, inside, *kernel = shape or (0, 0)
    return bool(min(outside, inside) >= 16 and outside % 16 == inside % 16 and np.prod(kernel) <= 32)


# Only what convolutions read. Q/DQ behind a convolution would keep TensorRT from fusing the Relu or Add that follows,
# and gives half of the 8 bits to values that the Relu cuts off.
OPS = ("Conv",)
OPSET = 19  # from here on scales may be fp16


class Images:
    """Calibration images one by one, in the form that onnxruntime's quantiser reads."""

    def __init__(self, name: str, images: Iterable[np.ndarray], batch: int = 1) -> None:
        self._name, self._images, self._batch = name, iter(images), batch

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {self._name: np.repeat(image[None], self._batch, 0)}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return iter(self.get_next, None)


def quantize_convs(
    source: Path, target: Path, name: str, images: Iterable[np.ndarray], batch: int = 1, precision: str = "int8"
) -> int:
    """Write source with int8 or fp8 convolutions to target; returns how many convolutions are.

    name    of the image input
    images  (H, W, 3) uint8, each as the network takes it
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
    left = left_alone(model) | (without_fp8_kernels(model) if fp8 else set())
    onnx.save(model, target)
    quantize_static(
        target,
        target,
        Images(name, images, batch),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(OPS),
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=sorted(left),
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
    spare(quantized, left)
    if fp8:
        fp8_from_int8(quantized)
    onnx.save(quantized, target)
    return sum(node.op_type == "Conv" and node.name not in left for node in model.graph.node)


def left_alone(model: Any) -> set[str]:
    """Nodes that stay as they are: decoding, the first and last convolutions, everything after a softmax."""
    trunk = leading_to_a_conv(model.graph)
    outside = {node.name for node in model.graph.node if node.name not in trunk}  # with the last convolutions
    convs = [node.name for node in model.graph.node if node.op_type == "Conv"]
    return outside | set(convs[:1]) | after_a_softmax(model.graph)


def spare(model: Any, left: set[str]) -> None:
    """Rounded values only for convolutions and the sums beside them: whatever else reads a tensor gets it as it was.

    left  names of nodes that stay as they are
    """
    sources = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    plain = {n.output[0]: sources[n.input[0]] for n in model.graph.node if n.input and n.input[0] in sources}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Add") or node.name in left:
            for index, name in enumerate(node.input):
                node.input[index] = plain.get(name, name)


def after_a_softmax(graph: Any) -> set[str]:
    """Softmax nodes and what depends on them: their small differences do not survive 8 bits."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    queue = deque(node for node in graph.node if node.op_type == "Softmax")
    seen = {node.name for node in queue}
    while queue:
        for name in queue.popleft().output:
            fresh = [node for node in readers.get(name, []) if node.name not in seen]
            seen.update(node.name for node in fresh)
            queue.extend(fresh)
    return seen
