"""Preprocessing on the GPU: the source image goes up as it is and is letterboxed into the network's input there.

Worth it where the camera is much larger than the network and the CPU is busy. The same steps as preprocess.Preprocessor
(halvings, then bilinear sampling with weights of 11 bits), so that both agree to one or two grey levels.
"""

from __future__ import annotations

import ctypes
from math import prod
from typing import Any

import numpy as np

from camera_perception.engines.cuda import CudaError, DeviceMemory, Stream, Twin
from camera_perception.errors import EngineError
from camera_perception.preprocess import Letterbox, halvings

# One thread per pixel of the target (dw x dh, 3 bytes each). The image fills width x height of it from (left, top);
# the rest becomes pad. swap reverses the colour order.
KERNEL = r"""
__device__ void place(int at, int target, int source, int* low, int* high, int* weight) {
    float x = (float)((at + 0.5) * ((double)source / target) - 0.5);
    int floor_x = x < 0 ? 0 : (int)x;
    float part = x < 0 ? 0.0f : x - (float)floor_x;
    if (floor_x >= source - 1) { floor_x = source - 1; part = 0.0f; }
    *low = floor_x;
    *high = floor_x + 1 < source ? floor_x + 1 : floor_x;
    *weight = (int)(part * 2048.0f + 0.5f);
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
    place(x, width, columns, &x0, &x1, &wx);
    place(y, height, rows, &y0, &y1, &wy);
    for (int c = 0; c < 3; ++c) {
        int a = image[3 * (y0 * columns + x0) + c], b = image[3 * (y0 * columns + x1) + c];
        int d = image[3 * (y1 * columns + x0) + c], e = image[3 * (y1 * columns + x1) + c];
        int upper = a * (2048 - wx) + b * wx, lower = d * (2048 - wx) + e * wx;
        out[swap ? 2 - c : c] = (unsigned char)((upper * (2048 - wy) + lower * wy + (1 << 21)) >> 22);
    }
}
"""
BLOCK = 32, 8  # threads
TYPES = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, *[ctypes.c_int] * 8)


class DeviceLetterbox:
    """Letterboxes images of one size. Owns its staging and halving buffers: nothing is allocated per frame."""

    def __init__(self, box: Letterbox, pad: int = 114, rgb: bool = False) -> None:
        self.box, self._pad, self._rgb = box, pad, int(rgb)
        self._kernel = compile_kernel()
        self._stage = Twin(prod(box.image_size) * 3)
        self.image = self._stage.host.array(0, (*box.image_size, 3), np.dtype(np.uint8))
        self._sizes = halvings(box)
        self._halves = [DeviceMemory(prod(size) * 3) for size in self._sizes]

    def __call__(self, target: int, stream: Stream) -> None:
        """self.image -> the (H, W, 3) uint8 device memory at address target; in the stream, not waited for."""
        self._stage.upload(stream)
        source, size = self._stage.address, self.box.image_size
        for half, half_size in zip(self._halves, self._sizes):
            self._launch(stream, source, size, half.address, half_size, (0, 0, half_size[1], half_size[0]), 0)
            source, size = half.address, half_size
        box = self.box
        place = box.left, box.top, box.width, box.height
        self._launch(stream, source, size, target, box.input_size, place, self._rgb)

    def _launch(
        self,
        stream: Stream,
        source: int,
        size: tuple[int, int],
        target: int,
        shape: tuple[int, int],
        place: tuple[int, int, int, int],
        swap: int,
    ) -> None:
        from cuda.bindings import driver

        values = (source, size[1], size[0], target, shape[1], shape[0], *place, self._pad, swap)
        blocks = -(-shape[1] // BLOCK[0]), -(-shape[0] // BLOCK[1])
        launched = driver.cuLaunchKernel(self._kernel, *blocks, 1, *BLOCK, 1, 0, stream.handle, (values, TYPES), 0)
        _values(launched)

    def close(self) -> None:
        self._stage.close()
        for memory in self._halves:
            memory.close()


def compile_kernel() -> Any:
    """The kernel for the current device, compiled by NVRTC; EngineError holds the compiler's words."""
    from cuda.bindings import driver, nvrtc

    program = _values(nvrtc.nvrtcCreateProgram(KERNEL.encode(), b"letterbox.cu", 0, [], []))
    if nvrtc.nvrtcCompileProgram(program, 0, [])[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        said = bytearray(_values(nvrtc.nvrtcGetProgramLogSize(program)))
        nvrtc.nvrtcGetProgramLog(program, said)
        raise EngineError(f"the letterbox kernel does not compile ({said.decode().strip()}): letterbox on the CPU")
    code = bytearray(_values(nvrtc.nvrtcGetPTXSize(program)))
    _values(nvrtc.nvrtcGetPTX(program, code))
    held = np.frombuffer(code, np.uint8)  # alive until the driver has read it
    module = _values(driver.cuModuleLoadData(held.ctypes.data))
    return _values(driver.cuModuleGetFunction(module, b"letterbox"))


def _values(result: tuple) -> Any:
    """What a call of the driver or of NVRTC returned; CudaError when it failed."""
    error, *values = result
    if int(error):
        raise CudaError(error.name, "the letterbox kernel failed: letterbox on the CPU")
    return values[0] if len(values) == 1 else values
