"""Tables kept as one array per column: select, replace and concatenate rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, ClassVar, TypeVar

import numpy as np

T = TypeVar("T", bound="Columns")
ARRAY = np.ndarray, "np.ndarray"  # annotations, evaluated or not


class Columns:
    """Base of dataclasses whose fields annotated `np.ndarray` are columns, equally long, one row per object.

    A table with more fields than columns overrides `_rebuilt`.
    """

    __slots__ = ()
    _column_names: ClassVar[tuple[str, ...]]
    _columns: ClassVar[attrgetter[tuple[np.ndarray, ...]]]
    _first: ClassVar[attrgetter[np.ndarray]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._column_names = tuple(name for name, of in cls.__annotations__.items() if of in ARRAY)
        cls._columns, cls._first = attrgetter(*cls._column_names), attrgetter(cls._column_names[0])

    def __len__(self) -> int:
        return len(self._first(self))

    def __getitem__(self: T, rows: np.ndarray | slice | list[int]) -> T:
        """The table of these rows: views for a slice, copies for indices or a mask."""
        if isinstance(rows, slice):
            return self._rebuilt([column[rows] for column in self._columns(self)])
        if isinstance(rows, list):
            rows = np.array(rows, np.intp)
        indices = rows.nonzero()[0] if rows.dtype == bool else rows  # take is several times faster than indexing
        return self._rebuilt([column.take(indices, axis=0) for column in self._columns(self)])

    def with_rows(self: T, rows: np.ndarray | slice, **values: Any) -> T:
        """A copy with new values (arrays or scalars) in some rows of the named columns; dtypes stay."""
        columns = dict(zip(self._column_names, self._columns(self)))
        for name, value in values.items():
            columns[name] = columns[name].copy()
            columns[name][rows] = value
        return self._rebuilt(columns.values())

    def with_columns(self: T, **columns: np.ndarray) -> T:
        """A table with these whole columns instead; several times faster than dataclasses.replace."""
        return self._rebuilt({**dict(zip(self._column_names, self._columns(self))), **columns}.values())

    def to_dicts(self, *names: str) -> list[dict[str, Any]]:
        """One dict of plain Python numbers and lists per row, with these columns; faster than reading numpy scalars."""
        lists = [getattr(self, name).tolist() for name in names]
        return [dict(zip(names, row)) for row in zip(*lists)]

    @staticmethod
    def concatenate(tables: Sequence[T]) -> T:
        """All rows of one or more tables; fields that are not columns are those of the first."""
        parts = zip(*(table._columns(table) for table in tables))
        return tables[0]._rebuilt([np.concatenate(each) for each in parts])

    def _rebuilt(self: T, columns: Iterable[np.ndarray]) -> T:
        """A table like this one with other columns."""
        table: Callable[..., T] = type(self)
        return table(*columns)
