"""mcap files read from front to back, without their index: also those that were never finished or are damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from camera_perception.errors import BagError


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message as recorded; `kind` is like sensor_msgs/msg/Image, `stamp_ns` when it was recorded."""

    topic: str
    kind: str
    stamp_ns: int
    data: bytes


@dataclass(frozen=True)
class Contents:
    """What a recording holds.

    topics      name: type
    counts      name: number of messages
    definitions type: message definition, where the recording brings one
    qos         name: what its publishers offered, as rosbags gives it, where it was recorded
    complete    False when the recording ends in the middle, as after a power cut
    """

    topics: dict[str, str]
    counts: Counter[str]
    start_ns: int
    end_ns: int
    definitions: dict[str, str] = field(default_factory=dict)
    qos: dict[str, list[Any]] = field(default_factory=dict)
    complete: bool = True


def scan(paths: Collection[Path]) -> Contents:
    """Read mcap files from front to back; BagError when not one message is whole."""
    from rosbags.rosbag2.metadata import parse_qos

    topics, counts, stamps, definitions, qos = {}, Counter[str](), [], {}, {}
    complete = True
    for path in paths:
        for schema, channel, record in _records(path):
            if record is None:
                complete = False
                continue
            if channel.topic not in topics:
                qos[channel.topic] = parse_qos(channel.metadata.get("offered_qos_profiles", ""))
            topics[channel.topic] = schema.name
            counts[channel.topic] += 1
            stamps.append(record.log_time)
            definitions[schema.name] = schema.data.decode()
    if not stamps:
        names = ", ".join(map(str, paths))
        raise BagError(
            f"{names} holds no whole message: the recording was cut off before its first chunk, record again"
        )
    return Contents(topics, counts, min(stamps), max(stamps) + 1, definitions, qos, complete)


def stream(paths: Collection[Path], topics: Collection[str], from_ns: int) -> Iterator[RawMessage]:
    for path in paths:
        for schema, channel, record in _records(path):
            if record is not None and channel.topic in topics and record.log_time >= from_ns:
                yield RawMessage(channel.topic, schema.name, record.log_time, record.data)


def _records(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    """(schema, channel, message) of every whole message; (None, None, None) for each damaged piece."""
    from mcap.records import Channel, Message, Schema

    schemas: dict[int, Any] = {}
    channels: dict[int, Any] = {}
    for record in _whole_records(path):
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Message) and record.channel_id in channels:
            channel = channels[record.channel_id]
            yield schemas[channel.schema_id], channel, record
        elif record is None:
            yield None, None, None


def _whole_records(path: Path) -> Iterator[Any]:
    """Records of an mcap file, chunks opened; None for a chunk that is damaged and where the file breaks off."""
    from mcap.records import Chunk
    from mcap.stream_reader import StreamReader, breakup_chunk

    with path.open("rb") as stream:
        records = StreamReader(stream, emit_chunks=True, record_size_limit=path.stat().st_size).records
        while True:
            try:
                record = next(records)
                pieces = breakup_chunk(record, validate_crc=True) if isinstance(record, Chunk) else [record]
            except StopIteration:
                return
            except Exception:  # mcap, zstd, lz4 and struct each have their own error for the same thing
                yield None  # a reader that failed ends with its next record; a broken chunk costs only itself
                continue
            yield from pieces
