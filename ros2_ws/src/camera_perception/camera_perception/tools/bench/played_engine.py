"""An engine that plays given outputs and takes a given time, to measure what is done around a network."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import EngineInfo
from camera_perception.engines.cuda.runtime import POLL_INTERVAL
from camera_perception.engines.slots import FreeSlots, HostSlot
from camera_perception.engines.validate import tensor
from camera_perception.tools.bench.street import Outputs


class PlayedEngine:
    """See engines.Engine. It plays the outputs in turn, whatever the image.

    milliseconds  from submit to the end of wait; the caller asks and sleeps in turn meanwhile, as with a GPU
    """

    def __init__(self, spec: ModelSpec, outputs: Sequence[Outputs], milliseconds: float = 0.0) -> None:
        self.spec, self.slots = spec, 1
        self.input = tensor(spec.input.name, spec.input.shape, spec.input.dtype)
        self.outputs = {name: tensor(name, (1, *array.shape), array.dtype) for name, array in outputs[0].items()}
        self.info = EngineInfo("played", "0" * 16, "played", "", "fp32", "")
        self._played, self._seconds = outputs, milliseconds / 1e3
        self._number, self._done = 0, 0.0
        self._free = FreeSlots([HostSlot(self.input, self.outputs)])

    def acquire(self) -> HostSlot:
        return self._free.acquire()

    def submit(self, slot: HostSlot) -> None:
        self._done = time.perf_counter() + self._seconds
        for name, array in self._played[self._number % len(self._played)].items():
            np.copyto(slot.outputs[name][0], array)
        self._number += 1

    def wait(self, slot: HostSlot) -> None:
        while time.perf_counter() < self._done:
            time.sleep(POLL_INTERVAL)

    def release(self, slot: HostSlot) -> None:
        self._free.release(slot)

    def close(self) -> None:
        """Nothing to do."""
