"""Records of mcap files taken from bytes that may be damaged: nothing is believed that does not fit.

Layout: https://mcap.dev/spec, section Records. Every record is an opcode, a length of 8 bytes, and a body.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from mmap import mmap
from typing import NamedTuple

Data = bytes | mmap
MAGIC = b"\x89MCAP0\r\n"
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = 2, 3, 4, 5, 6, 7, 8
STATISTICS, SUMMARY_OFFSET, DATA_END = 11, 14, 15
LOOSE = (1, 9, 10, 12, 13)  # Header, Attachment, AttachmentIndex, Metadata, MetadataIndex: nothing here needs them
PRIVATE = 0x80  # opcodes from here on are of no known kind
PREFIX = 9  # opcode and length
MESSAGE_PREFIX = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
CHUNK_PREFIX = struct.Struct("<QQQII")  # start, end, size, CRC, length of the compression's name
MOST_CHUNK_BYTES = 1 << 28  # of a chunk when unpacked
# Opcode of a record that can follow damage, and a length below 2**40.
START = re.compile(rb"(?=[\x03-\x08\x0b\x0f].{5}\0\0\0)", re.DOTALL)


class Schema(NamedTuple):
    id: int
    name: str
    encoding: str
    data: bytes


class Channel(NamedTuple):
    id: int
    schema_id: int
    topic: str
    encoding: str
    metadata: dict[str, str]


class Chunk(NamedTuple):
    """Place of the packed data in the file; `end` is that of the record."""

    start: int
    stop: int
    end: int
    compression: str
    size: int
    crc: int


class Message(NamedTuple):
    """data lies between start and stop of the bytes that hold the message."""

    channel: int
    stamp_ns: int
    start: int
    stop: int


def prefix(data: Data, at: int, limit: int) -> tuple[int, int, int] | None:
    """(opcode, start, stop of the body) of a record; None when it is cut off."""
    if at + PREFIX > limit:
        return None
    opcode, length = struct.unpack_from("<BQ", data, at)
    stop = at + PREFIX + length
    return (opcode, at + PREFIX, stop) if stop <= limit else None


def plausible(data: Data, at: int, limit: int) -> bool:
    """Whether a record of a known kind, or the end of the file, can be here."""
    found = prefix(data, at, limit)
    if limit - at in (0, len(MAGIC)):
        return data[at:limit] in (b"", MAGIC)
    return found is not None and 1 <= found[0] <= DATA_END


def schema(body: bytes) -> Schema | None:
    fields = _fields(body, 2, (4, 4, 4))
    if fields is None:
        return None
    name, encoding, text = fields
    try:
        return Schema(int.from_bytes(body[:2], "little"), name.decode(), encoding.decode("ascii"), text)
    except UnicodeDecodeError:
        return None


def channel(body: bytes) -> Channel | None:
    fields = _fields(body, 4, (4, 4, 4))
    if fields is None:
        return None
    topic, encoding, metadata = fields
    id_, schema_id = struct.unpack_from("<HH", body)
    try:
        return Channel(id_, schema_id, topic.decode(), encoding.decode("ascii"), _pairs(metadata))
    except UnicodeDecodeError:
        return None


def _fields(body: bytes, at: int, sizes: tuple[int, ...]) -> list[bytes] | None:
    """Length-prefixed fields that fill the body from `at` on exactly; sizes are those of the lengths."""
    fields = []
    for size in sizes:
        length = int.from_bytes(body[at : at + size], "little")
        fields.append(body[at + size : at + size + length])
        at += size + length
    return fields if at == len(body) and len(body) > sum(sizes) else None


def _pairs(data: bytes) -> dict[str, str]:
    """A map of strings; as far as it can be read."""
    pairs, at = {}, 0
    while at + 8 <= len(data):
        texts = []
        for _ in range(2):
            length = int.from_bytes(data[at : at + 4], "little")
            texts.append(data[at + 4 : at + 4 + length].decode())
            at += 4 + length
        pairs[texts[0]] = texts[1]
    return pairs


def message(data: Data, start: int, stop: int) -> Message | None:
    """A message from its body."""
    if stop - start < MESSAGE_PREFIX.size:
        return None
    channel_id, _, stamp_ns, _ = MESSAGE_PREFIX.unpack_from(data, start)
    return Message(channel_id, stamp_ns, start + MESSAGE_PREFIX.size, stop) if stamp_ns < 1 << 63 else None


def index_entries(body: bytes) -> tuple[int, int] | None:
    """(channel, number of messages) of a MessageIndex."""
    if len(body) < 6:
        return None
    channel_id, length = struct.unpack_from("<HI", body)
    return (channel_id, length // 16) if length == len(body) - 6 and length % 16 == 0 else None


def fits(opcode: int, body: bytes) -> bool:
    """Whether a body has the inner lengths of its kind; messages, chunks and LOOSE kinds need more than this."""
    if opcode in (SCHEMA, CHANNEL):
        return (schema(body) if opcode == SCHEMA else channel(body)) is not None
    if opcode == MESSAGE_INDEX:
        return index_entries(body) is not None
    if opcode == STATISTICS:
        return len(body) >= 46 and int.from_bytes(body[42:46], "little") == len(body) - 46
    if opcode == CHUNK_INDEX:
        offsets = int.from_bytes(body[32:36], "little")
        name = int.from_bytes(body[44 + offsets : 48 + offsets], "little")
        return len(body) == 64 + offsets + name
    return len(body) == {FOOTER: 20, SUMMARY_OFFSET: 17, DATA_END: 4}.get(opcode, -1)


def stated_counts(body: bytes) -> dict[int, int]:
    """Messages per channel in a Statistics record."""
    return dict(struct.iter_unpack("<HQ", body[46:]))


def sound_summary(data: Data) -> bool:
    """Whether the section that holds index and statistics is there and has its checksum, if it has one."""
    end = len(data) - len(MAGIC)
    footer = end - PREFIX - 20
    if footer < len(MAGIC) or data[end:] != MAGIC or data[footer : footer + PREFIX] != b"\x02\x14" + bytes(7):
        return False
    start, _, crc = struct.unpack_from("<QQI", data, footer + PREFIX)
    if not 0 < start <= footer:
        return False
    return not crc or zlib.crc32(data[start : end - 4]) == crc


def _summary(data: Data, opcode: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of the records of one kind in the summary of a file whose summary is sound."""
    limit = len(data) - len(MAGIC)
    (at,) = struct.unpack_from("<Q", data, limit - 20)
    while (found := prefix(data, at, limit)) is not None:
        kind, start, at = found
        if kind == opcode:
            yield start, at


