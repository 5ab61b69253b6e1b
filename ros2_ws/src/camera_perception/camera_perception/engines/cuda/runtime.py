"""CUDA without torch: device, streams, events and graphs. Memory is in cuda/memory.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

from camera_perception.core.errors import ContextLost, EngineError
from camera_perception.engines.cuda.bindings import REMEDIES, CudaError, bindings, call, failure, reset_lost_context

POLL_INTERVAL = 50e-6  # seconds between two queries of an event
FRAME_TIMEOUT = 5.0  # seconds after which an unfinished frame means a broken GPU


def available() -> str | None:
    """Why CUDA cannot be used here, or None."""
    try:
        api = bindings()
    except ImportError as error:
        return (
            f"cuda-bindings cannot be imported ({error}): pip install cuda-bindings of the CUDA version of the driver; "
            "on JetPack 6 cuda-python==12.6.2.post1"
        )
    try:
        reset_lost_context(api)
    except ContextLost as lost:
        return str(lost)
    try:
        result, count = api.cudaGetDeviceCount()
    except RuntimeError:  # cuda-python 12.6, which suits JetPack 6, raises where later ones return an error
        return str(CudaError("cudaErrorInsufficientDriver", ""))
    if result.name == "cudaErrorInsufficientDriver":
        return _too_old(api)
    if result.name != "cudaSuccess":
        return str(CudaError(result.name, ""))
    return None if count else REMEDIES["cudaErrorNoDevice"]


def _too_old(api: Any) -> str:
    """What is too new for what; where there is no driver at all, its version reads 0."""
    driver, bound = api.cudaDriverGetVersion()[1], api.cudaRuntimeGetVersion()[1]
    if not driver:
        return str(CudaError("cudaErrorInsufficientDriver", ""))
    return (
        f"cuda-bindings for CUDA {_version(bound)} is too new for this NVIDIA driver, which is for CUDA "
        f"{_version(driver)}: pip install cuda-bindings of CUDA {driver // 1000}, update the driver, or on JetPack "
        f"apt install cuda-compat-{_version(bound).replace('.', '-')} (cudaErrorInsufficientDriver)"
    )


def _version(number: int) -> str:
    """12060 as 12.6."""
    return f"{number // 1000}.{number % 1000 // 10}"


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU.

    driver_major  CUDA version of the driver
    integrated    the GPU shares the CPU's memory, as on a Jetson
    """

    index: int
    name: str
    compute_capability: str
    driver_major: int
    integrated: bool


def use_device(index: int = 0) -> Device:
    """Make a GPU the current one of this thread; it is reset first when an earlier error lost the context."""
    api = bindings()
    reset_lost_context(api)
    call(api, api.cudaSetDevice(index))
    properties = call(api, api.cudaGetDeviceProperties(index))
    driver = call(api, api.cudaDriverGetVersion())
    name = properties.name.decode() if isinstance(properties.name, bytes) else properties.name
    return Device(
        index, name.rstrip("\0"), f"{properties.major}.{properties.minor}", driver // 1000, bool(properties.integrated)
    )


def free_memory() -> tuple[int, int]:
    """(free, total) bytes of the current GPU."""
    api = bindings()
    free, total = call(api, api.cudaMemGetInfo())
    return free, total


class Stream:
    """A queue of GPU work, never the default one. priority 0 is the highest that the GPU has, 1 the lowest."""

    def __init__(self, priority: int = 0) -> None:
        self._api = bindings()
        lowest, highest = call(self._api, self._api.cudaDeviceGetStreamPriorityRange())
        flags = self._api.cudaStreamNonBlocking
        created = self._api.cudaStreamCreateWithPriority(flags, lowest if priority else highest)
        self.raw = call(self._api, created)
        self.handle = int(self.raw)

    def wait_for(self, event: Event) -> None:
        """Work queued after this call starts when the event is reached; the CPU does not wait."""
        call(self._api, self._api.cudaStreamWaitEvent(self.raw, event.raw, 0))

    def close(self) -> None:
        self._api.cudaStreamDestroy(self.raw)


class Event:
    """A mark in a stream."""

    def __init__(self) -> None:
        self._api = bindings()
        self._success = self._api.cudaError_t.cudaSuccess
        self._not_ready = self._api.cudaError_t.cudaErrorNotReady
        self.raw = call(self._api, self._api.cudaEventCreateWithFlags(self._api.cudaEventDisableTiming))

    def record(self, stream: Stream) -> None:
        call(self._api, self._api.cudaEventRecord(self.raw, stream.raw))

    def done(self) -> bool:
        error = self._api.cudaEventQuery(self.raw)[0]
        if error == self._success:
            return True
        if error == self._not_ready:
            return False
        raise failure(self._api, error)

    def wait(self, seconds: float = FRAME_TIMEOUT) -> None:
        """Block until the event is reached. Polls: cudaEventSynchronize would never return from a dead GPU."""
        stop = perf_counter() + seconds
        while not self.done():
            if perf_counter() > stop:
                raise EngineError(
                    f"the GPU did not finish within {seconds:g} s: load the engine again, reboot if it recurs"
                )
            sleep(POLL_INTERVAL)

    def close(self) -> None:
        self._api.cudaEventDestroy(self.raw)


class Graph:
    """Work recorded once and started with one call."""

    def __init__(self, stream: Stream, work: Callable[[], None]) -> None:
        """Record what work() puts into the stream; CudaError, or the error of work(), when that fails."""
        self._api = api = bindings()
        mode = api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call(api, api.cudaStreamBeginCapture(stream.raw, mode))
        try:
            work()
        except EngineError:
            error, graph = api.cudaStreamEndCapture(stream.raw)  # or the stream stays unusable
            if error == api.cudaError_t.cudaSuccess:
                api.cudaGraphDestroy(graph)
            api.cudaGetLastError()  # or the next call that asks for the last error fails with this one
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
