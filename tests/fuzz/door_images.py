"""Doors for compressed images: of topics and of files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from cases import files
from door import Door

from camera_perception.image import encodings
from camera_perception.image.files import decode_file

try:
    from camera_perception.image.compressed import decode_compressed
except ImportError:
    decode_compressed = encodings.decode_compressed


def compressed_image(case: bytes, folder: Path) -> None:
    name, _, data = case.partition(b"\n")
    image = decode_compressed(data, name.decode("utf-8", "replace"))
    assert image.shape[2] == 3
    assert image.dtype == np.uint8


def image_file(case: bytes, folder: Path) -> None:
    for flags in (cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH):
        decode_file(case, flags)


def image_seeds() -> list[bytes]:
    image = np.random.default_rng(0).integers(0, 255, (16, 24, 3), np.uint8)
    options = [(".jpg", []), (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), (".png", [])]
    colours = [cv2.imencode(suffix, image, extra)[1].tobytes() for suffix, extra in options]
    others = [cv2.imencode(suffix, image)[1].tobytes() for suffix in (".webp", ".tiff", ".bmp")]
    grey = [cv2.imencode(s, image[:, :, 0])[1].tobytes() for s in (".jpg", ".png")]
    deep = cv2.imencode(".png", image.astype(np.uint16) * 256)[1].tobytes()
    bomb = bytearray(colours[0])
    at = bomb.find(b"\xff\xc0")
    bomb[at + 5 : at + 9] = (30000).to_bytes(2, "big") * 2
    return [*colours, *grey, deep, bytes(bomb), *others]


def compressed_seeds() -> list[bytes]:
    names = (b"jpeg", b"bgr8; jpeg compressed bgr8", b"bayer_rggb8; png compressed ", b"")
    return [name + b"\n" + data for name in names for data in image_seeds()]


DOORS = [
    Door("compressed_image", compressed_image, compressed_seeds, files),
    Door("image_file", image_file, image_seeds, files),
]
