"""Decode sensor_msgs/Image data to (H, W, 3) uint8 BGR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import BadImage, UnknownEncoding
from camera_perception.image.sample_range import full_range

MAX_PIXELS = 64_000_000  # of an image; the largest cameras on cars have 17 million

Convert = Callable[[np.ndarray], np.ndarray]
Narrow = Callable[[np.ndarray], np.ndarray]  # uint16 samples to uint8
Fallback = Callable[[str, int, int, int, bool, Any], np.ndarray]


@dataclass(frozen=True, slots=True)
class Encoding:
    """Memory layout of an encoding and its conversion to BGR.

    channels  samples per pixel within a row
    to_bgr    (rows, W, channels) or (rows, W) array -> (H, W, 3) of the same depth
    dtype     of one sample
    rows      rows of memory per image row, as a fraction
    multiple  width and height must be multiples of (x, y)
    min_size  width and height must be at least this
    chroma    length of a row of chroma, in rows of luma, of encodings that store all chroma after the luma and
              whose rows are not as long; 0 for all others
    """

    channels: int
    to_bgr: Convert
    dtype: type = np.uint8
    rows: tuple[int, int] = (1, 1)
    multiple: tuple[int, int] = (1, 1)
    min_size: int = 1
    chroma: float = 0


def _identity(image: np.ndarray) -> np.ndarray:
    return image


def _converter(code: int) -> Convert:
    return lambda image: cv2.cvtColor(image, code)


def _bayer(code: int, dtype: type = np.uint8) -> Encoding:
    return Encoding(1, _converter(code), dtype, min_size=3)


# B G R of Y U V 1 in the limited range of BT.601, as OpenCV converts nv12.
_BGR_FROM_YUV = np.array(
    [
        [1.164384, 2.017232, 0.0, -276.835851],
        [1.164384, -0.391762, -0.812968, 135.575295],
        [1.164384, 0.0, 1.596027, -222.921566],
    ]
)


def _nv24(rows: np.ndarray) -> np.ndarray:
    """Luma (H, W), then U and V of each pixel in two rows of memory per image row."""
    height, width = len(rows) // 3, rows.shape[1]
    chroma = np.ascontiguousarray(rows[height:]).reshape(height, width, 2)
    yuv = np.dstack((rows[:height], chroma))
    return cv2.transform(yuv, _BGR_FROM_YUV)


_UYVY = Encoding(2, _converter(cv2.COLOR_YUV2BGR_UYVY), multiple=(2, 1))
_YUY2 = Encoding(2, _converter(cv2.COLOR_YUV2BGR_YUY2), multiple=(2, 1))
_I420 = Encoding(1, _converter(cv2.COLOR_YUV2BGR_I420), rows=(3, 2), multiple=(2, 2), chroma=0.5)

# A Bayer name lists the top-left 2x2 pixels, row by row; OpenCV's names start at the second pixel of the second row.
# OpenCV's own RGGB names are newer than the 4.5.4 of Ubuntu 22.04.
ENCODINGS: dict[str, Encoding] = {
    "bgr8": Encoding(3, _identity),
    "rgb8": Encoding(3, _converter(cv2.COLOR_RGB2BGR)),
    "bgra8": Encoding(4, _converter(cv2.COLOR_BGRA2BGR)),
    "rgba8": Encoding(4, _converter(cv2.COLOR_RGBA2BGR)),
    "mono8": Encoding(1, _converter(cv2.COLOR_GRAY2BGR)),
    "mono16": Encoding(1, _converter(cv2.COLOR_GRAY2BGR), np.uint16),
    "bgr16": Encoding(3, _identity, np.uint16),
    "rgb16": Encoding(3, _converter(cv2.COLOR_RGB2BGR), np.uint16),
    "bgra16": Encoding(4, _converter(cv2.COLOR_BGRA2BGR), np.uint16),
    "rgba16": Encoding(4, _converter(cv2.COLOR_RGBA2BGR), np.uint16),
    "8UC1": Encoding(1, _converter(cv2.COLOR_GRAY2BGR)),
    "8UC3": Encoding(3, _identity),
    "8UC4": Encoding(4, _converter(cv2.COLOR_BGRA2BGR)),
    "16UC3": Encoding(3, _identity, np.uint16),
    "16UC4": Encoding(4, _converter(cv2.COLOR_BGRA2BGR), np.uint16),
    "16UC1": Encoding(1, _converter(cv2.COLOR_GRAY2BGR), np.uint16),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUY2,
    "yuyv": _YUY2,
    "nv12": Encoding(1, _converter(cv2.COLOR_YUV2BGR_NV12), rows=(3, 2), multiple=(2, 2)),
    "nv21": Encoding(1, _converter(cv2.COLOR_YUV2BGR_NV21), rows=(3, 2), multiple=(2, 2)),
    "nv24": Encoding(1, _nv24, rows=(3, 1), chroma=2),
    "i420": _I420,
    "yuv420": _I420,
    "bayer_rggb8": _bayer(cv2.COLOR_BayerBG2BGR),
    "bayer_bggr8": _bayer(cv2.COLOR_BayerRG2BGR),
    "bayer_gbrg8": _bayer(cv2.COLOR_BayerGR2BGR),
    "bayer_grbg8": _bayer(cv2.COLOR_BayerGB2BGR),
    "bayer_rggb16": _bayer(cv2.COLOR_BayerBG2BGR, np.uint16),
    "bayer_bggr16": _bayer(cv2.COLOR_BayerRG2BGR, np.uint16),
    "bayer_gbrg16": _bayer(cv2.COLOR_BayerGR2BGR, np.uint16),
    "bayer_grbg16": _bayer(cv2.COLOR_BayerGB2BGR, np.uint16),
}
_BY_LOWER_CASE = {name.lower(): name for name in ENCODINGS}


def known_name(encoding: str) -> str | None:
    """The name in ENCODINGS, which upper and lower case do not distinguish; None for an unknown encoding."""
    return _BY_LOWER_CASE.get(encoding.strip().lower())


def decode_image(
    encoding: str,
    height: int,
    width: int,
    step: int,
    is_bigendian: bool,
    data: Any,
    *,
    fallback: Fallback | None = None,
    max_pixels: int = MAX_PIXELS,
    narrow: Narrow = full_range,
) -> np.ndarray:
    """Decode a raw image message.

    step     bytes from one row to the next; rows may be padded
    data     anything with a buffer of bytes: bytes, array.array, memoryview, ndarray
    fallback called with the same arguments when the encoding is not in ENCODINGS (cv_bridge, for example)
    narrow   from 16 bits to 8; by default 0..65535 becomes 0..255
    returns  (H, W, 3) uint8 BGR; a read-only view into data for bgr8
    raises   UnknownEncoding; BadImage when size, step and data are inconsistent, or the size exceeds max_pixels
    """
    check_pixels(width, height, max_pixels)
    name = known_name(encoding)
    if name is None and fallback is not None:
        return fallback(encoding, height, width, step, is_bigendian, data)
    rows = samples_of(encoding, height, width, step, data)
    layout = ENCODINGS[name or encoding]
    if layout.dtype is np.uint16:
        return narrow(layout.to_bgr(_native(rows, is_bigendian)))
    if layout.chroma:
        rows = np.concatenate((rows[:height, :width], chroma_rows(encoding, rows, height, width).reshape(-1, width)))
    return layout.to_bgr(rows)


def samples_of(encoding: str, height: int, width: int, step: int, data: Any) -> np.ndarray:
    """The raw samples of an image message: a view of data, writable if data is.

    returns (rows, W, channels), or (rows, W) for one channel, (rows, step) for encodings with `chroma`; 16-bit samples
            in the byte order of the message
    raises  like decode_image
    """
    layout = ENCODINGS.get(known_name(encoding) or "")
    if layout is None:
        raise UnknownEncoding(f"image encoding '{encoding}' is unknown: expected one of {', '.join(ENCODINGS)}")
    _check_size(encoding, layout, height, width)
    return _rows(encoding, layout, height, width, step, data)


def _check_size(encoding: str, layout: Encoding, height: int, width: int) -> None:
    across, down = layout.multiple
    if height < layout.min_size or width < layout.min_size or width % across or height % down:
        raise BadImage(
            f"{encoding} image of {width}x{height}: expected at least {layout.min_size}x{layout.min_size}, "
            f"width a multiple of {across}, height a multiple of {down}; check width and height of the message"
        )


def _rows(encoding: str, layout: Encoding, height: int, width: int, step: int, data: Any) -> np.ndarray:
    """A view of the message data as rows of pixels without padding."""
    sample = np.dtype(layout.dtype)
    row_bytes = width * layout.channels * sample.itemsize
    rows = height * layout.rows[0] // layout.rows[1]
    # Drivers pad rows: step can exceed width * channels. Some omit the padding of the last row.
    needed = step * (rows - 1) + row_bytes
    buffer = np.frombuffer(data, np.uint8)
    if step < row_bytes:
        raise BadImage(f"{encoding} image {width} wide has step {step}: expected at least {row_bytes} bytes per row")
    if buffer.size < needed:
        raise BadImage(
            f"{encoding} image of {width}x{height} with step {step} holds {buffer.size} bytes, expected {step * rows}: "
            "the message is truncated, or height or step are wrong"
        )
    if layout.chroma:
        return _whole_rows(encoding, buffer, rows, step)
    strides = (step, layout.channels * sample.itemsize, sample.itemsize)
    pixels = np.ndarray((rows, width, layout.channels), sample, buffer, strides=strides)
    return pixels if layout.channels > 1 else pixels[:, :, 0]


def _whole_rows(encoding: str, buffer: np.ndarray, rows: int, step: int) -> np.ndarray:
    """(rows, step) with all padding: that of chroma is not at the end of each row of memory."""
    if step % 2 or buffer.size < rows * step:
        raise BadImage(
            f"{encoding} image with step {step} holds {buffer.size} bytes, expected an even step and {rows * step} "
            "bytes: the message is truncated, or step is wrong"
        )
    return buffer[: rows * step].reshape(rows, step)


def chroma_rows(encoding: str, rows: np.ndarray, height: int, width: int) -> np.ndarray:
    """The chroma of the (rows, step) samples of an encoding with `chroma`: a view without padding."""
    factor = ENCODINGS[known_name(encoding) or encoding].chroma
    return rows[height:].reshape(-1, int(rows.shape[1] * factor))[:, : int(width * factor)]


def _native(rows: np.ndarray, is_bigendian: bool) -> np.ndarray:
    """16-bit samples in this machine's byte order, in memory that OpenCV accepts (step may be odd)."""
    order = rows.dtype.newbyteorder(">" if is_bigendian else "<")
    return np.ascontiguousarray(rows.view(order).astype(np.uint16))


def check_pixels(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """BadImage when an image has more pixels than allowed, before memory is taken for it."""
    if width * height > max_pixels:
        raise BadImage(
            f"image of {width}x{height} exceeds the limit of {max_pixels / 1e6:g} megapixels: check the camera driver, "
            "or raise the parameter 'max_megapixels'"
        )
