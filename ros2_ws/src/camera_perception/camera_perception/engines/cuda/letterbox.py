"""Letterboxing on the GPU: the source image is uploaded as it is and resized into the network's input there.

Worth it where the camera image is much larger than the network's input and the CPU is busy. The steps are those of
image.letterbox.Preprocessor (halvings, then bilinear sampling with 11-bit weights); both agree to one or two grey
levels.
"""

from __future__ import annotations

import logging
from math import prod

import numpy as np

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import InputSpec
from camera_perception.engines.cuda.kernel import TYPES, Kernel, checked
from camera_perception.engines.cuda.memory import BufferPair, DeviceMemory
from camera_perception.engines.cuda.runtime import Stream
from camera_perception.image.letterbox import Letterbox, halving_sizes

BLOCK = 32, 8  # threads

log = logging.getLogger(__name__)


def letterbox_kernel(spec: InputSpec, compute_capability: str) -> Kernel | None:
    """The kernel for an input and a GPU; None, with a warning, where the CPU has to letterbox."""
    if spec.dtype != "uint8" or spec.layout != "nhwc" or spec.batch != 1:
        log.warning("the GPU letterboxes only into uint8 NHWC inputs of batch 1: the CPU does it for this model")
        return None
    try:
        return Kernel(compute_capability)
    except (EngineError, ImportError) as error:
        log.warning("the GPU cannot letterbox, so the CPU does: %s", error)
        return None


class SlotLetterbox:
    """The letterbox of one slot; its buffers are allocated again when the image size changes."""

    def __init__(self, spec: InputSpec, kernel: Kernel) -> None:
        self._spec, self._kernel = spec, kernel
        self._device: DeviceLetterbox | None = None
        self.pending = False  # an image was loaded and not yet uploaded

    def load_image(self, image: np.ndarray) -> Letterbox:
        """Copy a source image (H, W, 3) uint8 BGR in; returns its position in the network's input."""
        if self._device is None or self._device.box.image_size != image.shape[:2]:
            self.close()
            box = Letterbox.fit((image.shape[0], image.shape[1]), self._spec.size, self._spec.align)
            self._device = DeviceLetterbox(box, self._kernel, self._spec.pad, self._spec.color == "rgb")
        self._device.image[...] = image
        self.pending = True
        return self._device.box

    def upload(self, target: int, stream: Stream) -> None:
        """Letterbox the loaded image into the network's input at device address target."""
        assert self._device is not None, "load_image comes before upload"
        self.pending = False
        self._device(target, stream)

    def close(self) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None


class DeviceLetterbox:
    """Letterboxes images of one size. Owns its staging and halving buffers: nothing is allocated per frame."""

    def __init__(self, box: Letterbox, kernel: Kernel, pad: int = 114, rgb: bool = False) -> None:
        self.box, self._pad, self._rgb, self._kernel = box, pad, int(rgb), kernel
        self._source = BufferPair(prod(box.image_size) * 3)
        self.image = self._source.host.array(0, (*box.image_size, 3), np.dtype(np.uint8))
        self._sizes = halving_sizes(box)
        self._halves = [DeviceMemory(prod(size) * 3) for size in self._sizes]

    def __call__(self, target: int, stream: Stream) -> None:
        """self.image -> (H, W, 3) uint8 device memory at address target; queued in the stream, not waited for."""
        self._source.upload(stream)
        source, size = self._source.device_address, self.box.image_size
        for half, half_size in zip(self._halves, self._sizes):
            self._launch(stream, source, size, half.address, half_size, (0, 0, half_size[1], half_size[0]), 0)
            source, size = half.address, half_size
        box = self.box
        area = box.left, box.top, box.width, box.height
        self._launch(stream, source, size, target, box.input_size, area, self._rgb)

    def _launch(
        self,
        stream: Stream,
        source: int,
        size: tuple[int, int],
        target: int,
        target_size: tuple[int, int],
        area: tuple[int, int, int, int],
        swap: int,
    ) -> None:
        """Sizes are (height, width); area is left, top, width, height of the image in the target."""
        from cuda.bindings import driver

        arguments = (source, size[1], size[0], target, target_size[1], target_size[0], *area, self._pad, swap)
        blocks = -(-target_size[1] // BLOCK[0]), -(-target_size[0] // BLOCK[1])
        launched = driver.cuLaunchKernel(
            self._kernel.function, *blocks, 1, *BLOCK, 1, 0, stream.handle, (arguments, TYPES), 0
        )
        checked(launched)

    def close(self) -> None:
        self._source.close()
        for memory in self._halves:
            memory.close()
