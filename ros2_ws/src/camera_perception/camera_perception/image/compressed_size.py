"""What a compressed image file says about itself: its kind, its size in pixels, and whether it is complete.

From the header alone: a file of 700 bytes can unpack to gigabytes.
"""

from __future__ import annotations

import struct

from camera_perception.core.errors import BadImage

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
BMP = b"BM"
TIFF = (b"II*\0", b"MM\0*")
RIFF, WEBP = b"RIFF", b"WEBP"
# Markers without a length: TEM, restart markers, start of image. C4, C8 and CC define tables, not frames.
_BARE = {0x01, *range(0xD0, 0xD9)}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
MOST_SCANS = 100  # progressive files have about 10
_END, _SCAN = 0xD9, 0xDA
_JPEG_SCAN, _JPEG_END, _PNG_END = b"\xff\xda", b"\xff\xd9", b"IEND\xaeB`\x82"
# Tags of TIFF, and its integer types.
_WIDTH, _HEIGHT, _STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 256, 257, 273, 279, 324, 325
_INTEGERS = {3: "H", 4: "I"}


def is_known(raw: bytes) -> bool:
    """Whether a file is a jpeg, png, webp, tiff or bmp."""
    return raw.startswith((JPEG, PNG, BMP, *TIFF)) or _is_webp(raw)


def check_scans(raw: bytes) -> None:
    """BadImage for a JPEG of too many scans: each costs 14 bytes and makes the decoder pass over all pixels again."""
    if raw.startswith(JPEG) and (count := raw.count(_JPEG_SCAN)) > MOST_SCANS:
        raise BadImage(
            f"a JPEG file of {len(raw)} bytes has {count} scans, more than {MOST_SCANS}: check where it comes from"
        )


def compressed_size(raw: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels as the file declares them; None when its header has no size."""
    try:
        if raw.startswith(PNG):
            return _png_size(raw)
        if raw.startswith(BMP):
            return _bmp_size(raw)
        if raw.startswith(TIFF):
            return _tiff_size(raw)
        return _webp_size(raw) if _is_webp(raw) else _jpeg_size(raw)
    except struct.error:  # the file ends within its header
        return None


def complete(raw: bytes) -> bool:
    """Whether the file has its end marker, or as many bytes as it declares."""
    if raw.startswith(PNG):
        return _PNG_END in raw[-64:]
    if raw.startswith(JPEG):
        # After the last start of scan, 0xff 0xd9 occurs only as end marker; that of a thumbnail comes earlier.
        return raw.find(_JPEG_END, max(raw.rfind(_JPEG_SCAN), 0)) >= 0
    return len(raw) >= _declared_bytes(raw)


def _declared_bytes(raw: bytes) -> int:
    """Length of a bmp, tiff or webp file as its header gives it."""
    if raw.startswith(TIFF):
        tags = _tiff_tags(raw)
        starts, sizes = tags.get(_STRIPS) or tags.get(_TILES, ()), tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES, ())
        return max((start + size for start, size in zip(starts, sizes)), default=len(raw) + 1)
    if raw.startswith(BMP):
        return int(struct.unpack_from("<I", raw, 2)[0])
    return int(struct.unpack_from("<I", raw, 4)[0]) + 8


def _png_size(raw: bytes) -> tuple[int, int] | None:
    if raw[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", raw, 16)
    return width, height


def _bmp_size(raw: bytes) -> tuple[int, int]:
    """The height is negative where the first row is the top one; the oldest headers have 16 bits."""
    (header,) = struct.unpack_from("<I", raw, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", raw, 18)
    return abs(width), abs(height)


def _is_webp(raw: bytes) -> bool:
    return raw.startswith(RIFF) and raw[8:12] == WEBP


def _webp_size(raw: bytes) -> tuple[int, int] | None:
    """Of the canvas (VP8X), of the lossless (VP8L) or of the lossy image (VP8)."""
    kind = raw[12:16]
    if kind == b"VP8X":
        canvas = struct.unpack_from("<HBHB", raw, 24)
        return 1 + canvas[0] + (canvas[1] << 16), 1 + canvas[2] + (canvas[3] << 16)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", raw, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", raw, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff_size(raw: bytes) -> tuple[int, int] | None:
    tags = _tiff_tags(raw)
    if _WIDTH not in tags or _HEIGHT not in tags:
        return None
    return tags[_WIDTH][0], tags[_HEIGHT][0]


def _tiff_tags(raw: bytes) -> dict[int, tuple[int, ...]]:
    """Integer tags of the first image."""
    order = "<" if raw.startswith(TIFF[0]) else ">"
    (at,) = struct.unpack_from(order + "I", raw, 4)
    (entries,) = struct.unpack_from(order + "H", raw, at)
    tags = {}
    for entry in range(at + 2, at + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", raw, entry)
        if kind in _INTEGERS and 0 < count <= len(raw):
            layout = f"{order}{count}{_INTEGERS[kind]}"
            inside = struct.calcsize(layout) <= 4
            tags[tag] = struct.unpack_from(layout, raw, entry + 8 if inside else _offset(raw, order, entry))
    return tags


def _offset(raw: bytes, order: str, entry: int) -> int:
    return int(struct.unpack_from(order + "I", raw, entry + 8)[0])


def _jpeg_size(raw: bytes) -> tuple[int, int] | None:
    """The largest size before the first scan. Decoders skip bytes between segments, so this does, too."""
    at, sizes = len(JPEG), []
    while (at := raw.find(b"\xff", at)) >= 0 and at + 4 <= len(raw):
        marker = raw[at + 1]
        if marker in (_SCAN, _END):
            break
        if marker in (0x00, 0xFF) or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES and at + 9 <= len(raw):
            height, width = struct.unpack(">HH", raw[at + 5 : at + 9])
            sizes.append((width, height))
        at += 2 + max(2, int.from_bytes(raw[at + 2 : at + 4], "big"))
    return max(sizes, key=lambda size: size[0] * size[1], default=None)
