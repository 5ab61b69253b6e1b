"""Writing recordings that `ros2 bag` reads: one mcap file and its metadata.yaml in a folder.

Chunks are written to the file as they fill, so that a truncated recording can be read up to its last chunk.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from camera_perception.core.errors import BagError
from camera_perception.io.cdr import serialize
from camera_perception.io.offered_qos import by_name
from camera_perception.io.ros_types import definition, typestore

CHUNK_BYTES = 1 << 20
# Of rosbag2 metadata: 9 since Iron, 8 for Humble.
VERSIONS = (8, 9)


class BagWriter:
    """A recording being written; also a context manager that closes it.

    path      a new folder; or a name ending in .mcap for that file alone, without metadata.yaml
    version   9, or 8 for ROS 2 Humble
    compress  for small messages; writing raw images takes ten times as long with it
    raises BagError when path exists already or the disk is full; what was written stays readable
    """

    def __init__(self, path: Path | str, *, version: int = 9, compress: bool = False) -> None:
        if version not in VERSIONS:
            raise BagError(f"rosbag2 metadata version {version} is not supported: give 8 (Humble) or 9 (Jazzy)")
        self.path = Path(path)
        self.counts: Counter[str] = Counter()
        self._version = version
        self._channels: dict[str, tuple[int, str]] = {}
        self._schemas: dict[str, int] = {}
        self._qos: dict[str, Any] = {}
        self._first_ns, self._last_ns = 2**63 - 1, 0
        self._stream, self._mcap = self._open(compress)

    @property
    def file(self) -> Path:
        return self.path if self.path.suffix == ".mcap" else self.path / f"{self.path.name}_0.mcap"

    @property
    def topics(self) -> list[str]:
        """Topics announced so far."""
        return list(self._channels)

    def add_topic(self, topic: str, kind: str, text: str | None = None, qos: Sequence[Any] | None = None) -> None:
        """Announce a topic.

        text  its message definition, for types unknown here
        qos   profiles offered by its publishers, as in Contents; players use them: latched topics stay latched.
              None: by the topic's name, so that /tf_static is always latched
        """
        if topic in self._channels:
            return
        if kind not in self._schemas:
            text = definition(kind) if text is None else text
            self._schemas[kind] = self._mcap.register_schema(kind, "ros2msg", text.encode())
        self._qos[topic] = self._offered(by_name(topic) if qos is None else qos)
        offered = self._qos[topic]
        metadata = {"offered_qos_profiles": offered if isinstance(offered, str) else yaml.safe_dump(offered)}
        channel = self._mcap.register_channel(topic, "cdr", self._schemas[kind], metadata)
        self._channels[topic] = channel, kind

    def write(self, topic: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """One serialised message of an announced topic."""
        channel, _ = self._channels[topic]
        try:
            self._mcap.add_message(channel, log_time=stamp_ns, publish_time=stamp_ns, data=bytes(data))
        except OSError as error:
            raise BagError(f"{self.file} cannot be extended ({error.strerror}): make room on the disk") from error
        self.counts[topic] += 1
        self._first_ns, self._last_ns = min(self._first_ns, stamp_ns), max(self._last_ns, stamp_ns)

    def write_fields(self, topic: str, kind: str, stamp_ns: int, values: Mapping[str, Any]) -> None:
        """One message given as nested fields; announces its topic."""
        self.add_topic(topic, kind)
        self.write(topic, stamp_ns, serialize(kind, values))

    def flush(self) -> None:
        """Write everything buffered to the file."""
        self._mcap.flush()

    def close(self) -> None:
        """Finish file and metadata; safe to call twice. BagError when the disk is full."""
        if self._stream.closed:
            return
        try:
            self._mcap.finish()
            self._stream.close()
            self._write_metadata()
        except OSError as error:
            raise BagError(
                f"{self.file} could not be finished ({error.strerror}): make room, then run "
                f"`camera-perception repair-bag {self.path}`; what was recorded is readable"
            ) from error
        finally:
            _close_quietly(self._stream)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, compress: bool) -> tuple[Any, Any]:
        try:
            from mcap.writer import CompressionType, Writer
        except ImportError as error:
            raise BagError(f"recordings need the '{error.name}' package: pip install mcap") from error
        try:
            self.file.parent.mkdir(parents=True, exist_ok=self.file == self.path)
            stream = self.file.open("xb")
        except FileExistsError as error:
            raise BagError(f"{self.path} exists already: choose another name or remove it") from error
        except OSError as error:
            raise BagError(f"{self.path} cannot be written ({error.strerror}): choose another folder") from error
        compression = CompressionType.ZSTD if compress else CompressionType.NONE
        writer = Writer(stream, chunk_size=CHUNK_BYTES, compression=compression)
        writer.start(profile="ros2", library="camera_perception")
        return stream, writer

    def _offered(self, qos: Sequence[Any]) -> Any:
        """Text in version 8, a list in version 9."""
        from rosbags.rosbag2.metadata import dump_qos_v8, dump_qos_v9

        return dump_qos_v8(list(qos)) if self._version == 8 else dump_qos_v9(list(qos))

    def _write_metadata(self) -> None:
        if self.file == self.path:
            return
        part = self.path / "metadata.yaml.part"
        part.write_text(yaml.safe_dump({"rosbag2_bagfile_information": self._metadata()}, sort_keys=False), "utf-8")
        os.replace(part, self.path / "metadata.yaml")

    def _metadata(self) -> dict[str, Any]:
        count = sum(self.counts.values())
        start = {"nanoseconds_since_epoch": self._first_ns if count else 0}
        duration = {"nanoseconds": max(0, self._last_ns - self._first_ns) if count else 0}
        file = {"path": self.file.name, "starting_time": start, "duration": duration, "message_count": count}
        return {
            "version": self._version,
            "storage_identifier": "mcap",
            "duration": dict(duration),
            "starting_time": dict(start),
            "message_count": count,
            "topics_with_message_count": [self._topic(topic, kind) for topic, (_, kind) in self._channels.items()],
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [self.file.name],
            "files": [{**file, "starting_time": dict(start), "duration": dict(duration)}],
            "custom_data": None,
            "ros_distro": "camera_perception",
        }

    def _topic(self, topic: str, kind: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {"name": topic, "type": kind, "serialization_format": "cdr"}
        metadata["offered_qos_profiles"] = self._qos[topic]
        metadata["type_description_hash"] = type_hash(kind)
        return {"topic_metadata": metadata, "message_count": self.counts[topic]}


def type_hash(kind: str) -> str:
    """The RIHS01 hash of a known type, else an empty string."""
    store = typestore()
    return str(store.hash_rihs01(kind)) if kind in store.types else ""


def _close_quietly(stream: Any) -> None:
    """Close a file whose disk is full: its buffer cannot be written, and close raises that error a second time."""
    try:
        stream.close()
    except OSError:
        pass
