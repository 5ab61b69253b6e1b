"""Width and height of a jpeg or png file from its header alone: a file of 700 bytes can unpack to gigabytes."""

from __future__ import annotations

import struct

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
# Markers without a length: TEM, restart markers, start of image. C4, C8 and CC define tables, not frames.
_BARE = {0x01, *range(0xD0, 0xD9)}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_END, _SCAN = 0xD9, 0xDA


def compressed_size(raw: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels as the file declares them; None when its header has no size."""
    return _png_size(raw) if raw.startswith(PNG) else _jpeg_size(raw)


def _png_size(raw: bytes) -> tuple[int, int] | None:
    if len(raw) < 24 or raw[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", raw[16:24])
    return width, height


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
