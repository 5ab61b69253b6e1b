"""Message definitions for recordings: those that rosbags does not know come from the installed packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from camera_perception.errors import BagError


def register(store: Any, kind: str) -> None:
    """Make kind (pkg/msg/Name) and all it contains known to a rosbags typestore; BagError when not installed."""
    from rosbags.typesys import get_types_from_msg

    if kind in store.fielddefs:
        return
    types = get_types_from_msg(_definition(kind), kind)
    for inner in _inner_types(types[kind]):
        register(store, inner)
    store.register(types)


def _definition(kind: str) -> str:
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    package, _, name = kind.split("/")
    try:
        return (Path(get_package_share_directory(package)) / "msg" / f"{name}.msg").read_text("utf-8")
    except (PackageNotFoundError, OSError) as error:
        raise BagError(f"cannot record {kind}: the definition of this message is not installed") from error


def _inner_types(definition: Any) -> set[str]:
    """Names of the message types among the fields of a definition (constants, fields)."""
    found: set[str] = set()
    pending = [description for _, description in definition[1]]
    while pending:
        kind, detail = pending.pop()
        if kind.name == "NAME":
            found.add(detail)
        elif kind.name in ("ARRAY", "SEQUENCE"):
            pending.append(detail[0])
    return found
