"""Memory that CPU and GPU exchange: page-locked host memory, device memory, and pairs of both."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from camera_perception.engines.cuda.bindings import bindings, call
from camera_perception.engines.cuda.runtime import Stream

ALIGNMENT = 256  # bytes; TensorRT wants tensor addresses that are multiples of it


class HostMemory:
    """Page-locked host memory, which the GPU's copy engines read and write directly.

    mapped  also give it a device address: no copies are needed then; worth it where GPU and CPU share their memory
    """

    def __init__(self, nbytes: int, *, mapped: bool = False) -> None:
        self._api = bindings()
        flags = self._api.cudaHostAllocMapped if mapped else self._api.cudaHostAllocDefault
        self.address = int(call(self._api, self._api.cudaHostAlloc(nbytes, flags)))
        self.nbytes = nbytes
        self.bytes = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(self.address))
        self.bytes[...] = 0

    def device_address(self) -> int:
        """Where the GPU finds mapped memory."""
        return int(call(self._api, self._api.cudaHostGetDevicePointer(self.address, 0)))

    def array(self, offset: int, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """A view; it must not be used after close."""
        return self.bytes[offset : offset + prod(shape) * dtype.itemsize].view(dtype).reshape(shape)

    def close(self) -> None:
        self._api.cudaFreeHost(self.address)


class DeviceMemory:
    """Memory of the GPU; cudaMalloc aligns it to 256 bytes."""

    def __init__(self, nbytes: int) -> None:
        self._api = bindings()
        self.address = int(call(self._api, self._api.cudaMalloc(nbytes)))
        self.nbytes = nbytes

    def close(self) -> None:
        self._api.cudaFree(self.address)


class BufferPair:
    """The same bytes for CPU and GPU: a host and a device buffer, or one mapped buffer that both access."""

    def __init__(self, nbytes: int, *, mapped: bool = False) -> None:
        self._api = bindings()
        self.host = HostMemory(nbytes, mapped=mapped)
        self._device = None if mapped else DeviceMemory(nbytes)
        self.device_address = self._device.address if self._device else self.host.device_address()
        self._to_device = self._api.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._to_host = self._api.cudaMemcpyKind.cudaMemcpyDeviceToHost

    def upload(self, stream: Stream) -> None:
        if self._device is not None:
            self._copy(self.device_address, self.host.address, self._to_device, stream)

    def download(self, stream: Stream) -> None:
        if self._device is not None:
            self._copy(self.host.address, self.device_address, self._to_host, stream)

    def close(self) -> None:
        if self._device is not None:
            self._device.close()
        self.host.close()

    def _copy(self, target: int, source: int, direction: Any, stream: Stream) -> None:
        call(self._api, self._api.cudaMemcpyAsync(target, source, self.host.nbytes, direction, stream.raw))


def aligned(nbytes: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
