"""The objects of a PerceptionFrame as bytes at once: a dict for every object takes four times as long to write.

perception_frame.py and cdr.py write the same bytes from dicts; a test holds the two equal.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import atan2, hypot, isfinite, nan
from typing import Any

import numpy as np

from camera_perception import core
from camera_perception.core.types import Objects
from camera_perception.io.cdr import Packed

# Of DetectedObject in order, with the length of a text in characters in front of "s"; "I" before it is its size, and
# the one after the score counts the alternatives, of which there are none.
CODES = "H I {}s f I ffff B I H ? ? B ddd ffff f f f ? ddd ? ffff"


MOST_BYTES = 256  # of an object, its name not counted


@lru_cache(maxsize=16)
def _encoded(names: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(name.encode() for name in names)


@dataclass(frozen=True)
class PackedObjects(Packed):
    """Objects in the order in which they are published; see perception_frame.perception_fields.

    rows         (N,) int64
    names        by class index
    over_ground  velocities are over the ground
    """

    objects: Objects
    rows: np.ndarray
    names: Sequence[str]
    over_ground: bool

    def __len__(self) -> int:
        return len(self.rows)

    def write(self, body: bytearray) -> None:
        if core.kernels is not None:
            self._write_compiled(body)
            return
        texts = [name.encode() + b"\0" for name in self.names]
        for class_id, numbers in self._numbers():
            text = texts[class_id] if 0 <= class_id < len(texts) else b"\0"
            body += _packer(len(text), len(body) & 7)(class_id, len(text), text, *numbers)

    def _write_compiled(self, body: bytearray) -> None:
        o, texts = self.objects, _encoded(tuple(self.names))
        room = np.empty(len(self.rows) * (MOST_BYTES + max(map(len, texts), default=0)), np.uint8)
        end = core.kernels.pack_objects(
            self.rows, o.boxes, o.scores, o.classes, o.truncated, o.track_ids, o.ages, o.coasted,
            o.position_methods, o.ground_widths, o.positions, o.position_covs, o.velocities, o.velocity_covs, room,
            len(body) & 7, self.over_ground, texts,
        )  # fmt: skip
        body += room[:end].tobytes()

    def _numbers(self) -> Iterator[tuple[int, list[Any]]]:
        """Class index, and all numbers behind the name, of each object."""
        o, order = self.objects, self.rows
        boxes = o.boxes.take(order, axis=0).astype(float)
        low, high = boxes[:, :2], boxes[:, 2:]
        shapes = np.concatenate(((low + high) / 2, high - low), axis=1).tolist()
        singles = (o.classes, o.scores, o.truncated, o.track_ids & 0xFFFFFFFF, o.ages, o.coasted, o.position_methods)
        tables = o.positions, o.position_covs.reshape(-1, 4), o.velocities, o.velocity_covs.reshape(-1, 4)
        columns = (column.take(order).tolist() for column in (*singles, o.ground_widths))
        rows = (table.take(order, axis=0).tolist() for table in tables)
        for class_id, score, cut, track, age, coasted, method, width, shape, at, at_cov, speed, speed_cov in zip(
            *columns, shapes, *rows
        ):
            x, y, _ = at
            known, moving = isfinite(x) and isfinite(y), isfinite(speed[0]) and isfinite(speed[1])
            yield (
                class_id,
                [
                    score, 0, *shape, cut, track, min(age, 0xFFFF), coasted,
                    known, method if known else 0, *at, *at_cov, width, hypot(x, y), atan2(y, x),
                    moving, *speed, 0.0 if moving else nan, moving and self.over_ground, *speed_cov,
                ],
            )  # fmt: skip


@lru_cache(maxsize=512)
def _packer(text: int, start: int) -> Callable[..., bytes]:
    """Pack of one object whose name has `text` bytes and which begins `start` bytes (modulo 8) into the message."""
    layout, offset = "<", start
    for group in CODES.format(text).split():
        for code in [group] if group.endswith("s") else group:
            size = text if code == group and group.endswith("s") else struct.calcsize(code)
            gap = 0 if code.endswith("s") else -offset % size
            layout += f"{gap}x{code}"
            offset += gap + size
    return struct.Struct(layout).pack
