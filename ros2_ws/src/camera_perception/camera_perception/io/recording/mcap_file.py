"""An mcap file being written, of which the caller knows at any time what can be read.

Layout: https://mcap.dev/spec. The `mcap` package's own writer cannot finish a file once a write has failed.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from camera_perception.io.recording.mcap_records import MAGIC

COPIES = 2  # chunks with a schema or channel: a damaged one does not make all later messages unreadable


class McapFile:
    """Messages are collected in memory; `commit` appends them to the file as one chunk, or leaves the file as it was.

    counts   messages per topic in the file
    pending  messages per topic in memory
    size     bytes of the file
    buffered bytes in memory
    first_ns stamp of the first message collected
    start_ns, end_ns  earliest and latest stamp in the file; None before the first
    raises OSError from every method that writes
    """

    def __init__(self, path: Path, *, compress: bool = False, sync: bool = False) -> None:
        from mcap.records import Header

        self.path, self._sync = path, sync
        self.counts, self.pending = Counter[str](), Counter[str]()
        self.size = self.buffered = 0
        self.first_ns: int | None = None
        self.start_ns: int | None = None
        self.end_ns: int | None = None
        self._compress = _zstd() if compress else None
        self._schemas: dict[int, Any] = {}
        self._channels: dict[int, Any] = {}
        self._copies: list[tuple[Any, int]] = []  # schema or channel, number of chunks in the file that have it
        self._chunks: list[Any] = []
        self._clear()
        self._stream: BinaryIO = path.open("xb", buffering=0)
        builder = _builder()
        builder.write(MAGIC)
        Header("ros2", "camera_perception").write(builder)
        self._append(builder.end())

    @property
    def closed(self) -> bool:
        return self._stream.closed

    def add_schema(self, name: str, encoding: str, data: bytes) -> int:
        from mcap.records import Schema

        schema = Schema(id=len(self._schemas) + 1, name=name, encoding=encoding, data=data)
        self._schemas[schema.id] = schema
        self._define(schema)
        return schema.id

    def add_channel(self, topic: str, encoding: str, schema: int, metadata: dict[str, str]) -> int:
        from mcap.records import Channel

        channel = Channel(len(self._channels) + 1, topic, encoding, metadata, schema)
        self._channels[channel.id] = channel
        self._define(channel)
        return channel.id

    def _define(self, record: Any) -> None:
        record.write(self._chunk)
        self._copies.append((record, 0))

    def add_message(self, channel: int, stamp_ns: int, data: bytes) -> None:
        from mcap.records import Message

        self.first_ns = stamp_ns if self.first_ns is None else self.first_ns
        self._index.setdefault(channel, []).append((stamp_ns, self._chunk.count))
        Message(channel, stamp_ns, data, stamp_ns, 0).write(self._chunk)
        self.buffered = self._chunk.count
        self.pending[self._channels[channel].topic] += 1

    def commit(self) -> None:
        """Append the collected messages to the file, and to the disk with `sync`.

        After an OSError they are lost, the file ends with the commit before, and it can still be finished.
        """
        if not self.pending:
            return
        try:
            self._write_chunk()
            if self._sync:
                os.fsync(self._stream.fileno())
            self.counts += self.pending
            self._copies = [(record, copies + 1) for record, copies in self._copies if copies + 1 < COPIES]
        finally:
            self._clear()

    def finish(self) -> None:
        """Commit, append the index and close; safe to call twice."""
        if self.closed:
            return
        try:
            self.commit()
        finally:
            try:
                self._append(self._summary())
                if self._sync:
                    os.fsync(self._stream.fileno())
            finally:
                with suppress(OSError):
                    self._stream.close()

    def _write_chunk(self) -> None:
        from mcap.records import Chunk, ChunkIndex, MessageIndex

        stamps = [stamp for entries in self._index.values() for stamp, _ in entries]
        plain = self._chunk.end()
        packed = self._compress(plain) if self._compress else plain
        name = "zstd" if self._compress else ""
        builder, offsets = _builder(), {}
        Chunk(name, packed, max(stamps), min(stamps), zlib.crc32(plain), len(plain)).write(builder)
        length = builder.count
        for channel, entries in self._index.items():
            offsets[channel] = self.size + builder.count
            MessageIndex(channel, entries).write(builder)
        start, end = self.size, self.size + builder.count
        index = ChunkIndex(
            length, start, name, len(packed), max(stamps), end - start - length, offsets, min(stamps), len(plain)
        )
        self._append(builder.end())
        self._chunks.append(index)
        self.start_ns = min(stamps) if self.start_ns is None else min(self.start_ns, *stamps)
        self.end_ns = max(stamps) if self.end_ns is None else max(self.end_ns, *stamps)

    def _append(self, data: bytes) -> None:
        """Write all of data, or nothing: a part of it is cut off again."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._stream.write(view) :]
        except OSError:
            with suppress(OSError):
                self._stream.truncate(self.size)
                self._stream.seek(self.size)
            raise
        self.size += len(data)

    def _clear(self) -> None:
        """An empty chunk, apart from definitions of which the file has too few copies."""
        self._chunk = _builder()
        self._index: dict[int, list[tuple[int, int]]] = {}
        self.pending.clear()
        self.buffered = 0
        for record, _ in self._copies:
            record.write(self._chunk)

    def _summary(self) -> bytes:
        """End of the data, the summary section, footer and magic."""
        from mcap.opcode import Opcode
        from mcap.records import DataEnd, Footer, SummaryOffset

        head, body = _builder(), _builder()
        DataEnd(0).write(head)
        start = self.size + head.count
        offsets = []
        groups = {
            Opcode.SCHEMA: list(self._schemas.values()),
            Opcode.CHANNEL: list(self._channels.values()),
            Opcode.STATISTICS: [self._statistics()],
            Opcode.CHUNK_INDEX: self._chunks,
        }
        for opcode, records in groups.items():
            before = body.count
            for record in records:
                record.write(body)
            if body.count > before:
                offsets.append(SummaryOffset(opcode, start + before, body.count - before))
        offsets_start = start + body.count
        for offset in offsets:
            offset.write(body)
        footer, summary = _builder(), body.end()
        Footer(summary_start=start, summary_offset_start=offsets_start, summary_crc=0).write(footer)
        text = footer.end()[:-4]
        return b"".join((head.end(), summary, text, zlib.crc32(summary + text).to_bytes(4, "little"), MAGIC))

    def _statistics(self) -> Any:
        from mcap.records import Statistics

        counts = {id_: self.counts[channel.topic] for id_, channel in self._channels.items()}
        return Statistics(
            attachment_count=0,
            channel_count=len(self._channels),
            channel_message_counts={id_: count for id_, count in counts.items() if count},
            chunk_count=len(self._chunks),
            message_count=sum(self.counts.values()),
            message_end_time=self.end_ns or 0,
            message_start_time=self.start_ns or 0,
            metadata_count=0,
            schema_count=len(self._schemas),
        )


def _builder() -> Any:
    from mcap.data_stream import RecordBuilder

    return RecordBuilder()


def _zstd() -> Callable[[bytes], bytes]:
    import zstandard

    return zstandard.ZstdCompressor().compress
