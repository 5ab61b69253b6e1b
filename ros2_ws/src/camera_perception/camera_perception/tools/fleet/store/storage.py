"""A folder on a disk or in an object store. Files appear complete or not at all; names use forward slashes."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from camera_perception.core.errors import PerceptionError

T = TypeVar("T")
TRIES, FIRST_PAUSE = 5, 0.5  # seconds, doubled after each failed request to an object store


class StoreError(PerceptionError):
    """A store cannot be read or written, or holds something else than expected."""


def is_remote(address: str) -> bool:
    """Whether an address names an object store, such as s3://bucket/key."""
    return "://" in address and not address.startswith("file://")


def open_storage(address: str | Path) -> Storage:
    """The folder at a path or at an address such as s3://bucket/folder."""
    text = str(address)
    return RemoteStorage(text.rstrip("/")) if is_remote(text) else Storage(text.removeprefix("file://"))


class Storage:
    """A local folder."""

    remote = False

    def __init__(self, address: str) -> None:
        self.address = address
        self._root = Path(address)

    def path(self, name: str) -> str:
        """What DuckDB and other readers open."""
        return str(self._root / name)

    def read(self, name: str) -> bytes:
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise StoreError(f"{self.path(name)} cannot be read ({error.strerror}): check --out") from error

    def write(self, name: str, data: bytes) -> None:
        """Write under a temporary name, then put in place."""
        target = self._root / name
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(target)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise StoreError(f"{target} cannot be written ({error.strerror}): free the disk, then run again") from error

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that does not exist yet; False when it exists. Of two writers, one wins."""
        part = self._root / f".{uuid.uuid4().hex}.part"
        self.write(part.name, data)
        try:
            os.link(part, self._root / name)
        except FileExistsError:
            return False
        finally:
            part.unlink()
        return True

    def names(self, folder: str) -> list[str]:
        """Names of the files directly in a folder, sorted; none when it does not exist."""
        path = self._root / folder
        entries = path.iterdir() if path.is_dir() else ()
        return sorted(each.name for each in entries if not each.name.startswith("."))

    def exists(self, name: str) -> bool:
        return (self._root / name).exists()

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

    def fetch(self, name: str, scratch: Path) -> Path:
        """A local path of a file or folder: itself here, a copy in `scratch` of a remote one."""
        return self._root / name if name else self._root


class RemoteStorage(Storage):
    """A prefix of an object store. A request that fails is repeated with growing pauses."""

    remote = True

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.fs = filesystem(address)

    def path(self, name: str) -> str:
        return f"{self.address}/{name}" if name else self.address

    def read(self, name: str) -> bytes:
        return bytes(_tried(lambda: self.fs.cat_file(self.path(name)), self.path(name)))

    def write(self, name: str, data: bytes) -> None:
        _tried(lambda: self.fs.pipe_file(self.path(name), data), self.path(name))

    def create(self, name: str, data: bytes) -> bool:
        """Not atomic where the store has no conditional writes; what was written first is read back by the caller."""
        try:
            self.fs.pipe_file(self.path(name), data, mode="create")
        except FileExistsError:
            return False
        except (OSError, ValueError, NotImplementedError):
            if self.exists(name):
                return False
            self.write(name, data)
        return True

    def names(self, folder: str) -> list[str]:
        try:
            rows = _tried(lambda: self.fs.ls(self.path(folder), detail=False, refresh=True), self.path(folder))
        except FileNotFoundError:
            return []
        return sorted(name for row in rows if (name := row.rstrip("/").rpartition("/")[2]))

    def exists(self, name: str) -> bool:
        self.fs.invalidate_cache()
        return bool(_tried(lambda: self.fs.exists(self.path(name)), self.path(name)))

    def remove(self, name: str) -> None:
        if self.exists(name):
            _tried(lambda: self.fs.rm(self.path(name)), self.path(name))

    def fetch(self, name: str, scratch: Path) -> Path:
        target = scratch / Path(name or self.address.rpartition("/")[2]).name
        if target.exists():
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            _tried(lambda: self.fs.get(self.path(name), str(target), recursive=True), self.path(name))
        except FileNotFoundError as error:
            raise StoreError(f"{self.path(name)} does not exist any more: run again without it") from error
        self._check_size(name, target)
        return target

    def _check_size(self, name: str, target: Path) -> None:
        size = self.fs.info(self.path(name)).get("size") if target.is_file() else None
        if size is not None and target.stat().st_size != size:
            raise StoreError(f"{self.path(name)}: got {target.stat().st_size} of {size} bytes: run again")


def filesystem(address: str) -> Any:
    """The fsspec file system of an address; StoreError when its package is missing."""
    try:
        import fsspec

        return fsspec.filesystem(address.partition("://")[0])
    except (ImportError, ValueError) as error:
        raise StoreError(f"{address}: needs another package ({error}): pip install camera_perception[fleet]") from error


def _tried(request: Callable[[], T], what: str) -> T:
    """The answer of an object store; StoreError after TRIES failures. A missing object is no failure."""
    pause = FIRST_PAUSE
    for attempt in range(TRIES):
        try:
            return request()
        except FileNotFoundError:
            raise
        except Exception as error:  # botocore, aiohttp and s3fs each raise their own
            if attempt == TRIES - 1 or isinstance(error, PermissionError):
                raise StoreError(f"{what}: the object store failed {attempt + 1} times ({error}): run again") from error
            time.sleep(pause)
            pause *= 2
    raise AssertionError("unreachable")
