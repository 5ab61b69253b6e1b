"""The live page of turned, 16-bit, partly ignored and video images: what the network gets, and what viewers see."""

from __future__ import annotations

import threading
from fractions import Fraction
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from live_drive import CAR, PERIOD_NS, START_NS, drive_image, player_of, write_drive, write_images
from typer.testing import CliRunner

from camera_perception.core.types import Status
from camera_perception.geometry.camera import Camera
from camera_perception.image.turn import Turn
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import COMPRESSED_IMAGE
from camera_perception.tools.cli.app import app
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.protocol import Command
from camera_perception.tools.live.recordings import open_recording
from camera_perception.tools.replay.view import View

pytestmark = pytest.mark.skipif(find_spec("aiohttp") is None, reason="needs aiohttp")


def play(player, *commands):
    """Play to the end, as fast as allowed."""
    for command in (Command("speed", 16.0), *commands):
        player.control(command)
    thread = threading.Thread(target=player.run, args=(False,))
    thread.start()
    while (player.playing or not player._commands.empty()) and thread.is_alive():
        thread.join(0.01)
    player.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_turned_images_are_shown_as_the_network_sees_them(tmp_path, tiny_model):
    hub, view = Hub(), View(Turn(180))
    with player_of(tiny_model, write_drive(tmp_path / "drive", 3, ("front",)), hub, view=view) as player:
        frames = []
        player.show = frames.append
        play(player)
        shown = cv2.imdecode(np.frombuffer(frames[0].image, np.uint8), cv2.IMREAD_COLOR)
        assert (frames[0].mime, len(frames)) == ("image/jpeg", 3)
        assert np.abs(shown.astype(int) - cv2.rotate(drive_image(0), cv2.ROTATE_180)).mean() < 3
        assert frames[-1].fields["objects"][0]["cx"] == pytest.approx(320 - (CAR[0] + CAR[2]) / 2 - 4, abs=2.5)


def write_film(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 192))
    for index in range(2):
        writer.write(drive_image(index))
    writer.release()
    return path


@pytest.mark.parametrize("film", [False, True])
def test_films_and_folders_are_turned_and_get_metres(tmp_path, film):
    source = write_film(tmp_path / "film.avi") if film else write_images(tmp_path / "images", 2)
    lens = Camera(320, 192, np.array([[300.0, 0, 160], [0, 300, 96], [0, 0, 1]]), np.zeros(5))
    recording = open_recording(source, view=View(Turn(90), lens=lens, mount=(0, 0, 1.5, 0, 0, 0)))
    picture = next(recording.pictures(0))
    assert (picture.pixels().shape, picture.file) == ((320, 192, 3), b"")
    (camera,) = recording.cameras.values()
    assert (camera.width, camera.height, camera.metric) == (192, 320, True)
    assert next(open_recording(source).pictures(0)).pixels().shape == (192, 320, 3)


def test_nothing_is_reported_in_an_ignored_region_and_viewers_see_it(tmp_path, tiny_model):
    hub, view = Hub(), View(ignored=["0,0.3 1,0.3 1,1 0,1"])
    with player_of(tiny_model, write_drive(tmp_path / "drive", 3), hub, view=view) as player:
        frames = []
        player.show = frames.append
        play(player, Command("seek", 0.1))
        assert [frame.fields["objects"] for frame in frames] == [[]] * len(frames)
        (outline,) = player.perceiver.ignored["left"]["outlines"]
        assert sorted(np.round(outline, 2).tolist()) == [[0, 0.3], [0, 1], [1, 0.3], [1, 1]]


def test_what_was_learned_of_the_bonnet_outlives_a_seek(tmp_path, tiny_model):
    hub = Hub()
    with player_of(tiny_model, write_drive(tmp_path / "drive"), hub, view=View(ignored=["auto"])) as player:
        before = dict(player.perceiver.regions)
        assert before["front"] is not before["left"]
        player.perceiver.reset()
        assert player.perceiver.regions == before
        play(player)
        assert player.perceiver.ignored["front"]["text"].startswith("no own bonnet found in 1 images")


def test_sixteen_bits_are_stretched_flagged_and_shown_with_eight(tmp_path, tiny_model):
    deep = (drive_image(0).astype(np.uint16) * 16)[:, :, 0]  # 12 bits
    data = np.frombuffer(cv2.imencode(".png", deep)[1].tobytes(), np.uint8)
    header = {"stamp": {"sec": 1, "nanosec": 0}, "frame_id": "f"}
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_fields(
            "/a/image/compressed", COMPRESSED_IMAGE, 10, {"header": header, "format": "16UC1; png", "data": data}
        )
    with player_of(tiny_model, tmp_path / "bag", Hub(), view=View(range16="auto")) as player:
        frames = []
        player.show = frames.append
        play(player)
        assert frames[0].mime == "image/jpeg"
        assert frames[0].fields["status_flags"] & Status.RANGE_STRETCHED
        shown = cv2.imdecode(np.frombuffer(frames[0].image, np.uint8), cv2.IMREAD_COLOR)
        assert shown.max() > 240


def test_video_packets_play_from_any_time(tmp_path):
    av = pytest.importorskip("av")
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 192, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, 10), {"g": "10", "bf": "0", "tune": "zerolatency"}
    with BagWriter(tmp_path / "bag") as bag:
        for index in range(12):
            frame = av.VideoFrame.from_ndarray(drive_image(index), format="bgr24")
            frame.pts = index
            stamp_ns = START_NS + index * PERIOD_NS
            stamp = {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}
            for packet in encoder.encode(frame):
                fields = {
                    "timestamp": stamp,
                    "frame_id": "f",
                    "data": np.frombuffer(bytes(packet), np.uint8),
                    "format": "h264",
                }
                bag.write_fields("/front/video", "foxglove_msgs/msg/CompressedVideo", stamp_ns, fields)
    recording = open_recording(tmp_path / "bag")
    assert list(recording.cameras) == ["front"]
    pictures = list(recording.pictures(START_NS + 5 * PERIOD_NS))
    assert [p.stamp_ns for p in pictures] == [START_NS + i * PERIOD_NS for i in range(5, 12)]
    assert np.abs(pictures[0].pixels().astype(int) - drive_image(5)).mean() < 3


def test_running_nodes_are_turned_by_their_own_parameters(tmp_path):
    result = CliRunner().invoke(app, ["live", "topics", "--rotate", "180"])
    assert (result.exit_code, "set their parameters" in " ".join(result.output.split())) == (2, True)
    result = CliRunner().invoke(app, ["live", str(write_images(tmp_path / "images", 1)), "--ignore", "none.png"])
    assert (result.exit_code, "give a PNG" in " ".join(result.output.split())) == (2, True)
