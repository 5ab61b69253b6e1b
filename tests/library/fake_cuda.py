"""A strict fake of cuda.bindings.runtime: host memory plays device memory, and work is done only when it is waited for.

Work queued in a stream runs when an event or a stream is queried, in the order that events demand: code that reads a
result too early reads old bytes. What the CUDA documentation forbids is an AssertionError; what can go wrong in the
field (`fail`, `hang`) comes back as an error code.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from fake_cuda_types import (
    FATAL,
    OK,
    STICKY,
    Allocation,
    CallFailed,
    FakeEvent,
    FakeStream,
    cudaError_t,
    cudaMemcpyKind,
    cudaStreamCaptureMode,
)

ALIGNMENT = 256


def cuda_call(method: Callable[..., Any]) -> Callable[..., tuple]:
    """A CUDA call: counted, failing when a test asked for it, else (success, *what the method returns)."""

    @functools.wraps(method)
    def call(self: FakeCuda, *arguments: Any) -> tuple:
        try:
            self.check_failure(method.__name__)
            values = method(self, *arguments)
        except CallFailed as failed:
            return failed.error, None
        if values is None:
            return (OK,)
        return (OK, *values) if isinstance(values, tuple) else (OK, values)

    return call


class FakeCuda:
    """Everything that engines/cuda calls, under CUDA's names. Attributes without "cuda" are for tests."""

    cudaError_t, cudaMemcpyKind, cudaStreamCaptureMode = cudaError_t, cudaMemcpyKind, cudaStreamCaptureMode
    cudaHostAllocDefault, cudaHostAllocMapped, cudaStreamNonBlocking, cudaEventDisableTiming = 0, 2, 1, 2

    def __init__(self) -> None:
        self.gpu, self.capability, self.driver, self.integrated, self.devices = "NVIDIA Orin", (8, 7), 12060, False, 1
        self.memory = 8 << 30
        self.runtime_version = 12090  # of cuda-bindings
        self.hang, self.last_error = False, OK
        self.calls: dict[str, int] = {}
        self.order: list[str] = []  # what ran on the device: upload, network, download
        self.allocations: dict[int, Allocation] = {}
        self.streams: dict[int, FakeStream] = {}
        self.events: set[int] = set()
        self.graphs: set[int] = set()
        self._kept: list[Any] = []  # graphs, so that ids stay unique
        self._failures: dict[str, tuple[cudaError_t, int]] = {}
        self._ruined: cudaError_t | None = None
        self._next = 0x5000

    # For tests

    def fail(self, call: str, error: str, after: int = 0) -> None:
        """Let a call return an error once, after the given number of successes."""
        self._failures[call] = cudaError_t[error], self.calls.get(call, 0) + after

    def leaks(self) -> dict[str, int]:
        """What was not freed."""
        counts = {"memory": self.allocations, "streams": self.streams, "events": self.events, "graphs": self.graphs}
        return {name: len(owned) for name, owned in counts.items() if owned}

    # For the fakes of TensorRT and of the driver API

    def live(self, address: int, kinds: tuple[str, ...] = ("device", "mapped")) -> Allocation:
        """The allocation that an address is in."""
        for allocation in self.allocations.values():
            if allocation.kind in kinds and allocation.address <= address < allocation.address + allocation.nbytes:
                return allocation
        raise AssertionError(f"address {address:#x} is in no live {' or '.join(kinds)} memory")

    def array(self, address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Device memory as an array; it has to fit into its allocation."""
        allocation = self.live(address)
        array: np.ndarray = np.ndarray(shape, dtype, allocation.owner, address - allocation.owner.ctypes.data)
        assert address + array.nbytes <= allocation.address + allocation.nbytes, "the array exceeds its allocation"
        return array

    def put(self, handle: int, name: str, work: Callable[[], None]) -> None:
        """Queue device work, or record it while the stream is being captured."""
        stream = self.streams.get(handle)
        assert stream is not None, f"stream {handle:#x} is the default stream or was destroyed"
        (stream.capture if stream.capture is not None else stream.work).append((name, work))

    def capturing(self, handle: int) -> bool:
        return self.streams[handle].capture is not None

    def check_failure(self, call: str) -> None:
        """Count a call; CallFailed when the device is ruined or a test let the call fail."""
        if self._ruined is not None:
            raise CallFailed(self._ruined)
        count = self.calls[call] = self.calls.get(call, 0) + 1
        if call not in self._failures or count <= self._failures[call][1]:
            return
        error, _ = self._failures.pop(call)
        if error in STICKY:
            self._ruined = error
        raise CallFailed(error)

    # Devices

    @cuda_call
    def cudaGetDeviceCount(self):
        return self.devices

    @cuda_call
    def cudaSetDevice(self, index):
        if index >= self.devices:
            raise CallFailed(cudaError_t.cudaErrorInvalidDevice)

    def cudaDeviceReset(self):
        """Cures only some errors: for the others NVIDIA demands a new process."""
        if self._ruined in FATAL:
            return (self._ruined,)
        self._ruined = None
        for owned in (self.allocations, self.streams, self.events, self.graphs):
            owned.clear()
        return (OK,)

    @cuda_call
    def cudaGetDeviceProperties(self, index):
        major, minor = self.capability
        name = self.gpu.encode() + b"\0"
        return SimpleNamespace(name=name, major=major, minor=minor, integrated=int(self.integrated))

    @cuda_call
    def cudaDriverGetVersion(self):
        return self.driver

    def cudaRuntimeGetVersion(self):
        return OK, self.runtime_version

    @cuda_call
    def cudaMemGetInfo(self):
        used = sum(allocation.nbytes for allocation in self.allocations.values() if allocation.kind == "device")
        return self.memory - used, self.memory

    @cuda_call
    def cudaDeviceGetStreamPriorityRange(self):
        return 0, -5

    def cudaGetErrorString(self, error):
        return OK, f"text of {error.name}".encode()

    # Memory

    @cuda_call
    def cudaMalloc(self, nbytes):
        if nbytes > self.memory:
            raise CallFailed(cudaError_t.cudaErrorMemoryAllocation)
        return self._allocate("device", nbytes)

    @cuda_call
    def cudaHostAlloc(self, nbytes, flags):
        return self._allocate("mapped" if flags == self.cudaHostAllocMapped else "host", nbytes)

    @cuda_call
    def cudaHostGetDevicePointer(self, address, flags):
        assert flags == 0
        assert self.allocations[address].kind == "mapped", "only mapped memory has a device address"
        return address

    def cudaFree(self, address):
        return self._free(address, ("device",))

    def cudaFreeHost(self, address):
        return self._free(address, ("host", "mapped"))

    @cuda_call
    def cudaMemcpyAsync(self, target, source, nbytes, kind, stream):
        upload = kind == cudaMemcpyKind.cudaMemcpyHostToDevice
        ends = ("device",), ("host", "mapped")
        for address, kinds in zip((target, source), ends if upload else ends[::-1]):
            allocation = self.live(address, kinds)
            assert address + nbytes <= allocation.address + allocation.nbytes, "the copy exceeds its allocation"
        self.put(stream.handle, "upload" if upload else "download", lambda: ctypes.memmove(target, source, nbytes))

    def _allocate(self, kind: str, nbytes: int) -> int:
        assert not any(stream.capture is not None for stream in self.streams.values()), "no allocation during capture"
        assert nbytes > 0
        owner = np.full(nbytes + ALIGNMENT, 0xCD, np.uint8)  # fresh memory is not zero
        address = -(-owner.ctypes.data // ALIGNMENT) * ALIGNMENT
        self.allocations[address] = Allocation(kind, address, nbytes, owner)
        return address

    def _free(self, address: int, kinds: tuple[str, ...]):
        if self._ruined is not None:
            return (self._ruined,)
        assert self.allocations[address].kind in kinds, "freed by the function for another type of memory"
        del self.allocations[address]
        return (OK,)

    # Streams and events

    @cuda_call
    def cudaStreamCreateWithPriority(self, flags, priority):
        assert flags == self.cudaStreamNonBlocking, "a blocking stream waits for the default stream"
        assert -5 <= priority <= 0
        self._next += 16
        stream = self.streams[self._next] = FakeStream(self._next, priority)
        return stream

    def cudaStreamDestroy(self, stream):
        self.streams.pop(stream.handle, None)
        return (OK,)

    @cuda_call
    def cudaEventCreateWithFlags(self, flags):
        event = FakeEvent()
        self.events.add(id(event))
        return event

    def cudaEventDestroy(self, event):
        self.events.discard(id(event))
        return (OK,)

    @cuda_call
    def cudaEventRecord(self, event, stream):
        assert stream.capture is None, "this project records no events into graphs"
        assert id(event) in self.events, "the event was destroyed"
        event.stream, event.recorded, event.polled = stream, event.recorded + 1, 0
        stream.work.append((event, event.recorded))

    @cuda_call
    def cudaEventQuery(self, event):
        """Not ready at the first query; from the second on, as far as the work can be done."""
        event.polled += 1
        if not self.hang and event.polled > 1:
            if event.stream is not None:
                self._run(event.stream)
            if event.reached == event.recorded:
                return
        raise CallFailed(cudaError_t.cudaErrorNotReady)

    @cuda_call
    def cudaStreamWaitEvent(self, stream, event, flags):
        stream.work.append((None, (event, event.recorded)))

    def _run(self, stream: FakeStream) -> bool:
        """Do a stream's work in order; False when it waits for an event that is not reached."""
        while stream.work:
            name, work = stream.work[0]
            if name is None:
                event, wanted = work
                if event.reached < wanted and not (
                    event.stream and self._run(event.stream) and event.reached >= wanted
                ):
                    return False
            elif isinstance(name, FakeEvent):
                name.reached = work
            else:
                self.order.append(name)
                work()
            stream.work.popleft()
        return True

    # Graphs

    @cuda_call
    def cudaStreamBeginCapture(self, stream, mode):
        stream.capture = []

    @cuda_call
    def cudaStreamEndCapture(self, stream):
        recorded, stream.capture = stream.capture, None
        assert recorded is not None, "the stream was not being captured"
        return self._graph(recorded)

    @cuda_call
    def cudaGraphInstantiate(self, graph, flags):
        assert flags == 0
        assert id(graph) in self.graphs
        return self._graph(graph.work)

    @cuda_call
    def cudaGraphLaunch(self, graph, stream):
        assert id(graph) in self.graphs, "the graph was destroyed"
        for name, work in graph.work:
            self.put(stream.handle, name, work)

    def cudaGraphDestroy(self, graph):
        self.graphs.discard(id(graph))
        return (OK,)

    def cudaGetLastError(self):
        """The last error of this thread, which is forgotten with this call."""
        error, self.last_error = self.last_error, OK
        return (error,)

    cudaGraphExecDestroy = cudaGraphDestroy

    def _graph(self, work):
        graph = SimpleNamespace(work=list(work))
        self.graphs.add(id(graph))
        self._kept.append(graph)
        return graph
