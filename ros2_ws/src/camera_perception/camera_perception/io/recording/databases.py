"""Recordings of .db3 files without metadata.yaml, or damaged ones: SQLite databases as rosbag2 writes them."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from camera_perception.core.errors import BagError
from camera_perception.io.offered_qos import profiles_of
from camera_perception.io.recording.message import Contents, RawMessage, Select

ZSTD = b"\x28\xb5\x2f\xfd"  # begins messages of recordings that compress each of them; CDR never begins like this
MOST_MESSAGE_BYTES = 1 << 28
SINGLE_STEPS = 200  # rows skipped one by one; behind damage that is longer, the steps double
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)  # the second: SQLite quotes the damaged bytes in its message
MOST_ROWS = 1 << 32  # where damage hides how many there are


def read_databases(paths: Sequence[Path], scratch: Path) -> tuple[Contents, Select]:
    """Contents and messages in the order of the first stamps; BagError when nothing can be read.

    scratch  folder for a copy of a database whose last messages are still in a write-ahead log
    """
    files = [_Database(_with_log(path, scratch)) for path in paths]
    files = sorted((file for file in files if file.topics), key=lambda file: file.start_ns)
    counts = sum((file.counts for file in files), Counter[str]())
    names = ", ".join(path.name for path in paths[:3])
    if not counts:
        raise BagError(f"{paths[0].parent}: {names} holds no message that can be read: record again")
    lost = sum(file.lost for file in files)
    contents = Contents(
        {name: kind for file in files for name, kind in file.topics.values()},
        counts,
        min(file.start_ns for file in files if file.counts),
        max(file.end_ns for file in files) + 1,
        {kind: text for file in files for kind, text in file.definitions.items()},
        {topic: qos for file in files for topic, qos in file.qos.items()},
        complete=not lost,
        lost=f"about {lost} messages are in damaged parts of {names}" if lost else "",
    )
    return contents, lambda topics, from_ns: (m for file in files for m in file.messages(topics, from_ns))


def has_log(path: Path) -> bool:
    """Whether messages of a killed recorder may be in the write-ahead log beside its database."""
    log = _log_of(path)
    return log.is_file() and log.stat().st_size > 0


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _with_log(path: Path, scratch: Path) -> Path:
    """The database, or a copy into which its log is merged."""
    if not has_log(path):
        return path
    log = _log_of(path)
    copy = scratch / path.name
    shutil.copy(path, copy)
    shutil.copy(log, copy.with_name(log.name))
    with closing(sqlite3.connect(copy)) as database:
        try:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except UNREADABLE:
            return path  # without what the log holds
    return copy


class _Database:
    """One file, read once when this is created.

    topics  id: (name, type)
    lost    rows that cannot be read, where that is known
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topics: dict[int, tuple[str, str]] = {}
        self.qos: dict[str, list[Any]] = {}
        self.definitions: dict[str, str] = {}
        self.counts, self.lost = Counter[str](), 0
        self.start_ns, self.end_ns = 1 << 63, 0
        try:
            with closing(self._connect()) as database:
                self._read_topics(database)
                for _, topic, stamp_ns, data in self._rows(database, "length(data)"):
                    self._count(topic, stamp_ns, data)
        except UNREADABLE:
            self.topics = {}

    def messages(self, topics: Collection[str], from_ns: int) -> Iterator[RawMessage]:
        with closing(self._connect()) as database:
            for _, topic, stamp_ns, data in self._rows(database, "data"):
                name, kind = self.topics.get(topic, ("", ""))
                if name in topics and stamp_ns >= from_ns and isinstance(data, bytes):
                    yield RawMessage(name, kind, stamp_ns, _unpacked(data))

    def _connect(self) -> sqlite3.Connection:
        # Immutable: a recording on a read-only disk, or one whose recorder was killed, is read as it is.
        quoted = self.path.absolute().as_uri()
        database = sqlite3.connect(f"{quoted}?mode=ro&immutable=1", uri=True)
        database.text_factory = lambda data: data.decode("utf-8", "replace")  # of a damaged file
        return database

    def _read_topics(self, database: sqlite3.Connection) -> None:
        rows = database.execute("SELECT id, name, type FROM topics WHERE serialization_format = 'cdr'").fetchall()
        self.topics = {id_: (str(name), str(kind)) for id_, name, kind in rows}
        for name, text in _optional(database, "SELECT name, offered_qos_profiles FROM topics"):
            self.qos[str(name)] = profiles_of(text)
        query = "SELECT topic_type, encoded_message_definition FROM message_definitions"
        self.definitions = {str(kind): str(text) for kind, text in _optional(database, query) if text}

    def _rows(self, database: sqlite3.Connection, what: str) -> Iterator[tuple[int, int, int, Any]]:
        """(id, topic, stamp, data) by id; past a damaged page reading resumes at the next id that can be read.

        Rows whose id or stamp are no integers are left out: SQLite stores any type in any column.
        """
        query = f"SELECT id, topic_id, timestamp, {what} FROM messages WHERE id > ? ORDER BY id"
        last, jump, steps = -1, 1, 0
        end = next((row[0] for row in _optional(database, "SELECT max(id) FROM messages")), None)
        end = end if isinstance(end, int) else MOST_ROWS
        while last < end:
            try:
                for row in database.execute(query, (last,)):
                    if isinstance(row[0], int) and isinstance(row[2], int):
                        last, jump, steps = row[0], 1, 0
                        yield row
                return
            except UNREADABLE:
                if what != "data":  # in the first pass
                    self.lost += min(jump, end - last) if end < MOST_ROWS else 1
                last, steps = last + jump, steps + 1
                jump *= 2 if steps > SINGLE_STEPS else 1

    def _count(self, topic: int, stamp_ns: int, size: int | None) -> None:
        if topic in self.topics and size is not None:
            self.counts[self.topics[topic][0]] += 1
            self.start_ns, self.end_ns = min(self.start_ns, stamp_ns), max(self.end_ns, stamp_ns)


def longest_profiles(path: Path) -> int:
    """Bytes of the longest QoS profiles of a database; 0 where it has none, or cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            rows = database.execute("SELECT max(length(offered_qos_profiles)) FROM topics").fetchall()
    except UNREADABLE:
        return 0
    return next((size for (size,) in rows if isinstance(size, int)), 0)


def _optional(database: sqlite3.Connection, query: str) -> list[Any]:
    """Rows of a table or column that not every version of rosbag2 writes."""
    try:
        return database.execute(query).fetchall()
    except UNREADABLE:
        return []


def _unpacked(data: bytes) -> bytes:
    """A message without the compression of its own that rosbag2 can give it."""
    if not data.startswith(ZSTD):
        return data
    import zstandard

    try:
        return zstandard.ZstdDecompressor().stream_reader(data).read(MOST_MESSAGE_BYTES)
    except zstandard.ZstdError:
        return data
