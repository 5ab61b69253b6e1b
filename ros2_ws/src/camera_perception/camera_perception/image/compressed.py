"""Decode sensor_msgs/CompressedImage data to (H, W, 3) uint8 BGR."""

from __future__ import annotations

from typing import Any, NoReturn

import cv2
import numpy as np

from camera_perception.core.errors import BadImage
from camera_perception.image.compressed_size import JPEG, check_scans, complete, compressed_size, is_known
from camera_perception.image.encodings import ENCODINGS, MAX_PIXELS, Narrow, check_pixels, known_name
from camera_perception.image.native_messages import native_messages_hidden
from camera_perception.image.sample_range import full_range

AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
# Decodes to other pixels than the zeros that a decoder fills in: it begins with ones.
_OTHER_DATA = bytes(range(254, 0, -1)) * 2


def decode_compressed(
    data: Any, format: str = "", max_pixels: int = MAX_PIXELS, narrow: Narrow = full_range
) -> np.ndarray:
    """Decode a compressed image message.

    data    a whole jpeg, png, webp, tiff or bmp file
    format  of the message ("jpeg", "bgr8; png compressed bgr8", ...). Its first word is the encoding before
            compression: a grey file of a Bayer encoding holds the mosaic, as image_transport writes it
    narrow  from 16 bits to 8
    returns (H, W, 3) uint8 BGR, as stored: the EXIF orientation is ignored because CameraInfo is not rotated either
    raises  BadImage when data is empty, truncated, corrupt, no such file, or larger than max_pixels
    """
    raw = bytes(data)
    _check_kind(raw, format)
    if raw.startswith(JPEG) and _JPEG_SCAN not in raw:
        _truncated(raw, format)
    check_scans(raw)
    check_pixels(*(compressed_size(raw) or _no_size(raw, format)), max_pixels)
    return _bgr(_decoded(_whole(raw, format), format), format, narrow)


def lost_colours(format: str) -> str:
    """Why the images of a format have no colours although the camera has; "" when they may have them."""
    first, _, rest = format.partition(";")
    if known_name(first) in _YUV and "compressed mono" in rest:
        return (
            f"compressed images of format '{format}' are grey: image_transport kept only part of the {first.strip()} "
            "image, and the colours cannot be recovered; make the driver publish rgb8 or bgr8"
        )
    return ""


_YUV = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21", "nv24", "i420", "yuv420")


def _bgr(image: np.ndarray, format: str, narrow: Narrow) -> np.ndarray:
    """A decoded file (H, W) or (H, W, 3), 8 or 16 bits, as BGR; the mosaic of a Bayer camera gets its colours."""
    encoding = known_name(format.partition(";")[0]) or ""
    if image.dtype not in (np.uint8, np.uint16):
        raise BadImage(f"compressed image '{format}' has {image.dtype} samples: publish 8 or 16 bits")
    if image.ndim == 2:
        mosaic = encoding.startswith("bayer") and min(image.shape) >= ENCODINGS[encoding].min_size
        to_bgr = ENCODINGS[encoding if mosaic else "mono8"].to_bgr
        image = to_bgr(image)
    return narrow(image) if image.dtype == np.uint16 else image


def _decoded(raw: bytes, format: str) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), AS_STORED)
    except cv2.error as error:
        raise BadImage(f"compressed image '{format}' cannot be decoded ({error.err}): check the camera link") from error
    if image is None:
        raise BadImage(f"compressed image '{format}' of {len(raw)} bytes is corrupt: check the camera link")
    return image


def _no_size(raw: bytes, format: str) -> NoReturn:
    raise BadImage(f"compressed image '{format}' of {len(raw)} bytes has no size in its header: check the camera link")


def _check_kind(raw: bytes, format: str) -> None:
    if not raw:
        raise BadImage(f"compressed image '{format}' is empty: check the camera driver")
    if not is_known(raw):
        raise BadImage(
            f"compressed image '{format}' is neither jpeg nor png, webp, tiff or bmp: publish one of these, "
            "or the raw image"
        )


def _whole(raw: bytes, format: str) -> bytes:
    """The file; with its end marker if only that is missing. Decoders silently fill missing parts with grey."""
    if complete(raw):
        return raw
    if raw.startswith(JPEG) and _only_end_missing(raw):
        return raw + _JPEG_END
    _truncated(raw, format)


def _truncated(raw: bytes, format: str) -> NoReturn:
    raise BadImage(f"compressed image '{format}' of {len(raw)} bytes is truncated: it has no end marker")


def _only_end_missing(raw: bytes) -> bool:
    """Whether a jpeg has all its pixels: what follows its last byte changes none of them."""
    other = b"\0" * raw.endswith(b"\xff") + _OTHER_DATA  # a zero makes 255 a part of the pixels, not of a marker
    with native_messages_hidden():  # libjpeg prints a line about surplus bytes for every image
        ended, continued = (
            cv2.imdecode(np.frombuffer(raw + more + _JPEG_END, np.uint8), AS_STORED) for more in (b"", other)
        )
    return ended is not None and continued is not None and np.array_equal(ended, continued)
