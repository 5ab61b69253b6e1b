"""Video packets: every packet gives its own image, and starts in the middle wait for a key frame."""

from __future__ import annotations

import importlib
import sys
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from camera_perception.core.errors import BadImage, UnknownEncoding
from camera_perception.image.reader import ImageReader
from camera_perception.image.turn import Turn
from camera_perception.image.video_packets import VideoDecoder, codec_of
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import CAMERA_INFO, COMPRESSED_VIDEO, FFMPEG_PACKET
from camera_perception.tools.replay.source import open_source

av = pytest.importorskip("av", reason="video packets need PyAV")

H, W, COUNT = 64, 96, 12
ENCODERS = {"h264": ("libx264", {"tune": "zerolatency"}), "h265": ("libx265", {"x265-params": "bframes=0:log-level=0"})}


def picture(number: int) -> np.ndarray:
    """A block that moves by four pixels per image."""
    image = np.full((H, W, 3), 60, np.uint8)
    image[20:44, 8 + 4 * number : 32 + 4 * number] = (60, 120, 220)
    return image


def packets(encoder: str = "libx264", options: dict[str, str] | None = None, gop: int = 6) -> list[bytes]:
    """Annex B packets, as drivers publish them."""
    try:
        context = av.CodecContext.create(encoder, "w")
    except ValueError:
        pytest.skip(f"this PyAV has no {encoder}")
    context.width, context.height, context.pix_fmt, context.framerate = W, H, "yuv420p", 10
    context.time_base, context.gop_size = Fraction(1, 10), gop
    context.options = options or {"tune": "zerolatency"}
    frames = [av.VideoFrame.from_ndarray(picture(number), format="bgr24") for number in range(COUNT)]
    for number, frame in enumerate(frames):
        frame.pts = number
    return [bytes(packet) for frame in [*frames, None] for packet in context.encode(frame)]


def video(data: bytes, format: str = "h264") -> SimpleNamespace:
    return SimpleNamespace(data=data, format=format)


def offset(image: np.ndarray) -> float:
    """The number of the picture, from where its block is."""
    return (np.flatnonzero(image[32, :, 2] > 140)[0] - 8) / 4


@pytest.mark.parametrize("codec", ENCODERS)
def test_every_packet_gives_its_own_image_at_once(codec):
    decoder = VideoDecoder()
    for number, data in enumerate(packets(*ENCODERS[codec])):
        (image,) = decoder.decode(video(data, codec), number)
        assert image.header == number
        assert offset(image.read()) == pytest.approx(number, abs=0.5)
    assert decoder.flush() == []


def test_reordered_images_keep_their_headers():
    decoder, found = VideoDecoder(), []
    # Packets arrive in the order of decoding; their headers are those of the images they hold.
    data = packets(options={"bf": "2", "preset": "fast"}, gop=30)
    for number, each in enumerate(data):
        found += decoder.decode(video(each), number)
    found += decoder.flush()
    assert len(found) == COUNT
    shown = [round(offset(image.read())) for image in found]
    assert shown == list(range(COUNT))
    assert sorted(image.header for image in found) == list(range(COUNT))


def test_a_start_in_the_middle_waits_for_the_next_key_frame():
    decoder = VideoDecoder()
    images = [image for number, data in enumerate(packets()[2:]) for image in decoder.decode(video(data), number + 2)]
    assert [image.header for image in images] == list(range(2, COUNT))
    with pytest.raises(BadImage, match="key frame"):
        images[0].read()
    assert [image.pixels is not None for image in images] == [number >= 6 for number in range(2, COUNT)]


def test_garbage_and_empty_packets_are_problems_and_the_next_key_frame_mends_them():
    decoder, data = VideoDecoder(), packets()
    data[3], data[4] = b"", b"garbage" * 9
    images = [image for number, each in enumerate(data) for image in decoder.decode(video(each), number)]
    assert [offset(image.read()) for image in images if image.header >= 6] == pytest.approx(range(6, COUNT), abs=0.5)


@pytest.mark.parametrize(
    ("message", "codec"),
    [
        ({"format": "h264"}, "h264"),
        ({"format": "h265"}, "hevc"),
        ({"encoding": "libx264"}, "h264"),
        ({"encoding": "h264_nvenc"}, "h264"),
        ({"encoding": "hevc;yuv420p;bgr8;bgr8"}, "hevc"),
        ({"encoding": "libx265"}, "hevc"),
        ({"format": "av1"}, "av1"),
        ({"format": "vp9"}, "vp9"),
    ],
)
def test_codecs_by_the_names_that_drivers_write(message, codec):
    assert codec_of(SimpleNamespace(**message)) == codec


def test_an_unknown_codec_and_a_missing_package_are_named(monkeypatch):
    with pytest.raises(UnknownEncoding, match="'theora' is unknown: publish h264"):
        codec_of(SimpleNamespace(format="theora"))
    monkeypatch.setitem(sys.modules, "av", None)
    (image,) = VideoDecoder().decode(video(b"x"), 0)
    assert "pip install av" in image.problem
    importlib.invalidate_caches()


def test_video_images_are_limited_and_turned_like_all_others():
    data = packets()[0]
    (image,) = VideoDecoder(max_pixels=100).decode(video(data), 0)
    assert "exceeds the limit" in image.problem
    (image,) = VideoDecoder().decode(video(data), 0)
    assert ImageReader(Turn(90)).read(image).shape == (W, H, 3)


@pytest.mark.parametrize("kind", [COMPRESSED_VIDEO, FFMPEG_PACKET])
def test_a_recorded_video_is_replayed_image_by_image(tmp_path, kind):
    topic = "/front/image_raw/" + ("foxglove" if kind == COMPRESSED_VIDEO else "ffmpeg")
    with BagWriter(tmp_path / "bag") as writer:
        for number, data in enumerate(packets()):
            stamp = {"sec": 1_700_000_000, "nanosec": number * 10**8}
            payload = {"data": np.frombuffer(data, np.uint8)}
            if kind == COMPRESSED_VIDEO:
                fields = {"timestamp": stamp, "frame_id": "optical", "format": "h264", **payload}
            else:
                fields = {"header": {"stamp": stamp, "frame_id": "optical"}, "encoding": "libx264", **payload}
            time_ns = stamp["sec"] * 10**9 + stamp["nanosec"]
            writer.write_fields(topic, kind, time_ns, fields)
            info = {"header": {"stamp": stamp, "frame_id": "optical"}, "width": W, "height": H, "k": np.eye(3).ravel()}
            writer.write_fields("/front/camera_info", CAMERA_INFO, time_ns, info)
    source = open_source(tmp_path / "bag")
    assert (source.camera, source.length, source.calibration.width) == ("front", COUNT, W)
    frames = [arrival.frame() for arrival in source.arrivals]
    assert [frame.stamp_ns for frame in frames] == [1_700_000_000 * 10**9 + number * 10**8 for number in range(COUNT)]
    assert [offset(frame.image) for frame in frames] == pytest.approx(range(COUNT), abs=0.5)
    assert {frame.frame_id for frame in frames} == {"optical"}
