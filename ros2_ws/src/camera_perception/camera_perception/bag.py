"""Reading recordings without ROS: rosbag2 folders, .mcap and .db3 files, and mcap files that were never finished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from camera_perception.bag_stream import Contents, RawMessage, scan, stream
from camera_perception.bag_types import COMPRESSED_IMAGE, IMAGE
from camera_perception.errors import BagError

SUFFIXES = (".mcap", ".db3")
Select = Callable[[Collection[str], int], Iterator[RawMessage]]

__all__ = ["Bag", "Contents", "RawMessage", "Select", "storage_files"]


class Bag:
    """An open recording. Broken mcap files are read around the damage; BagError when there is nothing to read.

    by_index False reads storage files from front to back even where an index says what is in them; for repair
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
        wanted = self.topics.keys() if topics is None else topics
        return self._messages([topic for topic in wanted if topic in self.topics], from_ns)

    def close(self) -> None:
        self._close()

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, by_index: bool) -> tuple[Contents, Select]:
        if not self.path.exists():
            raise BagError(f"{self.path} does not exist: give a rosbag2 folder, or a .mcap or .db3 file")
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


def storage_files(path: Path) -> list[Path]:
    """The .mcap or .db3 files of a recording in the order of their names."""
    return sorted(p for p in path.iterdir() if p.suffix in SUFFIXES) if path.is_dir() else [path]


def _open_reader(path: Path) -> Any:
    try:
        from rosbags.rosbag2 import Reader, ReaderError
    except ImportError as error:
        raise BagError(f"recordings need the '{error.name}' package: pip install rosbags") from error
    try:
        reader = Reader(path)
        reader.open()
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
