"""Recordings are read by us and by other readers, intact or damaged."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from camera_perception.core.errors import BagError
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_repair import repair_bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import (
    CAMERA_INFO,
    IMAGE,
    PERCEPTION_FRAME,
    deserialize,
    fields_from_message,
    message_files,
    typestore,
)
from camera_perception.tools.replay.metrics import read_frames

FIRST_NS = 1_700_000_000_000_000_000


def image_fields(number: int) -> dict:
    pixels = np.full((6, 8, 3), number, np.uint8)
    header = {"stamp": {"sec": 1_700_000_000, "nanosec": number}, "frame_id": "front"}
    return {"header": header, "height": 6, "width": 8, "encoding": "bgr8", "step": 24, "data": pixels.ravel()}


def write_images(folder, count=5, **options):
    with BagWriter(folder, **options) as writer:
        for number in range(count):
            writer.write_fields("/front/image_raw", IMAGE, FIRST_NS + number * 10**8, image_fields(number))
            writer.write_fields("/front/camera_info", CAMERA_INFO, FIRST_NS + number * 10**8, {"width": 8})
    return folder


def write_noise(folder, count=12):
    """Incompressible images, so that the file has several chunks."""
    rng = np.random.default_rng(0)
    with BagWriter(folder) as writer:
        for number in range(count):
            fields = {**image_fields(number), "height": 400, "width": 400, "step": 1200}
            fields["data"] = rng.integers(0, 256, 480_000, np.uint8)
            writer.write_fields("/front/image_raw", IMAGE, FIRST_NS + number, fields)
    return folder


@pytest.mark.parametrize("version", [8, 9])
def test_what_was_written_is_read_back(tmp_path, version):
    with Bag(write_images(tmp_path / "drive", version=version)) as bag:
        assert bag.topics == {"/front/image_raw": IMAGE, "/front/camera_info": CAMERA_INFO}
        assert bag.image_topics == ["/front/image_raw"]
        assert bag.contents.counts == {"/front/image_raw": 5, "/front/camera_info": 5}
        assert (bag.contents.start_ns, bag.contents.end_ns) == (FIRST_NS, FIRST_NS + 4 * 10**8 + 1)
        messages = list(bag.messages(["/front/image_raw"], FIRST_NS + 10**8))
    assert [message.stamp_ns - FIRST_NS for message in messages] == [10**8, 2 * 10**8, 3 * 10**8, 4 * 10**8]
    image = deserialize(messages[0].kind, messages[0].data)
    assert (image.header.stamp.nanosec, image.header.frame_id, image.encoding) == (1, "front", "bgr8")
    np.testing.assert_array_equal(image.data, image_fields(1)["data"])


def test_a_single_file_needs_no_folder(tmp_path):
    with Bag(write_images(tmp_path / "drive.mcap", compress=True)) as bag:
        assert bag.contents.counts == {"/front/image_raw": 5, "/front/camera_info": 5}
    assert [path.name for path in tmp_path.iterdir()] == ["drive.mcap"]


def test_other_readers_read_our_recordings(tmp_path):
    folder = write_images(tmp_path / "drive")
    with AnyReader([folder]) as reader:
        assert reader.message_count == 10
    with (folder / "drive_0.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        decoded = [m for _, _, _, m in reader.iter_decoded_messages(topics=["/front/image_raw"])]
    assert [message.header.stamp.nanosec for message in decoded] == [0, 1, 2, 3, 4]


def test_the_metadata_equals_that_of_rosbags(tmp_path):
    write_images(tmp_path / "ours", 3)
    with (
        Writer(tmp_path / "theirs", version=9, storage_plugin=StoragePlugin.MCAP) as writer,
        Bag(tmp_path / "ours") as bag,
    ):
        links = {t: writer.add_connection(t, kind, typestore=typestore()) for t, kind in bag.topics.items()}
        for message in bag.messages():
            writer.write(links[message.topic], message.stamp_ns, message.data)

    def metadata(folder):
        data = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        del data["ros_distro"], data["relative_file_paths"], data["files"][0]["path"]
        return data

    assert metadata(tmp_path / "ours") == metadata(tmp_path / "theirs")


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_recordings_of_rosbags_are_read(tmp_path, plugin):
    with Writer(tmp_path / "bag", version=9, storage_plugin=plugin) as writer:
        link = writer.add_connection("/front/image_raw", IMAGE, typestore=typestore())
        for number in range(3):
            writer.write(link, FIRST_NS + number, serialize(IMAGE, image_fields(number)))
    for path in (tmp_path / "bag", next(p for p in (tmp_path / "bag").iterdir() if p.suffix != ".yaml")):
        with Bag(path) as bag:
            assert [m.stamp_ns - FIRST_NS for m in bag.messages()] == [0, 1, 2]
    (tmp_path / "bag" / "metadata.yaml").unlink()
    with Bag(tmp_path / "bag") as bag:
        assert len(list(bag.messages())) == 3


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_truncated_recording_is_read_and_repaired(tmp_path, kept):
    whole = write_noise(tmp_path / "whole")
    data = (whole / "whole_0.mcap").read_bytes()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "broken_0.mcap").write_bytes(data[: int(len(data) * kept)])
    with Bag(broken) as bag:
        readable = list(bag.messages())
        assert not bag.contents.complete
    assert 0 < len(readable) <= 12 * kept + 1
    with Bag(whole) as bag:
        assert readable == list(bag.messages())[: len(readable)]
    repaired = repair_bag(broken)
    folder, counts = repaired.folder, repaired.counts
    assert repaired.lost.endswith("broken_0.mcap ends early, without its index")
    assert folder == tmp_path / "broken_repaired"
    with Bag(folder) as bag:
        assert list(bag.messages()) == readable
        assert bag.contents.complete
        assert bag.contents.counts == counts


def test_only_the_damaged_chunk_is_lost(tmp_path):
    folder = write_noise(tmp_path / "drive")
    path = folder / "drive_0.mcap"
    data = bytearray(path.read_bytes())
    middle = 5 * len(data) // 8  # of the third of four chunks
    data[middle : middle + 100] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(BagError, match="repair-bag"), Bag(folder) as bag:
        list(bag.messages())
    repaired = repair_bag(folder)
    assert repaired.counts == {"/front/image_raw": 9}
    assert repaired.lost.startswith("lost messages: 3 of /front/image_raw; 1 damaged part, 14")
    with Bag(tmp_path / "drive_repaired") as bag:
        assert [m.stamp_ns - FIRST_NS for m in bag.messages()][-1] == 11


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x89MCAP0\r\n"])
@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_unreadable_files(tmp_path, content, suffix):
    path = tmp_path / f"bag{suffix}"
    path.write_bytes(content)
    with pytest.raises(BagError, match="holds no (complete message|message that can be read).*: record again"):
        Bag(path)


def test_missing_empty_and_foreign_paths(tmp_path):
    with pytest.raises(BagError, match="does not exist"):
        Bag(tmp_path / "absent")
    with pytest.raises(BagError, match="not a recording: give"):
        Bag(tmp_path)
    (tmp_path / "drive.txt").write_text("hello")
    with pytest.raises(BagError, match="is a text file, not a recording: give"):
        Bag(tmp_path / "drive.txt")


def test_a_recording_is_never_overwritten(tmp_path):
    folder = write_images(tmp_path / "drive")
    with pytest.raises(BagError, match="exists already"):
        BagWriter(folder)
    write_images(tmp_path / "alone.mcap")
    with pytest.raises(BagError, match="exists already"):
        BagWriter(tmp_path / "alone.mcap")
    with pytest.raises(BagError, match="give 8"):
        BagWriter(tmp_path / "other", version=7)


def test_an_error_while_recording_leaves_a_readable_bag(tmp_path):
    def record_and_fail():
        with BagWriter(tmp_path / "drive") as writer:
            writer.write_fields("/a", IMAGE, FIRST_NS, image_fields(1))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        record_and_fail()
    with Bag(tmp_path / "drive") as bag:
        assert bag.contents.counts == {"/a": 1}


def test_every_message_type_survives_a_round_trip():
    for name in message_files():
        kind = f"camera_perception_msgs/msg/{name}"
        message = deserialize(kind, serialize(kind, {}))
        again = deserialize(kind, serialize(kind, fields_from_message(message)))
        assert repr(again) == repr(message)


def test_a_recording_outlives_changes_of_our_messages(tmp_path):
    with BagWriter(tmp_path / "old.mcap") as writer:
        writer.add_topic("/perception", PERCEPTION_FRAME, "uint32 speed  # m/s\nAncient[] objects\n" + ANCIENT)
        writer.write("/perception", 5, b"\0\1\0\0" + (7).to_bytes(4, "little") + (1).to_bytes(4, "little") + b"\3")
    assert read_frames(tmp_path / "old.mcap") == [{"speed": 7, "objects": [{"age": 3}]}]


ANCIENT = "=" * 80 + "\nMSG: camera_perception_msgs/Ancient\nuint8 age\n"


def test_a_recording_without_messages_cannot_be_repaired(tmp_path):
    with BagWriter(tmp_path / "empty") as writer:
        writer.add_topic("/a", IMAGE)
    with pytest.raises(BagError, match="no complete message"):
        repair_bag(tmp_path / "empty")
    assert not (tmp_path / "empty_repaired").exists()


def test_broken_bytes_and_unknown_types_are_refused():
    with pytest.raises(BagError, match="is broken"):
        deserialize(IMAGE, serialize(IMAGE, image_fields(1))[:20])
    with pytest.raises(BagError, match="not known"):
        deserialize("some_msgs/msg/Unknown", b"")


def test_the_recorded_drive(shared_data):
    with Bag(shared_data / "bags" / "udacity_solidWhiteRight_mcap") as bag:
        assert bag.image_topics == ["/camera/front/image_raw/compressed"]
        assert len(list(bag.messages(bag.image_topics))) == 221


@pytest.mark.parametrize("written", [8, 9])
@pytest.mark.parametrize("by_index", [True, False])
def test_offered_qos_survives_a_copy(tmp_path, written, by_index):
    latched = Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL,
        *(QosTime(2147483647, 4294967295),) * 2,
        QosLiveliness.AUTOMATIC,
        QosTime(2147483647, 4294967295),
        False,
    )
    with BagWriter(tmp_path / "bag", version=written) as writer:
        writer.add_topic("/tf_static", IMAGE, qos=[latched])
        writer.write_fields("/plain", IMAGE, 1, {})
        writer.write_fields("/tf_static", IMAGE, 2, {})
    with Bag(tmp_path / "bag", by_index=by_index) as bag:
        assert bag.contents.qos == {"/tf_static": [latched], "/plain": []}
    repair_bag(tmp_path / "bag", tmp_path / "copy")
    with Reader(tmp_path / "copy") as reader:
        assert {c.topic: c.ext.offered_qos_profiles for c in reader.connections} == {
            "/tf_static": [latched],
            "/plain": [],
        }


@pytest.mark.parametrize("topic", ["/tf_static", "/camera/front/camera_perception/model_info"])
@pytest.mark.parametrize("version", [8, 9])
def test_a_latched_topic_is_recorded_as_one(tmp_path, version, topic):
    with BagWriter(tmp_path / "bag", version=version) as writer:
        writer.write_fields(topic, IMAGE, 1, {})
    for by_index in (True, False):
        with Bag(tmp_path / "bag", by_index=by_index) as bag:
            (offered,) = bag.contents.qos[topic]
            assert (offered.durability, offered.reliability) == (QosDurability.TRANSIENT_LOCAL, QosReliability.RELIABLE)


def test_the_demo_drive_keeps_tf_latched_in_metadata_that_humble_reads(repository):
    written = yaml.safe_load((repository / "bags/demo_drive/metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert written["version"] == 8
    assert all(
        isinstance(t["topic_metadata"]["offered_qos_profiles"], str) for t in written["topics_with_message_count"]
    )
    for by_index in (True, False):
        with Bag(repository / "bags/demo_drive", by_index=by_index) as bag:
            assert [qos.durability for qos in bag.contents.qos["/tf_static"]] == [QosDurability.TRANSIENT_LOCAL]
