"""ROS 1: its bags, and its messages as those of ROS 2."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from camera_perception.core.errors import BagError
from camera_perception.io.offered_qos import by_name, profile
from camera_perception.io.recording.message import Contents, RawMessage, Select
from camera_perception.io.recording.translation import Translation
from camera_perception.io.ros_types import typestore

MAGIC = b"#ROSBAG V2.0\n"
RENAMED = {"tf/msg/tfMessage": "tf2_msgs/msg/TFMessage"}
MESSAGE, CHUNK, CONNECTION = 2, 5, 7  # `op` of records


def ros1_translation(kind: str, text: str) -> Translation:
    """Messages of a ROS 1 type as the ROS 2 type of the same name, without the fields that ROS 2 has dropped.

    kind, text  "sensor_msgs/Image" and its definition, as the recording has it
    """
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    package, _, name = kind.rpartition("/")
    kind = f"{package.removesuffix('/msg')}/msg/{name}"
    target = RENAMED.get(kind, kind)
    if target not in typestore().types:
        return Translation(target, problem=f"is {kind[:80]} of ROS 1, a type that is not known here")
    try:
        store = get_typestore(Stores.EMPTY)
        store.register(get_types_from_msg(text, kind))
        convert = _converter(store, kind, target)
    except Exception as error:  # of the parser of definitions
        return Translation(target, problem=f"describes its type in a way that cannot be read ({str(error)[:80]})")
    return Translation(target, convert=convert)


def _converter(store: Any, kind: str, target: str) -> Callable[[bytes], bytes | None]:
    from rosbags.convert.converter import migrate_bytes

    cache: dict[str, object] = {}

    def convert(data: bytes) -> bytes | None:
        try:
            return bytes(migrate_bytes(store, typestore(), kind, target, cache, data, src_is2=False, dst_is2=True))
        except Exception:  # rosbags generates its readers; broken bytes fail in many ways
            return None

    return convert


class _Connection(NamedTuple):
    topic: str
    kind: str
    text: str
    latched: bool


class _Unindexed:
    """A bag whose recorder was killed, read from front to back once when this is created, up to where it breaks off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections: dict[int, _Connection] = {}
        self.counts = Counter[int]()
        self.start_ns, self.end_ns = 1 << 63, 0
        for id_, stamp_ns, _ in self.messages():
            self.counts[id_] += 1
            self.start_ns, self.end_ns = min(self.start_ns, stamp_ns), max(self.end_ns, stamp_ns + 1)

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        """(connection, stamp in ns, data)"""
        from rosbags.rosbag1.reader import Header, decompressors, read_bytes, read_uint32

        with self.path.open("rb") as stream, suppress(Exception):  # of a header, a decompressor, or the end
            stream.seek(len(MAGIC))
            while True:
                header = Header.read(stream)
                data = read_bytes(stream, read_uint32(stream))
                if header.get_uint8("op") == CHUNK:
                    yield from self._inside(decompressors[header.get_string("compression")](data))

    def _inside(self, plain: bytes) -> Iterator[tuple[int, int, bytes]]:
        from io import BytesIO

        from rosbags.rosbag1.reader import Header, read_bytes, read_uint32

        chunk = BytesIO(plain)
        while chunk.tell() < len(plain):
            header = Header.read(chunk)
            data = read_bytes(chunk, read_uint32(chunk))
            if header.get_uint8("op") == CONNECTION:
                self._connect(header, data)
            elif header.get_uint8("op") == MESSAGE:
                yield header.get_uint32("conn"), header.get_time("time"), data

    def _connect(self, header: Any, data: bytes) -> None:
        from io import BytesIO

        from rosbags.rosbag1.reader import Header

        about = Header.read(BytesIO(len(data).to_bytes(4, "little") + data))
        kind, text = about.get_string("type"), about.get_string("message_definition")
        latched = about.get("latching") == b"1"
        self.connections[header.get_uint32("conn")] = _Connection(header.get_string("topic"), kind, text, latched)


