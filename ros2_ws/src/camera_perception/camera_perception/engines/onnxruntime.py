"""ONNX Runtime backend: runs everywhere, and on CUDA where that provider is installed.

Inputs and outputs are bound once to fixed buffers (IO binding), so that a frame allocates nothing here.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from camera_perception.core.errors import EngineError, ModelError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import EngineInfo, Tensor
from camera_perception.engines.slots import FreeSlots, HostSlot
from camera_perception.engines.validate import (
    check_input,
    check_names,
    check_outputs,
    check_slots,
    engine_id,
    required_outputs,
    tensor,
)

DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
}


def available() -> str | None:
    """Why this backend cannot be used here, or None."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        return f"onnxruntime cannot be imported ({error}): pip install onnxruntime"
    return None


def load(
    spec: ModelSpec,
    *,
    slots: int = 1,
    threads: int = 0,
    letterbox: bool = False,
    device: str = "auto",
    spin: bool = True,
    device_id: int = 0,
    fuse: bool = True,
) -> OnnxRuntimeEngine:
    """Open the model.

    slots     frames in flight; a worker thread computes while the caller fills the next slot
    threads   CPU threads for one frame; 0 = all cores
    letterbox ignored: the CPU preprocesses
    device    "cpu", "cuda", or "auto" = cuda where the provider is installed
    spin      let idle threads busy-wait: a little faster, costs CPU time between frames
    fuse      False computes 8-bit networks exactly as written: slower, without ONNX Runtime's additional rounding
    """
    if reason := available():
        raise EngineError(reason)
    session = _session(spec, threads, _device(device), spin, device_id, fuse and spec.precision != "fp8")
    return OnnxRuntimeEngine(spec, check_slots(slots), session)


def _device(device: str) -> str:
    import onnxruntime

    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "auto":
        return "cuda" if has_cuda else "cpu"
    if device not in ("cpu", "cuda"):
        raise EngineError(f"unknown device '{device}' for onnxruntime: expected auto, cpu, cuda")
    if device == "cuda" and not has_cuda:
        raise EngineError("this onnxruntime has no CUDA provider: pip install onnxruntime-gpu, or use device 'cpu'")
    return device


def _session(spec: ModelSpec, threads: int, device: str, spin: bool, device_id: int, fuse: bool) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; they arrive as exceptions too
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.add_free_dimension_override_by_name("batch", spec.input.batch)
    if not fuse:  # 1.31 treats fp8 as int8 where it fuses Q and DQ, and quantises biases by scales too small for fp16
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device_id}))
    try:
        return onnxruntime.InferenceSession(str(spec.onnx_path), options, providers=providers)
    except Exception as error:  # ONNX Runtime raises a dozen types without a common parent
        raise EngineError(
            f"onnxruntime cannot load {spec.onnx_path} ({_cause(error)}): export the model again"
        ) from error


class OnnxRuntimeSlot(HostSlot):
    """Buffers and their binding to the session."""

    def __init__(self, engine: OnnxRuntimeEngine) -> None:
        super().__init__(engine.input, engine.outputs)
        self.binding = engine.session.io_binding()
        _bind(self.binding.bind_input, engine.input.name, self.images)
        for name, buffer in self.outputs.items():
            _bind(self.binding.bind_output, name, buffer)
        self.pending: Future[None] | None = None


class OnnxRuntimeEngine:
    """See engines.Engine."""

    def __init__(self, spec: ModelSpec, slots: int, session: Any) -> None:
        self.spec, self.session = spec, session
        inputs, outputs = session.get_inputs(), session.get_outputs()
        check_names(spec, (i.name for i in inputs), (o.name for o in outputs))
        check_input(spec, inputs[0].shape, DTYPES.get(inputs[0].type, inputs[0].type))
        self.input = tensor(spec.input.name, spec.input.shape, spec.input.dtype)
        self.outputs: dict[str, Tensor] = _output_tensors(spec, session, self.input)
        check_outputs(spec, self.outputs)
        self.info = _info(spec, "cuda" if "CUDAExecutionProvider" in session.get_providers() else "cpu")
        self.slots = slots
        self._free = FreeSlots([OnnxRuntimeSlot(self) for _ in range(slots)])
        self._worker = ThreadPoolExecutor(1, "onnxruntime")

    def acquire(self) -> OnnxRuntimeSlot:
        return self._free.acquire()

    def submit(self, slot: OnnxRuntimeSlot) -> None:
        """Start computing in the engine's own thread."""
        try:
            slot.pending = self._worker.submit(self._compute, slot)
        except RuntimeError as error:  # after close()
            raise EngineError("this onnxruntime engine is closed: load it again") from error

    def wait(self, slot: OnnxRuntimeSlot) -> None:
        if slot.pending is not None:
            pending, slot.pending = slot.pending, None
            pending.result()

    def release(self, slot: OnnxRuntimeSlot) -> None:
        self.wait(slot)
        self._free.release(slot)

    def close(self) -> None:
        self._worker.shutdown()

    def _compute(self, slot: OnnxRuntimeSlot) -> None:
        try:
            self.session.run_with_iobinding(slot.binding)
        except Exception as error:  # see _session
            raise EngineError(f"onnxruntime failed on a frame ({_cause(error)}): load the engine again") from error


def _info(spec: ModelSpec, device: str) -> EngineInfo:
    import onnxruntime

    version = onnxruntime.__version__
    name = f"onnxruntime {device}"
    precision = "tf32" if device == "cuda" else "fp32"  # what the CUDA provider computes by default
    return EngineInfo(
        name=name,
        engine_id=engine_id(spec, name, version, precision),
        backend="onnxruntime",
        backend_version=version,
        precision=precision,
        device=device,
    )


def _output_tensors(spec: ModelSpec, session: Any, images: Tensor) -> dict[str, Tensor]:
    """Shapes as they come out of one run, which also warms up; symbolic shapes are not enough to allocate buffers."""
    names = list(required_outputs(spec))
    try:
        arrays = session.run(names, {images.name: np.zeros(images.shape, images.dtype)})
    except Exception as error:  # see _session
        raise ModelError(
            f"{spec.onnx_path} fails on a grey image of shape {images.shape} ({_cause(error)}): "
            "correct the input section of model.json or export the model again"
        ) from error
    return {name: tensor(name, array.shape, array.dtype) for name, array in zip(names, arrays)}


def _bind(bind: Any, name: str, buffer: np.ndarray) -> None:
    bind(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)


def _cause(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
