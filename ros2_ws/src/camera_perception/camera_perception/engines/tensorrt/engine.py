"""A TensorRT engine behind the engine protocol: pinned buffers, three streams, CUDA graphs, no allocation per frame.

A frame is one upload, one network, one download, each in a stream of its own and held together by events: while the
network works on one frame, the next is uploaded. All outputs lie in one block, so that they come back in one copy.

The memory of a frame in flight: two blocks, three marks, one recorded graph.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from math import prod

import numpy as np
import tensorrt as trt

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import Tensor
from camera_perception.engines.cuda import runtime
from camera_perception.engines.cuda.letterbox import Kernel, SlotLetterbox, compiled_for
from camera_perception.engines.cuda.memory import Twin, aligned
from camera_perception.engines.slots import FreeSlots
from camera_perception.engines.tensorrt.plan import Network
from camera_perception.engines.validate import check_outputs, engine_id, wanted_outputs
from camera_perception.image.letterbox import Letterbox


class Block:
    """Tensors side by side in one piece of memory, each at an address that TensorRT takes."""

    def __init__(self, tensors: Iterable[Tensor], mapped: bool) -> None:
        tensors, offsets, end = list(tensors), [], 0
        for tensor in tensors:
            offsets.append(end)
            end += aligned(prod(tensor.shape) * tensor.dtype.itemsize)
        self.memory = Twin(end, mapped=mapped)
        self.arrays = {t.name: self.memory.host.array(at, t.shape, t.dtype) for t, at in zip(tensors, offsets)}
        self.addresses = {t.name: self.memory.address + at for t, at in zip(tensors, offsets)}


class TensorRtSlot:
    """See engines.Slot."""

    def __init__(self, image: Tensor, outputs: Iterable[Tensor], wanted: Iterable[str], mapped: bool) -> None:
        self.taken, self.given = Block([image], mapped), Block(outputs, mapped)
        self.images = self.taken.arrays[image.name]
        self.outputs = {name: self.given.arrays[name] for name in wanted}
        self.addresses = {**self.taken.addresses, **self.given.addresses}
        self.uploaded, self.computed, self.done = runtime.Event(), runtime.Event(), runtime.Event()
        self.graph: runtime.Graph | None = None
        self.busy = False
        self.take: Callable[[np.ndarray], Letterbox] | None = None
        self._letterbox: SlotLetterbox | None = None
        self._image = image.name

    def let_gpu_letterbox(self, letterbox: SlotLetterbox) -> None:
        """From now on `take` takes source images; `images` can still be written instead."""
        self._letterbox, self.take = letterbox, letterbox.take

    def upload(self, stream: runtime.Stream) -> None:
        """The source image where one was taken, else the network's input as it is."""
        if self._letterbox is not None and self._letterbox.full:
            self._letterbox.upload(self.addresses[self._image], stream)
        else:
            self.taken.memory.upload(stream)

    def close(self) -> None:
        if self.graph is not None:
            self.graph.close()
        if self._letterbox is not None:
            self._letterbox.close()
        for event in (self.uploaded, self.computed, self.done):
            event.close()
        self.taken.memory.close()
        self.given.memory.close()


log = logging.getLogger(__name__)


class TensorRtEngine:
    """See engines.Engine.

    spec       of the variant (fp16, int8, ...) that the plan was built from
    mapped     memory that CPU and GPU share instead of copies
    graph      record each slot's work once and replay it; falls back to plain launches where that is refused
    background low stream priority: gives way to other networks on the same GPU
    built_at   when the plan was made, ISO 8601
    letterbox  slots take source images as they are, and the GPU letterboxes them
    """

    def __init__(
        self,
        plan: bytes,
        spec: ModelSpec,
        device: runtime.Device,
        *,
        slots: int = 1,
        mapped: bool = False,
        graph: bool = True,
        background: bool = False,
        letterbox: bool = False,
        build: str = "camera-perception build-engine",
        built_at: str = "",
    ) -> None:
        self.spec, self.device, self.slots, self.mapped = spec, device, slots, mapped
        self.precision = spec.precision
        self.name = f"tensorrt {spec.precision} {device.name}"
        self.engine_id = engine_id(spec, self.name, trt.__version__, device.compute_capability)
        self.built_at = built_at
        self._network = Network(plan, build)
        self.input, tensors = self._network.tensors(spec)
        self.outputs: dict[str, Tensor] = {name: tensors[name] for name in wanted_outputs(spec)}
        check_outputs(spec, self.outputs)
        self._closed = False
        self._slots: list[TensorRtSlot] = []
        self._streams: list[runtime.Stream] = []
        self._kernel: Kernel | None = None
        try:
            self._kernel = compiled_for(spec.input) if letterbox else None
            self._allocate(tensors.values(), int(background))
            self._warm_up(graph)
        except EngineError:
            self.close()
            raise
        self._free = FreeSlots(self._slots)

    def acquire(self) -> TensorRtSlot:
        return self._free.acquire()

    def submit(self, slot: TensorRtSlot) -> None:
        upload, compute, download = self._streams
        slot.busy = True
        slot.upload(upload)
        slot.uploaded.record(upload)
        slot.uploaded.hold(compute)
        if slot.graph is None:
            self._network.enqueue(slot.addresses, compute)
        else:
            slot.graph.launch(compute)
        slot.computed.record(compute)
        slot.computed.hold(download)
        slot.given.memory.download(download)
        slot.done.record(download)

    def wait(self, slot: TensorRtSlot) -> None:
        if slot.busy:
            slot.done.wait()
            slot.busy = False
            if self._network.recorder.num_errors():
                raise self._network.failure()

    def release(self, slot: TensorRtSlot) -> None:
        try:
            self.wait(slot)
        finally:
            self._free.release(slot)

    def close(self) -> None:
        """Wait for the GPU and give everything back; may be called twice, and after a failure."""
        if self._closed:
            return
        self._closed = True
        for slot in self._slots:
            try:
                self.wait(slot)
            except EngineError as error:
                log.info("while closing: %s", error)
            slot.close()
        for stream in self._streams:
            stream.close()
        if self._kernel is not None:
            self._kernel.close()
        self._network.close()

    def _allocate(self, outputs: Iterable[Tensor], priority: int) -> None:
        outputs = [tensor for tensor in outputs if tensor.name != self.input.name]
        for _ in range(3):  # upload, compute, download
            self._streams.append(runtime.Stream(priority))
        for _ in range(self.slots):
            slot = TensorRtSlot(self.input, outputs, self.outputs, self.mapped)
            self._slots.append(slot)
            if self._kernel is not None:
                slot.let_gpu_letterbox(SlotLetterbox(self.spec.input, self._kernel))

    def _warm_up(self, graph: bool) -> None:
        """The first launch is slow, and a graph may only be recorded after one."""
        compute = self._streams[1]
        self._network.fix_shape(self.input, compute)
        for slot in self._slots:
            self.submit(slot)
            self.wait(slot)
            if graph:
                slot.graph = self._record(slot, compute)

    def _record(self, slot: TensorRtSlot, stream: runtime.Stream) -> runtime.Graph | None:
        try:
            return runtime.Graph(stream, lambda: self._network.enqueue(slot.addresses, stream))
        except EngineError as error:
            log.warning("this engine cannot be replayed as a CUDA graph and runs a little slower: %s", error)
            self._network.recorder.clear()
            return None
