"""Tables of figures: one for the terminal, the same in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from camera_perception.text_table import text_table

Cell = str | int | float


@dataclass(frozen=True)
class Table:
    """Figures of one kind.

    note  what is measured and how, one or two sentences
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def text(self) -> str:
        rows = [[shown(cell) for cell in row] for row in self.rows]
        return "\n".join(filter(None, (self.title, self.note, "", text_table(self.head, rows))))

    def markdown(self) -> str:
        numeric = [
            bool(self.rows) and all(not isinstance(row[i], str) for row in self.rows) for i in range(len(self.head))
        ]
        lines = [_row(self.head), _row(["---:" if right else "---" for right in numeric])]
        lines += [_row([shown(cell) for cell in row]) for row in self.rows]
        return "\n\n".join(filter(None, (f"### {self.title}", self.note, "\n".join(lines))))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def shown(cell: Cell) -> str:
    """Numbers with as many digits as they deserve; nan as a dash."""
    if not isinstance(cell, float):
        return str(cell)
    if cell != cell:
        return "-"
    digits = 0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2
    return f"{cell:.{digits}f}"


def against(value: float, limit: float, unit: str = "") -> str:
    """A figure beside its target: "2.1 ms (<= 3 ms: yes)"."""
    unit = f" {unit}" if unit else ""
    return f"{shown(value)}{unit} (<= {limit:g}{unit}: {'yes' if value <= limit else 'no'})"
