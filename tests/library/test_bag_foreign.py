"""Recordings of others as input: ROS 1 bags, mcap files of Foxglove, compressed files, topics without a message."""

from __future__ import annotations

import base64
import json
from fractions import Fraction

import cv2
import numpy as np
import pytest
import zstandard
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from mcap.writer import Writer
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from camera_perception.core.errors import BagError
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_repair import repair_bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.recording.foxglove import foxglove_translation
from camera_perception.io.ros_types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, deserialize, typestore
from camera_perception.tools.replay.source import open_source

COUNT = 5
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
PNG = cv2.imencode(".png", PICTURE)[1].tobytes()
K = [50.0, 0.0, 32.0, 0.0, 50.0, 24.0, 0.0, 0.0, 1.0]
P = [50.0, 0.0, 32.0, 0.0, 0.0, 50.0, 24.0, 0.0, 0.0, 0.0, 1.0, 0.0]
R = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def check_replay(path, frames=COUNT):
    """The images of a recording, their stamps and the calibration with the camera 1.5 m high."""
    source = open_source(path)
    arrivals = list(source.arrivals)
    assert [arrival.stamp_ns for arrival in arrivals] == [10**9 * (1 + number) for number in range(frames)]
    assert {arrival.frame_id.lstrip("/") for arrival in arrivals} == {"front"}
    np.testing.assert_array_equal(arrivals[0].read(), PICTURE)
    assert source.calibration is not None
    assert source.calibration.base_from_camera[2, 3] == pytest.approx(1.5)
    np.testing.assert_allclose(source.calibration.pixel_from_camera[:2, :2], 50.0 * np.eye(2))


# ROS 1

TF, OLD_TF = "tf2_msgs/msg/TFMessage", "tf/msg/tfMessage"
NOETIC = get_typestore(Stores.ROS1_NOETIC)
for _kind in (TF, OLD_TF):
    NOETIC.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", _kind))


