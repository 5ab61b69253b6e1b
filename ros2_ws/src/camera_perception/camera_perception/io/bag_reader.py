"""Reading recordings without ROS: rosbag2 folders, .mcap and .db3 files, also truncated, damaged and compressed ones,
ROS 1 bags, and mcap files with messages of ROS 1 or Foxglove. Damaged files are read from front to back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from mimetypes import guess_type
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from camera_perception.core.errors import BagError
from camera_perception.core.natural_order import natural_order
from camera_perception.geometry.transforms import TfTree
from camera_perception.io.recording.databases import read_databases
from camera_perception.io.recording.front_to_back import read_front_to_back
from camera_perception.io.recording.indexed import Unusable, read_indexed
from camera_perception.io.recording.message import Contents, RawMessage, Select
from camera_perception.io.recording.ros1 import read_ros1
from camera_perception.io.recording.storage import DATABASE, ROS1, storage_files, storage_of, unpacked_files
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE, deserialize

__all__ = ["Bag", "Contents", "RawMessage", "is_bag", "mounting"]
TRANSFORMS = "tf2_msgs/msg/TFMessage"
MOST_TRANSFORMS = 1_000  # messages


class Bag:
    """An open recording.

    by_index  False reads the files from front to back even if they have an index, and skips what is damaged
    raises BagError when nothing can be read
    """

    def __init__(self, path: Path | str, *, by_index: bool = True) -> None:
        self.path = Path(path)
        self._scratch: TemporaryDirectory[str] | None = None
        self._close_reader: Callable[[], None] = lambda: None
        try:
            self.contents, self._messages = self._open(by_index)
        except BaseException:
            self.close()
            raise

    @property
    def topics(self) -> dict[str, str]:
        return self.contents.topics

    @property
    def image_topics(self) -> list[str]:
        """Topics of raw and compressed images, raw first; those without a message only where no other has one."""
        topics = [topic for kind in (IMAGE, COMPRESSED_IMAGE) for topic, have in self.topics.items() if have == kind]
        return [topic for topic in topics if self.contents.counts[topic]] or topics

    def messages(self, topics: Collection[str] | None = None, from_ns: int = 0) -> Iterator[RawMessage]:
        """Messages of these topics (None = all) recorded at or after from_ns, oldest first."""
        chosen = self.topics.keys() if topics is None else topics
        # A generator of this object: unpacked files stay on the disk while somebody reads, even without the Bag.
        yield from self._messages([topic for topic in chosen if topic in self.topics], from_ns)

    def close(self) -> None:
        self._close_reader()
        self._close_reader = lambda: None
        if self._scratch is not None:
            self._scratch.cleanup()

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, by_index: bool) -> tuple[Contents, Select]:
        if not self.path.exists():
            raise BagError(f"{self.path} does not exist: give {INPUTS}")
        if not is_bag(self.path):
            raise BagError(f"{self.path} is {_kind(self.path)}, not a recording: {ADVICE}")
        if {storage_of(path) for path in storage_files(self.path)} == {ROS1}:
            return read_ros1(storage_files(self.path), by_index)
        try:
            if by_index:
                return self._open_indexed(self.path)
        except Unusable as error:
            return self._open_files(f" ({error})")
        return self._open_files("")

    def _open_indexed(self, path: Path) -> tuple[Contents, Select]:
        contents, messages, self._close_reader = read_indexed(path)
        return contents, messages

    def _open_files(self, why: str) -> tuple[Contents, Select]:
        """Read the files themselves, without metadata.yaml and index.

        why  the index is not used, in brackets
        """
        paths = storage_files(self.path)
        storages = {storage_of(path) for path in paths}
        if len(storages) != 1:
            listed = " and ".join(sorted(storages)) or "no storage"
            raise BagError(f"{self.path} cannot be read{why}: it holds {listed} files, give a folder with one kind")
        self._scratch = TemporaryDirectory(prefix="camera_perception_")
        scratch = Path(self._scratch.name)
        paths = unpacked_files(paths, scratch)
        if storages == {DATABASE}:
            return read_databases(paths, scratch)
        return read_front_to_back(paths)


def mounting(bag: Bag, frame: str, base: str = "base_link") -> np.ndarray | None:
    """base_from_camera (4, 4) of an optical frame from the recording's transforms; None when it is not in them.

    They are those of /tf_static, else the first of other topics: ROS 1 and Foxglove recordings may have no /tf_static.
    """
    topics = [topic for topic, kind in bag.topics.items() if kind == TRANSFORMS and bag.contents.counts[topic]]
    static = [topic for topic in topics if topic.endswith("tf_static")]
    tree = TfTree()
    for message in islice(bag.messages(static or topics), None if static else MOST_TRANSFORMS) if topics else ():
        for entry in deserialize(message.kind, message.data).transforms:
            _add(tree, entry)
    return tree.base_from(base, frame.lstrip("/"))


def _add(tree: TfTree, entry: Any) -> None:
    t, q = entry.transform.translation, entry.transform.rotation
    parent, child = entry.header.frame_id.lstrip("/"), entry.child_frame_id.lstrip("/")  # ROS 1 began names with /
    tree.add(parent, child, (t.x, t.y, t.z), (q.x, q.y, q.z, q.w))


def is_bag(path: Path) -> bool:
    """Whether a path looks like a recording, complete or not."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or any(storage_of(each) for each in path.iterdir())
    return bool(storage_of(path))


def recordings_inside(path: Path) -> str:
    """The first recordings in the folders of a folder, as text; "" without any."""
    names = (
        [each.name for each in natural_order(path.iterdir()) if each.is_dir() and is_bag(each)] if path.is_dir() else []
    )
    return ", ".join(name[:80] for name in names[:3]) + ", ..." * (len(names) > 3)


INPUTS = "a rosbag2 folder, or a .mcap, .db3 or .bag file"
ADVICE = f"give {INPUTS} (`camera-perception replay` takes films and pictures, too)"
KINDS = {"image": "a picture", "video": "a film", "text": "a text file", "audio": "a sound"}


def _kind(path: Path) -> str:
    """What a file or folder is by its name: "a film"."""
    if inside := recordings_inside(path):
        return f"a folder of recordings ({inside}: give one of them)"
    if path.is_dir():
        return "a folder without a metadata.yaml, .mcap or .db3 file"
    return KINDS.get((guess_type(path.name)[0] or "").partition("/")[0], f"a {path.suffix or 'nameless kind of'} file")
