"""Bytes of JSON and YAML files to plain values: dict with text keys, list, str, int, float, bool and None.

Refused are numbers that are not finite or do not fit 64 bits, deep nesting, text that cannot be printed or passed to
the operating system, and YAML whose aliases expand to more values than a document of this size can need.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

MOST_BYTES = {"json": 4 << 20, "yaml": 64 << 10}
MOST_VALUES = 100_000
MOST_DEPTH = 64
MOST_DIGITS = 19  # of an integer of 64 bits


class Malformed(ValueError):
    """A document cannot be used; the text is a clause that says why."""


def read_regular(path: Path | str, most_bytes: int) -> bytes:
    """The contents of a file. Malformed when it is missing, too large, or a pipe on which reading would wait."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise Malformed("it is a pipe or a device, not a file")
            data = stream.read(most_bytes + 1)
    except OSError as error:
        raise Malformed(error.strerror or "it cannot be read") from error
    except Malformed:
        raise
    except ValueError:
        raise Malformed("its name holds a NUL character") from None
    if len(data) > most_bytes:
        raise Malformed(f"it has more than {most_bytes:,} bytes")
    return data


def parse(data: bytes, format: str) -> Any:
    """The plain value in the bytes of a "json" or "yaml" file."""
    try:
        text = data.decode("utf-8-sig")
        value = _from_json(text) if format == "json" else from_yaml(text)
    except UnicodeDecodeError as error:
        raise Malformed(f"it is not UTF-8 text (byte {error.start})") from error
    except RecursionError:
        raise Malformed("it is nested too deeply") from None
    check_values(value)
    return value


def _from_json(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise Malformed(f"it is not valid JSON: {error}") from error


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise Malformed(f"it holds a number of {len(digits)} digits")
    return int(digits)


def from_yaml(text: str) -> Any:
    """The value of a YAML text with its own types, also dates and other keys; Malformed beyond the limits."""
    import yaml  # only documents need it

    try:
        _check_events(yaml, text)
        loader = _loader(yaml)(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _expanded(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise Malformed(f"it is not valid YAML: {_one_line(error)}") from error
    except (ValueError, OverflowError, KeyError, IndexError, AttributeError, TypeError) as error:
        # Of PyYAML's conversions: the 45th of a month, 5,000 digits, "0x", an unknown anchor's tag.
        raise error if isinstance(error, Malformed) else Malformed(f"it holds an impossible value ({error})") from error


def read_yaml(path: Path | str, most_bytes: int = MOST_BYTES["yaml"]) -> Any:
    """The value of a YAML file, see from_yaml; a ValueError says why it cannot be used."""
    return from_yaml(read_regular(path, most_bytes).decode("utf-8-sig"))


def _loader(yaml: Any) -> Any:
    """The loader over libyaml, ten times as fast, where PyYAML has it."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_events(yaml: Any, text: str) -> None:
    """Malformed before the document is composed: 60,000 brackets end the process in libyaml."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_loader(yaml))):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MOST_DEPTH:
            raise Malformed("it is nested too deeply")
        if count > 2 * MOST_VALUES:
            raise Malformed(f"it holds more than {MOST_VALUES:,} values")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _expanded(node: Any, known: dict[int, int]) -> int:
    """Number of values below a node, aliases expanded; Malformed when there are too many, as in an endless alias."""
    if (count := known.get(id(node))) is not None:
        return count
    known[id(node)] = MOST_VALUES + 1  # of an alias of a node inside itself
    children = node.value if isinstance(node.value, list) else ()
    parts = (each for child in children for each in (child if isinstance(child, tuple) else (child,)))
    count = 1 + sum(_expanded(part, known) for part in parts)
    if count > MOST_VALUES:
        raise Malformed(f"its aliases expand to more than {MOST_VALUES:,} values")
    known[id(node)] = count
    return count


def check_values(value: Any) -> None:
    """Malformed unless the value is made of printable text, finite numbers, lists and dicts, within the limits."""
    waiting, count = [(value, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > MOST_VALUES:
            raise Malformed(f"it holds more than {MOST_VALUES:,} values")
        if depth > MOST_DEPTH:
            raise Malformed("it is nested too deeply")
        if isinstance(value, dict):
            waiting += ((key, depth + 1) for key in value if _is_key(key))
            waiting += ((each, depth + 1) for each in value.values())
        elif isinstance(value, (list, tuple)):
            waiting += ((each, depth + 1) for each in value)
        else:
            _check_value(value)


def _is_key(key: Any) -> bool:
    if not isinstance(key, str):
        raise Malformed(f"it has the key {str(key)[:40]}, which is not text")
    return True


def _check_value(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise Malformed("it holds text with a NUL character or half a character")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Malformed(f"it holds the number {value}")
    elif isinstance(value, int):
        if abs(value) >= 1 << 63:
            raise Malformed("it holds a number beyond 64 bits")
    elif value is not None:
        raise Malformed(f"it holds a value of the type {type(value).__name__}")
