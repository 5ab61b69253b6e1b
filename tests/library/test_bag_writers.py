"""Recordings as other writers and recorders leave them: other indexes, orders, names, and transports side by side."""

from __future__ import annotations

import gc
import shutil
import sqlite3

import cv2
import numpy as np
import pytest
from mcap.writer import CompressionType, IndexType, Writer

from camera_perception.core.errors import BagError
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, typestore
from camera_perception.tools.replay.source import open_source

COUNT = 5
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
PNG = np.frombuffer(cv2.imencode(".png", PICTURE)[1].tobytes(), np.uint8)


def image(second, encoding="bgr8", pixels=PICTURE, **fields):
    header = {"stamp": {"sec": second}, "frame_id": "front"}
    height, width = pixels.shape[:2]
    size = {"height": height, "width": width, "step": pixels.nbytes // height}
    return {"header": header, **size, "encoding": encoding, "data": pixels.view(np.uint8).ravel(), **fields}


def mcap(path, messages=None, **options):
    """messages  (topic, type, second, fields); default: COUNT images"""
    messages = messages or [("/front/image_raw", IMAGE, 1 + n, image(1 + n)) for n in range(COUNT)]
    with path.open("wb") as stream:
        writer = Writer(stream, **options)
        writer.start("ros2")
        channels = {}
        for topic, kind, second, fields in messages:
            if topic not in channels:
                text = typestore().generate_msgdef(kind, ros_version=2)[0].encode()
                channels[topic] = writer.register_channel(topic, "cdr", writer.register_schema(kind, "ros2msg", text))
            writer.add_message(channels[topic], second * 10**9, serialize(kind, fields), second * 10**9)
        writer.add_attachment(1, 1, "notes.txt", "text/plain", b"wet road")
        writer.finish()
    return path


def stamps(path):
    gc.collect()  # unpacked copies must live as long as somebody reads
    return [arrival.frame().stamp_ns // 10**9 for arrival in open_source(path).arrivals]


NO_INDEX = {"index_types": IndexType.NONE}


@pytest.mark.parametrize(
    "options",
    [
        {"chunk_size": 1},
        {"index_types": IndexType.CHUNK | IndexType.ATTACHMENT},  # chunks without the messages in them
        NO_INDEX,
        {**NO_INDEX, "repeat_channels": False, "repeat_schemas": False, "use_statistics": False},
        {"use_chunking": False, "use_statistics": False, "use_summary_offsets": False},
        {"compression": CompressionType.LZ4, "enable_crcs": False},
    ],
)
def test_whatever_a_writer_leaves_out_every_message_is_read(tmp_path, options):
    assert stamps(mcap(tmp_path / "drive.mcap", **options)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("options", [{}, NO_INDEX])
def test_messages_out_of_order_are_sorted(tmp_path, options):
    messages = [("/front/image_raw", IMAGE, second, image(second)) for second in (1, 3, 2, 5, 4)]
    assert stamps(mcap(tmp_path / "drive.mcap", messages, **options)) == [1, 2, 3, 4, 5]


def test_names_of_files_may_be_in_upper_case(tmp_path):
    assert stamps(mcap(tmp_path / "DRIVE.MCAP")) == [1, 2, 3, 4, 5]


def test_a_folder_of_recordings_is_named_as_one(tmp_path):
    (tmp_path / "drives/monday").mkdir(parents=True)
    mcap(tmp_path / "drives/monday/a.mcap")
    for opened in (open_source, Bag):
        with pytest.raises(BagError, match="folder of recordings.*monday"):
            opened(tmp_path / "drives")


@pytest.mark.parametrize("metadata", [True, False])
def test_the_write_ahead_log_of_a_killed_recorder_is_read(tmp_path, metadata):
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer as Ros2Writer

    with Ros2Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        link = writer.add_connection("/front/image_raw", IMAGE, typestore=typestore())
        for second in (1, 2):
            writer.write(link, second * 10**9, serialize(IMAGE, image(second)))
    if not metadata:
        (tmp_path / "bag/metadata.yaml").unlink()
    database = sqlite3.connect(tmp_path / "bag/bag.db3")
    database.execute("PRAGMA journal_mode = wal")
    row = 1, 3 * 10**9, serialize(IMAGE, image(3))
    database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", row)
    database.commit()
    shutil.copytree(tmp_path / "bag", tmp_path / "killed")  # as the disk was when the recorder died
    database.close()
    assert stamps(tmp_path / "killed") == [1, 2, 3]


def test_one_camera_in_two_transports_is_one_camera(tmp_path):
    compressed = {"format": "bgr8; png compressed bgr8", "data": PNG}
    topics = ("/front/image_raw/compressed", "/front/image_raw/compressedDepth", "/front/image_raw/theora")
    messages = [
        (topic, COMPRESSED_IMAGE, second, {"header": {"stamp": {"sec": second}}, **compressed})
        for second in (1, 2)
        for topic in topics
    ]
    assert open_source(mcap(tmp_path / "compressed.mcap", messages)).name.endswith(topics[0])
    messages.append(("/front/image_raw", IMAGE, 3, image(3)))
    assert stamps(mcap(tmp_path / "both.mcap", messages)) == [3]
    messages.append(("/rear/image_raw", IMAGE, 3, image(3)))
    with pytest.raises(BagError, match="several cameras, choose one with --camera: /front/image_raw, /rear/image_raw,"):
        open_source(mcap(tmp_path / "two.mcap", messages))


def test_encodings_and_sizes_may_change_within_a_topic(tmp_path):
    grey = cv2.cvtColor(PICTURE, cv2.COLOR_BGR2GRAY)
    padded = np.pad(PICTURE.reshape(24, 96), ((0, 0), (0, 32)))
    fields = [
        image(1),
        image(2, "mono8", grey),
        image(3, "mono16", (grey.astype(">u2") * 257), is_bigendian=1),
        image(4, pixels=PICTURE[::2, ::2].copy()),
        image(5, "bgr8", padded, width=32),
    ]
    messages = [("/front/image_raw", IMAGE, second, each) for second, each in enumerate(fields, 1)]
    images = [arrival.frame().image for arrival in open_source(mcap(tmp_path / "drive.mcap", messages)).arrivals]
    for found, expected in zip(
        images, [PICTURE, np.dstack([grey] * 3), np.dstack([grey] * 3), PICTURE[::2, ::2], PICTURE]
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_recording_with_calibration_alone_says_so(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_fields("/front/camera_info", CAMERA_INFO, 1, {"width": 32})
    with pytest.raises(BagError, match="no image topic, only /front/camera_info"):
        open_source(tmp_path / "bag")


def test_a_lens_that_is_not_known_is_named(tmp_path, caplog):
    lens = {"width": 32, "height": 24, "k": [30.0, 0, 16, 0, 30, 12, 0, 0, 1], "d": [0.1, 0.5]}
    messages = [
        ("/front/camera_info", CAMERA_INFO, 1, {**lens, "distortion_model": "double_sphere"}),
        ("/front/image_raw", IMAGE, 1, image(1)),
    ]
    assert open_source(mcap(tmp_path / "drive.mcap", messages)).calibration is None
    assert "/front/camera_info: distortion model 'double_sphere' is unknown" in caplog.text
