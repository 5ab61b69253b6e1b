"""Reading mcap files from front to back, without their index and past damage: every sound message is found.

After a record that does not fit, reading resumes at the next place where one does.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from camera_perception.io.recording import mcap_records as records
from camera_perception.io.recording.mcap_records import MAGIC, Channel, Chunk, Data, Message, Schema

UNKNOWN = "unknown topics"


class Found(NamedTuple):
    """A message with what its file says about it."""

    schema: Schema
    channel: Channel
    stamp_ns: int
    data: bytes


class Salvage:
    """The sound messages of a file, found in one pass when this is created; `messages` reads them again.

    schemas, channels  by id
    counts    messages per topic
    lost      messages per topic that are known to be lost
    damage    (first byte, number of bytes) of each damaged part
    cut_off   the file has no end, as after a power cut
    start_ns, end_ns  earliest and latest stamp; None without a message
    raises OSError
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.damage: list[tuple[int, int]] = []
        self.start_ns: int | None = None
        self.end_ns: int | None = None
        with _mapped(path) as data:
            self.cut_off = data[-len(MAGIC) :] != MAGIC or len(data) <= len(MAGIC)
            walk = _Walk(self, data)
            walk.run()
        self._blocks = walk.blocks()
        self.counts = self._by_topic(walk.found)
        self.lost = self._by_topic(walk.lost if walk.stated is None else walk.stated - walk.found)

    def messages(self, topics: Collection[str] | None = None, from_ns: int = 0) -> Iterator[Found]:
        """Messages of these topics (None = all) from from_ns on, chunk by chunk."""
        wanted = {
            id_: (self.schemas.get(channel.schema_id, Schema(0, "", "", b"")), channel)
            for id_, channel in self.channels.items()
            if topics is None or channel.topic in topics
        }
        with _mapped(self.path) as data:
            for block in self._blocks:
                source, inner = _inside(data, block)
                for each in sorted(inner, key=lambda message: message.stamp_ns):
                    if each.channel in wanted and each.stamp_ns >= from_ns:
                        yield Found(*wanted[each.channel], each.stamp_ns, bytes(source[each.start : each.stop]))

    def _by_topic(self, counts: Counter[int]) -> Counter[str]:
        topics = Counter[str]()
        for id_, count in counts.items():
            topics[self.channels[id_].topic if id_ in self.channels else UNKNOWN] += count
        return +topics


@contextmanager
def _mapped(path: Path) -> Iterator[Data]:
    """The bytes of a file, which need not fit into memory."""
    with path.open("rb") as stream:
        if not path.stat().st_size:
            yield b""
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def _inside(data: Data, block: Chunk | Message) -> tuple[Data, list[Message]]:
    """Messages, and the bytes in which they lie."""
    if isinstance(block, Message):
        return data, [block]
    plain = records.unpacked(data, block) or b""
    return plain, [each for each in _contents(plain) if isinstance(each, Message)]


def _contents(plain: bytes) -> Iterator[Schema | Channel | Message]:
    """Definitions and messages in an unpacked chunk."""
    for opcode, start, stop in records.inside(plain):
        record: Schema | Channel | Message | None = None
        if opcode == records.MESSAGE:
            record = records.message(plain, start, stop)
        elif opcode == records.SCHEMA:
            record = records.schema(plain[start:stop])
        elif opcode == records.CHANNEL:
            record = records.channel(plain[start:stop])
        if record is not None:
            yield record


