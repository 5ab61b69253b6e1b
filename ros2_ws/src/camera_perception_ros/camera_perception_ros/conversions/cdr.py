"""Nested fields straight to the bytes that travel, with no message object for every point and box on the way.

ROS 2 sends messages as plain CDR (OMG DDS-XTypes, encoding version 1), here little-endian: numbers stand at multiples
of their size, strings end with a zero, sequences begin with their length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import numpy as np

from camera_perception_ros.conversions.messages import element_type

LITTLE_ENDIAN = b"\x00\x01\x00\x00"
CODES = {
    "boolean": "?", "octet": "B", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "uint64": "Q", "float": "f", "double": "d",
}  # fmt: skip

Write = Callable[[bytearray, Any], None]  # appends a value to all that stands before it, the head left out
Collect = Callable[[Mapping[str, Any], list[Any]], None]  # appends numbers of a message to a row


def serialized(cls: Any, values: Mapping[str, Any]) -> bytes:
    """The bytes of a message of type cls from a nested dict of its fields; those missing keep their default.

    AttributeError for a field that cls does not have, struct.error for a number that its field cannot hold.
    """
    body = bytearray()
    _writer(cls)(body, values)
    return LITTLE_ENDIAN + body


class Numbers:
    """Neighbouring numbers of a message, written in one go; the gaps between them depend on where they begin."""

    def __init__(self, codes: str, fields: Sequence[tuple[str, Any]]) -> None:
        """fields: names, each with its default: a number, an array, or the Numbers of a message inside."""
        self.codes, self.fields = codes, fields
        self._structs = [struct.Struct(_spaced(codes, start)) for start in range(8)]
        groups = groupby(fields, lambda field: isinstance(field[1], (np.ndarray, Numbers)))
        self._collect = [each for nested, group in groups for each in (_nested if nested else _plain)([*group])]

    def __call__(self, body: bytearray, values: Mapping[str, Any]) -> None:
        row: list[Any] = []
        self.collect(values, row)
        body += self._structs[len(body) & 7].pack(*row)

    def collect(self, values: Mapping[str, Any], row: list[Any]) -> None:
        for collect in self._collect:
            collect(values, row)


def _plain(fields: Sequence[tuple[str, Any]]) -> Iterator[Collect]:
    """Numbers side by side: all at once, unless some are missing."""
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
        yield partial(_message, name, default) if isinstance(default, Numbers) else partial(_array, name, default)


def _message(name: str, inner: Numbers, values: Mapping[str, Any], row: list[Any]) -> None:
    inner.collect(values.get(name, {}), row)


def _array(name: str, default: np.ndarray, values: Mapping[str, Any], row: list[Any]) -> None:
    row += np.asarray(values.get(name, default)).tolist()


def _spaced(codes: str, start: int) -> str:
    """struct format of numbers from a place (modulo 8) on."""
    text, place = "<", start
    for code in codes:
        size = struct.calcsize(code)
        gap = -place % size
        text += f"{gap}x{code}"
        place += gap + size
    return text


@cache
def _writer(cls: Any) -> Write:
    """Writes one message of a type from its fields."""
    known = cls.get_fields_and_field_types()
    steps: list[Write] = []
    for name, kind in known.items():
        numbers = _numbers(cls, name, kind)
        if numbers is None:
            steps.append(_varying(cls, name, kind))
        elif steps and isinstance(before := steps[-1], Numbers):
            steps[-1] = Numbers(before.codes + numbers.codes, [*before.fields, *numbers.fields])
        else:
            steps.append(numbers)

    def write(body: bytearray, values: Mapping[str, Any]) -> None:
        if not values.keys() <= known.keys():
            raise AttributeError(f"{cls.__name__} has no field {', '.join(values.keys() - known.keys())}")
        for step in steps:
            step(body, values)

    return write


def _numbers(cls: Any, name: str, kind: str) -> Numbers | None:
    """A field of fixed size: a number, an array of so many, or a message of nothing else."""
    default = getattr(cls(), name)
    if kind in CODES:
        return Numbers(CODES[kind], [(name, default)])
    if isinstance(default, np.ndarray):
        return Numbers(CODES[kind.partition("[")[0]] * len(default), [(name, default)])
    if not hasattr(default, "SLOT_TYPES"):
        return None
    parts = [_numbers(type(default), *field) for field in default.get_fields_and_field_types().items()]
    inner = [part for part in parts if part is not None]
    if len(inner) < len(parts):
        return None
    codes = "".join(part.codes for part in inner)
    return Numbers(codes, [(name, Numbers(codes, [field for part in inner for field in part.fields]))])


def _varying(cls: Any, name: str, kind: str) -> Write:
    """A field whose size varies."""
    default = getattr(cls(), name)
    empty: Any = {} if hasattr(default, "SLOT_TYPES") else default
    write: Write = _string
    if kind != "string":
        write = _sequence(cls, name, kind) if kind.startswith("sequence<") else _writer(default.__class__)
    return lambda body, values: write(body, values.get(name, empty))


def _string(body: bytearray, text: str) -> None:
    data = text.encode()
    _length(body, len(data) + 1)
    body += data + b"\0"


def _length(body: bytearray, count: int) -> None:
    body += bytes(-len(body) % 4) + count.to_bytes(4, "little")


def _sequence(cls: Any, name: str, kind: str) -> Write:
    inner = kind[len("sequence<") : -1].split(",")[0]
    if inner in CODES:
        return _number_sequence(np.dtype(CODES[inner]).newbyteorder("<"))
    element = element_type(cls, name)
    names = _all_floats(element)
    return _point_sequence(names) if names else _each(_string if element is None else _writer(element))


def _all_floats(element: Any) -> tuple[str, ...]:
    """Names of the fields of a message of nothing but float32, like a point; else none."""
    fields = {} if element is None else element.get_fields_and_field_types()
    return tuple(fields) if len(fields) > 1 and set(fields.values()) == {"float"} else ()


def _point_sequence(names: tuple[str, ...]) -> Write:
    point = itemgetter(*names)

    def write(body: bytearray, items: Sequence[Mapping[str, float]]) -> None:
        _length(body, len(items))
        body += struct.pack(f"<{len(items) * len(names)}f", *chain.from_iterable(map(point, items)))

    return write


def _each(write: Write) -> Write:
    def write_all(body: bytearray, items: Sequence[Any]) -> None:
        _length(body, len(items))
        for item in items:
            write(body, item)

    return write_all


def _number_sequence(dtype: np.dtype) -> Write:
    def write(body: bytearray, numbers: Any) -> None:
        data = np.asarray(numbers, dtype)
        _length(body, len(data))
        if len(data):
            body += bytes(-len(body) % dtype.itemsize) + data.tobytes()

    return write
