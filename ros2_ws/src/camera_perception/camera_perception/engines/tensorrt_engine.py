"""A TensorRT engine behind the engine protocol: pinned buffers, three streams, CUDA graphs, no allocation per frame.

A frame is one upload, one network, one download, each in a stream of its own and held together by events: while the
network works on one frame, the next is uploaded. All outputs lie in one block, so that they come back in one copy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
import tensorrt as trt

from camera_perception.engines import Tensor, cuda
from camera_perception.engines.cuda_kernel import Kernel
from camera_perception.engines.cuda_letterbox import SlotLetterbox, compiled_for
from camera_perception.engines.graph import check_input, check_names, check_outputs, engine_id, wanted_outputs
from camera_perception.engines.slots import FreeSlots
from camera_perception.engines.tensorrt_errors import meaning
from camera_perception.engines.tensorrt_log import LOGGER, ErrorRecorder
from camera_perception.engines.tensorrt_slot import TensorRtSlot
from camera_perception.errors import EngineError
from camera_perception.model_spec import ModelSpec

log = logging.getLogger(__name__)
INPUT = trt.TensorIOMode.INPUT


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
        device: cuda.Device,
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
        self._build, self.built_at = build, built_at
        self._recorder = ErrorRecorder()
        self._open(plan)
        self.input, tensors = _tensors(self._engine, spec)
        self.outputs: dict[str, Tensor] = {name: tensors[name] for name in wanted_outputs(spec)}
        check_outputs(spec, self.outputs)
        self._closed = False
        self._bound: TensorRtSlot | None = None
        self._slots: list[TensorRtSlot] = []
        self._streams: list[cuda.Stream] = []
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
            self._enqueue(slot)
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
            if self._recorder.num_errors():
                raise self._failure()

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
        del self._context, self._engine, self._runtime  # in this order

    def _open(self, plan: bytes) -> None:
        LOGGER.take()
        self._runtime = trt.Runtime(LOGGER)
        self._runtime.error_recorder = self._recorder
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._failure("the engine cannot be loaded")
        self._engine = engine
        context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.STATIC)
        if context is None:
            raise self._failure("the engine cannot be started")
        self._context = context

    def _allocate(self, outputs: Iterable[Tensor], priority: int) -> None:
        outputs = [tensor for tensor in outputs if tensor.name != self.input.name]
        for _ in range(3):  # upload, compute, download
            self._streams.append(cuda.Stream(priority))
        for _ in range(self.slots):
            slot = TensorRtSlot(self.input, outputs, self.outputs, self.mapped)
            self._slots.append(slot)
            if self._kernel is not None:
                slot.let_gpu_letterbox(SlotLetterbox(self.spec.input, self._kernel))

    def _warm_up(self, graph: bool) -> None:
        """The first launch is slow, and a graph may only be recorded after one."""
        compute = self._streams[1]
        if not self._context.set_optimization_profile_async(0, compute.handle):
            raise self._failure("the engine cannot be started")
        if not self._context.set_input_shape(self.input.name, self.input.shape):
            raise self._failure(f"the engine does not take {self.input.shape}")
        for slot in self._slots:
            self.submit(slot)
            self.wait(slot)
            if graph:
                slot.graph = self._record(slot, compute)

    def _record(self, slot: TensorRtSlot, stream: cuda.Stream) -> cuda.Graph | None:
        try:
            return cuda.Graph(stream, lambda: self._enqueue(slot))
        except EngineError as error:
            log.warning("this engine cannot be replayed as a CUDA graph and runs a little slower: %s", error)
            self._recorder.clear()
            return None

    def _enqueue(self, slot: TensorRtSlot) -> None:
        if self._bound is not slot:
            for name, address in slot.addresses.items():
                if not self._context.set_tensor_address(name, address):
                    raise self._failure(f"tensor '{name}' cannot be bound")
            self._bound = slot
        if not self._context.execute_async_v3(self._streams[1].handle):
            raise self._failure("the network failed on a frame")

    def _failure(self, what: str = "the network failed on a frame") -> EngineError:
        return EngineError(f"{what}: {meaning([*self._recorder.take(), *LOGGER.take()], self._build)}")


def _tensors(engine: trt.ICudaEngine, spec: ModelSpec) -> tuple[Tensor, dict[str, Tensor]]:
    """The image input and all outputs, checked against model.json."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == INPUT]
    outputs = [name for name in names if name not in inputs]
    check_names(spec, inputs, outputs)
    check_input(spec, engine.get_tensor_shape(inputs[0]), _dtype(engine, inputs[0]).name)
    batch = spec.input.batch
    tensors = {}
    for name in outputs:
        first, *rest = engine.get_tensor_shape(name)
        tensors[name] = Tensor(name, (batch if first == -1 else first, *rest), _dtype(engine, name))
    return Tensor(inputs[0], spec.input.shape, _dtype(engine, inputs[0])), tensors


def _dtype(engine: trt.ICudaEngine, name: str) -> np.dtype:
    try:
        return np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
    except TypeError as error:
        raise EngineError(
            f"tensor '{name}' of the engine has a type that NumPy lacks ({error}): export it as float32"
        ) from error
