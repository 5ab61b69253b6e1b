"""Fakes of cuda.bindings.driver and nvrtc: the one kernel of this project, computed by OpenCV when the stream runs."""

from __future__ import annotations

from enum import IntEnum
from types import SimpleNamespace

import cv2
import numpy as np
from fake_cuda import FakeCuda
from fake_cuda_types import OK, CallFailed

CUBIN = b"letterbox"


class nvrtcResult(IntEnum):
    NVRTC_SUCCESS = 0
    NVRTC_ERROR_COMPILATION = 6


class FakeNvrtc:
    """Compiles the letterbox kernel.

    broken   the compiler's message when it is to fail
    missing  the library is not installed
    """

    nvrtcResult = nvrtcResult

    def __init__(self) -> None:
        self.broken, self.missing = "", False
        self.programs, self.options = 0, []

    def nvrtcCreateProgram(self, source, name, count, headers, names):
        if self.missing:
            raise RuntimeError('Failure finding "libnvrtc.so.13 or libnvrtc.so.12"')  # as cuda-pathfinder does
        assert isinstance(source, bytes)
        assert b"__global__ void letterbox" in source
        self.programs += 1
        return nvrtcResult.NVRTC_SUCCESS, SimpleNamespace()

    def nvrtcDestroyProgram(self, program):
        self.programs -= 1
        return (nvrtcResult.NVRTC_SUCCESS,)

    def nvrtcCompileProgram(self, program, count, options):
        assert count == len(options) == 1
        self.options = options
        return (nvrtcResult.NVRTC_ERROR_COMPILATION if self.broken else nvrtcResult.NVRTC_SUCCESS,)

    def nvrtcGetProgramLogSize(self, program):
        return nvrtcResult.NVRTC_SUCCESS, len(self.broken)

    def nvrtcGetProgramLog(self, program, log):
        log[:] = self.broken.encode()
        return (nvrtcResult.NVRTC_SUCCESS,)

    def nvrtcGetCUBINSize(self, program):
        return nvrtcResult.NVRTC_SUCCESS, len(CUBIN)

    def nvrtcGetCUBIN(self, program, code):
        code[:] = CUBIN
        return (nvrtcResult.NVRTC_SUCCESS,)


class FakeDriver:
    """The calls of the driver API that launch kernels; a kernel waits in its stream like all other work."""

    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda, self.modules = cuda, set()

    def cuModuleLoadData(self, address):
        assert isinstance(address, int)
        module = SimpleNamespace()
        self.modules.add(id(module))
        self.kept = module
        return OK, module

    def cuModuleUnload(self, module):
        self.modules.remove(id(module))
        return (OK,)

    def cuModuleGetFunction(self, module, name):
        assert id(module) in self.modules
        assert name == b"letterbox"
        return OK, SimpleNamespace(module=id(module))

    def cuLaunchKernel(self, function, gx, gy, gz, bx, by, bz, shared, stream, arguments, extra):
        try:
            self.cuda.check_failure("cuLaunchKernel")
        except CallFailed as failed:
            return (failed.error,)
        assert function.module in self.modules, "the module was unloaded"
        values, types = arguments
        assert len(values) == len(types) == 12
        assert (gz, bz, shared, extra) == (1, 1, 0, 0)
        assert bx * by <= 1024
        assert gx * bx >= values[4], "threads for every column"
        assert gy * by >= values[5], "threads for every row"
        self.cuda.put(stream, "letterbox", lambda: self._letterbox(*values))
        return (OK,)

    def _letterbox(self, source, columns, rows, target, dw, dh, left, top, width, height, pad, swap):
        image, out = (
            self.cuda.array(at, (h, w, 3), np.uint8) for at, h, w in ((source, rows, columns), (target, dh, dw))
        )
        out[...] = pad
        out[top : top + height, left : left + width] = cv2.resize(image, (width, height))
        if swap:
            out[...] = out[..., ::-1].copy()
