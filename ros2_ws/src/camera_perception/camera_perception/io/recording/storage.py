"""The files of a recording on the disk, unpacked where rosbag2 has compressed them as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from camera_perception.core.errors import BagError
from camera_perception.core.natural_order import natural_order

MCAP, DATABASE, ROS1, PACKED = ".mcap", ".db3", ".bag", ".zstd"
SUFFIXES = (MCAP, DATABASE, ROS1, MCAP + PACKED, DATABASE + PACKED)
MOST_RATIO, FREE_BYTES = 200, 1 << 28  # of unpacked to packed bytes, beside what is always allowed
ROS1_ACTIVE = ".active"  # added by a ROS 1 recorder that was killed


def storage_of(path: Path) -> str:
    """MCAP, DATABASE or ROS1 by the name of a file, also of a compressed one; "" for another file."""
    name = path.name.lower().removesuffix(PACKED).removesuffix(ROS1_ACTIVE)
    return next((suffix for suffix in (MCAP, DATABASE, ROS1) if name.endswith(suffix)), "")


def storage_files(path: Path) -> list[Path]:
    """The files of a recording in natural order; of a file and its compressed copy, the file."""
    if not path.is_dir():
        return [path]
    found = natural_order(each for each in path.iterdir() if storage_of(each) and each.is_file())
    names = {each.name for each in found}
    return [each for each in found if not is_packed(each) or each.stem not in names]


def is_packed(path: Path) -> bool:
    """Whether a file is compressed as a whole."""
    return path.suffix.lower() == PACKED


def unpacked_files(paths: Sequence[Path], scratch: Path) -> list[Path]:
    """The files themselves, or unpacked copies of compressed ones in `scratch`; of a truncated one, what is there."""
    return [_unpacked(path, scratch / path.stem) if is_packed(path) else path for path in paths]


def _copy_within(packed: Any, plain: IO[bytes], most: int, path: Path) -> None:
    """Copy a stream; BagError beyond a number of bytes: 100 kB can unpack to gigabytes and fill the disk."""
    while block := packed.read(1 << 20):
        most -= len(block)
        if most < 0:
            raise BagError(
                f"{path} unpacks to more than {MOST_RATIO} times its size, as no recording does: if it is one, unpack "
                f"it with `zstd -d {path.name}` and read the result"
            )
        plain.write(block)


def _unpacked(path: Path, copy: Path) -> Path:
    try:
        import zstandard
    except ImportError as error:
        raise BagError(f"{path} is compressed: pip install zstandard, or unpack it with `zstd -d {path}`") from error
    try:
        with path.open("rb") as packed, copy.open("wb") as plain:
            reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
            _copy_within(reader, plain, FREE_BYTES + MOST_RATIO * path.stat().st_size, path)
    except zstandard.ZstdError as error:
        if not copy.stat().st_size:
            raise BagError(f"{path} cannot be unpacked ({error}): copy it again from where it was recorded") from error
    except OSError as error:
        raise BagError(f"{path} cannot be unpacked to {copy.parent} ({error.strerror}): make room there") from error
    return copy
