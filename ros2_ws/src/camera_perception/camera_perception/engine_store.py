"""Engines on disk: written whole or not at all, by one builder at a time, read only when they are what was checked."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from camera_perception.engine_key import EngineKey
from camera_perception.engine_manifest import LAYERS, Manifest, read_manifest
from camera_perception.errors import EngineBusy, EngineError

HEADER = 28  # bytes of a plan file up to its version; undocumented, so only a hint


def read_plan(folder: Path, manifest: Manifest) -> bytes:
    """The engine's bytes, after their sha256 was compared; only then may they be deserialised. EngineError if not."""
    path = folder / manifest.engine
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineError(f"engine {path} cannot be read ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        size = f"{len(data)} of {manifest.nbytes} bytes" if len(data) != manifest.nbytes else "other contents"
        hint = header_hint(data, manifest.key.machine.tensorrt)
        raise EngineError(f"engine {path} is not the one that was built and checked ({size}{hint})")
    return data


def header_hint(data: bytes, tensorrt: str) -> str:
    """What the first bytes of a plan say about it, for an error text; "" when they say nothing."""
    if len(data) < HEADER or data[:4] != b"ftrt":
        return ", not a TensorRT file"
    wrote = tuple(data[24:27])
    wanted = tuple(int(part) for part in re.findall(r"\d+", tensorrt)[:3])
    return "" if wrote == wanted else f", written by TensorRT {'.'.join(map(str, wrote))}"


def store(folder: Path, manifest: Manifest, plan: bytes, layers: str = "{}") -> Path:
    """Write layers and engine, then the manifest, each complete or not at all; its rename is the moment of change."""
    path = folder / f"{manifest.key.stem}.json"
    before = _engine_of(path)
    write_whole(layers_path(folder, manifest.engine), layers.encode())
    write_whole(folder / manifest.engine, plan)
    write_whole(path, manifest.text().encode())
    if before not in (None, manifest.engine):
        for old in (folder / str(before), layers_path(folder, str(before))):
            old.unlink(missing_ok=True)
    return path


def layers_path(folder: Path, engine: str) -> Path:
    """Beside an engine: what TensorRT's inspector says of each of its layers."""
    return (folder / engine).with_suffix(LAYERS)


def _engine_of(path: Path) -> str | None:
    """The engine that a new one replaces; a broken manifest must not stop the new one."""
    try:
        return read_manifest(path).engine
    except EngineError:
        return None


def write_whole(path: Path, data: bytes) -> None:
    """To a temporary file, onto the disk, then renamed: a power cut leaves the old file or the new one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EngineError(f"{path} cannot be written ({error.strerror}): make room, or choose another --out") from error


@contextmanager
def only_builder(folder: Path, key: EngineKey) -> Iterator[None]:
    """Keep a second builder of the same engine out; a builder that dies gives the lock up."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / f".{key.digest[:16]}.lock").open("w")
    except OSError as error:
        raise EngineError(f"engines cannot be written to {folder} ({error.strerror}): choose another --out") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EngineBusy(f"another process is building this engine in {folder}: wait for it, or stop it") from error
        yield