class _Walk:
    """One pass over the records of a file.

    found   messages per channel
    lost    messages per channel in damaged chunks, as counted by the message indices behind them
    stated  messages per channel by the statistics of the file; None without
    """

    def __init__(self, out: Salvage, data: Data) -> None:
        self._out, self._data, self._size = out, data, len(data)
        self._sound = records.sound_summary(data)
        self.found, self.lost = Counter[int](), Counter[int]()
        self.stated: Counter[int] | None = None
        self._chunks: list[Chunk] = []
        self._outside: list[tuple[Message, bool]] = []  # messages outside of chunks; whether after damage
        self._behind_damage = False  # until the next chunk
        self._rescued = Counter[int]()  # messages per channel since then

    def run(self) -> None:
        at = len(MAGIC) if self._data[: len(MAGIC)] == MAGIC else 0
        while at < self._size and not (at == self._size - len(MAGIC) and self._data[at:] == MAGIC):
            end = self._record(at)
            if end is None:
                end = self._next(at + 1)
                self._damaged(at, end)
            at = end

    def blocks(self) -> list[Chunk | Message]:
        """What holds messages, in the order of the file.

        No writer mixes messages inside and outside of chunks: those outside are the inside of a damaged chunk, or
        something else with a damaged opcode.
        """
        outside = [message for message, after_damage in self._outside if after_damage or not self._chunks]
        for message in outside:
            self._count(message)
        for id_ in self.found.keys() - self._out.channels.keys():
            self.lost[id_] += self.found.pop(id_)  # nothing in the file defines the channel
        return sorted((*self._chunks, *outside), key=lambda block: block.start)

    def _record(self, at: int) -> int | None:
        """Take the record at a place; its end, or None when nothing fits."""
        opcode, start, stop = records.prefix(self._data, at, self._size) or (0, at + records.PREFIX, -1)
        if opcode == records.MESSAGE:
            message = records.message(self._data, start, stop)
            if message is not None and self._credible(stop):
                self._outside.append((message, self._behind_damage))
                self._rescued[message.channel] += self._behind_damage
                return stop
        elif opcode in records.LOOSE and records.plausible(self._data, stop, self._size):
            return stop
        elif opcode not in (0, records.CHUNK) and opcode < records.PRIVATE:
            body = bytes(self._data[start:stop])
            if records.fits(opcode, body):
                self._small(opcode, body)
                return stop
        end = self._chunk(at, start, stop)  # whatever the opcode: it may be damaged, too
        private = opcode >= records.PRIVATE and records.plausible(self._data, stop, self._size)
        return stop if end is None and private else end

    def _credible(self, at: int) -> bool:
        """Whether a record ends here: another begins, of which opcode or length may be damaged."""
        if records.plausible(self._data, at, self._size):
            return True
        found = records.prefix(self._data, at, self._size)
        behind = found is not None and records.plausible(self._data, found[2], self._size)
        return behind or at < self._size and 1 <= self._data[at] <= records.DATA_END

    def _small(self, opcode: int, body: bytes) -> None:
        out = self._out
        if opcode == records.SCHEMA and (schema := records.schema(body)) is not None:
            out.schemas.setdefault(schema.id, schema)
        elif opcode == records.CHANNEL and (channel := records.channel(body)) is not None:
            out.channels.setdefault(channel.id, channel)
        elif opcode == records.MESSAGE_INDEX and (index := records.index_entries(body)) is not None:
            if self._behind_damage:
                self.lost[index[0]] += max(index[1] - self._rescued.pop(index[0], 0), 0)
        elif opcode == records.STATISTICS and self._sound:
            self.stated = Counter(records.stated_counts(body))

    def _chunk(self, at: int, start: int, stop: int) -> int | None:
        chunk = records.chunk(self._data, start, stop, self._size)
        if chunk is None:
            return None
        plain = records.unpacked(self._data, chunk)
        if plain is None:
            self._damaged(at, chunk.end)
            return chunk.end
        self._behind_damage = False
        self._rescued.clear()
        self._chunks.append(chunk)
        for record in _contents(plain):
            if isinstance(record, Message):
                self._count(record)
            elif isinstance(record, Schema):
                self._out.schemas[record.id] = record
            else:
                self._out.channels[record.id] = record
        return chunk.end

    def _count(self, message: Message) -> None:
        out = self._out
        self.found[message.channel] += 1
        out.start_ns = message.stamp_ns if out.start_ns is None else min(out.start_ns, message.stamp_ns)
        out.end_ns = message.stamp_ns if out.end_ns is None else max(out.end_ns, message.stamp_ns)

    def _damaged(self, at: int, end: int) -> None:
        self._behind_damage = True
        damage = self._out.damage
        if damage and sum(damage[-1]) == at:
            at = damage.pop()[0]
        damage.append((at, end - at))

    def _next(self, at: int) -> int:
        """The next place where a record fits; the end of the file when there is none."""
        return next((m.start() for m in records.START.finditer(self._data, at) if self._starts(m.start())), self._size)

    def _starts(self, at: int) -> bool:
        opcode, start, stop = records.prefix(self._data, at, self._size) or (0, 0, -1)
        if opcode == records.CHUNK:
            chunk = records.chunk(self._data, start, stop, self._size)
            return chunk is not None and records.unpacked(self._data, chunk) is not None
        if opcode == records.MESSAGE:
            message = records.message(self._data, start, stop)
            return message is not None and records.plausible(self._data, stop, self._size)
        return opcode > 0 and records.fits(opcode, bytes(self._data[start:stop]))
