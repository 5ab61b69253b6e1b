"""Serialise ROS messages from nested fields, without ROS and without an object for every point and box.

ROS 2 sends messages as plain CDR (OMG DDS-XTypes, encoding version 1), here little-endian: numbers are aligned to
multiples of their size, strings end with a zero byte, sequences start with their length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import numpy as np

from camera_perception import core
from camera_perception.io.ros_types import field_types

LITTLE_ENDIAN = b"\x00\x01\x00\x00"
CODES = {
    "bool": "?", "byte": "B", "char": "B", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i",
    "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip

Write = Callable[[bytearray, Any], None]  # appends a value to the bytes before it, encapsulation header not counted
Collect = Callable[[Mapping[str, Any], list[Any]], None]  # appends the numbers of a message to a row


class Packed:
    """A sequence of messages that writes its own elements, where one call for each field would take too long."""

    def __len__(self) -> int:
        raise NotImplementedError

    def write(self, body: bytearray) -> None:
        """Append the elements, their count not included, to the bytes of a message."""
        raise NotImplementedError


def serialize(kind: str, values: Mapping[str, Any]) -> bytes:
    """Bytes of a message of type "package/msg/Name" from a nested dict; missing fields are zero or empty.

    raises KeyError for a field that the type does not have, struct.error for a number that does not fit its field,
    BagError for a type that is unknown here
    """
    written = core.kernels.serialize(_plan(kind), values) if core.kernels is not None else None
    if written is not None:
        return bytes(written)
    body = bytearray()
    _writer(kind)(body, values)
    return LITTLE_ENDIAN + body


NUMBER, NUMBERS, MESSAGE, TEXT, MESSAGES = range(5)
Plan = tuple[tuple[str, int, int, int, Any], ...]


@cache
def _plan(kind: str) -> Plan:
    """The fields of a message type for the compiled twin: name, kind, code of numbers, length, plan of messages."""
    return tuple((name, *_planned(type_)) for name, type_ in field_types(kind).items())


def _planned(type_: str) -> tuple[int, int, int, Any]:
    element, length = _split(type_)
    if element in CODES:
        return NUMBER if length is None else NUMBERS, ord(CODES[element]), length or 0, None
    inner = None if element == "string" else _plan(element)
    if length is not None:
        return MESSAGES, 0, length, inner
    return TEXT if inner is None else MESSAGE, 0, 0, inner


@cache
def _writer(kind: str) -> Write:
    """Compile the writer of a message type: adjacent numbers become one call to struct."""
    types = field_types(kind)
    steps: list[tuple[str, Any, Write]] = []  # a field of variable size with its default, or "" for numbers
    for name, type_ in types.items():
        numbers = _numbers(name, type_)
        if numbers is None:
            steps.append((name, *_variable_size(type_)))
        elif steps and isinstance(before := steps[-1][2], _Numbers):
            steps[-1] = "", None, _Numbers(before.codes + numbers.codes, [*before.fields, *numbers.fields])
        else:
            steps.append(("", None, numbers))

    def write(body: bytearray, values: Mapping[str, Any]) -> None:
        if not values.keys() <= types.keys():
            raise _unknown_field(kind, values, types)
        for name, default, step in steps:
            step(body, values.get(name, default) if name else values)

    return write


def _unknown_field(kind: str, values: Mapping[str, Any], known: Mapping[str, Any]) -> KeyError:
    return KeyError(f"{kind} has no field {', '.join(sorted(values.keys() - known.keys()))}")


# Fields of fixed size


class _Numbers:
    """Adjacent numbers of a message, packed in one call; the padding between them depends on their start."""

    def __init__(self, codes: str, fields: Sequence[tuple[str, Any]]) -> None:
        """fields: (name, default); the default is a number, an array, or the _Numbers of a nested message."""
        self.codes, self.fields = codes, fields
        self._structs = [struct.Struct(_padded_format(codes, start)) for start in range(8)]
        groups = groupby(fields, lambda field: isinstance(field[1], (np.ndarray, _Numbers)))
        self._collect = [each for nested, group in groups for each in (_nested if nested else _plain)([*group])]

    def __call__(self, body: bytearray, values: Mapping[str, Any]) -> None:
        row: list[Any] = []
        self.collect(values, row)
        body += self._structs[len(body) & 7].pack(*row)

    def collect(self, values: Mapping[str, Any], row: list[Any]) -> None:
        for collect in self._collect:
            collect(values, row)


def _numbers(name: str, type_: str) -> _Numbers | None:
    """A field of fixed size: a number, an array of numbers, or a message of such fields; None for other fields."""
    element, length = _split(type_)
    if element in CODES and length is None:
        return _Numbers(CODES[element], [(name, 0)])
    if element in CODES and length:
        return _Numbers(CODES[element] * length, [(name, np.zeros(length, CODES[element]))])
    if element == "string" or length is not None:
        return None
    parts = [_numbers(*field) for field in field_types(element).items()]
    inner = [part for part in parts if part is not None]
    if len(inner) < len(parts):
        return None
    codes = "".join(part.codes for part in inner)
    return _Numbers(codes, [(name, _Numbers(codes, [field for part in inner for field in part.fields]))])


def _plain(fields: Sequence[tuple[str, Any]]) -> Iterator[Collect]:
    """Single numbers side by side: fetched together, unless some are missing."""
    defaults = dict(fields)
    get = itemgetter(*defaults) if len(fields) > 1 else lambda values, name=fields[0][0]: (values[name],)

    def collect(values: Mapping[str, Any], row: list[Any]) -> None:
        try:
            row += get(values)
        except KeyError:
            row += [values.get(name, default) for name, default in fields]

    yield collect


def _nested(fields: Sequence[tuple[str, Any]]) -> Iterator[Collect]:
    for name, default in fields:
        yield _message(name, default) if isinstance(default, _Numbers) else partial(_array, name, default)


def _message(name: str, inner: _Numbers) -> Collect:
    known = dict(inner.fields)

    def collect(values: Mapping[str, Any], row: list[Any]) -> None:
        nested = values.get(name, {})
        if not nested.keys() <= known.keys():
            raise _unknown_field(name, nested, known)
        inner.collect(nested, row)

    return collect


def _array(name: str, default: np.ndarray, values: Mapping[str, Any], row: list[Any]) -> None:
    row += np.asarray(values.get(name, default)).ravel().tolist()


def _padded_format(codes: str, start: int) -> str:
    """struct format of numbers of which the first is `start` bytes (modulo 8) after the encapsulation header."""
    text, offset = "<", start
    for code in codes:
        size = struct.calcsize(code)
        gap = -offset % size
        text += f"{gap}x{code}"
        offset += gap + size
    return text


# Fields of variable size


def _variable_size(type_: str) -> tuple[Any, Write]:
    """The default of a field of variable size, and what writes it."""
    element, length = _split(type_)
    if length is not None:
        return ["" if element == "string" else {}] * length, _sequence(element, length)
    return ("", _string) if element == "string" else ({}, _writer(element))


def _sequence(element: str, length: int) -> Write:
    """Elements after their count; an array of fixed length has no count."""
    if element in CODES:
        return _number_sequence(np.dtype(CODES[element]).newbyteorder("<"))
    point = None if length else _point(element)
    return _point_sequence(*point) if point else _each(_string if element == "string" else _writer(element), length)


def _string(body: bytearray, text: str) -> None:
    data = text.encode()
    _count(body, len(data) + 1)
    body += data + b"\0"


PADDING = [bytes(count) for count in range(8)]


def _count(body: bytearray, count: int) -> None:
    body += PADDING[-len(body) & 3] + count.to_bytes(4, "little")


def _point(element: str) -> tuple[tuple[str, ...], str] | None:
    """Field names and their code of a message of several numbers of one type of floats, such as a point; else None."""
    types = {} if element == "string" else field_types(element)
    kinds = set(types.values())
    return (tuple(types), CODES[kinds.pop()]) if len(types) > 1 and kinds in ({"float32"}, {"float64"}) else None


def _point_sequence(names: tuple[str, ...], code: str) -> Write:
    dtype = np.dtype(f"<{code}")
    point, known = itemgetter(*names), dict.fromkeys(names, 0.0)

    def write(body: bytearray, items: Sequence[Mapping[str, float]] | np.ndarray) -> None:
        _count(body, len(items))
        body += PADDING[-len(body) % dtype.itemsize] if len(items) else b""
        if isinstance(items, np.ndarray):
            body += items.astype(dtype, copy=False).tobytes()
            return
        try:
            rows = [*map(point, items)]
        except KeyError:
            rows = [point({**known, **item}) for item in items]
        body += struct.pack(f"<{len(items) * len(names)}{code}", *chain.from_iterable(rows))

    return write


def _each(write: Write, length: int) -> Write:
    def write_all(body: bytearray, items: Sequence[Any] | Packed) -> None:
        if not length:
            _count(body, len(items))
        elif len(items) != length:
            raise ValueError(f"expected {length} elements, got {len(items)}")
        if isinstance(items, Packed):
            items.write(body)
            return
        for item in items:
            write(body, item)

    return write_all


def _number_sequence(dtype: np.dtype) -> Write:
    size = dtype.itemsize

    def write(body: bytearray, numbers: Any) -> None:
        data = np.asarray(numbers, dtype)
        count = data.size
        body += PADDING[-len(body) & 3] + count.to_bytes(4, "little")
        if count:
            body += PADDING[-len(body) % size] + data.tobytes() if size > 4 else data.tobytes()

    return write


def _split(type_: str) -> tuple[str, int | None]:
    """Element type and length of "float32[4]"; length 0 for a sequence, None for a single value."""
    element, bracket, length = type_.partition("[")
    return element, int(length[:-1] or 0) if bracket else None
