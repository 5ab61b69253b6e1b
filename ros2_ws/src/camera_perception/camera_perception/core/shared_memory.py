"""Clean up shared memory left behind by killed processes; Fast DDS removes only that of processes that exit normally.

A segment or port consists of files with one stem: the memory, `_el` or `_sl`, on which a living owner holds a flock,
and `sem.*_mutex`. Locks are visible from other containers; processes are not.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Timer

SHM = Path("/dev/shm")
FILE = re.compile(r"(?:sem\.)?(fast(?:rtps|dds)_(?:port\d+|[0-9a-f]{16}))(_el|_sl|_mutex)?")
MIN_AGE = 2.0  # seconds a starting process on a busy machine may take between creating and locking its lock file
UNLOCKED_MIN_AGE = 60.0  # seconds after which memory without a lock file is orphaned: its owner died while creating it


def files_of(folder: Path = SHM) -> list[Path]:
    """All Fast DDS files in the folder."""
    return [path for path in folder.iterdir() if FILE.fullmatch(path.name)] if folder.is_dir() else []


def sweep(folder: Path = SHM, remove: bool = True) -> list[str]:
    """Remove the files of processes that are gone and return their names; files of other users are left alone."""
    stems: dict[str, list[Path]] = {}
    for path in files_of(folder):
        stems.setdefault(FILE.sub(r"\1", path.name), []).append(path)
    return [name for files in stems.values() for name in _sweep(files, remove)]


def sweep_twice(folder: Path = SHM) -> Timer:
    """Sweep now and once more soon: files may be too young yet, or another starting process is looking at them."""
    sweep(folder)
    timer = Timer(2 * MIN_AGE, sweep, [folder])
    timer.daemon = True
    timer.start()
    return timer


def _sweep(files: list[Path], remove: bool) -> list[str]:
    locks = [path for path in files if path.name.endswith(("_el", "_sl"))]
    locked: list[int] = []
    try:
        # Hold the locks until the files are gone: a starting process must not take a port that is being removed.
        locked += _try_locks(locks)
        if len(locked) < len(locks) or _age(locks or files) < (MIN_AGE if locks else UNLOCKED_MIN_AGE):
            return []
        return [path.name for path in files if not remove or _removed(path)]
    finally:
        for descriptor in locked:
            os.close(descriptor)


def _try_locks(locks: Iterable[Path]) -> list[int]:
    """Descriptors of the lock files that nobody else holds, now locked by us."""
    locked = []
    for path in locks:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:  # already gone, or another user's
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked.append(descriptor)
        except OSError:
            os.close(descriptor)
    return locked


def _age(files: Iterable[Path]) -> float:
    """Seconds since the newest file was modified; 0 when one has disappeared."""
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