def longest_channel(data: Data) -> int:
    """Bytes of the longest Channel record in a sound summary."""
    return max((stop - start for start, stop in _summary(data, CHANNEL)), default=0)


def indexes_messages(data: Data) -> bool:
    """Whether a sound summary names the chunks, and the messages in each; writers can leave out either."""
    named = [int.from_bytes(data[start + 32 : start + 36], "little") for start, _ in _summary(data, CHUNK_INDEX)]
    return bool(named) and all(named)


# Chunks


def chunk(data: Data, start: int, stop: int, limit: int) -> Chunk | None:
    """A chunk with its header at `start`; stop is the end by the record's length, which may be damaged.

    Of the two lengths, that of the record and that of the packed data, the one that fits the checksum is taken.
    """
    if start + CHUNK_PREFIX.size > limit:
        return None
    _, _, size, crc, name_length = CHUNK_PREFIX.unpack_from(data, start)
    at = start + CHUNK_PREFIX.size
    name = bytes(data[at : at + name_length]).decode("latin-1") if name_length <= 4 else "?"
    if name not in UNPACK or at + name_length + 8 > limit or size > MOST_CHUNK_BYTES:
        return None
    packed = at + name_length + 8
    inner = packed + int.from_bytes(data[packed - 8 : packed], "little")
    if inner == stop:
        return Chunk(packed, stop, stop, name, size, crc)
    for end in (inner, stop):
        if packed <= end <= limit and crc and unpacked(data, found := Chunk(packed, end, end, name, size, crc)):
            return found
    return None


def unpacked(data: Data, found: Chunk) -> bytes | None:
    """The records inside a chunk; None when they do not have its checksum."""
    try:
        plain = UNPACK[found.compression](bytes(data[found.start : found.stop]), found.size)
    except Exception:  # zstd and lz4 each raise their own errors
        return None
    return plain if len(plain) == found.size and (not found.crc or zlib.crc32(plain) == found.crc) else None


def _zstd(packed: bytes, size: int) -> bytes:
    import zstandard

    # Not `decompress`: it believes the size that the frame names, and allocates it.
    return zstandard.ZstdDecompressor().stream_reader(packed).read(size + 1)


def _lz4(packed: bytes, size: int) -> bytes:
    from lz4.frame import LZ4FrameDecompressor

    plain: bytes = LZ4FrameDecompressor().decompress(packed, max_length=size + 1)
    return plain


UNPACK: dict[str, Callable[[bytes, int], bytes]] = {"": lambda packed, size: packed, "zstd": _zstd, "lz4": _lz4}


def inside(plain: bytes) -> Iterator[tuple[int, int, int]]:
    """(opcode, start, stop of the body) of the records in an unpacked chunk, up to the first that is damaged."""
    at = 0
    while (found := prefix(plain, at, len(plain))) is not None:
        yield found
        at = found[2]
