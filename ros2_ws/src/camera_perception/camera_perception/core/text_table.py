"""Plain-text tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format rows as a table: columns as wide as their longest cell, numbers right-aligned."""
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells)]
    right = [
        bool(rows) and all(isinstance(row[i], int | float) or row[i] == "" for row in rows) for i in range(len(head))
    ]
    lines = [_line(head, widths, right), "  ".join("-" * width for width in widths)]
    return "\n".join(line.rstrip() for line in lines + [_line(row, widths, right) for row in cells])


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    return "  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(cells, widths, right))


def _text(cell: object) -> str:
    """Three digits, but never an exponent for a large number: 2214, not 2.21e+03."""
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.0f}" if 999.5 <= abs(cell) < 1e9 else f"{cell:.3g}"
