"""Execution context of the fake TensorRT: profile, shapes, addresses, launches, in this order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fake_cuda import ALIGNMENT
from fake_cuda_types import cudaError_t
from fake_trt_values import nptype


class IExecutionContext:
    """Profile, then shapes, then addresses, then launches."""

    def __init__(self, engine: Any) -> None:
        self._engine, self._fake = engine, engine.fake
        self._profile = False
        self._shapes: dict[str, tuple] = {}
        self._addresses: dict[str, int] = {}
        self._launched = False

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        assert stream_handle in self._fake.cuda.streams, "a live stream that is not the default one"
        assert not self._shapes, "the profile comes before the shapes"
        self._profile = profile_index == 0
        return self._profile

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        assert self._profile, "the profile comes before the shapes"
        allowed = self._engine.shapes.get(name, self._engine.get_tensor_shape(name))
        if tuple(shape) != tuple(allowed):
            self._fake.error(f"setInputShape: {name} is {tuple(shape)}, the profile allows {tuple(allowed)}")
            return False
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert type(memory) is int
        if memory % ALIGNMENT or name not in {tensor.name for tensor in self._engine.tensors}:
            self._fake.error(f"setTensorAddress: {name}: address {memory:#x} is not aligned to {ALIGNMENT} bytes")
            return False
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        fake = self._fake
        assert type(stream_handle) is int
        assert stream_handle in fake.cuda.streams, "a live stream that is not the default one"
        if self._shapes.keys() != self._engine.inputs or len(self._addresses) != len(self._engine.tensors):
            fake.error("enqueueV3: Error Code 3: not all shapes and addresses are set")
            return False
        captured = fake.cuda.capturing(stream_handle)
        assert self._launched or not captured, "the first launch must not be recorded"
        if captured and fake.refuse_cuda_graph:
            fake.cuda.last_error = cudaError_t.cudaErrorStreamCaptureUnsupported
            fake.error("operation not permitted when stream is capturing")
            return False
        if not captured and self._fails():
            return False
        self._launched = True
        fake.cuda.put(stream_handle, "network", self._work(dict(self._addresses)))
        return True

    def _fails(self) -> bool:
        self._fake.launches += 1
        if self._fake.fail_launch is None or self._fake.launches <= self._fake.fail_launch[0]:
            return False
        self._fake.error(self._fake.fail_launch[1])
        return True

    def _work(self, addresses: dict[str, int]) -> Callable[[], None]:
        """Reads and writes device memory at the time it runs; the memory must still be there then."""
        names = [tensor.name for tensor in self._engine.tensors if tensor.name not in self._engine.inputs]

        def work() -> None:
            feeds = {name: self._array(name, addresses[name], shape) for name, shape in self._shapes.items()}
            for name, value in zip(names, self._engine.session.run(names, feeds)):
                if name == self._fake.corrupt:
                    value = value + np.ones_like(value)
                self._array(name, addresses[name], value.shape)[...] = value

        return work

    def _array(self, name: str, address: int, shape: Sequence[int]) -> np.ndarray:
        return self._fake.cuda.array(address, tuple(shape), nptype(self._engine.get_tensor_dtype(name)))
