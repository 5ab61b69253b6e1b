"""The memory of a frame in flight: an input and an output block, three events, one recorded graph."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np

from camera_perception.engines import Tensor
from camera_perception.engines.cuda import runtime
from camera_perception.engines.cuda.letterbox import SlotLetterbox
from camera_perception.engines.cuda.memory import BufferPair, aligned
from camera_perception.image.letterbox import Letterbox


class Block:
    """Tensors side by side in one buffer pair, each aligned for TensorRT."""

    def __init__(self, tensors: Iterable[Tensor], mapped: bool) -> None:
        tensors, offsets, end = list(tensors), [], 0
        for tensor in tensors:
            offsets.append(end)
            end += aligned(prod(tensor.shape) * tensor.dtype.itemsize)
        self.memory = BufferPair(end, mapped=mapped)
        self.arrays = {t.name: self.memory.host.array(at, t.shape, t.dtype) for t, at in zip(tensors, offsets)}
        self.addresses = {t.name: self.memory.device_address + at for t, at in zip(tensors, offsets)}


class TensorRtSlot:
    """See engines.Slot.

    published  names of the tensors in `outputs`; the network may have more
    letterbox  resizes source images on the GPU; None where the CPU preprocesses
    """

    def __init__(
        self,
        image: Tensor,
        outputs: Iterable[Tensor],
        published: Iterable[str],
        mapped: bool,
        letterbox: SlotLetterbox | None,
    ) -> None:
        self.input_block, self.output_block = Block([image], mapped), Block(outputs, mapped)
        self.images = self.input_block.arrays[image.name]
        self.outputs = {name: self.output_block.arrays[name] for name in published}
        self.addresses = {**self.input_block.addresses, **self.output_block.addresses}
        self.uploaded, self.computed, self.done = runtime.Event(), runtime.Event(), runtime.Event()
        self.graph: runtime.Graph | None = None
        self.busy = False
        self._letterbox = letterbox
        self._image_address = self.addresses[image.name]

    def load_image(self, image: np.ndarray) -> Letterbox | None:
        """See engines.Slot; `images` can still be filled instead."""
        return self._letterbox.load_image(image) if self._letterbox is not None else None

    def upload(self, stream: runtime.Stream) -> None:
        """Upload the loaded source image if there is one, else `images`."""
        if self._letterbox is not None and self._letterbox.pending:
            self._letterbox.upload(self._image_address, stream)
        else:
            self.input_block.memory.upload(stream)

    def close(self) -> None:
        if self.graph is not None:
            self.graph.close()
        if self._letterbox is not None:
            self._letterbox.close()
        for event in (self.uploaded, self.computed, self.done):
            event.close()
        self.input_block.memory.close()
        self.output_block.memory.close()
