"""Calls of the CUDA runtime API through cuda-bindings, with errors as one sentence each.

cuda-bindings is NVIDIA's own thin wrapper; it imports without a driver, and every call returns (error, *values).
"""

from __future__ import annotations

from typing import Any

from camera_perception.core.errors import EngineError

REMEDIES = {
    "cudaErrorInsufficientDriver": "no usable NVIDIA driver: install one (nvidia-smi must work)",
    "cudaErrorNoDevice": "no NVIDIA GPU is visible: check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "cudaErrorInvalidDevice": "there is no GPU of that number: check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "cudaErrorMemoryAllocation": "the GPU is out of memory: close other programs, or use a smaller model or batch",
    "cudaErrorDevicesUnavailable": "the GPU is busy or in exclusive mode: close the program that uses it",
    "cudaErrorECCUncorrectable": "the GPU reports a memory defect (ECC): reboot, and have it checked if it recurs",
    "cudaErrorLaunchTimeout": "the GPU's watchdog stopped the network: load the engine again",
    "cudaErrorLaunchFailure": "the network crashed on the GPU: load the engine again, rebuild it if this recurs",
    "cudaErrorIllegalAddress": "the network accessed memory outside its buffers: rebuild the engine",
}
# After these nothing works in this process until the device is reset: see reset_lost_context.
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
_context_lost = False


class CudaError(EngineError):
    """A CUDA call failed. `code` is CUDA's name of the error."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(f"{REMEDIES.get(code, text or 'CUDA failed: load the engine again')} ({code})")


def bindings() -> Any:
    """The module cuda.bindings.runtime, imported when first needed."""
    from cuda.bindings import runtime

    return runtime


def call(api: Any, result: tuple[Any, ...]) -> Any:
    """The values of a CUDA call: none, one, or a tuple. CudaError when it failed."""
    if result[0] != api.cudaError_t.cudaSuccess:
        raise failure(api, result[0])
    return result[1] if len(result) == 2 else result[1:]


def failure(api: Any, error: Any) -> CudaError:
    """The exception for an error code; remembers when the code means that the context is lost."""
    global _context_lost
    _context_lost = _context_lost or error.name in STICKY
    text = api.cudaGetErrorString(error)[1]
    return CudaError(error.name, text.decode() if isinstance(text, bytes) else str(text))


def reset_lost_context(api: Any) -> None:
    """Reset the device after a sticky error: until then every call fails, and its memory is lost already."""
    global _context_lost
    if _context_lost:
        api.cudaDeviceReset()
        _context_lost = False
