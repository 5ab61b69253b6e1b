"""CUDA without torch: device, memory, streams, events, graphs. With cuda_letterbox.py the only user of cuda-bindings.

cuda-bindings is NVIDIA's own thin wrapper; it imports without a driver, and every call returns (error, *values).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from time import perf_counter, sleep
from typing import Any

import numpy as np

from camera_perception.errors import EngineError

ALIGNMENT = 256  # bytes; TensorRT wants tensor addresses that are multiples of it
POLL = 50e-6  # seconds between two looks at an event
PATIENCE = 5.0  # seconds after which a frame that does not come back is a broken GPU

REMEDIES = {
    "cudaErrorInsufficientDriver": "no usable NVIDIA driver: install one (nvidia-smi must work)",
    "cudaErrorNoDevice": "no NVIDIA GPU is visible: check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "cudaErrorInvalidDevice": "there is no GPU of that number: check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "cudaErrorMemoryAllocation": "the GPU is out of memory: close other programs, or use a smaller model or batch",
    "cudaErrorDevicesUnavailable": "the GPU is busy or in exclusive mode: close the program that holds it",
    "cudaErrorECCUncorrectable": "the GPU reports a memory defect (ECC): reboot; have it checked if this comes again",
    "cudaErrorLaunchTimeout": "the GPU's watchdog stopped the network: load the engine again",
    "cudaErrorLaunchFailure": "the network crashed on the GPU: load the engine again, build it anew if this repeats",
    "cudaErrorIllegalAddress": "the network left its memory: build the engine anew",
}
# After these nothing works in this process until the device is reset: see use_device.
STICKY = {
    "cudaErrorECCUncorrectable",
    "cudaErrorHardwareStackError",
    "cudaErrorIllegalAddress",
    "cudaErrorIllegalInstruction",
    "cudaErrorLaunchFailure",
    "cudaErrorLaunchTimeout",
    "cudaErrorMisalignedAddress",
    "cudaErrorUnknown",
}
_lost = False


class CudaError(EngineError):
    """A CUDA call failed. `code` is CUDA's name of the error."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(f"{REMEDIES.get(code, text or 'CUDA failed: load the engine again')} ({code})")


def available() -> str | None:
    """Why CUDA cannot be used here, or None."""
    try:
        runtime = _runtime()
    except ImportError as error:
        return (
            f"cuda-bindings cannot be imported ({error}): pip install cuda-bindings of the CUDA version of the driver"
        )
    _recover(runtime)
    result, count = runtime.cudaGetDeviceCount()
    if result.name != "cudaSuccess":
        return str(CudaError(result.name, ""))
    return None if count else REMEDIES["cudaErrorNoDevice"]


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU. driver_major is the CUDA version of the driver; integrated means that it shares the CPU's memory."""

    index: int
    name: str
    compute_capability: str
    driver_major: int
    integrated: bool


def use_device(index: int = 0) -> Device:
    """Make a GPU the current one of this thread. After an error that ruins the context, the device is reset first."""
    runtime = _runtime()
    _recover(runtime)
    _call(runtime, runtime.cudaSetDevice(index))
    properties = _call(runtime, runtime.cudaGetDeviceProperties(index))
    driver = _call(runtime, runtime.cudaDriverGetVersion())
    name = properties.name.decode() if isinstance(properties.name, bytes) else properties.name
    return Device(
        index, name.rstrip("\0"), f"{properties.major}.{properties.minor}", driver // 1000, bool(properties.integrated)
    )


def _recover(runtime: Any) -> None:
    """After a sticky error every call fails until the device is reset; whatever was on it is lost already."""
    global _lost
    if _lost:
        runtime.cudaDeviceReset()
        _lost = False


def free_memory() -> tuple[int, int]:
    """(free, total) bytes of the current GPU."""
    runtime = _runtime()
    free, total = _call(runtime, runtime.cudaMemGetInfo())
    return free, total


class Stream:
    """A queue of GPU work, never the default one. priority 0 is the highest that the GPU has, 1 the lowest."""

    def __init__(self, priority: int = 0) -> None:
        self._runtime = _runtime()
        lowest, highest = _call(self._runtime, self._runtime.cudaDeviceGetStreamPriorityRange())
        flags = self._runtime.cudaStreamNonBlocking
        created = self._runtime.cudaStreamCreateWithPriority(flags, lowest if priority else highest)
        self.raw = _call(self._runtime, created)
        self.handle = int(self.raw)

    def synchronize(self) -> None:
        _call(self._runtime, self._runtime.cudaStreamSynchronize(self.raw))

    def close(self) -> None:
        self._runtime.cudaStreamDestroy(self.raw)


