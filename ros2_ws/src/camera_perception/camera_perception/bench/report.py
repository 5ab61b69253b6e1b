"""What a measurement leaves behind: bench.json for programs, bench.md for people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from camera_perception.bench.tables import Table
from camera_perception.errors import PerceptionError


def write(out: Path, figures: dict[str, Any], tables: Sequence[Table], command: str) -> None:
    """Write bench.json and bench.md; figures["metadata"] says where they come from."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(without_nan(figures), indent=1, sort_keys=True) + "\n", "utf-8")
    (out / "bench.md").write_text(markdown(figures["metadata"], tables, command), "utf-8")


def put_into(page: Path, text: str, mark: str = "bench") -> None:
    """Replace what stands between the two marks of a page; PerceptionError when it has none."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    try:
        before, rest = page.read_text("utf-8").split(begin, 1)
        after = rest.split(end, 1)[1]
    except (OSError, ValueError, IndexError):
        raise PerceptionError(f"{page} has no place for the figures: add the lines {begin} and {end}") from None
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", "utf-8")


def markdown(metadata: dict[str, Any], tables: Sequence[Table], command: str) -> str:
    """All tables under one line about the machine and the command."""
    return "\n\n".join([origin(metadata, command), *(table.markdown() for table in tables)]) + "\n"


def origin(metadata: dict[str, Any], command: str) -> str:
    """One sentence: command, machine, model."""
    model = metadata.get("model", {})
    with_model = f", model {model['name']} {model['version']} ({model['input']})" if model else ""
    return (
        f"`{command}` on {metadata['device']} with {metadata['cores']} cores, {metadata['date'][:10]}{with_model}. "
        f"Load when it began: {metadata['load_at_start']}."
    )


def without_nan(value: Any) -> Any:
    """The same with None for nan and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
