"""Make rectangles of an image unrecognisable, in the memory layout of the recorded image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from camera_perception.core.errors import BagError
from camera_perception.image.encodings import chroma_rows, known_name, samples_of
from camera_perception.tools.privacy.regions import Region

CELLS, MIN_CELL = 3, 8  # mosaic: number of cells along the short side, and their minimum size in pixels
BLUR = 4  # sigma is the short side divided by this


@dataclass(frozen=True, slots=True)
class Plane:
    """samples (h, w) or (h, w, C), a writable view; each covers across x down pixels of the image."""

    samples: np.ndarray
    across: int = 1
    down: int = 1

    def cut(self, region: Region) -> np.ndarray:
        rows = slice(region.y0 // self.down, -(-region.y1 // self.down))
        columns = slice(region.x0 // self.across, -(-region.x1 // self.across))
        return self.samples[rows, columns]


def cover(planes: Sequence[Plane], regions: Sequence[Region], how: str = "mosaic") -> None:
    """Cover the regions in place. how is mosaic, blur or fill; only fill removes all information."""
    method = METHODS[how]
    for region in regions:
        short = min(region.x1 - region.x0, region.y1 - region.y0)
        for plane in planes:
            cut = plane.cut(region)
            if cut.size:
                cut[...] = method(cut, short, plane)


def mosaic(cut: np.ndarray, short: int, plane: Plane) -> np.ndarray:
    """Cells in the mean colour of their pixels."""
    height, width = cut.shape[:2]
    cell = max(MIN_CELL, -(-short // CELLS))
    cells = max(1, round(width * plane.across / cell)), max(1, round(height * plane.down / cell))
    small = cv2.resize(cut.astype(np.float32), cells, interpolation=cv2.INTER_AREA)
    # By index: OpenCV 4.5.4 cannot resize an image of one pixel.
    rows, columns = (np.arange(size) * n // size for size, n in zip((height, width), small.shape[:2]))
    return _as(small[rows][:, columns], cut)


def blur(cut: np.ndarray, short: int, plane: Plane) -> np.ndarray:
    """A Gaussian blur that uses no pixel outside the region."""
    sigma = max(MIN_CELL, short / BLUR)
    soft = cv2.GaussianBlur(
        cut.astype(np.float32),
        (0, 0),
        sigmaX=sigma / plane.across,
        sigmaY=sigma / plane.down,
        borderType=cv2.BORDER_REPLICATE,
    )
    return _as(soft, cut)


def fill(cut: np.ndarray, short: int, plane: Plane) -> np.ndarray:
    """Middle grey: half of the range in RGB, YUV and Bayer alike."""
    return np.full_like(cut, (int(np.iinfo(cut.dtype).max) + 1) // 2)


def _as(values: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Back to the samples' type, also where OpenCV dropped the axis of a single channel."""
    rounded: np.ndarray = np.rint(values).astype(cut.dtype)
    return rounded.reshape(cut.shape)


METHODS: dict[str, Callable[[np.ndarray, int, Plane], np.ndarray]] = {"mosaic": mosaic, "blur": blur, "fill": fill}


def check_method(how: str) -> None:
    """BagError unless `how` is one of METHODS."""
    if how not in METHODS:
        raise BagError(f"'{how}' is not a covering method: give one of {', '.join(METHODS)}")


def planes_of_pixels(image: np.ndarray) -> list[Plane]:
    """The plane of a decoded image, grey or colour; an alpha channel is left as it is."""
    return [Plane(image[..., :3] if image.ndim == 3 else image)]


def planes_of_message(
    encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: np.ndarray
) -> list[Plane]:
    """Planes of a raw image message; `data` (N,) uint8 is written to. raises BadImage as decode_image does"""
    rows = samples_of(encoding, height, width, step, data)
    encoding = known_name(encoding) or encoding
    if rows.dtype.itemsize > 1:
        rows = rows.view(rows.dtype.newbyteorder(">" if is_bigendian else "<"))
    if encoding in ("nv12", "nv21"):
        chroma = rows[height:]
        return [Plane(rows[:height]), Plane(chroma[:, 0::2], 2, 2), Plane(chroma[:, 1::2], 2, 2)]
    if encoding in ("i420", "yuv420"):
        chroma, light = chroma_rows(encoding, rows, height, width), rows[:height, :width]
        return [Plane(light), Plane(chroma[: height // 2], 2, 2), Plane(chroma[height // 2 :], 2, 2)]
    if encoding == "nv24":
        chroma, light = chroma_rows(encoding, rows, height, width), rows[:height, :width]
        return [Plane(light), Plane(chroma[:, 0::2]), Plane(chroma[:, 1::2])]
    if encoding in ("uyvy", "yuv422", "yuyv", "yuv422_yuy2"):
        first = 1 if encoding in ("uyvy", "yuv422") else 0
        chroma = rows[:, :, 1 - first]
        return [Plane(rows[:, :, first]), Plane(chroma[:, 0::2], 2), Plane(chroma[:, 1::2], 2)]
    if encoding.startswith("bayer_"):
        return [Plane(rows[y::2, x::2], 2, 2) for y in (0, 1) for x in (0, 1)]
    return planes_of_pixels(rows)
