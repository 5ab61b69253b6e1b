"""Calls of the CUDA runtime API through cuda-bindings, with errors as one sentence each.

cuda-bindings is NVIDIA's own thin wrapper; it imports without a driver, and every call returns (error, *values).
"""

from __future__ import annotations

from typing import Any

from camera_perception.core.errors import ContextLost, EngineError

REMEDIES = {
    "cudaErrorInsufficientDriver": "no usable NVIDIA driver: install one (nvidia-smi must work)",
    "cudaErrorNoDevice": "no NVIDIA GPU is visible: check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "cudaErrorInvalidDevice": "there is no GPU of that number: check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "cudaErrorMemoryAllocation": "the GPU is out of memory: close other programs, or use a smaller model or batch",
    "cudaErrorDevicesUnavailable": "the GPU is busy or in exclusive mode: close the program that uses it",
    "cudaErrorECCUncorrectable": "the GPU reports a memory defect (ECC): reboot, and have it checked if it recurs",
    "cudaErrorLaunchTimeout": "the GPU's watchdog stopped the network",
    "cudaErrorLaunchFailure": "the network crashed on the GPU",
    "cudaErrorIllegalAddress": "the network accessed memory outside its buffers",
}
# "The process must be terminated and relaunched" (CUDA Runtime API, cudaError_t). cudaDeviceReset is no cure.
FATAL = {
    "cudaErrorHardwareStackError",
    "cudaErrorIllegalAddress",
    "cudaErrorIllegalInstruction",
    "cudaErrorInvalidAddressSpace",
    "cudaErrorInvalidPc",
    "cudaErrorLaunchFailure",
    "cudaErrorLaunchTimeout",
    "cudaErrorMisalignedAddress",
}
# After these nothing works in this process until the device is reset: see reset_lost_context.
STICKY = {"cudaErrorECCUncorrectable", "cudaErrorUnknown"}
_needs_reset = False
_context_lost: ContextLost | None = None


class CudaError(EngineError):
    """A CUDA call failed. `code` is CUDA's name of the error."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(_sentence(code, text or "CUDA failed: load the engine again"))


def _sentence(code: str, text: str) -> str:
    return f"{REMEDIES.get(code, text)} ({code})"


def bindings() -> Any:
    """The module cuda.bindings.runtime, imported when first needed."""
    from cuda.bindings import runtime

    return runtime


def call(api: Any, result: tuple[Any, ...]) -> Any:
    """The values of a CUDA call: none, one, or a tuple. CudaError when it failed."""
    if result[0] != api.cudaError_t.cudaSuccess:
        raise failure(api, result[0])
    return result[1] if len(result) == 2 else result[1:]


def failure(api: Any, error: Any) -> EngineError:
    """The exception for an error code; remembers when the code means that the context is lost."""
    global _needs_reset, _context_lost
    text = api.cudaGetErrorString(error)[1]
    text = text.decode() if isinstance(text, bytes) else str(text)
    if error.name in FATAL:
        cause = _sentence(error.name, text)
        remedy = "restart this program, and build the engine again if this recurs"
        _context_lost = _context_lost or ContextLost(f"{cause}, and no CUDA call of this process works now: {remedy}")
        return _context_lost
    _needs_reset = _needs_reset or error.name in STICKY
    return CudaError(error.name, text)


def reset_lost_context(api: Any) -> None:
    """Reset the device after an error that a reset cures: its memory is lost already. ContextLost after all others."""
    global _needs_reset
    if _context_lost is not None:
        raise _context_lost
    if _needs_reset:
        api.cudaDeviceReset()
        _needs_reset = False
