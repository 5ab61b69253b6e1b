"""Damaged recordings: one flipped bit costs no more than its chunk, and texts say what is lost."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from mcap.stream_reader import StreamReader
from mcap.writer import CompressionType, Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as RosbagsWriter

from camera_perception.core.errors import BagError
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_repair import repair_bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.offered_qos import profile
from camera_perception.io.ros_types import CAMERA_INFO, IMAGE, definition, typestore

FLIPS = 250
PIXELS = np.arange(64, dtype=np.uint8)
COUNT = 24  # messages of each topic


def messages():
    """(topic, type, stamp, bytes)"""
    for number in range(COUNT):
        header = {"stamp": {"sec": number + 1}, "frame_id": "front"}
        image = {"header": header, "height": 8, "width": 8, "step": 8, "encoding": "mono8", "data": PIXELS}
        yield "/a", IMAGE, 10**9 * (number + 1), serialize(IMAGE, image)
        yield "/b", CAMERA_INFO, 10**9 * (number + 1) + 1, serialize(CAMERA_INFO, {"header": header, "width": 8})


def by_us(path):
    """16 kB, with a chunk of eight messages each."""
    with BagWriter(path) as writer:
        for number, (topic, kind, stamp_ns, data) in enumerate(messages()):
            writer.add_topic(topic, kind)
            writer.write(topic, stamp_ns, data)
            if number % 8 == 7:
                writer.flush()


def by_mcap(path, **options):
    with path.open("wb") as stream:
        writer = Writer(stream, **{"chunk_size": 1_500, "compression": CompressionType.NONE, **options})
        writer.start("ros2")
        channels = {}
        for topic, kind, stamp_ns, data in messages():
            if topic not in channels:
                schema = writer.register_schema(kind, "ros2msg", definition(kind).encode())
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channels[topic], stamp_ns, data, stamp_ns)
        writer.finish()


WRITERS = {
    "ours": by_us,
    "plain": by_mcap,
    "zstd": lambda path: by_mcap(path, compression=CompressionType.ZSTD),
    "lz4": lambda path: by_mcap(path, compression=CompressionType.LZ4),
}


def records_of(path):
    """(first byte, end, stamps of the messages inside) of every record of an intact file."""
    spans, at = [], 8
    with path.open("rb") as stream:
        for record in StreamReader(stream, emit_chunks=True).records:
            name = type(record).__name__
            end = stream.tell() - (8 if name == "Footer" else 0)
            span = (record.message_start_time, record.message_end_time) if name == "Chunk" else None
            spans.append((at, end, span))
            at = end
    return spans


@pytest.mark.parametrize("kind", WRITERS)
def test_one_flipped_bit_costs_no_more_than_its_chunk(tmp_path, kind):
    path, rng = tmp_path / "drive.mcap", random.Random(0)
    WRITERS[kind](path)
    data, spans = path.read_bytes(), records_of(path)
    expected = [(topic, stamp_ns, message) for topic, _, stamp_ns, message in messages()]
    for _ in range(FLIPS):
        bit = rng.randrange(8 * len(data))
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        hit = next((span for start, end, span in spans if span and start <= bit // 8 < end), (1, 0))
        with Bag(path, by_index=False) as bag:
            got = [(m.topic, m.stamp_ns, m.data) for m in bag.messages()]
        outside = [each for each in expected if not hit[0] <= each[1] <= hit[1]]
        assert [each for each in got if not hit[0] <= each[1] <= hit[1]] == outside, bit
        assert len(got) <= len(expected), bit


@pytest.mark.parametrize("kind", WRITERS)
def test_with_the_index_one_flipped_bit_is_no_wrong_answer(tmp_path, kind):
    """The index is used where its checksum is right; damage is an error that names the remedy."""
    path, rng = tmp_path / "drive.mcap", random.Random(1)
    WRITERS[kind](path)
    data = path.read_bytes()
    expected = [(topic, stamp_ns, message) for topic, _, stamp_ns, message in messages()]
    for _ in range(50):
        bit = rng.randrange(8 * len(data))
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        try:
            with Bag(path) as bag:
                complete = bag.contents.complete
                got = [(m.topic, m.stamp_ns, m.data) for m in bag.messages()]
        except BagError as error:
            assert f"repair-bag {path}" in str(error)  # noqa: PT017
        else:
            assert got == expected or not complete, bit


def test_messages_outside_of_chunks_are_found_behind_damage(tmp_path):
    path = tmp_path / "drive.mcap"
    by_mcap(path, use_chunking=False)
    data, spans = path.read_bytes(), records_of(path)
    for number in range(4, len(spans) - 8):  # neither definitions nor summary
        broken = bytearray(data)
        broken[spans[number][0] + 8] ^= 0x80  # a length beyond the end of the file
        path.write_bytes(broken)
        with Bag(path, by_index=False) as bag:
            assert len(list(bag.messages())) >= 2 * COUNT - 1
            assert "1 damaged part" in bag.contents.lost


@pytest.mark.parametrize("size", [1, 100, 1_000, 3_000])
def test_a_burst_of_garbage_costs_the_chunks_that_it_hits(tmp_path, size):
    path = tmp_path / "drive.mcap"
    by_us(path)
    data, spans = path.read_bytes(), records_of(path)
    for start in range(8, len(data) - size, 1_700):
        broken = bytearray(data)
        broken[start : start + size] = random.Random(start).randbytes(size)
        path.write_bytes(broken)
        hit = [span for at, end, span in spans if span and at < start + size and start < end]
        with Bag(path, by_index=False) as bag:
            stamps = {message.stamp_ns for message in bag.messages()}
        whole = {stamp for _, _, stamp, _ in messages() if not any(low <= stamp <= high for low, high in hit)}
        assert whole <= stamps


def test_a_repair_names_what_was_lost(tmp_path):
    folder = tmp_path / "drive"
    by_us(folder)
    path = folder / "drive_0.mcap"
    data, spans = bytearray(path.read_bytes()), records_of(path)
    start, end, _ = [each for each in spans if each[2]][2]
    data[(start + end) // 2] ^= 1
    path.write_bytes(data)
    repaired = repair_bag(folder)
    assert repaired.counts == {"/a": COUNT - 4, "/b": COUNT - 4}
    part = f"1 damaged part, {end - start} bytes in all, the first at byte {start} of drive_0.mcap"
    assert repaired.lost == f"lost messages: 4 of /a, 4 of /b; {part}"
    assert repaired.lines()[1:] == ["        20  /a", "        20  /b", repaired.lost]


def test_a_compressed_bomb_is_damage(tmp_path):
    import struct

    import zstandard

    path = tmp_path / "bomb.mcap"
    by_us(path)
    packed = zstandard.compress(bytes(1 << 28))  # 24 kB, refuses to say so
    body = struct.pack("<QQQII", 1, 1, 1 << 40, 0, 4) + b"zstd" + struct.pack("<Q", len(packed)) + packed
    data = path.read_bytes()
    at = next(start for start, _, span in records_of(path) if span)
    path.write_bytes(data[:at] + b"\x06" + struct.pack("<Q", len(body)) + body + data[at:])
    with Bag(path, by_index=False) as bag:
        assert len(list(bag.messages())) == 2 * COUNT


# Several files, metadata.yaml and databases


def databases(folder, count=3):
    """`count` databases of one recording, without metadata.yaml; the later ones sort first by name."""
    folder.mkdir()
    for number in range(count):
        single = folder.parent / f"single_{number}"
        with RosbagsWriter(single, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
            links = {}
            for topic, kind, stamp_ns, data in messages():
                if topic not in links:
                    links[topic] = writer.add_connection(topic, kind, typestore=typestore())
                writer.write(links[topic], stamp_ns + number * 10**12, data)
        (single / f"single_{number}.db3").rename(folder / f"bag_{count - number}.db3")
    return folder


def test_several_databases_without_metadata_are_read_and_repaired(tmp_path):
    folder = databases(tmp_path / "bag")
    with Bag(folder) as bag:
        stamps = [message.stamp_ns for message in bag.messages(["/a"])]
        assert bag.contents.counts == {"/a": 3 * COUNT, "/b": 3 * COUNT}
    assert stamps == sorted(stamps)
    assert len(stamps) == 3 * COUNT
    repaired = repair_bag(folder)
    with Bag(repaired.folder) as bag:
        assert len(list(bag.messages())) == 6 * COUNT
    assert repaired.lost == ""


@pytest.mark.parametrize("text", ["", "{", "rosbag2_bagfile_information: 5", "a: &a [*a, *a]", "\x00", "[" * 5_000])
def test_a_broken_metadata_file_is_ignored(tmp_path, text):
    folder = databases(tmp_path / "bag")
    (folder / "metadata.yaml").write_text(text)
    with Bag(folder) as bag:
        assert bag.contents.counts == {"/a": 3 * COUNT, "/b": 3 * COUNT}


@pytest.mark.parametrize(("name", "other"), [("name: /a", "name: /c"), ("depth: 1", "depth: 2"), (IMAGE, CAMERA_INFO)])
def test_metadata_that_contradicts_its_files_does_not_hide_messages(tmp_path, name, other):
    with BagWriter(tmp_path / "bag") as writer:
        for topic, kind, stamp_ns, data in messages():
            writer.add_topic(topic, kind, qos=[profile(latched=True, depth=1)] if topic == "/a" else None)
            writer.write(topic, stamp_ns, data)
    path = tmp_path / "bag/metadata.yaml"
    text = path.read_text()
    assert name in text
    path.write_text(text.replace(name, other))
    with Bag(tmp_path / "bag") as bag:
        assert len(list(bag.messages(["/a"]))) == COUNT


def test_a_damaged_database_gives_what_its_sound_pages_hold(tmp_path):
    folder = databases(tmp_path / "bag", 1)
    path = folder / "bag_1.db3"
    data = bytearray(path.read_bytes())
    page = next(at for at in range(4096, len(data), 4096) if data[at] == 0x0D and at > len(data) // 2)
    data[page : page + 200] = bytes(200)
    path.write_bytes(data)
    repaired = repair_bag(folder)
    assert COUNT < sum(repaired.counts.values()) < 2 * COUNT
    assert "damaged parts of bag_1.db3" in repaired.lost


@pytest.mark.parametrize("column", ["id", "timestamp"])
@pytest.mark.parametrize("value", [None, "x", 1.5, b"x"])
def test_a_row_whose_id_or_stamp_is_no_integer_is_left_out(tmp_path, column, value):
    path = databases(tmp_path / "bag", 1) / "bag_1.db3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE damaged AS SELECT * FROM messages")  # without the types of its columns
        database.execute(f"UPDATE damaged SET {column} = ? WHERE id = 3", (value,))
        database.execute("DROP TABLE messages")
        database.execute("ALTER TABLE damaged RENAME TO messages")
        database.commit()
    with Bag(path.parent) as bag:
        assert sum(bag.contents.counts.values()) == len(list(bag.messages())) == 2 * COUNT - 1


def test_messages_in_the_log_of_a_killed_recorder_are_read(tmp_path):
    folder = databases(tmp_path / "bag", 1)
    path = folder / "bag_1.db3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL").fetchall()
        database.execute("INSERT INTO messages (topic_id, timestamp, data) SELECT 1, 5, data FROM messages LIMIT 1")
        database.commit()
        log = path.with_name("bag_1.db3-wal")
        kept = path.read_bytes(), log.read_bytes()
    path.write_bytes(kept[0])
    log.write_bytes(kept[1])
    with Bag(folder) as bag:
        assert sum(bag.contents.counts.values()) == 2 * COUNT + 1
    assert log.read_bytes() == kept[1]


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + bytes(4_000), b"garbage" * 1_000])
@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("suffix", [".db3", ".mcap", ".bag", ".mcap.zstd", ".db3.zstd"])
def test_what_cannot_be_read_is_one_sentence_without_a_circle(tmp_path, content, files, suffix):
    folder = tmp_path / "bag"
    folder.mkdir()
    for number in range(files):
        (folder / f"bag_{number}{suffix}").write_bytes(content)
    for attempt in (Bag, repair_bag):
        with pytest.raises(BagError) as caught:
            attempt(folder)
        assert "repair-bag" not in str(caught.value)
        assert len(str(caught.value)) <= 500
    assert not (tmp_path / "bag_repaired").exists()


def one_pixel(folder):
    """A recording of one image."""
    with BagWriter(folder / "bag") as writer:
        image = {"encoding": "mono8", "height": 1, "width": 1, "step": 1, "data": [7]}
        writer.write_fields("/a", IMAGE, 10**9, image)
    return folder / "bag"


def offered(folder, profiles):
    """A recording of one topic with these QoS profiles."""
    path = folder / "offered.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start(profile="ros2")
        schema = writer.register_schema("std_msgs/msg/Empty", "ros2msg", b"\n")
        channel = writer.register_channel("/a", "cdr", schema, {"offered_qos_profiles": profiles})
        writer.add_message(channel, 1, b"\0\1\0\0\0", 1)
        writer.finish()
    return path


def test_endless_qos_profiles_are_not_read(tmp_path, monkeypatch):
    """rosbags reads them with a parser that takes five seconds for 160 kB."""
    import rosbags.rosbag2.storage_mcap as storage

    read = []
    monkeypatch.setattr(storage, "parse_qos", lambda text: read.append(len(text)) or [])
    for count in (3, 20_000):
        with Bag(offered(tmp_path, "- a: b\n" * count)) as bag:
            assert [message.topic for message in bag.messages()] == ["/a"]
    assert read == [21]


@pytest.mark.parametrize(
    "text",
    ["[" * 60_000, "- " * 30_000, "rosbag2_bagfile_information: {relative_file_paths: x, files: n}", "a: b\n" * 60_000],
    ids=["brackets", "dashes", "other form", "long"],
)
def test_a_hostile_metadata_file_neither_ends_the_process_nor_hides_the_messages(tmp_path, text):
    folder = one_pixel(tmp_path)
    (folder / "metadata.yaml").write_text(text)
    with Bag(folder) as bag:
        assert [message.topic for message in bag.messages()] == ["/a"]


def test_a_pipe_in_place_of_metadata_is_not_waited_for(tmp_path):
    folder = one_pixel(tmp_path)
    (folder / "metadata.yaml").unlink()
    os.mkfifo(folder / "metadata.yaml")
    with Bag(folder) as bag:
        assert [message.topic for message in bag.messages()] == ["/a"]


def test_a_file_that_unpacks_to_far_more_than_any_recording_does_not_fill_the_disk(tmp_path, monkeypatch):
    import zstandard

    monkeypatch.setattr("camera_perception.io.recording.storage.FREE_BYTES", 1 << 20)
    packed = zstandard.ZstdCompressor().compress(by_us_bytes(tmp_path) + bytes(32 << 20))
    path = tmp_path / "bomb.mcap.zstd"
    path.write_bytes(packed)
    with pytest.raises(BagError, match="unpacks to more than 200 times its size"):
        Bag(path)


def by_us_bytes(folder):
    return next(one_pixel(folder).glob("*.mcap")).read_bytes()
