"""A recording on a disk that fills, in splits, and after its process was killed: the counts are what can be read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader

from camera_perception.core.errors import BagError
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import IMAGE

NOISE = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8)


def fields(number: int, size: int = 300_000) -> dict:
    return {"header": {"frame_id": str(number)}, "data": NOISE[:size]}


class FullDisk:
    """A file on a disk with room for a number of bytes; like a real one, it takes the part that fits."""

    def __init__(self, stream, room):
        self._stream, self.room = stream, room

    def write(self, data):
        if not self.room:
            raise OSError(28, "No space left on device")
        part = data[: self.room]
        self.room -= len(part)
        return self._stream.write(part)

    def truncate(self, size):
        self.room += self._stream.seek(0, 2) - size
        return self._stream.truncate(size)

    def __getattr__(self, name):
        return getattr(self._stream, name)


def record_100(writer: BagWriter) -> None:
    for number in range(100):
        writer.write_fields("/b", IMAGE, 1 + number, fields(number, 10))
        writer.write_fields("/a", IMAGE, 1 + number, fields(number))


@pytest.mark.parametrize("room", [100, 1_300_000, 2_000_000, 4_000_000])
def test_on_a_full_disk_the_counts_are_what_can_be_read(tmp_path, room):
    writer = BagWriter(tmp_path / "drive")
    writer._mcap._stream = disk = FullDisk(writer._mcap._stream, room)
    with pytest.raises(BagError, match="make room on the disk"):
        record_100(writer)
    accepted = writer.dropped + sum(writer.counts.values())
    assert writer.pending == 0
    assert accepted % 8 == 0 < accepted  # messages per chunk
    if room < 1_000:
        with pytest.raises(BagError, match="make room, then run"):
            writer.close()
        return
    writer.close()  # in the room of the last chunk, of which a part was written
    assert disk.room > 0
    counts = writer.counts
    with Bag(tmp_path / "drive") as bag:
        assert bag.contents.complete
        assert bag.contents.counts == counts
        assert len(list(bag.messages())) == sum(counts.values()) > 0
    with writer.file.open("rb") as stream:
        assert sum(1 for _ in make_reader(stream, validate_crcs=True).iter_messages()) == sum(counts.values())


def test_a_file_that_cannot_be_finished_still_holds_what_was_counted(tmp_path):
    writer = BagWriter(tmp_path / "drive")
    writer._mcap._stream = disk = FullDisk(writer._mcap._stream, 4_000_000)
    with pytest.raises(BagError, match="make room on the disk"):
        record_100(writer)
    disk.room = 0  # another process took it
    with pytest.raises(BagError, match="make room, then run"):
        writer.close()
    writer.close()
    with Bag(tmp_path / "drive") as bag:
        assert not bag.contents.complete
        assert bag.contents.counts == writer.counts


def test_after_a_write_error_recording_can_go_on(tmp_path):
    with BagWriter(tmp_path / "drive") as writer:
        writer._mcap._stream = disk = FullDisk(writer._mcap._stream, 100)
        writer.write_fields("/a", IMAGE, 1, fields(1))
        with pytest.raises(BagError, match="make room"):
            writer.flush()
        disk.room = 1 << 30
        writer.write_fields("/a", IMAGE, 2, fields(2))
    assert (writer.counts, writer.dropped) == ({"/a": 1}, 1)
    with Bag(tmp_path / "drive", by_index=False) as bag:
        assert [message.stamp_ns for message in bag.messages()] == [2]


@pytest.mark.parametrize("version", [8, 9])
@pytest.mark.parametrize(("options", "files"), [({"split_bytes": 1_000_000}, 4), ({"split_ns": 5}, 3)])
def test_splits_are_one_recording(tmp_path, version, options, files):
    with BagWriter(tmp_path / "drive", version=version, **options) as writer:
        writer.add_topic("/never", IMAGE)
        for number in range(15):
            writer.write_fields("/a", IMAGE, 1 + number, fields(number))
    found = sorted(path.name for path in (tmp_path / "drive").iterdir())
    assert found == [*(f"drive_{number}.mcap" for number in range(files)), "metadata.yaml"]
    with Bag(tmp_path / "drive") as bag, Reader(tmp_path / "drive") as other:
        assert [message.stamp_ns for message in bag.messages()] == list(range(1, 16))
        assert [stamp for _, stamp, _ in other.messages()] == list(range(1, 16))
        assert bag.contents.counts["/a"] == 15
    listed = yaml.safe_load((tmp_path / "drive/metadata.yaml").read_text())["rosbag2_bagfile_information"]["files"]
    assert sum(entry["message_count"] for entry in listed) == 15
    for number in range(files):
        with Bag(tmp_path / "drive" / f"drive_{number}.mcap") as bag:
            assert bag.topics == {"/a": IMAGE, "/never": IMAGE}


def test_a_file_alone_is_not_split(tmp_path):
    with BagWriter(tmp_path / "drive.mcap", split_bytes=100) as writer:
        for number in range(3):
            writer.write_fields("/a", IMAGE, 1 + number, fields(number))
    assert [path.name for path in tmp_path.iterdir()] == ["drive.mcap"]


KILLED = """
import os, sys
from camera_perception.io.bag_writer import BagWriter
writer = BagWriter(sys.argv[1], sync=True)
for number in range(10):
    writer.write_fields("/a", "sensor_msgs/msg/Image", 1 + number, {})
    if number == 6:
        writer.flush()
os.kill(os.getpid(), 9)
"""


def test_what_was_flushed_survives_kill_9(tmp_path):
    code = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "drive")], check=False, env={**os.environ})
    assert code.returncode == -signal.SIGKILL
    with Bag(tmp_path / "drive") as bag:
        assert [message.stamp_ns for message in bag.messages()] == list(range(1, 8))


def test_a_damaged_first_chunk_does_not_hide_the_rest_of_a_killed_recording(tmp_path):
    writer = BagWriter(tmp_path / "drive")
    for number in range(4):
        writer.write_fields("/a", IMAGE, 1 + number, fields(number, 100))
        writer.flush()
    data = bytearray(writer.file.read_bytes())
    data[300] ^= 1  # in the definitions of the first chunk; there is no index
    writer.file.write_bytes(data)
    with Bag(tmp_path / "drive") as bag:
        assert [message.stamp_ns for message in bag.messages()] == [2, 3, 4]
    writer.close()
