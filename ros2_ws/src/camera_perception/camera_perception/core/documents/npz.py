"""NumPy archives from outside, read with limits: a file of 14 MB can unpack to gigabytes."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from camera_perception.core.documents.parsing import Malformed

MOST_BYTES = 512 << 20  # unpacked
MOST_RATIO, SMALL_BYTES = 200, 64 << 20  # unpacked to packed bytes, of archives that unpack to more than SMALL_BYTES
MOST_ENTRIES, MOST_DIRECTORY = 256, 64 << 10
END, END_64 = struct.Struct("<4s4H2LH"), b"PK\x06\x07"
KINDS = "buifU"  # of data types: numbers and text, no objects and no records


def read_npz(path: Path | str, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """The arrays whose names are wanted. Malformed when the file is no archive of numbers, or beyond the limits."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise Malformed("it is a pipe or a device, not a file")
            _check_directory(stream)
            with zipfile.ZipFile(stream) as archive:
                names = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
                entries = {name: entry for name, entry in names.items() if wanted(name)}
                _check_sizes(list(entries.values()))
                return {name: _array(archive, entry) for name, entry in entries.items()}
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError) as error:
        raise Malformed(str(error) or type(error).__name__) from error
    except (NotImplementedError, RuntimeError, IndexError, OverflowError, MemoryError) as error:
        raise Malformed(f"its archive is damaged: {error}") from error


def _check_directory(stream: io.BufferedReader) -> None:
    """Refuse archives with long directories before they are read: an entry takes a kilobyte of memory."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 65_557))  # the end record with the longest comment
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < END.size:
        raise Malformed("it is no archive, or only a part of one")
    _, _, _, _, entries, directory, _, _ = END.unpack_from(tail, at)
    if entries > MOST_ENTRIES or directory > MOST_DIRECTORY or END_64 in tail[max(0, at - 20) : at]:
        raise Malformed(f"it has more than {MOST_ENTRIES} entries")
    stream.seek(0)


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    unpacked, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
    if unpacked > MOST_BYTES:
        raise Malformed(f"it unpacks to {unpacked >> 20} MiB, the limit is {MOST_BYTES >> 20}")
    if unpacked > SMALL_BYTES and unpacked > MOST_RATIO * packed:
        raise Malformed(f"it unpacks to {unpacked >> 20} MiB, more than {MOST_RATIO} times its size")


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """One array; its header must announce exactly the bytes that follow."""
    with archive.open(entry) as stream:
        data = stream.read(entry.file_size)
    content = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(content) != (1, 0):
            raise Malformed(f"'{entry.filename[:80]}' has another version than 1.0 of the npy format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(content)
    except Malformed:
        raise
    except Exception as error:  # NumPy evaluates the header as Python text, with the errors of its parser
        raise Malformed(f"the header of '{entry.filename[:80]}' is damaged") from error
    count = 1
    for size in shape:
        count *= size
    if dtype.kind not in KINDS or min(shape, default=0) < 0 or count * dtype.itemsize != len(data) - content.tell():
        raise Malformed(f"'{entry.filename[:80]}' is no array of numbers, or not as large as its header says")
    if not count * dtype.itemsize:
        return np.zeros(shape, dtype)
    flat = np.frombuffer(data, dtype, count, content.tell())
    return flat.reshape(shape, order="F" if fortran else "C")
