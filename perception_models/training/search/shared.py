"""Locks in the folder of a search, so that several workers share it and a killed one is noticed at once."""

from __future__ import annotations

import fcntl
from pathlib import Path

ALIVE = "alive"  # in the folder of a trial: locked by its worker as long as that lives


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock of this file."""
    if not path.exists():
        return False
    with path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
