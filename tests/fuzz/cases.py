"""Inputs that are nearly right: seeds with a few changes.

Every choice is a number between two bounds. The tests let Hypothesis draw the numbers; `make fuzz` takes them from a
plain random generator, which is many times as fast.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st

NUMBERS = (0, -1, 1, 2, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**30, 0.5, 1e-300, 1e308, math.inf, math.nan)
TEXTS = ("", "x", "\0", "\ud800", "../x", "/dev/zero", "x" * 3000, "9" * 5000, "é\u202e\n", "-1", "nan")
CONTAINERS = ([], {}, [[]], [None], {"": None}, [0] * 300, [[[[[[[[0]]]]]]]])
JUNK = (None, True, False, -math.inf, *NUMBERS, *TEXTS, *CONTAINERS)
BLOCKS = (b"", b"\0", b"\xff" * 8, b"\x7f\xff\xff\xff", b"\0" * 300, b"[" * 2000, b"9" * 500, b"\n", b"\xef\xbb\xbf")

Pick = Callable[[int, int], int]  # a number from the first to the second, both included
Make = Callable[[Pick], bytes]


def drawn(make: Make) -> st.SearchStrategy[bytes]:
    """The cases of a maker, chosen by Hypothesis."""

    @st.composite
    def case(draw: st.DrawFn) -> bytes:
        return make(lambda low, high: draw(st.integers(low, high)))

    return case()


def random(make: Make, rng: Random) -> bytes:
    return make(rng.randint)


def documents(seeds: list[bytes]) -> Make:
    """JSON texts, of which YAML is a superset, with values replaced, removed, repeated or renamed."""
    values = [json.loads(seed.decode("utf-8-sig")) for seed in seeds]

    def make(pick: Pick) -> bytes:
        value = values[pick(0, len(values) - 1)]
        for _ in range(pick(1, 3)):
            paths = list(_paths(value))
            path, junk = paths[pick(0, len(paths) - 1)], JUNK[pick(0, len(JUNK) - 1)]
            value = _changed(value, path, pick(0, 5), junk)
        data = json.dumps(value).encode()
        return _edited(pick, data) if pick(0, 9) == 9 else data

    return make


def files(seeds: list[bytes]) -> Make:
    """Bytes of seeds, changed, cut, repeated and put together anew."""
    return lambda pick: _edited(pick, seeds[pick(0, len(seeds) - 1)])


def either(*makers: Make) -> Make:
    return lambda pick: makers[pick(0, len(makers) - 1)](pick)


def chosen(seeds: list[bytes]) -> Make:
    """Cases whose first byte is the number of a seed: its file is the one that changes."""
    makers = [_like(seed) for seed in seeds]

    def make(pick: Pick) -> bytes:
        number = pick(0, len(seeds) - 1)
        return bytes([number]) + makers[number](pick)

    return make


def _like(seed: bytes) -> Make:
    try:
        json.loads(seed.decode("utf-8-sig"))
    except ValueError:
        return files([seed])
    return documents([seed])


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield from _paths(each, (*path, key))


def _changed(value: Any, path: tuple[Any, ...], how: int, junk: Any) -> Any:
    """A copy of the value with one change at the path; how: 0 remove, 1 repeat, 2 rename, else replace."""
    if not path:
        return junk
    copy = value.copy()
    key = path[0]
    if len(path) > 1:
        copy[key] = _changed(copy[key], path[1:], how, junk)
    elif how == 0:
        del copy[key]
    elif how == 1 and isinstance(copy, list):
        copy += [copy[key]] * 50
    elif how == 2 and isinstance(copy, dict):
        copy[str(junk)[:100]] = copy.pop(key)
    else:
        copy[key] = junk
    return copy


def _edited(pick: Pick, data: bytes) -> bytes:
    for _ in range(pick(1, 4)):
        data = EDITS[pick(0, len(EDITS) - 1)](pick, data, pick(0, max(0, len(data) - 1)))
    return data


def _block(pick: Pick) -> bytes:
    return BLOCKS[pick(0, len(BLOCKS) - 1)]


def _overwrite(pick: Pick, data: bytes, at: int) -> bytes:
    block = _block(pick)
    return data[:at] + block + data[at + len(block) :]


def _flip(pick: Pick, data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << pick(0, 7))]) + data[at + 1 :] if data else data


def _copy(pick: Pick, data: bytes, at: int) -> bytes:
    start = pick(0, max(0, len(data) - 1))
    return data[:at] + data[start : start + pick(1, 256)] + data[at:]


EDITS: tuple[Callable[[Pick, bytes, int], bytes], ...] = (
    _flip,
    lambda pick, data, at: data[:at] + bytes([pick(0, 255)]) + data[at + 1 :],
    _overwrite,
    lambda pick, data, at: data[:at] + _block(pick) + data[at:],
    lambda pick, data, at: data[:at] + data[at + pick(1, 64) :],
    _copy,
    lambda _, data, at: data[:at],
)
