"""OpenVINO backend for Intel and Arm CPUs: float32, or bfloat16 where the hardware has it (AMX, AVX512-BF16)."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

from camera_perception.core.errors import EngineError
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

CPUINFO = Path("/proc/cpuinfo")
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16", "svebf16"}  # of x86 and of Arm
PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}  # ours: OpenVINO's


def without_telemetry() -> None:
    """Call before `import openvino`: otherwise that forks a process, which reports the import to Google Analytics.

    openvino uses its stub when the package openvino_telemetry cannot be imported.
    """
    sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))


without_telemetry()


def available() -> str | None:
    """Why this backend cannot be used here, or None."""
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        return f"openvino cannot be imported ({error}): pip install openvino"
    return None


def precisions(device: str = "CPU") -> tuple[str, ...]:
    """Precisions that the device computes in hardware, the fastest first: bf16 where it is supported, and fp32.

    OpenVINO names bf16 for every CPU with AVX512 and emulates it there, which is slower than fp32.
    """
    import openvino

    capabilities = openvino.Core().get_property(device, "OPTIMIZATION_CAPABILITIES")
    found = tuple(p for p, name in (("bf16", "BF16"), ("fp32", "FP32")) if name in capabilities)
    return ("fp32",) if device == "CPU" and "bf16" in found and not has_bf16(CPUINFO) else found


def has_bf16(cpuinfo: Path) -> bool:
    """Whether the processor has instructions for bf16; true where its file in /proc does not tell."""
    try:
        lines = cpuinfo.read_text("utf-8").splitlines()
    except OSError:
        return True
    flags = next((line.split() for line in lines if line.startswith(("flags", "Features"))), None)
    return flags is None or not BF16_FLAGS.isdisjoint(flags)


def load(
    spec: ModelSpec,
    *,
    slots: int = 1,
    threads: int = 0,
    letterbox: bool = False,
    precision: str = "auto",
    device: str = "CPU",
) -> OpenVinoEngine:
    """Compile the model.

    slots     frames in flight, one asynchronous infer request each
    threads   CPU threads; 0 = all cores
    letterbox ignored: the CPU preprocesses
    precision "fp32", "bf16", "fp16", or "auto" = bf16 where the CPU has it
    """
    if reason := available():
        raise EngineError(reason)
    return OpenVinoEngine(spec, check_slots(slots), threads, _precision(precision, device), device)


def _precision(precision: str, device: str) -> str:
    has = precisions(device)
    if precision == "auto":
        return has[0]
    if precision not in PRECISIONS:
        raise EngineError(f"unknown precision '{precision}' for openvino: expected auto, {', '.join(PRECISIONS)}")
    if precision == "bf16" and "bf16" not in has:
        raise EngineError("this CPU has no bf16 arithmetic (AMX or AVX512-BF16): use precision fp32")
    return precision


class OpenVinoSlot(HostSlot):
    """An infer request that reads and writes the slot's buffers."""

    def __init__(self, engine: OpenVinoEngine, compiled: Any) -> None:
        import openvino

        super().__init__(engine.input, engine.outputs)
        self.request = compiled.create_infer_request()
        self.request.set_tensor(engine.input.name, openvino.Tensor(self.images, shared_memory=True))
        for name, buffer in self.outputs.items():
            self.request.set_tensor(name, openvino.Tensor(buffer, shared_memory=True))


class OpenVinoEngine:
    """See engines.Engine."""

    def __init__(self, spec: ModelSpec, slots: int, threads: int, precision: str, device: str) -> None:
        import openvino

        core = openvino.Core()
        model = _read(core, spec)
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": PRECISIONS[precision]}
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = core.compile_model(model, device, config)
        except RuntimeError as error:
            raise EngineError(
                f"openvino cannot compile {spec.onnx_path} ({_cause(error)}): use another backend"
            ) from error
        self.input = tensor(spec.input.name, spec.input.shape, spec.input.dtype)
        self.outputs: dict[str, Tensor] = _output_tensors(spec, compiled)
        check_outputs(spec, self.outputs)
        self.info = _info(spec, precision, device.lower())
        self.spec, self.slots = spec, slots
        self._free = FreeSlots([OpenVinoSlot(self, compiled) for _ in range(slots)])

    def acquire(self) -> OpenVinoSlot:
        return self._free.acquire()

    def submit(self, slot: OpenVinoSlot) -> None:
        slot.request.start_async()

    def wait(self, slot: OpenVinoSlot) -> None:
        try:
            slot.request.wait()
        except RuntimeError as error:
            raise EngineError(f"openvino failed on a frame ({_cause(error)}): load the engine again") from error

    def release(self, slot: OpenVinoSlot) -> None:
        self.wait(slot)
        self._free.release(slot)

    def close(self) -> None:
        """Nothing to do: the requests are freed with the object."""


def _info(spec: ModelSpec, precision: str, device: str) -> EngineInfo:
    import openvino

    version = openvino.__version__
    name = f"openvino {precision} {device}"
    return EngineInfo(
        name=name,
        engine_id=engine_id(spec, name, version),
        backend="openvino",
        backend_version=version,
        precision=precision,
        device=device,
    )


def _read(core: Any, spec: ModelSpec) -> Any:
    """The graph with the batch size of model.json, checked against it."""
    try:
        model = core.read_model(str(spec.onnx_path))
    except RuntimeError as error:
        raise EngineError(f"openvino cannot read {spec.onnx_path} ({_cause(error)}): export the model again") from error
    check_names(
        spec, (_name(port) for port in model.inputs), (name for port in model.outputs for name in port.get_names())
    )
    shape = [size.get_length() if size.is_static else "?" for size in model.inputs[0].get_partial_shape()]
    check_input(spec, shape, _dtype(model.inputs[0]).name)
    if model.inputs[0].get_partial_shape().is_dynamic:
        model.reshape({spec.input.name: list(spec.input.shape)})
    return model


def _output_tensors(spec: ModelSpec, compiled: Any) -> dict[str, Tensor]:
    ports = {name: compiled.output(name) for name in required_outputs(spec)}
    for name, port in ports.items():
        if port.get_partial_shape().is_dynamic:
            raise EngineError(
                f"output '{name}' of {spec.onnx_path} has no fixed shape: export the model with static shapes"
            )
    return {name: tensor(name, port.get_shape(), _dtype(port)) for name, port in ports.items()}


def _dtype(port: Any) -> np.dtype:
    dtype: np.dtype = np.dtype(port.get_element_type().to_dtype())
    return dtype


def _name(port: Any) -> str:
    return str(port.get_any_name())


def _cause(error: BaseException) -> str:
    """OpenVINO's messages begin with file names; the last line has the cause."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
