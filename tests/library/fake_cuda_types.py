"""Values of the fake of CUDA: error codes under NVIDIA's names, allocations, streams, events."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorDevicesUnavailable = 46
    cudaErrorNoDevice = 100
    cudaErrorInvalidDevice = 101
    cudaErrorECCUncorrectable = 214
    cudaErrorNotReady = 600
    cudaErrorIllegalAddress = 700
    cudaErrorLaunchTimeout = 702
    cudaErrorLaunchFailure = 719
    cudaErrorStreamCaptureUnsupported = 900


class cudaMemcpyKind(IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaStreamCaptureMode(IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


OK = cudaError_t.cudaSuccess
# No cudaDeviceReset cures these.
FATAL = {
    cudaError_t.cudaErrorLaunchFailure,
    cudaError_t.cudaErrorIllegalAddress,
    cudaError_t.cudaErrorLaunchTimeout,
}
STICKY = FATAL | {cudaError_t.cudaErrorECCUncorrectable}


class CallFailed(Exception):
    """A call that returns an error code."""

    def __init__(self, error: cudaError_t) -> None:
        self.error = error


@dataclass
class Allocation:
    """Allocated memory. kind is host, mapped, or device."""

    kind: str
    address: int
    nbytes: int
    owner: np.ndarray


@dataclass
class FakeStream:
    handle: int
    priority: int
    work: deque = field(default_factory=deque)
    capture: list | None = None

    def __int__(self) -> int:
        return self.handle


@dataclass
class FakeEvent:
    stream: FakeStream | None = None
    recorded: int = 0
    reached: int = 0
    polled: int = 0
