"""What CUDA calls return, as values or as one sentence. All calls of the runtime API go through here.

cuda-bindings is NVIDIA's own thin wrapper; it imports without a driver, and every call returns (error, *values).
"""

from __future__ import annotations

from typing import Any

from camera_perception.errors import EngineError

REMEDIES = {
    "cudaErrorInsufficientDriver": "no usable NVIDIA driver: install one (nvidia-smi must work)",
    "cudaErrorNoDevice": "no NVIDIA GPU is visible: check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "cudaErrorInvalidDevice": "there is no GPU of that number: check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "cudaErrorMemoryAllocation": "the GPU is out of memory: close other programs, or use a smaller model or batch",
    "cudaErrorDevicesUnavailable": "the GPU is busy or in exclusive mode: close the program that holds it",
    "cudaErrorECCUncorrectable": "the GPU reports a memory defect (ECC): reboot; have it checked if this comes again",
    "cudaErrorLaunchTimeout": "the GPU's watchdog stopped the network: load the engine again",
    "cudaErrorLaunchFailure": "the network crashed on the GPU: load the engine again, build it anew if this repeats",
    "cudaErrorIllegalAddress": "the network left its memory: build the engine anew",
}
# After these nothing works in this process until the device is reset: see use_device.
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
_lost = False


class CudaError(EngineError):
    """A CUDA call failed. `code` is CUDA's name of the error."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(f"{REMEDIES.get(code, text or 'CUDA failed: load the engine again')} ({code})")


def runtime() -> Any:
    from cuda.bindings import runtime

    return runtime


def call(api: Any, result: tuple) -> Any:
    """The values of a CUDA call: none, one, or a tuple."""
    if result[0] != api.cudaError_t.cudaSuccess:
        raise failure(api, result[0])
    return result[1] if len(result) == 2 else result[1:]


def failure(api: Any, error: Any) -> CudaError:
    global _lost
    _lost = _lost or error.name in STICKY
    text = api.cudaGetErrorString(error)[1]
    return CudaError(error.name, text.decode() if isinstance(text, bytes) else str(text))


def recover(api: Any) -> None:
    """After a sticky error every call fails until the device is reset; whatever was on it is lost already."""
    global _lost
    if _lost:
        api.cudaDeviceReset()
        _lost = False
