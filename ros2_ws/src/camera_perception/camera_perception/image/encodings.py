"""Decode sensor_msgs/Image and sensor_msgs/CompressedImage data to (H, W, 3) uint8 BGR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import cv2
import numpy as np

from camera_perception.core.errors import BadImage, UnknownEncoding
from camera_perception.image.compressed_size import JPEG, PNG, compressed_size

MAX_PIXELS = 64_000_000  # of an image; the largest cameras on cars have 17 million

Convert = Callable[[np.ndarray], np.ndarray]
Fallback = Callable[[str, int, int, int, bool, Any], np.ndarray]


@dataclass(frozen=True, slots=True)
class Encoding:
    """Memory layout of an encoding and its conversion to BGR.

    channels  samples per pixel within a row
    to_bgr    (rows, W, channels) or (rows, W) array -> (H, W, 3) of the same depth
    dtype     of one sample
    rows      rows of memory per image row, as a fraction
    multiple  width and height must be multiples of (x, y)
    smallest  width and height must be at least this
    """

    channels: int
    to_bgr: Convert
    dtype: type = np.uint8
    rows: tuple[int, int] = (1, 1)
    multiple: tuple[int, int] = (1, 1)
    min_size: int = 1


def _identity(image: np.ndarray) -> np.ndarray:
    return image


def _converter(code: int) -> Convert:
    return lambda image: cv2.cvtColor(image, code)


def _bayer(code: int, dtype: type = np.uint8) -> Encoding:
    return Encoding(1, _converter(code), dtype, min_size=3)


_UYVY = Encoding(2, _converter(cv2.COLOR_YUV2BGR_UYVY), multiple=(2, 1))
_YUY2 = Encoding(2, _converter(cv2.COLOR_YUV2BGR_YUY2), multiple=(2, 1))

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
    "8UC1": Encoding(1, _converter(cv2.COLOR_GRAY2BGR)),
    "8UC3": Encoding(3, _identity),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUY2,
    "yuyv": _YUY2,
    "nv12": Encoding(1, _converter(cv2.COLOR_YUV2BGR_NV12), rows=(3, 2), multiple=(2, 2)),
    "nv21": Encoding(1, _converter(cv2.COLOR_YUV2BGR_NV21), rows=(3, 2), multiple=(2, 2)),
    "bayer_rggb8": _bayer(cv2.COLOR_BayerBG2BGR),
    "bayer_bggr8": _bayer(cv2.COLOR_BayerRG2BGR),
    "bayer_gbrg8": _bayer(cv2.COLOR_BayerGR2BGR),
    "bayer_grbg8": _bayer(cv2.COLOR_BayerGB2BGR),
    "bayer_rggb16": _bayer(cv2.COLOR_BayerBG2BGR, np.uint16),
    "bayer_bggr16": _bayer(cv2.COLOR_BayerRG2BGR, np.uint16),
    "bayer_gbrg16": _bayer(cv2.COLOR_BayerGR2BGR, np.uint16),
    "bayer_grbg16": _bayer(cv2.COLOR_BayerGB2BGR, np.uint16),
}


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
) -> np.ndarray:
    """Decode a raw image message.

    step     bytes from one row to the next; rows may be padded
    data     anything with a buffer of bytes: bytes, array.array, memoryview, ndarray
    fallback called with the same arguments when the encoding is not in ENCODINGS (cv_bridge, for example)
    returns  (H, W, 3) uint8 BGR; a read-only view into data for bgr8. 16 bits are scaled to 8 by 255/65535.
    raises   UnknownEncoding; BadImage when size, step and data are inconsistent, or the size exceeds max_pixels
    """
    check_pixels(width, height, max_pixels)
    if encoding not in ENCODINGS and fallback is not None:
        return fallback(encoding, height, width, step, is_bigendian, data)
    rows = samples_of(encoding, height, width, step, data)
    layout = ENCODINGS[encoding]
    if layout.dtype is np.uint16:
        return _to_8_bits(layout.to_bgr(_native(rows, is_bigendian)))
    return layout.to_bgr(rows)


def samples_of(encoding: str, height: int, width: int, step: int, data: Any) -> np.ndarray:
    """The raw samples of an image message: a view of data, writable if data is.

    returns (rows, W, channels), or (rows, W) for one channel; 16-bit samples in the byte order of the message
    raises  like decode_image
    """
    layout = ENCODINGS.get(encoding)
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
    strides = (step, layout.channels * sample.itemsize, sample.itemsize)
    pixels = np.ndarray((rows, width, layout.channels), sample, buffer, strides=strides)
    return pixels if layout.channels > 1 else pixels[:, :, 0]


def _native(rows: np.ndarray, is_bigendian: bool) -> np.ndarray:
    """16-bit samples in this machine's byte order, in memory that OpenCV accepts (step may be odd)."""
    order = rows.dtype.newbyteorder(">" if is_bigendian else "<")
    return np.ascontiguousarray(rows.view(order).astype(np.uint16))


def _to_8_bits(image: np.ndarray) -> np.ndarray:
    return cv2.convertScaleAbs(image, alpha=255 / 65535)


_JPEG_SCAN, _JPEG_END, _PNG_END = b"\xff\xda", b"\xff\xd9", b"IEND\xaeB`\x82"


def check_pixels(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """BadImage when an image has more pixels than allowed, before memory is taken for it."""
    if width * height > max_pixels:
        raise BadImage(
            f"image of {width}x{height} exceeds the limit of {max_pixels / 1e6:g} megapixels: check the camera driver, "
            "or raise the parameter 'max_megapixels'"
        )


def decode_compressed(data: Any, format: str = "", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a compressed image message.

    data    a whole jpeg or png file
    format  of the message ("jpeg", "bgr8; png compressed bgr8", ...); used in error messages only
    returns (H, W, 3) uint8 BGR, as stored: the EXIF orientation is ignored because CameraInfo is not rotated either
    raises  BadImage when data is empty, truncated, corrupt, neither jpeg nor png, or larger than max_pixels
    """
    raw = bytes(data)
    _check_file(raw, format)
    check_pixels(*(compressed_size(raw) or _no_size(raw, format)), max_pixels)
    try:
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadImage(f"compressed image '{format}' cannot be decoded ({error.err}): check the camera link") from error
    if image is None:
        raise BadImage(f"compressed image '{format}' of {len(raw)} bytes is corrupt: check the camera link")
    return image


def _no_size(raw: bytes, format: str) -> NoReturn:
    raise BadImage(f"compressed image '{format}' of {len(raw)} bytes has no size in its header: check the camera link")


def _check_file(raw: bytes, format: str) -> None:
    if not raw:
        raise BadImage(f"compressed image '{format}' is empty: check the camera driver")
    if not raw.startswith((JPEG, PNG)):
        raise BadImage(f"compressed image '{format}' is neither jpeg nor png: publish one of these, or the raw image")
    if not _complete(raw):
        raise BadImage(f"compressed image '{format}' of {len(raw)} bytes is truncated: it has no end marker")


def _complete(raw: bytes) -> bool:
    """Whether the file has its end marker. Decoders silently fill the missing part of a jpeg with grey."""
    if raw.startswith(PNG):
        return _PNG_END in raw[-64:]
    # After the last start of scan, 0xff 0xd9 occurs only as end marker; that of an embedded thumbnail comes earlier.
    return raw.find(_JPEG_END, max(raw.rfind(_JPEG_SCAN), 0)) >= 0
