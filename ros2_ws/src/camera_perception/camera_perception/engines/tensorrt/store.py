"""Engines on disk: written completely or not at all, by one builder at a time, and read only when unchanged.

An engine contains code. It is read only when its manifest has its sha256 and fits model and machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from camera_perception.core.documents.parsing import Malformed, read_regular
from camera_perception.core.errors import EngineBusy, EngineError
from camera_perception.engines.tensorrt.manifest import EngineKey, Manifest, read_manifest

log = logging.getLogger(__name__)
PAPERS = ("MODEL_CARD.md", "LICENSE*", "LICENCE*", "NOTICE*", "CREDITS.csv")
LAYERS = ".layers.json"  # suffix of the engine inspector's description of the layers
MAGIC = b"ftrt", b"vtrt"  # of TensorRT, and of TensorRT for RTX
HEADER = 28  # bytes of a plan file up to its version; undocumented, so only used as a hint


def _manifest_paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*_trt*.json") if not path.name.endswith(LAYERS))


def manifests(folder: Path) -> Iterator[tuple[Path, Manifest]]:
    """Path and contents of the readable manifests of a folder, sorted by name; the others are logged."""
    for path in _manifest_paths(folder):
        try:
            yield path, read_manifest(path)
        except EngineError as error:
            log.warning("%s", error)


def unreadable(folder: Path) -> list[Path]:
    """The manifests of a folder that cannot be read, sorted by name."""
    readable = {path for path, _ in manifests(folder)}
    return [path for path in _manifest_paths(folder) if path not in readable]


def matching(folder: Path, key: EngineKey) -> list[tuple[Path, Manifest]]:
    """Engines of this model for this machine, whatever their build options, the fastest first."""
    found = [(path, manifest) for path, manifest in manifests(folder) if not key.differences(manifest.key)]
    return sorted(found, key=lambda pair: pair[1].milliseconds)


def near_misses(folder: Path, key: EngineKey) -> list[str]:
    """Why the engines of that model do not fit, one clause each, the nearest first."""
    found = [key.differences(m.key) for _, m in manifests(folder) if m.key.model == key.model]
    return [", ".join(differences) for differences in sorted(found, key=len) if differences]


def read_plan(folder: Path, manifest: Manifest) -> bytes:
    """The engine's bytes, safe to deserialise; EngineError when they are not those of the manifest."""
    path = folder / manifest.engine
    try:
        data = read_regular(path, manifest.nbytes)
    except Malformed as error:
        raise EngineError(f"engine {path} cannot be read ({error})") from error
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        size = f"{len(data)} of {manifest.nbytes} bytes" if len(data) != manifest.nbytes else "other contents"
        hint = header_hint(data, manifest.key.machine.tensorrt)
        raise EngineError(f"engine {path} has changed since it was built and checked ({size}{hint})")
    return data


def header_hint(data: bytes, tensorrt: str) -> str:
    """What the first bytes of a plan reveal about its origin, for an error message; "" when nothing."""
    if len(data) < HEADER or data[:4] not in MAGIC:
        return ", not a TensorRT file"
    version = tuple(data[24:27])
    expected = tuple(int(part) for part in re.findall(r"\d+", tensorrt)[:3])
    return "" if version == expected else f", written by TensorRT {'.'.join(map(str, version))}"


def store(
    folder: Path, manifest: Manifest, plan: bytes, layers: str = "{}", papers: Mapping[str, bytes] | None = None
) -> Path:
    """Write layers, engine and manifest, each completely or not at all; renaming the manifest installs the engine.

    papers  model card, licence and credits: file name -> contents
    """
    path = folder / f"{manifest.key.stem}.json"
    previous = _engine_of(path)
    write_whole(layers_path(folder, manifest.engine), layers.encode())
    for name, data in (papers or {}).items():
        write_whole(folder / f"{Path(manifest.engine).stem}.{name}", data)
    write_whole(folder / manifest.engine, plan)
    write_whole(path, manifest.text().encode())
    if previous is not None and previous != manifest.engine:
        for old in (folder / previous, layers_path(folder, previous), *papers_of(folder, previous)):
            old.unlink(missing_ok=True)
    return path


def papers(model: Path) -> dict[str, bytes]:
    """What a model's users have to know, by file name: card, licence and credits of its folder, or of the one above."""
    folders = (model, model.parent) if not (model / "MODEL_CARD.md").is_file() else (model,)
    found = {path.name: path for folder in reversed(folders) for name in PAPERS for path in folder.glob(name)}
    return {name: path.read_bytes() for name, path in found.items() if path.is_file()}


def papers_of(folder: Path, engine: str) -> list[Path]:
    """The papers beside an engine."""
    stem = Path(engine).stem
    return [path for name in PAPERS for path in folder.glob(f"{escape(stem)}.{name}")]


def layers_path(folder: Path, engine: str) -> Path:
    """The file beside an engine with the inspector's description of its layers."""
    return (folder / engine).with_suffix(LAYERS)


def _engine_of(path: Path) -> str | None:
    """The engine that a manifest names; None when the manifest is missing or broken."""
    try:
        return read_manifest(path).engine
    except EngineError:
        return None


def write_whole(path: Path, data: bytes) -> None:
    """Write a temporary file, flush it to disk, rename it: a power cut leaves the old file or the new one."""
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
def build_lock(folder: Path, key: EngineKey) -> Iterator[None]:
    """Allow one builder per engine; EngineBusy for a second one. A builder that dies releases the lock."""
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
