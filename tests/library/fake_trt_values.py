"""Names and small values of the fake TensorRT that building and running share."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

MAGIC = b"ftrt"


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


def check_logger(fake: Any, logger: Any) -> None:
    assert isinstance(logger, ILogger), "a logger derived from trt.ILogger"
    assert getattr(logger, "initialised", False), "its __init__ has to call trt.ILogger.__init__"
    if not fake.loggers:
        fake.loggers.append(logger)
    assert fake.loggers[0] is logger, "one logger per process: TensorRT ignores every later one"


class ITensor:
    def __init__(self, value: onnx.ValueInfoProto) -> None:
        self.name = value.name
        self.shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in value.type.tensor_type.shape.dim)
        self.type = value.type.tensor_type.elem_type

    @property
    def dtype(self) -> DataType:
        return ONNX_TYPES[self.type]
