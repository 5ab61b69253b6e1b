"""Preprocessing on the GPU: the source image goes up as it is and is letterboxed into the network's input there.

Worth it where the camera is much larger than the network and the CPU is busy. The same steps as preprocess.Preprocessor
(halvings, then bilinear sampling with weights of 11 bits), so that both agree to one or two grey levels.

The letterbox kernel: its source, compiled for the current device by NVRTC.
"""

from __future__ import annotations

import ctypes
import logging
from math import prod
from typing import Any

import numpy as np

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import InputSpec
from camera_perception.engines.cuda.memory import DeviceMemory, Twin
from camera_perception.engines.cuda.runtime import CudaError, Stream
from camera_perception.image.letterbox import Letterbox, halving_sizes

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
TYPES = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, *[ctypes.c_int] * 8)


class Kernel:
    """The letterbox kernel for the current device, compiled by NVRTC; EngineError holds the compiler's words."""

    def __init__(self) -> None:
        from cuda.bindings import driver

        code = compiled()
        held = np.frombuffer(code, np.uint8)  # alive until the driver has read it
        self._module = values(driver.cuModuleLoadData(held.ctypes.data))
        self.function = values(driver.cuModuleGetFunction(self._module, b"letterbox"))

    def close(self) -> None:
        from cuda.bindings import driver

        driver.cuModuleUnload(self._module)


def compiled() -> bytearray:
    """PTX of KERNEL."""
    from cuda.bindings import nvrtc

    try:
        program = values(nvrtc.nvrtcCreateProgram(KERNEL.encode(), b"letterbox.cu", 0, [], []))
    except RuntimeError as error:  # the library itself is not there
        text = "NVRTC is not installed: pip install nvidia-cuda-nvrtc (CUDA 12: nvidia-cuda-nvrtc-cu12)"
        raise EngineError(text) from error
    if nvrtc.nvrtcCompileProgram(program, 0, [])[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        said = bytearray(values(nvrtc.nvrtcGetProgramLogSize(program)))
        nvrtc.nvrtcGetProgramLog(program, said)
        raise EngineError(f"the letterbox kernel does not compile ({said.decode().strip()})")
    code = bytearray(values(nvrtc.nvrtcGetPTXSize(program)))
    values(nvrtc.nvrtcGetPTX(program, code))
    return code


def values(result: tuple) -> Any:
    """What a call of the driver or of NVRTC returned; CudaError when it failed."""
    error, *values = result
    if int(error):
        raise CudaError(error.name, "the letterbox kernel failed: configure with gpu_letterbox off")
    return values[0] if len(values) == 1 else values


log = logging.getLogger(__name__)

BLOCK = 32, 8  # threads


class DeviceLetterbox:
    """Letterboxes images of one size. Owns its staging and halving buffers: nothing is allocated per frame."""

    def __init__(self, box: Letterbox, kernel: Kernel, pad: int = 114, rgb: bool = False) -> None:
        self.box, self._pad, self._rgb, self._kernel = box, pad, int(rgb), kernel
        self._stage = Twin(prod(box.image_size) * 3)
        self.image = self._stage.host.array(0, (*box.image_size, 3), np.dtype(np.uint8))
        self._sizes = halving_sizes(box)
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

        arguments = (source, size[1], size[0], target, shape[1], shape[0], *place, self._pad, swap)
        blocks = -(-shape[1] // BLOCK[0]), -(-shape[0] // BLOCK[1])
        launched = driver.cuLaunchKernel(
            self._kernel.function, *blocks, 1, *BLOCK, 1, 0, stream.handle, (arguments, TYPES), 0
        )
        values(launched)

    def close(self) -> None:
        self._stage.close()
        for memory in self._halves:
            memory.close()


class SlotLetterbox:
    """The letterbox of a slot: made for the size of its first image, and anew when that changes."""

    def __init__(self, spec: InputSpec, kernel: Kernel) -> None:
        self._spec, self._kernel = spec, kernel
        self._device: DeviceLetterbox | None = None
        self.full = False  # an image waits to be uploaded

    def take(self, image: np.ndarray) -> Letterbox:
        """Put a source image (H, W, 3) uint8 BGR in; returns where it will sit in the network's input."""
        if self._device is None or self._device.box.image_size != image.shape[:2]:
            self.close()
            box = Letterbox.fit((image.shape[0], image.shape[1]), self._spec.size, self._spec.align)
            self._device = DeviceLetterbox(box, self._kernel, self._spec.pad, self._spec.color == "rgb")
        self._device.image[...] = image
        self.full = True
        return self._device.box

    def upload(self, target: int, stream: Stream) -> None:
        """The image that was taken -> the network's input at device address target."""
        assert self._device is not None, "an image is taken before it is uploaded"
        self.full = False
        self._device(target, stream)

    def close(self) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None


def compiled_for(spec: InputSpec) -> Kernel | None:
    """The kernel, or None with a warning where the input or the machine does not allow it: then the CPU letterboxes."""
    if spec.dtype != "uint8" or spec.layout != "nhwc" or spec.batch != 1:
        log.warning("the GPU letterboxes only into uint8 NHWC inputs of batch 1: the CPU does it for this model")
        return None
    try:
        return Kernel()
    except (EngineError, ImportError) as error:
        log.warning("the GPU cannot letterbox, so the CPU does: %s", error)
        return None
