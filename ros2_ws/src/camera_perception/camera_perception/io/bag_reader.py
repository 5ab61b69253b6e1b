"""Reading recordings without ROS: rosbag2 folders, .mcap and .db3 files, also truncated and damaged mcap files.

Damaged mcap files have no usable index: they are read from front to back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.core.errors import BagError
from camera_perception.core.natural_order import natural_order
from camera_perception.geometry.transforms import TfTree
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE, deserialize

SUFFIXES = (".mcap", ".db3")
TRANSFORMS = "tf2_msgs/msg/TFMessage"


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message as recorded; `kind` is its type, such as sensor_msgs/msg/Image, `stamp_ns` the time of recording."""

    topic: str
    kind: str
    stamp_ns: int
    data: bytes


@dataclass(frozen=True)
class Contents:
    """Topics and times of a recording.

    topics      name: type
    counts      name: number of messages
    definitions type: message definition, where the recording has one
    qos         name: QoS profiles offered by the publishers as rosbags objects, where recorded
    complete    False when the recording is truncated, as after a power cut
    """

    topics: dict[str, str]
    counts: Counter[str]
    start_ns: int
    end_ns: int
    definitions: dict[str, str] = field(default_factory=dict)
    qos: dict[str, list[Any]] = field(default_factory=dict)
    complete: bool = True


Select = Callable[[Collection[str], int], Iterator[RawMessage]]  # (topics, first stamp in ns) -> messages


class Bag:
    """An open recording. Damaged parts of mcap files are skipped.

    by_index  False reads mcap files from front to back even if they have an index; for repair
    raises BagError when nothing can be read
    """

    def __init__(self, path: Path | str, *, by_index: bool = True) -> None:
        self.path = Path(path)
        self._close: Callable[[], None] = lambda: None
        self.contents, self._messages = self._open(by_index)

    @property
    def topics(self) -> dict[str, str]:
        return self.contents.topics

    @property
    def image_topics(self) -> list[str]:
        """Topics of raw and compressed images, raw first."""
        return [topic for kind in (IMAGE, COMPRESSED_IMAGE) for topic, have in self.topics.items() if have == kind]

    def messages(self, topics: Collection[str] | None = None, from_ns: int = 0) -> Iterator[RawMessage]:
        """Messages of these topics (None = all) recorded at or after from_ns, oldest first."""
        chosen = self.topics.keys() if topics is None else topics
        return self._messages([topic for topic in chosen if topic in self.topics], from_ns)

    def close(self) -> None:
        self._close()

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, by_index: bool) -> tuple[Contents, Select]:
        if not self.path.exists():
            raise BagError(f"{self.path} does not exist: give a rosbag2 folder, or a .mcap or .db3 file")
        if not is_bag(self.path):
            raise BagError(f"{self.path} is {_kind(self.path)}, not a recording: {ADVICE}")
        paths = storage_files(self.path)
        streamable = bool(paths) and all(path.suffix == ".mcap" for path in paths)
        try:
            if by_index or not streamable:
                return self._open_indexed(self.path)
        except BagError:
            if len(paths) == 1 and paths[0].suffix == ".db3" and paths[0] != self.path:
                return self._open_indexed(paths[0])  # without metadata.yaml
            if not streamable:
                raise
        paths = sorted(paths, key=_first_stamp)  # stable: of equal stamps, and of empty files, by name
        return scan(paths), lambda topics, from_ns: stream(paths, topics, from_ns)

    def _open_indexed(self, path: Path) -> tuple[Contents, Select]:
        reader = _open_reader(path)
        self._close = reader.close
        topics = {connection.topic: connection.msgtype for connection in reader.connections}
        counts = Counter[str]()
        for connection in reader.connections:
            counts[connection.topic] += connection.msgcount
        definitions = {c.msgtype: c.msgdef.data for c in reader.connections if c.msgdef.data}
        qos = {c.topic: list(c.ext.offered_qos_profiles) for c in reader.connections}
        contents = Contents(topics, counts, reader.start_time, reader.end_time, definitions, qos)
        return contents, lambda topics, from_ns: _indexed(reader, path, topics, from_ns)


def mounting(bag: Bag, frame: str, base: str = "base_link") -> np.ndarray | None:
    """base_from_camera (4, 4) of an optical frame from the recording's /tf_static; None when it is not in it."""
    topics = [topic for topic, kind in bag.topics.items() if kind == TRANSFORMS and topic.endswith("tf_static")]
    tree = TfTree()
    for message in bag.messages(topics) if topics else ():
        for entry in deserialize(message.kind, message.data).transforms:
            _add(tree, entry)
    return tree.base_from(base, frame)


