"""A deserialised plan that is ready to run: TensorRT's runtime, engine and context, with the causes of failures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import Tensor
from camera_perception.engines.cuda import runtime
from camera_perception.engines.tensorrt.errors import explain
from camera_perception.engines.tensorrt.logger import LOGGER, ErrorRecorder
from camera_perception.engines.tensorrt.package import trt
from camera_perception.engines.validate import check_input, check_names

INPUT = trt.TensorIOMode.INPUT


class Network:
    """One network on the GPU, for one frame at a time.

    build  the command that builds such an engine, for error messages
    """

    def __init__(self, plan: bytes, build: str) -> None:
        self._build, self.recorder = build, ErrorRecorder()
        self._bound: Mapping[str, int] | None = None
        LOGGER.take()
        self._runtime = trt.Runtime(LOGGER)
        self._runtime.error_recorder = self.recorder
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self.failure("the engine cannot be loaded")
        self._engine = engine
        context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.STATIC)
        if context is None:
            raise self.failure("the engine cannot be started")
        self._context = context

    def tensors(self, spec: ModelSpec) -> tuple[Tensor, dict[str, Tensor]]:
        """The image input and all outputs, checked against model.json."""
        engine, batch = self._engine, spec.input.batch
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == INPUT]
        outputs = [name for name in names if name not in inputs]
        check_names(spec, inputs, outputs)
        check_input(spec, engine.get_tensor_shape(inputs[0]), _dtype(engine, inputs[0]).name)
        tensors = {}
        for name in outputs:
            first, *rest = engine.get_tensor_shape(name)
            tensors[name] = Tensor(name, (batch if first == -1 else first, *rest), _dtype(engine, name))
        return Tensor(inputs[0], spec.input.shape, _dtype(engine, inputs[0])), tensors

    def fix_shape(self, image: Tensor, stream: runtime.Stream) -> None:
        """Select the profile, then set the shape; once, before the first frame."""
        if not self._context.set_optimization_profile_async(0, stream.handle):
            raise self.failure("the engine cannot be started")
        if not self._context.set_input_shape(image.name, image.shape):
            raise self.failure(f"the engine does not accept the input shape {image.shape}")

    def enqueue(self, addresses: Mapping[str, int], stream: runtime.Stream) -> None:
        """Queue one run. The addresses (tensor name: device address) stay bound until others are given."""
        if self._bound is not addresses:
            for name, address in addresses.items():
                if not self._context.set_tensor_address(name, address):
                    raise self.failure(f"tensor '{name}' cannot be bound")
            self._bound = addresses
        if not self._context.execute_async_v3(stream.handle):
            raise self.failure()

    def failure(self, what: str = "the network failed on a frame") -> EngineError:
        """An exception with the errors since the last call, in the user's terms."""
        logged = LOGGER.take()  # of the whole process: only where the recorder, which is the engine's own, has nothing
        return EngineError(f"{what}: {explain(self.recorder.take() or logged, self._build)}")

    def forget_errors(self) -> None:
        """After a failure that was dealt with: it must not be taken for one of the next frame."""
        self.recorder.clear()
        LOGGER.take()

    def close(self) -> None:
        del self._context, self._engine, self._runtime  # in this order


def _dtype(engine: trt.ICudaEngine, name: str) -> np.dtype:
    try:
        return np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
    except TypeError as error:
        raise EngineError(
            f"tensor '{name}' of the engine has a type that NumPy lacks ({error}): export it as float32"
        ) from error
