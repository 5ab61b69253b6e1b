"""Which other files an ONNX file takes its weights from, without a protobuf package.

Only the fields on the way to TensorProto.external_data are read; numbers are those of onnx.proto3.
https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from camera_perception.core.documents.parsing import Malformed

# message: {number of a field: message in it}
FIELDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
VARINT, FIXED_64, BYTES, GROUP, GROUP_END, FIXED_32 = range(6)
MOST_FILES, MOST_DEPTH = 256, 64
MOST_FIELDS = 3_000_000  # some seconds; a network of 1,000 layers has 100,000


def external_weights(path: Path) -> tuple[str, ...]:
    """Names of the files beside an ONNX file that hold weights, sorted; empty for most models.

    Malformed when the file is no protobuf message, or names a file elsewhere or one that does not exist.
    """
    if not path.stat().st_size:
        return ()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        names = sorted(set(_locations(data, 0, len(data), "model", 0, iter(range(MOST_FIELDS)))))
    if len(names) > MOST_FILES:
        raise Malformed(f"its weights are in more than {MOST_FILES} files")
    for name in names:
        _check(path.parent, name)
    return tuple(names)


def _check(folder: Path, name: str) -> None:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\0" in name or "\\" in name:
        raise Malformed(f"it takes weights from '{name[:100]}', outside its folder")
    if not (folder / name).is_file():
        raise Malformed(f"its weights '{name[:100]}' are missing")
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise Malformed(f"its weights '{name[:100]}' are a link out of its folder")


def _locations(data: mmap.mmap, start: int, end: int, message: str, depth: int, budget: Iterator[int]) -> Iterator[str]:
    """Values of the key "location" in all entries of external data between two positions.

    budget  has one element for each field that may still be read
    """
    if depth > MOST_DEPTH:
        raise Malformed("its graphs are nested too deeply")
    for number, first, last in _fields(data, start, end, budget):
        inner = FIELDS[message].get(number)
        if inner == "entry":
            pair = {n: data[a:b] for n, a, b in _fields(data, first, last, budget)}
            if pair.get(1) == b"location":
                yield pair.get(2, b"").decode("utf-8", "replace")
        elif inner:
            yield from _locations(data, first, last, inner, depth + 1, budget)


def _fields(data: mmap.mmap, start: int, end: int, budget: Iterator[int]) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field of bytes; numbers are skipped."""
    while start < end:
        if next(budget, None) is None:
            raise Malformed(f"it has more than {MOST_FIELDS:,} fields")
        tag, start = _varint(data, start, end)
        number, kind = tag >> 3, tag & 7
        if kind == BYTES:
            length, start = _varint(data, start, end)
            if length > end - start:
                raise Malformed("it is not an ONNX file, or only a part of one")
            yield number, start, start + length
            start += length
        elif kind == VARINT:
            _, start = _varint(data, start, end)
        elif kind in (FIXED_64, FIXED_32):
            start += 8 if kind == FIXED_64 else 4
        else:
            raise Malformed("it is not an ONNX file")
    if start > end:
        raise Malformed("it is not an ONNX file, or only a part of one")


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """A number of up to 64 bits, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise Malformed("it is not an ONNX file, or only a part of one")
