"""Recordings, the job that a run does on them, and its units of work. Equal keys mean equal results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import camera_perception
from camera_perception.core.natural_order import natural_order
from camera_perception.io.bag_reader import is_bag
from camera_perception.io.recording.storage import SUFFIXES, storage_files
from camera_perception.tools.fleet.store.storage import StoreError, filesystem, is_remote
from camera_perception.tools.replay.source import image_files

VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v")
EDGE = 1 << 16  # bytes at both ends of a file that go into its fingerprint: an mcap file ends with its index
# What decides the results: a change there makes a new run.
CODE = ("core", "geometry", "image", "lanes", "engines", "io", "objects", "decode", "pipeline.py",
        "tools/replay/source.py", "tools/replay/independence.py", "tools/fleet/store/rows.py",
        "tools/fleet/work/perform.py", "tools/fleet/work/sources.py")  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """A recording, video or folder of images.

    address      path, or s3://bucket/key
    fingerprint  hash of its size and ends (local), or of size and ETag (object store); not of its name
    """

    address: str
    size: int
    fingerprint: str


@dataclass(frozen=True)
class Job:
    """What is done with every recording.

    model      hash over the files of the model folder
    engine     pinned backend:precision
    threads    CPU threads of one engine
    camera     topic or short name; None: all cameras
    min_score  least score of candidates kept
    embedding  whether frames get an embedding
    code       hash over the library's files that decide the results
    """

    model: str
    engine: str
    threads: int = 1
    camera: str | None = None
    min_score: float = 0.1
    embedding: bool = True
    code: str = ""

    @property
    def run_id(self) -> str:
        return _digest(json.dumps(asdict(self), sort_keys=True))


@dataclass(frozen=True)
class Unit:
    """One recording, or part `part` of `parts` equal parts of a long one."""

    run: str
    recording: Recording
    part: int = 0
    parts: int = 1

    @property
    def key(self) -> str:
        return _digest(f"{self.run} {self.recording.fingerprint} {self.part}/{self.parts}")

    @property
    def row(self) -> dict[str, Any]:
        """Columns of the table `runs`."""
        recording = self.recording
        names = {"recording": recording.address, "recording_id": recording.fingerprint, "bytes_in": recording.size}
        return {"unit": self.key, "run": self.run, **names, "part": self.part, "parts": self.parts}


def units_of(recordings: Iterable[Recording], run: str, slice_bytes: int = 0) -> list[Unit]:
    """The units of a run, the largest first, so that no long one is left at the end; equal recordings count once.

    slice_bytes  recordings larger than this are cut into parts; 0: never
    """
    unique = {each.fingerprint: each for each in recordings}
    units = []
    for recording in sorted(unique.values(), key=lambda each: (-each.size, each.address)):
        parts = max(1, -(-recording.size // slice_bytes)) if slice_bytes else 1
        units += [Unit(run, recording, part, parts) for part in range(parts)]
    return units


def find_recordings(sources: Sequence[str]) -> list[Recording]:
    """Recordings below paths, patterns and addresses; StoreError when a source holds none."""
    found: list[Recording] = []
    for source in sources:
        some = list(_remote(source) if is_remote(source) else _local(source))
        if not some:
            raise StoreError(f"{source}: no recording, video or folder of images there: check the path or pattern")
        found += some
    if not found:
        raise StoreError("no recordings: give at least one path, pattern or s3:// address")
    return found


def _local(source: str) -> Iterator[Recording]:
    pattern = has_magic(source) and not Path(source).exists()
    for path in natural_order(map(Path, glob(source) if pattern else [source])):
        for each in _recordings_below(path):
            files = storage_files(each) if is_bag(each) else image_files(each) if each.is_dir() else [each]
            yield Recording(str(each), sum(file.stat().st_size for file in files), fingerprint(files))


def _recordings_below(path: Path) -> list[Path]:
    if not path.exists():
        return []
    if path.is_file() or (is_bag(path) and (path / "metadata.yaml").is_file()) or image_files(path):
        return [path]
    children = natural_order(each for each in path.iterdir() if not each.name.startswith("."))
    return [each for each in children if is_bag(each) or each.suffix.lower() in VIDEO_SUFFIXES or _pictures(each)]


def _pictures(path: Path) -> bool:
    return path.is_dir() and bool(image_files(path))


def fingerprint(files: Sequence[Path]) -> str:
    """Hash of the sizes and ends of files; times do not count: clocks are skewed, and copies are new."""
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as stream:
            digest.update(f"{size} ".encode() + stream.read(EDGE))
            stream.seek(max(0, size - EDGE))
            digest.update(stream.read(EDGE))
    return digest.hexdigest()[:16]


def _remote(source: str) -> Iterator[Recording]:
    fs, scheme = filesystem(source), source.partition("://")[0]
    pattern = source if has_magic(source) or source.endswith(SUFFIXES + VIDEO_SUFFIXES) else f"{source.rstrip('/')}/*"
    if pattern == source and not has_magic(source):
        rows = {source: fs.info(source)} if fs.exists(source) else {}
    else:
        rows = fs.glob(pattern, detail=True)
    for name, row in sorted(rows.items()):
        if row["type"] == "file" and name.endswith(SUFFIXES + VIDEO_SUFFIXES):
            identity = f"{row['size']} {row.get('ETag') or row.get('etag') or row.get('LastModified')}"
            yield Recording(f"{scheme}://{name.partition('://')[2] or name}", int(row["size"]), _digest(identity))


@lru_cache(maxsize=1)
def code_version() -> str:
    """Hash over the library's files that decide the results."""
    root, digest = Path(camera_perception.__file__).parent, hashlib.sha256()
    for part in CODE:
        path = root / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
