"""Writing recordings that `ros2 bag` reads: mcap files and their metadata.yaml in a folder.

Chunks are written to the file as they fill, so that a truncated recording can be read up to its last chunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from camera_perception.core.errors import BagError
from camera_perception.io.cdr import serialize
from camera_perception.io.offered_qos import by_name
from camera_perception.io.recording.mcap_file import McapFile
from camera_perception.io.recording.metadata import Topic, write_metadata
from camera_perception.io.ros_types import definition

CHUNK_BYTES = 1 << 20
# Of rosbag2 metadata: 9 since Iron, 8 for Humble.
VERSIONS = (8, 9)


class BagWriter:
    """A recording being written; also a context manager that closes it.

    path         a new folder; or a name ending in .mcap for that file alone, without metadata.yaml
    version      9, or 8 for ROS 2 Humble
    compress     for small messages; writing raw images takes ten times as long with it
    sync         every flush waits for the disk, so that a power cut loses no more than a crash of the process
    split_bytes, split_ns  size and duration after which the next file of the folder begins; 0: one file
    raises BagError when path exists already or the disk is full; what was written stays readable

    counts   messages per topic that can be read from the disk, also after an error
    pending  messages that the next flush writes
    dropped  messages that were accepted and could not be written
    """

    def __init__(
        self,
        path: Path | str,
        *,
        version: int = 9,
        compress: bool = False,
        sync: bool = False,
        split_bytes: int = 0,
        split_ns: int = 0,
    ) -> None:
        if version not in VERSIONS:
            raise BagError(f"rosbag2 metadata version {version} is not supported: give 8 (Humble) or 9 (Jazzy)")
        self.path = Path(path)
        self._accepted = 0
        self._version, self._compress, self._sync = version, compress, sync
        self._split_bytes, self._split_ns = split_bytes, split_ns
        self._topics: dict[str, Topic] = {}
        self._splits: list[McapFile] = []
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._closed = False
        self._mcap = self._open_first()

    @property
    def file(self) -> Path:
        """The file being written."""
        return self._file(len(self._splits))

    @property
    def topics(self) -> list[str]:
        """Topics announced so far."""
        return list(self._topics)

    @property
    def counts(self) -> Counter[str]:
        return sum((split.counts for split in (*self._splits, self._mcap)), Counter[str]())

    @property
    def pending(self) -> int:
        return sum(self._mcap.pending.values())

    @property
    def dropped(self) -> int:
        return self._accepted - sum(self.counts.values()) - self.pending

    def add_topic(self, topic: str, kind: str, text: str | None = None, qos: Sequence[Any] | None = None) -> None:
        """Announce a topic.

        text  its message definition, for types unknown here
        qos   profiles offered by its publishers, as in Contents; players use them: latched topics stay latched.
              None: by the topic's name, so that /tf_static is always latched
        """
        if topic in self._topics:
            return
        text = definition(kind) if text is None else text
        self._topics[topic] = Topic(kind, text, self._offered(by_name(topic) if qos is None else qos))
        self._register(topic)

    def write(self, topic: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """One serialised message of an announced topic."""
        if self._is_full(stamp_ns):
            self._split()
        self._mcap.add_message(self._channels[topic], stamp_ns, bytes(data))
        self._accepted += 1
        if self._mcap.buffered > CHUNK_BYTES:
            self.flush()

    def write_fields(self, topic: str, kind: str, stamp_ns: int, values: Mapping[str, Any]) -> None:
        """One message given as nested fields; announces its topic."""
        self.add_topic(topic, kind)
        self.write(topic, stamp_ns, serialize(kind, values))

    def flush(self) -> None:
        """Write everything buffered to the file. BagError when that fails: then what was buffered is dropped."""
        try:
            self._mcap.commit()
        except OSError as error:
            raise BagError(f"{self.file} cannot be extended ({error.strerror}): make room on the disk") from error

    def close(self) -> None:
        """Finish file and metadata; safe to call twice. BagError when the disk is full."""
        if self._closed:
            return
        self._closed = True
        try:
            self._finish_file()
        except OSError as error:
            raise BagError(
                f"{self.file} could not be finished ({error.strerror}): make room, then run "
                f"`camera-perception repair-bag {self.path}`; what was recorded is readable"
            ) from error

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _finish_file(self) -> None:
        """Index and metadata.yaml, the latter also when there is no room for the index."""
        try:
            self._mcap.finish()
        finally:
            if self.path.suffix != ".mcap":
                write_metadata(self.path, self._version, self._topics, [*self._splits, self._mcap])

    def _file(self, number: int) -> Path:
        return self.path if self.path.suffix == ".mcap" else self.path / f"{self.path.name}_{number}.mcap"

    def _open_first(self) -> McapFile:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=self.file == self.path)
            return McapFile(self.file, compress=self._compress, sync=self._sync)
        except ImportError as error:
            raise BagError(f"recordings need the '{error.name}' package: pip install mcap") from error
        except FileExistsError as error:
            raise BagError(f"{self.path} exists already: choose another name or remove it") from error
        except OSError as error:
            raise BagError(f"{self.path} cannot be written ({error.strerror}): choose another folder") from error

    def _is_full(self, stamp_ns: int) -> bool:
        """Whether the file has the size or duration of a split."""
        mcap = self._mcap
        if mcap.first_ns is None or self.path.suffix == ".mcap":
            return False
        large = 0 < self._split_bytes <= mcap.size + mcap.buffered
        return large or 0 < self._split_ns <= stamp_ns - mcap.first_ns

    def _split(self) -> None:
        """Finish the file and open the next; all topics are announced in it."""
        try:
            self._finish_file()
            mcap = McapFile(self._file(len(self._splits) + 1), compress=self._compress, sync=self._sync)
        except OSError as error:
            raise BagError(f"{self.path} cannot be split ({error.strerror}): make room on the disk") from error
        self._splits.append(self._mcap)
        self._mcap, self._channels, self._schemas = mcap, {}, {}
        for topic in self._topics:
            self._register(topic)

    def _register(self, topic: str) -> None:
        kind, text, offered = self._topics[topic]
        if kind not in self._schemas:
            self._schemas[kind] = self._mcap.add_schema(kind, "ros2msg", text.encode())
        metadata = {"offered_qos_profiles": offered if isinstance(offered, str) else yaml.safe_dump(offered)}
        self._channels[topic] = self._mcap.add_channel(topic, "cdr", self._schemas[kind], metadata)

    def _offered(self, qos: Sequence[Any]) -> Any:
        """Text in version 8, a list in version 9."""
        from rosbags.rosbag2.metadata import dump_qos_v8, dump_qos_v9

        return dump_qos_v8(list(qos)) if self._version == 8 else dump_qos_v9(list(qos))
