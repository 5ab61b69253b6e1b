"""Intact rosbag2 recordings, read with their index by rosbags."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePath
from typing import Any

from camera_perception.core.documents.parsing import from_yaml, read_regular
from camera_perception.core.errors import BagError
from camera_perception.io.recording.databases import has_log, longest_profiles
from camera_perception.io.recording.mcap_records import indexes_messages, longest_channel, sound_summary
from camera_perception.io.recording.message import Contents, RawMessage, Select
from camera_perception.io.recording.storage import MCAP, is_packed, storage_files, storage_of

MOST_PROFILES = 1 << 16  # bytes for one topic
MOST_METADATA = 1 << 18  # bytes; rosbags reads 0.05 MB a second


class Unusable(Exception):
    """The index of a recording is missing, damaged, or contradicts its files; the messages may still be readable."""


def read_indexed(path: Path) -> tuple[Contents, Select, Callable[[], None]]:
    """Contents, messages and `close` of a rosbag2 folder or file; Unusable when rosbags cannot be relied on."""
    try:
        from rosbags.rosbag2 import Reader
    except ImportError as error:
        raise BagError(f"recordings need the '{error.name}' package: pip install rosbags") from error
    try:
        _check_metadata(path / "metadata.yaml")
        for file in storage_files(path):
            _check_profiles(file)
        reader = Reader(path)
        reader.open()
    except Exception as error:  # a damaged file fails in struct, sqlite, yaml or rosbags, or asks for endless memory
        raise Unusable(f"{type(error).__name__}: {str(error)[:200]}") from error
    try:
        _check(reader)
        # rosbags reads the splits as metadata.yaml lists them, and tools that rewrite that file sort by name.
        if isinstance(splits := getattr(reader.storage, "storages", None), list):
            splits.sort(key=lambda split: split.metadata.start_time)
        return _contents(reader), lambda topics, from_ns: _messages(reader, path, topics, from_ns), reader.close
    except Exception as error:
        reader.close()
        raise Unusable(f"{type(error).__name__}: {str(error)[:200]}") from error


def _check_metadata(file: Path) -> None:
    """Raise for a metadata.yaml of another form: rosbags needs minutes for some of them, and cannot close others."""
    if not file.exists():
        return
    content = from_yaml(read_regular(file, MOST_METADATA).decode("utf-8"))["rosbag2_bagfile_information"]
    for name, kind in (("relative_file_paths", str), ("topics_with_message_count", dict), ("files", dict)):
        entries = content.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, kind) for entry in entries):
            raise Unusable(f"{name} in metadata.yaml has another form")
    for each in map(PurePath, content["relative_file_paths"]):
        if not (file.parent / each.name).is_file():
            raise Unusable(f"{each.name[:100]} of metadata.yaml is not a file")


def _check_profiles(file: Path) -> None:
    """Raise Unusable for QoS profiles that rosbags would read for minutes, or a file without a sound index."""
    if is_packed(file):
        raise Unusable(f"{file.name} is compressed as a whole")  # rosbags would unpack it, however large it becomes
    if storage_of(file) == MCAP:
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if not sound_summary(data) or not indexes_messages(data):
                raise Unusable(f"{file.name} has no sound index")
            longest = longest_channel(data)
    else:
        if has_log(file):
            raise Unusable(f"{file.name} has messages in its write-ahead log")
        longest = longest_profiles(file)
    if longest > MOST_PROFILES:
        raise Unusable(f"{file.name} has QoS profiles of {longest:,} bytes")


def _check(reader: Any) -> None:
    """Raise Unusable for an index with a wrong checksum, or a metadata.yaml under which rosbags would skip messages."""
    storages = getattr(reader.storage, "storages", [reader.storage])
    listed = {(each.topic, each.msgtype) for each in reader.connections}
    for storage in storages:
        for each in storage.connections:
            if each.msgcount and (each.topic, each.msgtype) not in listed:
                raise Unusable(f"metadata.yaml does not list {each.topic}")
    if not all(_offers_the_same(reader, each) for storage in storages for each in storage.connections):
        raise Unusable("metadata.yaml and the files offer different QoS")


def _offers_the_same(reader: Any, connection: Any) -> bool:
    return any(each.topic == connection.topic and each.ext == connection.ext for each in reader.connections)


def _contents(reader: Any) -> Contents:
    topics = {connection.topic: connection.msgtype for connection in reader.connections}
    counts = Counter[str]()
    for connection in reader.connections:
        counts[connection.topic] += connection.msgcount
    definitions = {c.msgtype: c.msgdef.data for c in reader.connections if c.msgdef.data}
    qos = {c.topic: list(c.ext.offered_qos_profiles) for c in reader.connections}
    return Contents(topics, counts, reader.start_time, reader.end_time, definitions, qos)


def _messages(reader: Any, path: Path, topics: Collection[str], from_ns: int) -> Iterator[RawMessage]:
    connections = [connection for connection in reader.connections if connection.topic in topics]
    if not connections:
        return
    try:
        for connection, stamp_ns, data in reader.messages(connections, start=from_ns):
            yield RawMessage(connection.topic, connection.msgtype, stamp_ns, bytes(data))
    except GeneratorExit:
        raise
    except Exception as error:  # a damaged chunk fails in the decompressor, in sqlite or in rosbags
        text = f"{path} is damaged ({str(error)[:200]}): run `camera-perception repair-bag {path}`"
        raise BagError(text) from error
