"""The order in which people number files: frame_2 before frame_10."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import TypeVar

NUMBER = re.compile("([0-9]+)")
Name = TypeVar("Name", bound="str | PurePath")


def natural_order(names: Iterable[Name]) -> list[Name]:
    """Names or paths folder by folder, numbers in them by value; equal ones (01, 1) by their text."""
    return sorted(names, key=natural_key)


def natural_key(name: str | PurePath) -> tuple[list[list[str | int]], str]:
    """To sort what has a name."""
    # Texts and numbers take turns, starting with a text, so that only like is compared with like.
    parts = [[int(p) if i % 2 else p for i, p in enumerate(NUMBER.split(part))] for part in PurePath(name).parts]
    return parts, str(name)