def _add(tree: TfTree, entry: Any) -> None:
    t, q = entry.transform.translation, entry.transform.rotation
    tree.add(entry.header.frame_id, entry.child_frame_id, (t.x, t.y, t.z), (q.x, q.y, q.z, q.w))


def storage_files(path: Path) -> list[Path]:
    """The .mcap or .db3 files of a recording in natural order."""
    return natural_order(p for p in path.iterdir() if p.suffix in SUFFIXES) if path.is_dir() else [path]


def is_bag(path: Path) -> bool:
    """Whether a path looks like a recording, complete or not."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or any(p.suffix in SUFFIXES for p in path.iterdir())
    return path.suffix in SUFFIXES


ADVICE = "give a rosbag2 folder, or a .mcap or .db3 file (`camera-perception replay` takes films and pictures, too)"
KINDS = {"image": "a picture", "video": "a film", "text": "a text file", "audio": "a sound"}


def _kind(path: Path) -> str:
    """What a file or folder is by its name: "a film"."""
    if path.is_dir():
        return "a folder without a metadata.yaml, .mcap or .db3 file"
    return KINDS.get((guess_type(path.name)[0] or "").partition("/")[0], f"a {path.suffix or 'nameless kind of'} file")


def _open_reader(path: Path) -> Any:
    try:
        from rosbags.rosbag2 import Reader, ReaderError
    except ImportError as error:
        raise BagError(f"recordings need the '{error.name}' package: pip install rosbags") from error
    try:
        reader = Reader(path)
        reader.open()
        # rosbags reads the splits as metadata.yaml lists them, and tools that rewrite that file sort by name.
        if isinstance(splits := getattr(reader.storage, "storages", None), list):
            splits.sort(key=lambda split: split.metadata.start_time)
        return reader
    except (ReaderError, OSError, ValueError, TypeError, AssertionError) as error:
        raise BagError(f"{path} cannot be read ({error}): try `camera-perception repair-bag {path}`") from error


def _indexed(reader: Any, path: Path, topics: Collection[str], from_ns: int) -> Iterator[RawMessage]:
    connections = [connection for connection in reader.connections if connection.topic in topics]
    if not connections:
        return
    try:
        for connection, stamp_ns, data in reader.messages(connections, start=from_ns):
            yield RawMessage(connection.topic, connection.msgtype, stamp_ns, bytes(data))
    except GeneratorExit:
        raise
    except Exception as error:  # a damaged chunk fails in the decompressor, in sqlite or in rosbags
        raise BagError(f"{path} is damaged ({error}): run `camera-perception repair-bag {path}`") from error


# Without an index


def scan(paths: Collection[Path]) -> Contents:
    """Read mcap files from front to back; BagError when no message is complete."""
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
        raise BagError(f"{names} holds no complete message: the recording ended before its first chunk, record again")
    return Contents(topics, counts, min(stamps), max(stamps) + 1, definitions, qos, complete)


def _first_stamp(path: Path) -> int:
    """When the first message of a split was recorded; past all others for a split without a message."""
    return next((record.log_time for _, _, record in _records(path) if record is not None), 1 << 63)


def stream(paths: Collection[Path], topics: Collection[str], from_ns: int) -> Iterator[RawMessage]:
    """Messages of these topics recorded at or after from_ns, in the order of the files."""
    for path in paths:
        for schema, channel, record in _records(path):
            if record is not None and channel.topic in topics and record.log_time >= from_ns:
                yield RawMessage(channel.topic, schema.name, record.log_time, record.data)


def _records(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    """(schema, channel, message) of every complete message; (None, None, None) for each damaged part."""
    from mcap.records import Channel, Message, Schema

    schemas: dict[int, Any] = {}
    channels: dict[int, Any] = {}
    for record in _complete_records(path):
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Message) and record.channel_id in channels:
            channel = channels[record.channel_id]
            yield schemas[channel.schema_id], channel, record
        elif record is None:
            yield None, None, None


def _complete_records(path: Path) -> Iterator[Any]:
    """Records of an mcap file, with chunks unpacked; None for a damaged chunk and where the file is truncated."""
    from mcap.records import Chunk
    from mcap.stream_reader import StreamReader, breakup_chunk

    with path.open("rb") as stream:
        records = StreamReader(stream, emit_chunks=True, record_size_limit=path.stat().st_size).records
        while True:
            try:
                record = next(records)
                parts = breakup_chunk(record, validate_crc=True) if isinstance(record, Chunk) else [record]
            except StopIteration:
                return
            except Exception:  # mcap, zstd, lz4 and struct each raise their own errors
                yield None  # after a read error the next record ends the loop; after a damaged chunk reading continues
                continue
            yield from parts
