"""A strict stand-in for cuda.bindings.runtime: host memory plays device memory, and work waits until somebody looks.

Work put into a stream runs only when an event or a stream is asked about it, in the order that events demand: code that
reads a result too early sees old bytes. What the CUDA documentation forbids is an AssertionError; what can go wrong in
the field (`fail`, `hang`) comes back as an error code.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from fake_cuda_types import (
    OK,
    STICKY,
    FakeEvent,
    FakeStream,
    Piece,
    cudaError_t,
    cudaMemcpyKind,
    cudaStreamCaptureMode,
)

ALIGNMENT = 256


class FakeCuda:
    """Everything that cuda.py calls, under CUDA's names. Attributes without "cuda" set the scene."""

    cudaError_t, cudaMemcpyKind, cudaStreamCaptureMode = cudaError_t, cudaMemcpyKind, cudaStreamCaptureMode
    cudaHostAllocDefault, cudaHostAllocMapped, cudaStreamNonBlocking, cudaEventDisableTiming = 0, 2, 1, 2

    def __init__(self) -> None:
        self.gpu, self.capability, self.driver, self.integrated, self.devices = "NVIDIA Orin", (8, 7), 12060, False, 1
        self.memory = 8 << 30
        self.hang = False
        self.calls: dict[str, int] = {}
        self.order: list[str] = []  # what ran on the device: upload, network, download
        self.pieces: dict[int, Piece] = {}
        self.streams: dict[int, FakeStream] = {}
        self.events: set[int] = set()
        self.graphs: set[int] = set()
        self._failures: dict[str, tuple[cudaError_t, int]] = {}
        self._ruined: cudaError_t | None = None
        self._next = 0x5000

    # Setting the scene

    def fail(self, call: str, error: str, after: int = 0) -> None:
        """Let a call come back with an error once, after so many that succeed."""
        self._failures[call] = cudaError_t[error], self.calls.get(call, 0) + after

    def leaks(self) -> dict[str, int]:
        """What was not given back."""
        counts = {"memory": self.pieces, "streams": self.streams, "events": self.events, "graphs": self.graphs}
        return {name: len(owned) for name, owned in counts.items() if owned}

    def live(self, address: int, kinds: tuple[str, ...] = ("device", "mapped")) -> Piece:
        """The allocation that holds an address; used by the network when it runs."""
        for piece in self.pieces.values():
            if piece.kind in kinds and piece.address <= address < piece.address + piece.nbytes:
                return piece
        raise AssertionError(f"address {address:#x} is in no live {' or '.join(kinds)} memory")

    def put(self, handle: int, name: str, work: Callable[[], None]) -> None:
        """Queue device work, or record it while the stream is being captured."""
        stream = self.streams.get(handle)
        assert stream is not None, f"stream {handle:#x} is the default stream or was destroyed"
        (stream.capture if stream.capture is not None else stream.work).append((name, work))

    def capturing(self, handle: int) -> bool:
        return self.streams[handle].capture is not None

    # Devices

    def cudaGetDeviceCount(self):
        return self._done("cudaGetDeviceCount", self.devices)

    def cudaSetDevice(self, index):
        if index >= self.devices:
            return (cudaError_t.cudaErrorInvalidDevice,)
        return self._done("cudaSetDevice")

    def cudaDeviceReset(self):
        self._ruined = None
        for owned in (self.pieces, self.streams, self.events, self.graphs):
            owned.clear()
        return (OK,)

    def cudaGetDeviceProperties(self, index):
        major, minor = self.capability
        name = self.gpu.encode() + b"\0"
        return self._done(
            "cudaGetDeviceProperties",
            SimpleNamespace(name=name, major=major, minor=minor, integrated=int(self.integrated)),
        )

    def cudaDriverGetVersion(self):
        return self._done("cudaDriverGetVersion", self.driver)

    def cudaMemGetInfo(self):
        used = sum(piece.nbytes for piece in self.pieces.values() if piece.kind == "device")
        return self._done("cudaMemGetInfo", self.memory - used, self.memory)

    def cudaDeviceGetStreamPriorityRange(self):
        return self._done("cudaDeviceGetStreamPriorityRange", 0, -5)

    def cudaGetErrorString(self, error):
        return OK, f"text of {error.name}".encode()

    # Memory

    def cudaMalloc(self, nbytes):
        if nbytes > self.memory:
            return cudaError_t.cudaErrorMemoryAllocation, None
        return self._done("cudaMalloc", *self._allocate("device", nbytes))

    def cudaHostAlloc(self, nbytes, flags):
        return self._done(
            "cudaHostAlloc", *self._allocate("mapped" if flags == self.cudaHostAllocMapped else "host", nbytes)
        )

    def cudaHostGetDevicePointer(self, address, flags):
        assert flags == 0
        assert self.pieces[address].kind == "mapped", "only mapped memory has a device address"
        return self._done("cudaHostGetDevicePointer", address)

    def cudaFree(self, address):
        return self._free(address, ("device",))

    def cudaFreeHost(self, address):
        return self._free(address, ("host", "mapped"))

    def cudaMemcpyAsync(self, target, source, nbytes, kind, stream):
        if failure := self._failure("cudaMemcpyAsync"):
            return (failure,)
        upload = kind == cudaMemcpyKind.cudaMemcpyHostToDevice
        ends = ("device",), ("host", "mapped")
        for address, kinds in zip((target, source), ends if upload else ends[::-1]):
            piece = self.live(address, kinds)
            assert address + nbytes <= piece.address + piece.nbytes, "the copy leaves its memory"
        self.put(stream.handle, "upload" if upload else "download", lambda: ctypes.memmove(target, source, nbytes))
        return (OK,)

    # Streams and events

    def cudaStreamCreateWithPriority(self, flags, priority):
        assert flags == self.cudaStreamNonBlocking, "a blocking stream waits for the default stream"
        assert -5 <= priority <= 0
        stream = FakeStream(self._new(), priority)
        self.streams[stream.handle] = stream
        return self._done("cudaStreamCreateWithPriority", stream)

    def cudaStreamDestroy(self, stream):
        self.streams.pop(stream.handle, None)
        return (OK,)

    def cudaStreamSynchronize(self, stream):
        if failure := self._failure("cudaStreamSynchronize"):
            return (failure,)
        self._run(stream)
        return (OK,)

    def cudaEventCreateWithFlags(self, flags):
        event = FakeEvent()
        self.events.add(id(event))
        return self._done("cudaEventCreateWithFlags", event)

    def cudaEventDestroy(self, event):
        self.events.discard(id(event))
        return (OK,)

    def cudaEventRecord(self, event, stream):
        if failure := self._failure("cudaEventRecord"):
            return (failure,)
        assert stream.capture is None, "this project records no events into graphs"
        assert id(event) in self.events, "the event was destroyed"
        event.stream, event.recorded, event.polled = stream, event.recorded + 1, 0
        stream.work.append((event, event.recorded))
        return (OK,)

    def cudaEventQuery(self, event):
        """Not ready at the first look, then as far as the work can be done."""
        if failure := self._failure("cudaEventQuery"):
            return (failure,)
        event.polled += 1
        if self.hang or event.polled == 1:
            return (cudaError_t.cudaErrorNotReady,)
        if event.stream is not None:
            self._run(event.stream)
        return (OK if event.reached == event.recorded else cudaError_t.cudaErrorNotReady,)

    def cudaStreamWaitEvent(self, stream, event, flags):
        if failure := self._failure("cudaStreamWaitEvent"):
            return (failure,)
        stream.work.append((None, (event, event.recorded)))
        return (OK,)

    # Graphs

    def cudaStreamBeginCapture(self, stream, mode):
        if failure := self._failure("cudaStreamBeginCapture"):
            return (failure,)
        stream.capture = []
        return (OK,)

    def cudaStreamEndCapture(self, stream):
        recorded, stream.capture = stream.capture, None
        assert recorded is not None, "the stream was not being captured"
        if failure := self._failure("cudaStreamEndCapture"):
            return failure, None
        return OK, self._graph(recorded)

    def cudaGraphInstantiate(self, graph, flags):
        assert flags == 0
        assert id(graph) in self.graphs
        return self._done(
            "cudaGraphInstantiate", *([] if "cudaGraphInstantiate" in self._failures else [self._graph(graph.work)])
        )

    def cudaGraphLaunch(self, graph, stream):
        if failure := self._failure("cudaGraphLaunch"):
            return (failure,)
        assert id(graph) in self.graphs, "the graph was destroyed"
        for name, work in graph.work:
            self.put(stream.handle, name, work)
        return (OK,)

    def cudaGraphDestroy(self, graph):
        self.graphs.discard(id(graph))
        return (OK,)

    cudaGraphExecDestroy = cudaGraphDestroy

    # Behind the scenes

    def _graph(self, work):
        graph = SimpleNamespace(work=list(work))
        self.graphs.add(id(graph))
        self._kept = [*getattr(self, "_kept", []), graph]  # so that ids stay unique
        return graph

    def _run(self, stream: FakeStream) -> bool:
        """Do a stream's work in order; False when it waits for something that nobody has started."""
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

    def _allocate(self, kind: str, nbytes: int) -> tuple[int, ...]:
        assert not any(stream.capture is not None for stream in self.streams.values()), "no allocation during capture"
        assert nbytes > 0
        if (
            "cudaMalloc" in self._failures
            and kind == "device"
            or "cudaHostAlloc" in self._failures
            and kind != "device"
        ):
            if self._due("cudaMalloc" if kind == "device" else "cudaHostAlloc"):
                return ()
        owner = np.full(nbytes + ALIGNMENT, 0xCD, np.uint8)  # fresh memory is not zero
        address = -(-owner.ctypes.data // ALIGNMENT) * ALIGNMENT
        self.pieces[address] = Piece(kind, address, nbytes, owner)
        return (address,)

    def _free(self, address: int, kinds: tuple[str, ...]):
        if self._ruined is not None:
            return (self._ruined,)
        assert self.pieces[address].kind in kinds, "freed by the function of another kind of memory"
        del self.pieces[address]
        return (OK,)

    def _due(self, call: str) -> bool:
        return call in self._failures and self.calls.get(call, 0) >= self._failures[call][1]

    def _failure(self, call: str) -> cudaError_t | None:
        if self._ruined is not None:
            return self._ruined
        due = self._due(call)
        self.calls[call] = self.calls.get(call, 0) + 1
        if not due:
            return None
        error, _ = self._failures.pop(call)
        if error in STICKY:
            self._ruined = error
        return error

    def _done(self, call: str, *values: Any):
        failure = self._failure(call)
        return (failure, *(None for _ in values or (0,))) if failure else (OK, *values)

    def _new(self) -> int:
        self._next += 16
        return self._next
