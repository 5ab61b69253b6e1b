"""The memory of a frame in flight: two blocks, three marks, one recorded graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod

import numpy as np

from camera_perception.engines import Tensor, cuda
from camera_perception.engines.cuda_letterbox import SlotLetterbox
from camera_perception.engines.cuda_memory import Twin, aligned
from camera_perception.preprocess import Letterbox


class Block:
    """Tensors side by side in one piece of memory, each at an address that TensorRT takes."""

    def __init__(self, tensors: Iterable[Tensor], mapped: bool) -> None:
        tensors, offsets, end = list(tensors), [], 0
        for tensor in tensors:
            offsets.append(end)
            end += aligned(prod(tensor.shape) * tensor.dtype.itemsize)
        self.memory = Twin(end, mapped=mapped)
        self.arrays = {t.name: self.memory.host.array(at, t.shape, t.dtype) for t, at in zip(tensors, offsets)}
        self.addresses = {t.name: self.memory.address + at for t, at in zip(tensors, offsets)}


class TensorRtSlot:
    """See engines.Slot."""

    def __init__(self, image: Tensor, outputs: Iterable[Tensor], wanted: Iterable[str], mapped: bool) -> None:
        self.taken, self.given = Block([image], mapped), Block(outputs, mapped)
        self.images = self.taken.arrays[image.name]
        self.outputs = {name: self.given.arrays[name] for name in wanted}
        self.addresses = {**self.taken.addresses, **self.given.addresses}
        self.uploaded, self.computed, self.done = cuda.Event(), cuda.Event(), cuda.Event()
        self.graph: cuda.Graph | None = None
        self.busy = False
        self.take: Callable[[np.ndarray], Letterbox] | None = None
        self._letterbox: SlotLetterbox | None = None
        self._image = image.name

    def let_gpu_letterbox(self, letterbox: SlotLetterbox) -> None:
        """From now on `take` takes source images; `images` can still be written instead."""
        self._letterbox, self.take = letterbox, letterbox.take

    def upload(self, stream: cuda.Stream) -> None:
        """The source image where one was taken, else the network's input as it is."""
        if self._letterbox is not None and self._letterbox.full:
            self._letterbox.upload(self.addresses[self._image], stream)
        else:
            self.taken.memory.upload(stream)

    def close(self) -> None:
        if self.graph is not None:
            self.graph.close()
        if self._letterbox is not None:
            self._letterbox.close()
        for event in (self.uploaded, self.computed, self.done):
            event.close()
        self.taken.memory.close()
        self.given.memory.close()
