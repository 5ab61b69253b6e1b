"""CUDA without torch: the device, streams, events, graphs. Memory is in cuda_memory.py.

What CUDA calls return, as values or as one sentence. All calls of the runtime API go through here.

cuda-bindings is NVIDIA's own thin wrapper; it imports without a driver, and every call returns (error, *values).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

from camera_perception.core.errors import EngineError

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


def runtime() -> Any:
    from cuda.bindings import runtime

    return runtime


def call(api: Any, result: tuple) -> Any:
    """The values of a CUDA call: none, one, or a tuple."""
    if result[0] != api.cudaError_t.cudaSuccess:
        raise failure(api, result[0])
    return result[1] if len(result) == 2 else result[1:]


def failure(api: Any, error: Any) -> CudaError:
    global _lost
    _lost = _lost or error.name in STICKY
    text = api.cudaGetErrorString(error)[1]
    return CudaError(error.name, text.decode() if isinstance(text, bytes) else str(text))


def recover(api: Any) -> None:
    """After a sticky error every call fails until the device is reset; whatever was on it is lost already."""
    global _lost
    if _lost:
        api.cudaDeviceReset()
        _lost = False


POLL = 50e-6  # seconds between two looks at an event
PATIENCE = 5.0  # seconds after which a frame that does not come back is a broken GPU


def available() -> str | None:
    """Why CUDA cannot be used here, or None."""
    try:
        api = runtime()
    except ImportError as error:
        return (
            f"cuda-bindings cannot be imported ({error}): pip install cuda-bindings of the CUDA version of the driver"
        )
    recover(api)
    result, count = api.cudaGetDeviceCount()
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
    api = runtime()
    recover(api)
    call(api, api.cudaSetDevice(index))
    properties = call(api, api.cudaGetDeviceProperties(index))
    driver = call(api, api.cudaDriverGetVersion())
    name = properties.name.decode() if isinstance(properties.name, bytes) else properties.name
    return Device(
        index, name.rstrip("\0"), f"{properties.major}.{properties.minor}", driver // 1000, bool(properties.integrated)
    )


def free_memory() -> tuple[int, int]:
    """(free, total) bytes of the current GPU."""
    api = runtime()
    free, total = call(api, api.cudaMemGetInfo())
    return free, total


class Stream:
    """A queue of GPU work, never the default one. priority 0 is the highest that the GPU has, 1 the lowest."""

    def __init__(self, priority: int = 0) -> None:
        self._api = runtime()
        lowest, highest = call(self._api, self._api.cudaDeviceGetStreamPriorityRange())
        flags = self._api.cudaStreamNonBlocking
        created = self._api.cudaStreamCreateWithPriority(flags, lowest if priority else highest)
        self.raw = call(self._api, created)
        self.handle = int(self.raw)

    def synchronize(self) -> None:
        call(self._api, self._api.cudaStreamSynchronize(self.raw))

    def close(self) -> None:
        self._api.cudaStreamDestroy(self.raw)


class Event:
    """A mark in a stream."""

    def __init__(self) -> None:
        self._api = runtime()
        self._success = self._api.cudaError_t.cudaSuccess
        self._not_ready = self._api.cudaError_t.cudaErrorNotReady
        self.raw = call(self._api, self._api.cudaEventCreateWithFlags(self._api.cudaEventDisableTiming))

    def record(self, stream: Stream) -> None:
        call(self._api, self._api.cudaEventRecord(self.raw, stream.raw))

    def hold(self, stream: Stream) -> None:
        """Work that is put into stream from now on starts after the mark."""
        call(self._api, self._api.cudaStreamWaitEvent(stream.raw, self.raw, 0))

    def done(self) -> bool:
        error = self._api.cudaEventQuery(self.raw)[0]
        if error == self._success:
            return True
        if error == self._not_ready:
            return False
        raise failure(self._api, error)

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
        self._api.cudaEventDestroy(self.raw)


class Graph:
    """Work recorded once and started with one call."""

    def __init__(self, stream: Stream, work: Callable[[], None]) -> None:
        """Record what work puts into stream; CudaError or the error of work when it cannot be recorded."""
        self._api = api = runtime()
        call(
            api,
            api.cudaStreamBeginCapture(stream.raw, api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal),
        )
        try:
            work()
        except EngineError:
            api.cudaStreamEndCapture(stream.raw)  # or the stream stays unusable
            raise
        graph = call(api, api.cudaStreamEndCapture(stream.raw))
        try:
            self._executable = call(api, api.cudaGraphInstantiate(graph, 0))
        finally:
            api.cudaGraphDestroy(graph)

    def launch(self, stream: Stream) -> None:
        call(self._api, self._api.cudaGraphLaunch(self._executable, stream.raw))

    def close(self) -> None:
        self._api.cudaGraphExecDestroy(self._executable)