class Event:
    """A mark in a stream."""

    def __init__(self) -> None:
        self._runtime = _runtime()
        self._success = self._runtime.cudaError_t.cudaSuccess
        self._not_ready = self._runtime.cudaError_t.cudaErrorNotReady
        self.raw = _call(self._runtime, self._runtime.cudaEventCreateWithFlags(self._runtime.cudaEventDisableTiming))

    def record(self, stream: Stream) -> None:
        _call(self._runtime, self._runtime.cudaEventRecord(self.raw, stream.raw))

    def hold(self, stream: Stream) -> None:
        """Work that is put into stream from now on starts after the mark."""
        _call(self._runtime, self._runtime.cudaStreamWaitEvent(stream.raw, self.raw, 0))

    def done(self) -> bool:
        error = self._runtime.cudaEventQuery(self.raw)[0]
        if error == self._success:
            return True
        if error == self._not_ready:
            return False
        raise _failure(self._runtime, error)

    def wait(self, seconds: float = PATIENCE) -> None:
        """Until the mark is reached. Polls, because cudaEventSynchronize would never return from a dead GPU."""
        stop = perf_counter() + seconds
        while not self.done():
            if perf_counter() > stop:
                raise EngineError(
                    f"the GPU did not finish within {seconds:g} s: load the engine again, reboot if it repeats"
                )
            sleep(POLL)

    def close(self) -> None:
        self._runtime.cudaEventDestroy(self.raw)


class HostMemory:
    """Page-locked host memory, which the copy engines reach by themselves.

    mapped  also give it a device address: no copies are needed then; worth it where GPU and CPU share their memory
    """

    def __init__(self, nbytes: int, *, mapped: bool = False) -> None:
        self._runtime = _runtime()
        flags = self._runtime.cudaHostAllocMapped if mapped else self._runtime.cudaHostAllocDefault
        self.address = int(_call(self._runtime, self._runtime.cudaHostAlloc(nbytes, flags)))
        self.nbytes = nbytes
        self.bytes = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(self.address))
        self.bytes[...] = 0

    def device_address(self) -> int:
        return int(_call(self._runtime, self._runtime.cudaHostGetDevicePointer(self.address, 0)))

    def array(self, offset: int, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """A view; it must not be used after close."""
        return self.bytes[offset : offset + prod(shape) * dtype.itemsize].view(dtype).reshape(shape)

    def close(self) -> None:
        self._runtime.cudaFreeHost(self.address)


class DeviceMemory:
    """Memory of the GPU; cudaMalloc aligns it to 256 bytes."""

    def __init__(self, nbytes: int) -> None:
        self._runtime = _runtime()
        self.address = int(_call(self._runtime, self._runtime.cudaMalloc(nbytes)))
        self.nbytes = nbytes

    def close(self) -> None:
        self._runtime.cudaFree(self.address)


class Twin:
    """The same bytes on both sides: pinned host memory and device memory, or one piece that both see (mapped)."""

    def __init__(self, nbytes: int, *, mapped: bool = False) -> None:
        self._runtime = _runtime()
        self.host = HostMemory(nbytes, mapped=mapped)
        self._device = None if mapped else DeviceMemory(nbytes)
        self.address = self._device.address if self._device else self.host.device_address()
        self._to_device = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._to_host = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost

    def upload(self, stream: Stream) -> None:
        if self._device is not None:
            self._copy(self.address, self.host.address, self._to_device, stream)

    def download(self, stream: Stream) -> None:
        if self._device is not None:
            self._copy(self.host.address, self.address, self._to_host, stream)

    def _copy(self, target: int, source: int, kind: Any, stream: Stream) -> None:
        done = self._runtime.cudaMemcpyAsync(target, source, self.host.nbytes, kind, stream.raw)
        _call(self._runtime, done)

    def close(self) -> None:
        if self._device is not None:
            self._device.close()
        self.host.close()


class Graph:
    """Work recorded once and started with one call."""

    def __init__(self, stream: Stream, work: Callable[[], None]) -> None:
        """Record what work puts into stream; CudaError or the error of work when it cannot be recorded."""
        self._runtime = runtime = _runtime()
        _call(
            runtime,
            runtime.cudaStreamBeginCapture(stream.raw, runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal),
        )
        try:
            work()
        except EngineError:
            runtime.cudaStreamEndCapture(stream.raw)  # or the stream stays unusable
            raise
        graph = _call(runtime, runtime.cudaStreamEndCapture(stream.raw))
        try:
            self._executable = _call(runtime, runtime.cudaGraphInstantiate(graph, 0))
        finally:
            runtime.cudaGraphDestroy(graph)

    def launch(self, stream: Stream) -> None:
        _call(self._runtime, self._runtime.cudaGraphLaunch(self._executable, stream.raw))

    def close(self) -> None:
        self._runtime.cudaGraphExecDestroy(self._executable)


def aligned(nbytes: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _runtime() -> Any:
    from cuda.bindings import runtime

    return runtime


def _call(runtime: Any, result: tuple) -> Any:
    """The values of a CUDA call: none, one, or a tuple."""
    if result[0] != runtime.cudaError_t.cudaSuccess:
        raise _failure(runtime, result[0])
    return result[1] if len(result) == 2 else result[1:]


def _failure(runtime: Any, error: Any) -> CudaError:
    global _lost
    _lost = _lost or error.name in STICKY
    text = runtime.cudaGetErrorString(error)[1]
    return CudaError(error.name, text.decode() if isinstance(text, bytes) else str(text))
