"""TensorRT engine: page-locked buffers, three streams, CUDA graphs, no allocation per frame.

A frame is one upload, one network, one download, each in a stream of its own and ordered by events: while the network
works on one frame, the next is uploaded. All outputs are in one block and are downloaded in one copy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import EngineInfo, Tensor
from camera_perception.engines.cuda import runtime
from camera_perception.engines.cuda.kernel import Kernel
from camera_perception.engines.cuda.letterbox import SlotLetterbox, letterbox_kernel
from camera_perception.engines.slots import FreeSlots
from camera_perception.engines.tensorrt.package import backend, trt
from camera_perception.engines.tensorrt.plan import Network
from camera_perception.engines.tensorrt.slot import TensorRtSlot
from camera_perception.engines.validate import check_outputs, engine_id, required_outputs

log = logging.getLogger(__name__)


class TensorRtEngine:
    """See engines.Engine.

    spec       of the variant (fp16, int8, ...) that the plan was built from
    mapped     memory shared by CPU and GPU instead of copies
    graph      record each slot's work once and replay it; falls back to plain launches where recording fails
    background low stream priority: other networks on the same GPU go first
    letterbox  slots accept source images, which the GPU letterboxes
    build      the command that builds such an engine, for error messages
    built_at   time of the build, ISO 8601
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
        self.spec, self.slots = spec, slots
        self.info = _info(spec, device, built_at)
        self._network = Network(plan, build)
        self.input, tensors = self._network.tensors(spec)
        self.outputs: dict[str, Tensor] = {name: tensors[name] for name in required_outputs(spec)}
        check_outputs(spec, self.outputs)
        self._closed = False
        self._slots: list[TensorRtSlot] = []
        self._streams: list[runtime.Stream] = []
        self._kernel: Kernel | None = None
        try:
            self._kernel = letterbox_kernel(spec.input, device.compute_capability) if letterbox else None
            self._allocate(tensors.values(), mapped, int(background))
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
        compute.wait_for(slot.uploaded)
        if slot.graph is None:
            self._network.enqueue(slot.addresses, compute)
        else:
            slot.graph.launch(compute)
        slot.computed.record(compute)
        download.wait_for(slot.computed)
        slot.output_block.memory.download(download)
        slot.done.record(download)

    def wait(self, slot: TensorRtSlot) -> None:
        if slot.busy:
            slot.done.wait()
            slot.busy = False
            if self._network.recorder.get_num_errors():
                raise self._network.failure()

    def release(self, slot: TensorRtSlot) -> None:
        try:
            self.wait(slot)
        finally:
            self._free.release(slot)

    def close(self) -> None:
        """Wait for the GPU and free everything; may be called twice, and after a failure."""
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

    def _allocate(self, outputs: Iterable[Tensor], mapped: bool, priority: int) -> None:
        outputs = [tensor for tensor in outputs if tensor.name != self.input.name]
        for _ in range(3):  # upload, compute, download
            self._streams.append(runtime.Stream(priority))
        for _ in range(self.slots):
            letterbox = SlotLetterbox(self.spec.input, self._kernel) if self._kernel is not None else None
            self._slots.append(TensorRtSlot(self.input, outputs, self.outputs, mapped, letterbox))

    def _warm_up(self, graph: bool) -> None:
        """Run each slot once: the first launch is slow, and a graph may only be recorded after one."""
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
            log.warning("this engine cannot be recorded as a CUDA graph and runs a little slower: %s", error)
            self._network.forget_errors()
            return None


def _info(spec: ModelSpec, device: runtime.Device, built_at: str) -> EngineInfo:
    name = f"{backend()} {spec.precision} {device.name}"
    return EngineInfo(
        name=name,
        engine_id=engine_id(spec, name, trt.__version__, device.compute_capability),
        backend=backend(),
        backend_version=trt.__version__,
        precision=spec.precision,
        device=device.name,
        cuda_version=str(device.driver_major),
        built_at=built_at,
    )
