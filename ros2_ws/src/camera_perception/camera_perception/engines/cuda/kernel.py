"""The CUDA kernel that letterboxes an image: its source, compiled by NVRTC for the GPU at hand.

Compiled to a cubin, the GPU's own code: PTX, which the driver compiles, is refused by every driver older than NVRTC.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from camera_perception.core.errors import EngineError
from camera_perception.engines.cuda.bindings import CudaError

# One thread per pixel of the target (dw x dh, 3 bytes each). The image fills width x height of it, starting at
# (left, top); the rest becomes pad. swap reverses the colour order.
KERNEL = r"""
__device__ void sample(int at, int target, int source, int* low, int* high, int* weight) {
    float x = (float)((at + 0.5) * ((double)source / target) - 0.5);
    int floor_x = x < 0 ? 0 : (int)x;
    float fraction = x < 0 ? 0.0f : x - (float)floor_x;
    if (floor_x >= source - 1) { floor_x = source - 1; fraction = 0.0f; }
    *low = floor_x;
    *high = floor_x + 1 < source ? floor_x + 1 : floor_x;
    *weight = (int)(fraction * 2048.0f + 0.5f);
}

extern "C" __global__ void letterbox(const unsigned char* image, int columns, int rows, unsigned char* target, int dw,
                                     int dh, int left, int top, int width, int height, int pad, int swap) {
    int u = blockIdx.x * blockDim.x + threadIdx.x, v = blockIdx.y * blockDim.y + threadIdx.y;
    if (u >= dw || v >= dh) return;
    unsigned char* out = target + 3 * (v * dw + u);
    int x = u - left, y = v - top;
    if (x < 0 || y < 0 || x >= width || y >= height) {
        out[0] = out[1] = out[2] = (unsigned char)pad;
        return;
    }
    int x0, x1, wx, y0, y1, wy;
    sample(x, width, columns, &x0, &x1, &wx);
    sample(y, height, rows, &y0, &y1, &wy);
    for (int c = 0; c < 3; ++c) {
        int a = image[3 * (y0 * columns + x0) + c], b = image[3 * (y0 * columns + x1) + c];
        int d = image[3 * (y1 * columns + x0) + c], e = image[3 * (y1 * columns + x1) + c];
        int upper = a * (2048 - wx) + b * wx, lower = d * (2048 - wx) + e * wx;
        out[swap ? 2 - c : c] = (unsigned char)((upper * (2048 - wy) + lower * wy + (1 << 21)) >> 22);
    }
}
"""
TYPES = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, *[ctypes.c_int] * 8)


class Kernel:
    """The letterbox kernel on the current device, of a compute capability; EngineError has the compiler's message."""

    def __init__(self, compute_capability: str) -> None:
        from cuda.bindings import driver

        code = compile_cubin(compute_capability)
        image = np.frombuffer(code, np.uint8)  # alive until the driver has read it
        self._module = checked(driver.cuModuleLoadData(image.ctypes.data))
        self.function = checked(driver.cuModuleGetFunction(self._module, b"letterbox"))

    def close(self) -> None:
        from cuda.bindings import driver

        driver.cuModuleUnload(self._module)


def compile_cubin(compute_capability: str) -> bytearray:
    """KERNEL as machine code for GPUs of a compute capability, such as "8.7"."""
    from cuda.bindings import nvrtc

    try:
        program = checked(nvrtc.nvrtcCreateProgram(KERNEL.encode(), b"letterbox.cu", 0, [], []))
    except RuntimeError as error:  # the library itself is missing
        text = "NVRTC is not installed: pip install nvidia-cuda-nvrtc (CUDA 12: nvidia-cuda-nvrtc-cu12)"
        raise EngineError(text) from error
    try:
        options = [f"--gpu-architecture=sm_{compute_capability.replace('.', '')}".encode()]
        if nvrtc.nvrtcCompileProgram(program, len(options), options)[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            message = bytearray(checked(nvrtc.nvrtcGetProgramLogSize(program)))
            nvrtc.nvrtcGetProgramLog(program, message)
            raise EngineError(f"the letterbox kernel does not compile ({_line(message)})")
        code = bytearray(checked(nvrtc.nvrtcGetCUBINSize(program)))
        checked(nvrtc.nvrtcGetCUBIN(program, code))
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    return code


def _line(message: bytearray) -> str:
    """The compiler's message in one line."""
    return " ".join(message.decode(errors="replace").replace("\0", "").split())[:300]


def checked(result: tuple[Any, ...]) -> Any:
    """The values of a call of the driver API or of NVRTC; CudaError when it failed."""
    error, *values = result
    if int(error):
        raise CudaError(error.name, "the letterbox kernel failed: configure with gpu_letterbox off")
    return values[0] if len(values) == 1 else values
