"""Results of a benchmark run: tables for the terminal, bench.md, and bench.json."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camera_perception.core.errors import PerceptionError
from camera_perception.core.text_table import text_table

Cell = str | int | float


@dataclass(frozen=True)
class Table:
    """One table of results.

    note  what is measured and how, one or two sentences
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def text(self) -> str:
        rows = [[formatted(cell) for cell in row] for row in self.rows]
        return "\n".join(filter(None, (self.title, self.note, "", text_table(self.head, rows))))

    def markdown(self) -> str:
        numeric = [
            bool(self.rows) and all(not isinstance(row[i], str) for row in self.rows) for i in range(len(self.head))
        ]
        lines = [_row(self.head), _row(["---:" if right else "---" for right in numeric])]
        lines += [_row([formatted(cell) for cell in row]) for row in self.rows]
        return "\n\n".join(filter(None, (f"### {self.title}", self.note, "\n".join(lines))))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def formatted(cell: Cell) -> str:
    """A number with three significant digits at most; nan as a dash."""
    if not isinstance(cell, float):
        return str(cell)
    if cell != cell:
        return "-"
    digits = 0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2
    return f"{cell:.{digits}f}"


def against(value: float, limit: float, unit: str = "") -> str:
    """A value with its limit: "2.1 ms (<= 3 ms: yes)"."""
    unit = f" {unit}" if unit else ""
    return f"{formatted(value)}{unit} (<= {limit:g}{unit}: {'yes' if value <= limit else 'no'})"


def write(out: Path, results: dict[str, Any], tables: Sequence[Table], command: str) -> None:
    """Write bench.json and bench.md; results["metadata"] names machine and versions."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(without_nan(results), indent=1, sort_keys=True) + "\n", "utf-8")
    (out / "bench.md").write_text(markdown(results["metadata"], tables, command), "utf-8")


def put_into(page: Path, text: str, mark: str = "bench") -> None:
    """Replace the text between the two marks of a page; PerceptionError when a mark is missing."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    try:
        before, rest = page.read_text("utf-8").split(begin, 1)
        after = rest.split(end, 1)[1]
    except (OSError, ValueError, IndexError):
        raise PerceptionError(f"{page} has no marks for the tables: add the lines {begin} and {end}") from None
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", "utf-8")


def markdown(metadata: dict[str, Any], tables: Sequence[Table], command: str) -> str:
    """All tables below one line about machine and command."""
    return "\n\n".join([origin(metadata, command), *(table.markdown() for table in tables)]) + "\n"


def origin(metadata: dict[str, Any], command: str) -> str:
    """One sentence: command, machine, model."""
    model = metadata.get("model", {})
    with_model = f", model {model['name']} {model['version']} ({model['input']})" if model else ""
    return (
        f"`{command}` on {metadata['device']} with {metadata['cores']} cores, {metadata['date'][:10]}{with_model}. "
        f"Load at the start: {metadata['load_at_start']}."
    )


def without_nan(value: Any) -> Any:
    """The value with None for nan and infinity, which JSON lacks."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