def ros1_bag(path, static="/tf_static", slash="/", start=0, count=COUNT):
    """As `rosbag record` writes it, with images, camera_info, a transform and a type that ROS 2 does not have."""
    t = NOETIC.types
    time, header = t["builtin_interfaces/msg/Time"], t["std_msgs/msg/Header"]

    def head(number, frame="front"):
        return header(seq=number, stamp=time(sec=1 + number, nanosec=0), frame_id=slash + frame)

    with Ros1Writer(path) as writer:
        topics = {
            "/front/image_raw": IMAGE, "/front/camera_info": CAMERA_INFO, static: OLD_TF if static == "/tf" else TF,
            "/clock": "rosgraph_msgs/msg/Clock", "/log": "rosgraph_msgs/msg/Log",
        }  # fmt: skip
        links = {topic: writer.add_connection(topic, kind, typestore=NOETIC) for topic, kind in topics.items()}

        def write(topic, number, message):
            data = NOETIC.serialize_ros1(message, topics[topic])
            writer.write(links[topic], 10**9 * (1 + number), data)

        vector, turn = t["geometry_msgs/msg/Vector3"], t["geometry_msgs/msg/Quaternion"]
        pose = t["geometry_msgs/msg/Transform"](vector(x=1.0, y=0.0, z=1.5), turn(x=-0.5, y=0.5, z=-0.5, w=0.5))
        stamped = t["geometry_msgs/msg/TransformStamped"](head(0, "base_link"), slash + "front", pose)
        write(static, 0, t[topics[static]]([stamped]))
        roi = t["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        for number in range(start, start + count):
            image = t[IMAGE](head(number), 48, 64, "bgr8", 0, 192, PICTURE.ravel())
            info = t[CAMERA_INFO](
                head(number), 48, 64, "plumb_bob", np.zeros(5), np.array(K), np.array(R), np.array(P), 0, 0, roi
            )
            write("/front/image_raw", number, image)
            write("/front/camera_info", number, info)
            write("/clock", number, t["rosgraph_msgs/msg/Clock"](time(sec=1 + number, nanosec=0)))
    return path


@pytest.mark.parametrize("static", ["/tf_static", "/tf"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_ros1_bag_is_replayed(tmp_path, static, slash):
    path = ros1_bag(tmp_path / "drive.bag", static, slash)
    check_replay(path)
    with Bag(path) as bag:
        assert bag.topics["/front/camera_info"] == CAMERA_INFO
        assert bag.contents.counts["/clock"] == COUNT
        (first, *_) = bag.messages(["/front/camera_info"])
        assert deserialize(first.kind, first.data).distortion_model == "plumb_bob"


def test_several_ros1_bags_of_a_folder_are_one_recording(tmp_path):
    (tmp_path / "bags").mkdir()
    ros1_bag(tmp_path / "bags/b_0.bag", start=0, count=3)
    ros1_bag(tmp_path / "bags/a_1.bag", start=3, count=2)
    check_replay(tmp_path / "bags")


@pytest.mark.parametrize("kept", [0.5, 0.9, 1.0])
def test_a_ros1_bag_whose_recorder_was_killed_is_read_and_repaired(tmp_path, kept):
    data = bytearray(ros1_bag(tmp_path / "drive.bag").read_bytes())
    at = data.index(b"index_pos=") + 10
    data[at : at + 8] = bytes(8)
    path = tmp_path / "killed.bag.active"
    path.write_bytes(data[: int(len(data) * kept)])
    if kept < 1.0:  # the only chunk is cut off
        with pytest.raises(BagError, match="holds no message that can be read"):
            Bag(path)
        return
    check_replay(path)
    repaired = repair_bag(path)
    assert repaired.folder == tmp_path / "killed_repaired"
    assert "killed.bag.active read from front to back" in repaired.lost
    check_replay(repaired.folder)


# Foxglove

TIME = {"seconds": "int64", "nanos": "int32"}
VECTOR = dict.fromkeys("xyz", "double")
MESSAGES = {
    "Time": TIME,
    "Vector3": VECTOR,
    "Quaternion": {**VECTOR, "w": "double"},
    "CompressedImage": {"timestamp": "Time", "frame_id": "string", "data": "bytes", "format": "string"},
    "RawImage": {
        "timestamp": "Time", "frame_id": "string", "width": "fixed32", "height": "fixed32", "encoding": "string",
        "step": "fixed32", "data": "bytes",
    },
    "CameraCalibration": {
        "timestamp": "Time", "frame_id": "string", "width": "fixed32", "height": "fixed32",
        "distortion_model": "string", "D": "double*", "K": "double*", "R": "double*", "P": "double*",
    },
    "FrameTransform": {
        "timestamp": "Time", "parent_frame_id": "string", "child_frame_id": "string", "translation": "Vector3",
        "rotation": "Quaternion",
    },
    "CompressedVideo": {"timestamp": "Time", "frame_id": "string", "data": "bytes", "format": "string"},
    "Log": {"timestamp": "Time", "message": "string"},
}  # fmt: skip


def file_set() -> descriptor_pb2.FileDescriptorSet:
    """The types above in two files, the importing one first."""
    first, second = descriptor_pb2.FileDescriptorProto(), descriptor_pb2.FileDescriptorProto()
    first.name, second.name = "images.proto", "basics.proto"
    first.dependency.append(second.name)
    for name, fields in MESSAGES.items():
        file = second if name in ("Time", "Vector3", "Quaternion") else first
        file.package, file.syntax = "foxglove", "proto3"
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            many = kind.endswith("*")
            entry = message.field.add(name=field, number=number, label=3 if many else 1)
            primitive = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.rstrip('*').upper()}", None)
            entry.type = primitive or descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
            if primitive is None:
                entry.type_name = f".foxglove.{kind}"
    return descriptor_pb2.FileDescriptorSet(file=[first, second])


def protobuf_bytes(name, fields):
    pool = descriptor_pool.DescriptorPool()
    for file in reversed(file_set().file):
        pool.Add(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))

    def times(value):
        return {"seconds": value["sec"], "nanos": value["nsec"]} if "sec" in value else value

    return message(**{key: times(v) if isinstance(v, dict) else v for key, v in fields.items()}).SerializeToString()


def json_bytes(name, fields):
    texts = {key: base64.b64encode(v).decode() if isinstance(v, bytes) else v for key, v in fields.items()}
    return json.dumps(texts).encode()


def foxglove_messages(raw):
    """(topic, type, seconds, fields)"""
    for number in range(COUNT):
        about = {"timestamp": {"sec": 1 + number, "nsec": 0}, "frame_id": "front"}
        if raw:
            image = {"width": 64, "height": 48, "encoding": "bgr8", "step": 192, "data": PICTURE.tobytes()}
            yield "/front/image", "foxglove.RawImage", 1 + number, {**about, **image}
        else:
            yield "/front/image", "foxglove.CompressedImage", 1 + number, {**about, "format": "png", "data": PNG}
        lens = {"width": 64, "height": 48, "distortion_model": "plumb_bob", "D": [0.0] * 5, "K": K, "R": R, "P": P}
        yield "/front/calibration", "foxglove.CameraCalibration", 1 + number, {**about, **lens}
    pose = {"translation": {"x": 1.0, "y": 0.0, "z": 1.5}, "rotation": {"x": -0.5, "y": 0.5, "z": -0.5, "w": 0.5}}
    frames = {"parent_frame_id": "base_link", "child_frame_id": "front"}
    yield "/tf", "foxglove.FrameTransform", 1, {"timestamp": {"sec": 1, "nsec": 0}, **frames, **pose}
    yield "/log", "foxglove.Log", 1, {"timestamp": {"sec": 1, "nsec": 0}, "message": "started"}


def foxglove_file(path, encoding, raw=False):
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        channels = {}
        for topic, name, seconds, fields in foxglove_messages(raw):
            if topic not in channels:
                is_json = encoding == "json"
                data = b'{"type": "object"}' if is_json else file_set().SerializeToString()
                schema = writer.register_schema(name, "jsonschema" if is_json else "protobuf", data)
                channels[topic] = writer.register_channel(topic, encoding, schema)
            data = (json_bytes if encoding == "json" else protobuf_bytes)(name, fields)
            writer.add_message(channels[topic], seconds * 10**9, data, seconds * 10**9)
        writer.finish()
    return path


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@pytest.mark.parametrize("raw", [True, False])
def test_foxglove_recordings_are_replayed(tmp_path, encoding, raw):
    path = foxglove_file(tmp_path / "drive.mcap", encoding, raw)
    check_replay(path)
    with Bag(path) as bag:
        assert bag.contents.complete
        assert bag.topics["/front/image"] == (IMAGE if raw else COMPRESSED_IMAGE)
        assert list(bag.contents.unread) == ["/log"]


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_a_video_of_foxglove_is_replayed(tmp_path, encoding):
    av = pytest.importorskip("av", reason="needs PyAV")
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, "yuv420p", Fraction(1, 10)
    codec.options = {"tune": "zerolatency"}
    images = [av.VideoFrame.from_ndarray(PICTURE, format="bgr24") for _ in range(COUNT)]
    packets = [bytes(packet) for each in (*images, None) for packet in codec.encode(each)]
    path = tmp_path / "drive.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        name, is_json = "foxglove.CompressedVideo", encoding == "json"
        data = b"{}" if is_json else file_set().SerializeToString()
        schema = writer.register_schema(name, "jsonschema" if is_json else "protobuf", data)
        channel = writer.register_channel("/front/video", encoding, schema)
        for second, packet in enumerate(packets, 1):
            fields = {"timestamp": {"sec": second, "nsec": 0}, "frame_id": "front", "data": packet, "format": "h264"}
            content = (json_bytes if is_json else protobuf_bytes)(name, fields)
            writer.add_message(channel, second, content, second)
        writer.finish()
    frames = [arrival.frame() for arrival in open_source(path).arrivals]
    assert [frame.stamp_ns for frame in frames] == [10**9 * (1 + number) for number in range(COUNT)]
    assert {frame.image.shape for frame in frames} == {PICTURE.shape}


def test_times_of_json_may_be_texts():
    translation = foxglove_translation("foxglove.CompressedImage", "json", b"{}")
    stamp = deserialize(
        COMPRESSED_IMAGE, translation.convert(b'{"timestamp": "2024-01-01T00:00:02.500000000Z"}')
    ).header.stamp
    assert (stamp.sec, stamp.nanosec) == (1704067202, 500_000_000)


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_a_repaired_foxglove_recording_is_one_of_ros_2(tmp_path, encoding):
    path = foxglove_file(tmp_path / "drive.mcap", encoding)
    path.write_bytes(path.read_bytes()[:-50])
    repaired = repair_bag(path)
    assert "foxglove.Log" in repaired.unread["/log"]
    check_replay(repaired.folder)


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_broken_foxglove_messages_are_left_out(tmp_path, encoding):
    path = tmp_path / "drive.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        data = file_set().SerializeToString() if encoding == "protobuf" else b"{}"
        schema = writer.register_schema("foxglove.CompressedImage", "protobuf", data)
        channel = writer.register_channel("/front/image", encoding, schema)
        for stamp, data in enumerate((b"\xff\xff\xff", b"[1]", b'"x"', b'{"data": 5}', b'{"timestamp": []}')):
            writer.add_message(channel, stamp, data, stamp)
        writer.finish()
    with Bag(path) as bag:
        assert all(message.kind == COMPRESSED_IMAGE for message in bag.messages())


def test_a_protobuf_schema_that_is_none_is_one_sentence(tmp_path):
    path = tmp_path / "drive.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        schema = writer.register_schema("foxglove.CompressedImage", "protobuf", b"\x01\x02\x03")
        channel = writer.register_channel("/front/image", "protobuf", schema)
        writer.add_message(channel, 1, b"", 1)
        writer.finish()
    with pytest.raises(BagError, match="/front/image has a schema that cannot be read"):
        Bag(path)


@pytest.mark.parametrize("encoding", ["cbor", "flatbuffer", ""])
def test_an_encoding_that_is_not_supported_is_named(tmp_path, encoding):
    path = tmp_path / "drive.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        channel = writer.register_channel("/a", encoding, writer.register_schema("some.Type", "", b""))
        writer.add_message(channel, 1, b"", 1)
        writer.finish()
    with pytest.raises(BagError, match=f"/a is some.Type in {encoding}, which is not supported"):
        Bag(path)


def test_ros1_messages_in_an_mcap_file_are_replayed(tmp_path):
    bag, path = ros1_bag(tmp_path / "drive.bag"), tmp_path / "drive.mcap"
    from rosbags.rosbag1 import Reader

    with Reader(bag) as reader, path.open("wb") as stream:
        writer = Writer(stream)
        writer.start("ros1")
        channels = {}
        for connection in reader.connections:
            name = connection.msgtype.replace("/msg/", "/")
            schema = writer.register_schema(name, "ros1msg", connection.msgdef.data.encode())
            channels[connection.id] = writer.register_channel(connection.topic, "ros1", schema)
        for connection, stamp_ns, data in reader.messages():
            writer.add_message(channels[connection.id], stamp_ns, data, stamp_ns)
        writer.finish()
    check_replay(path)


# Compression, and topics without a message


@pytest.mark.parametrize("plugin", list(StoragePlugin))
@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize("metadata", [True, False])
def test_compressed_recordings_are_read(tmp_path, plugin, mode, metadata):
    if plugin is StoragePlugin.MCAP and mode is CompressionMode.MESSAGE and not metadata:
        pytest.skip("nothing in such an mcap file says that its messages are compressed")
    with Ros2Writer(tmp_path / "bag", version=9, storage_plugin=plugin) as writer:
        pass
    writer = Ros2Writer(tmp_path / "bag2", version=9, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        link = writer.add_connection("/a", IMAGE, typestore=typestore())
        for number in range(3):
            writer.write(link, 1 + number, serialize(IMAGE, {"data": PICTURE.ravel()}))
    if not metadata:
        (tmp_path / "bag2/metadata.yaml").unlink()
    with Bag(tmp_path / "bag2") as bag:
        data = [deserialize(message.kind, message.data).data for message in bag.messages()]
    np.testing.assert_array_equal(data, [PICTURE.ravel()] * 3)
    repaired = repair_bag(tmp_path / "bag2")
    assert repaired.counts == {"/a": 3}


@pytest.mark.parametrize("kept", [1.0, 0.6])
def test_a_single_compressed_file_is_read_also_when_it_is_cut_off(tmp_path, kept):
    with BagWriter(tmp_path / "drive.mcap") as writer:
        for number in range(60):
            noise = np.random.default_rng(number).integers(0, 256, 100_000, np.uint8)
            writer.write_fields("/a", IMAGE, 1 + number, {"data": noise})
    packed = zstandard.compress((tmp_path / "drive.mcap").read_bytes())
    path = tmp_path / "packed.mcap.zstd"
    path.write_bytes(packed[: int(len(packed) * kept)])
    with Bag(path) as bag:
        assert bag.contents.complete == (kept == 1.0)
        assert 60 * kept - 15 <= len(list(bag.messages())) <= 60 * kept


def test_an_image_topic_without_a_message_is_no_camera(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/rear/image_raw", IMAGE)
        writer.add_topic("/rear/image_raw/compressed", COMPRESSED_IMAGE)
        writer.write_fields("/front/image_raw", IMAGE, 1, {"header": {"stamp": {"sec": 1}}})
    with Bag(tmp_path / "bag") as bag:
        assert bag.image_topics == ["/front/image_raw"]
    assert open_source(tmp_path / "bag").camera == "front"


def test_a_recording_whose_images_cannot_be_read_says_why(tmp_path):
    path = tmp_path / "drive.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        for topic, kind in (("/log", "foxglove.Log"), ("/tf", "foxglove.FrameTransforms")):
            schema = writer.register_schema(kind, "jsonschema", b"{}")
            writer.add_message(writer.register_channel(topic, "json", schema), 1, b"{}", 1)
        writer.finish()
    with pytest.raises(BagError, match="no image topic, only /tf; /log is foxglove.Log in json"):
        open_source(path)