class _Indexed:
    """A bag with an index, as `_Unindexed`."""

    def __init__(self, path: Path) -> None:
        from rosbags.rosbag1 import Reader

        self.path, self._reader = path, Reader(path)
        self._reader.open()
        self.connections = {
            each.id: _Connection(each.topic, each.msgtype, each.msgdef.data, bool(getattr(each.ext, "latching", 0)))
            for each in self._reader.connections
        }
        self.counts = Counter({each.id: each.msgcount for each in self._reader.connections})
        self.start_ns, self.end_ns = self._reader.start_time, self._reader.end_time

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        try:
            for connection, stamp_ns, data in self._reader.messages():
                yield connection.id, stamp_ns, data
        except GeneratorExit:
            raise
        except Exception as error:  # of rosbags or a decompressor
            text = f"{self.path} is damaged ({str(error)[:200]}): run `camera-perception repair-bag {self.path}`"
            raise BagError(text) from error


_File = _Indexed | _Unindexed


def read_ros1(paths: Sequence[Path], by_index: bool) -> tuple[Contents, Select]:
    """Contents and messages of ROS 1 bags as ROS 2 messages, all files together by time.

    by_index  False reads the files from front to back even if they have an index
    raises BagError when nothing can be read
    """
    files = [_opened(path, by_index) for path in paths]
    translations: dict[str, Translation] = {}
    counts, latched = Counter[str](), set()
    for file in files:
        for id_, connection in file.connections.items():
            topic = f"/{connection.topic.strip('/')}"
            known = translations.get(topic)
            if known is None or known.problem:
                translations[topic] = ros1_translation(connection.kind, connection.text)
            counts[topic] += file.counts[id_]
            latched |= {topic} if connection.latched else set()
    names = ", ".join(path.name for path in paths[:3])
    if not sum(counts.values()):
        raise BagError(f"{paths[0].parent}: {names} holds no message that can be read: record again")
    readable = {topic: each for topic, each in translations.items() if not each.problem}
    cut = [file.path.name for file in files if isinstance(file, _Unindexed)]
    contents = Contents(
        {topic: each.kind for topic, each in readable.items()},
        Counter({topic: counts[topic] for topic in readable}),
        min(file.start_ns for file in files),
        max(file.end_ns for file in files),
        qos={topic: [profile(latched=True, depth=1)] if topic in latched else by_name(topic) for topic in readable},
        complete=not cut or not by_index,
        lost=f"{', '.join(cut[:3])} read from front to back, up to where it breaks off" if cut else "",
        unread={topic: each.problem for topic, each in translations.items() if each.problem},
    )
    return contents, lambda topics, from_ns: _messages(files, readable, topics, from_ns)


def _opened(path: Path, by_index: bool) -> _File:
    if by_index:
        with suppress(Exception):  # not indexed, or damaged: rosbags raises its own, struct's and assertion errors
            return _Indexed(path)
    try:
        return _Unindexed(path)
    except OSError as error:
        raise BagError(f"{path} cannot be read ({error.strerror}): check the disk and its rights") from error


def _messages(
    files: Sequence[_File], readable: dict[str, Translation], topics: Collection[str], from_ns: int
) -> Iterator[RawMessage]:
    def of(file: _File) -> Iterator[tuple[int, str, bytes]]:
        names = {id_: f"/{each.topic.strip('/')}" for id_, each in file.connections.items()}
        for id_, stamp_ns, data in file.messages():
            if stamp_ns >= from_ns and names.get(id_) in topics:
                yield stamp_ns, names[id_], data

    for stamp_ns, topic, data in heapq.merge(*map(of, files), key=lambda each: each[0]):
        translation = readable[topic]
        converted = translation.convert(data)
        if converted is not None:
            yield RawMessage(topic, translation.kind, stamp_ns, converted)
