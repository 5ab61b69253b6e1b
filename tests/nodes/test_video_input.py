"""Video packets in a camera node: all are decoded, in order, and each image is answered."""

from __future__ import annotations

import threading
from array import array
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from driving import header, road

from camera_perception.core.types import Status
from camera_perception_ros.camera import video_input
from camera_perception_ros.camera.video_input import VideoInput

av = pytest.importorskip("av", reason="video packets need PyAV")


def packets(count: int) -> list[bytes]:
    """H.264 of the road, 160 x 96, a key frame every eighth image."""
    try:
        context = av.CodecContext.create("libx264", "w")
    except ValueError:
        pytest.skip("this PyAV has no libx264")
    context.width, context.height, context.pix_fmt, context.framerate = 160, 96, "yuv420p", 20
    context.time_base, context.gop_size = Fraction(1, 20), 8
    context.options = {"tune": "zerolatency", "crf": "10"}
    images = [av.VideoFrame.from_ndarray(road(number), format="bgr24") for number in range(count)]
    for number, image in enumerate(images):
        image.pts = number
    return [bytes(packet) for image in [*images, None] for packet in context.encode(image)]


def ffmpeg(number: int, data: bytes) -> SimpleNamespace:
    return SimpleNamespace(header=header(number), encoding="libx264", data=array("B", data))


def foxglove(number: int, data: bytes) -> SimpleNamespace:
    made = header(number)
    return SimpleNamespace(timestamp=made.stamp, frame_id=made.frame_id, format="h264", data=array("B", data))


class Silent:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, text: str, **_: object) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("kind", [ffmpeg, foxglove])
def test_every_packet_of_a_video_is_answered_with_its_header(make_camera, kind):
    camera = make_camera()
    camera.activate()
    active = camera.node.active
    video = VideoInput(active._on_image, Silent(), 10**6)
    for number, data in enumerate(packets(4)):
        video.put(kind(number, data))
        answer = camera.answers(number + 1)[number]
        assert answer.header == header(number)
        assert answer.header.stamp == Time(sec=1000, nanosec=number * 50_000_000)
        assert not answer.status_flags & (Status.BAD_IMAGE | Status.WRONG_ENCODING)
        assert answer.objects
    video.put(kind(4, b"garbage"))
    assert camera.answers(5)[4].status_flags & Status.BAD_IMAGE
    video.close()


def test_no_packet_is_skipped_while_images_are_slow():
    seen, free = [], threading.Event()
    video = VideoInput(lambda image: (free.wait(20), seen.append(image)), Silent(), 10**6)
    data = packets(16)
    for number, each in enumerate(data):
        video.put(ffmpeg(number, each))
    free.set()
    while len(seen) < len(data):
        threading.Event().wait(0.01)
    video.close()
    assert [image.header for image in seen] == [header(number) for number in range(16)]
    for number, image in enumerate(seen):
        assert np.abs(image.read().astype(int) - road(number)).mean() < 20


def test_a_decoder_that_falls_behind_drops_packets_and_says_so(monkeypatch):
    monkeypatch.setattr(video_input, "MOST_WAITING", 5)
    free, log = threading.Event(), Silent()
    video = VideoInput(lambda image: free.wait(20), log, 10**6)
    for number, each in enumerate(packets(14)):
        video.put(ffmpeg(number, each))
    free.set()
    video.close()
    assert "slower than the camera" in log.lines[0]
