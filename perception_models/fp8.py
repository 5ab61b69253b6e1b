"""fp8 (E4M3) instead of int8: the same Q/DQ nodes with other scales and zero points, for GPUs from compute 8.9 on."""

from __future__ import annotations

from typing import Any

import numpy as np

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
