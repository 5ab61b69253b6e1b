"""Shared memory that killed processes left behind: Fast DDS removes only what belongs to the process that ends.

A segment or port is some files of one stem: its memory, `_el` or `_sl`, on which the living owner holds a flock, and
`sem.*_mutex`. Locks are seen from other containers, too, where processes are not.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

SHM = Path("/dev/shm")
FILE = re.compile(r"(?:sem\.)?(fast(?:rtps|dds)_(?:port\d+|[0-9a-f]{16}))(_el|_sl|_mutex)?")
YOUNG = 2.0  # seconds in which a starting process, on a busy machine, may have made its lock file but not locked it
UNLOCKED = 60.0  # seconds after which memory without a lock file belongs to nobody: its maker died while making it


def files_of(folder: Path = SHM) -> list[Path]:
    """All files of Fast DDS."""
    return [path for path in folder.iterdir() if FILE.fullmatch(path.name)] if folder.is_dir() else []


def sweep(folder: Path = SHM, remove: bool = True) -> list[str]:
    """Removes the files whose owner is gone, and returns their names. Those of other users are left alone."""
    stems: dict[str, list[Path]] = {}
    for path in files_of(folder):
        stems.setdefault(FILE.sub(r"\1", path.name), []).append(path)
    return [name for files in stems.values() for name in _sweep(files, remove)]


def _sweep(files: list[Path], remove: bool) -> list[str]:
    locks = [path for path in files if path.name.endswith(("_el", "_sl"))]
    held: list[int] = []
    try:
        # Ours until the files are gone: a process that starts meanwhile must not take a port that is being removed.
        held += _held(locks)
        if len(held) < len(locks) or _age(locks or files) < (YOUNG if locks else UNLOCKED):
            return []
        return [path.name for path in files if not remove or _removed(path)]
    finally:
        for descriptor in held:
            os.close(descriptor)


def _held(locks: Iterable[Path]) -> list[int]:
    """The locks that nobody else holds, open and locked by us."""
    held = []
    for path in locks:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:  # gone meanwhile, or another user's
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held.append(descriptor)
        except OSError:
            os.close(descriptor)
    return held


def _age(files: Iterable[Path]) -> float:
    """Seconds since the youngest was made; 0 when one is gone meanwhile."""
    try:
        return time.time() - max(path.stat().st_mtime for path in files)
    except OSError:
        return 0.0


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
