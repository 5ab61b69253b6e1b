"""The live page without a browser: messages, viewers, access, playing, server."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from importlib.util import find_spec
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from live_drive import (
    CAR,
    PERIOD_NS,
    START_NS,
    drive_image,
    player_of,
    png,
    served,
    write_drive,
    write_images,
)
from typer.testing import CliRunner

from camera_perception.core.errors import BagError, PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Status
from camera_perception.draw.colors import CLASS_COLORS
from camera_perception.engines.select import load_engine
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import COMPRESSED_IMAGE, IMAGE
from camera_perception.tools.cli.app import app
from camera_perception.tools.live import server as live_server
from camera_perception.tools.live.access import Access, is_loopback, open_access, security_headers
from camera_perception.tools.live.device import Device, DevicePlayer, is_device, redacted
from camera_perception.tools.live.hello import tunable
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.perceive import Perceiver
from camera_perception.tools.live.protocol import (
    Command,
    LiveFrame,
    acknowledged,
    command_of,
    packed,
    palette,
    plain,
    token_of,
    unpacked,
)
from camera_perception.tools.live.recordings import open_recording, shown_file
from camera_perception.tools.live.server import LiveServer, page_files

pytestmark = pytest.mark.skipif(find_spec("aiohttp") is None, reason="needs aiohttp")
TOKEN = "0123456789abcdef"


# Messages


def test_nan_is_not_json():
    fields = {"objects": [], "age_ms": float("nan"), "u": np.array([1.0, np.inf, 2.123456789], np.float32)}
    message = packed(LiveFrame("front", fields, b"\xff\xd8image", "image/jpeg", 1.5), 3)
    length = int.from_bytes(message[:4], "little")
    head = json.loads(message[4 : 4 + length], parse_constant=pytest.fail)
    assert head["perception"] == {"objects": [], "age_ms": None, "u": [1.0, None, 2.1235], "flags": []}
    assert (head["camera"], head["number"], head["seconds"], head["mime"]) == ("front", 3, 1.5, "image/jpeg")
    assert unpacked(message) == (head, b"\xff\xd8image")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(np.int64(3), 3), (np.float32("nan"), None), ({1: (2, -np.inf)}, {"1": [2, None]}), (True, True), ("a", "a")],
)
def test_values_as_json(value, expected):
    assert plain(value) == expected


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('{"do":"play"}', Command("play")),
        ('{"do":"seek","to":2.5}', Command("seek", 2.5)),
        ('{"do":"tune","head":"objects","to":0.4}', Command("tune", 0.4, "objects")),
        ('{"do":"step","by":-1}', Command("step", -1.0)),
        ('{"do":"seek"}', None),
        ('{"do":"seek","to":NaN}', None),
        ('{"do":"seek","to":true}', None),
        ('{"do":"seek","to":"2"}', None),
        ('{"do":"format"}', None),
        ('{"do":["play"]}', None),
        ("[1]", None),
        ("not json", None),
        ("[" * 4000, None),
    ],
)
def test_commands_of_viewers(text, command):
    assert command_of(text) == command


def test_acknowledgements_and_tokens():
    assert [acknowledged(text) for text in ('{"ack":"front"}', '{"ack":1}', "{}", "x")] == ["front", None, None, None]
    assert [token_of(text) for text in ('{"token":"a"}', '{"token":1}', "7")] == ["a", "", ""]


def test_the_page_has_the_colours_of_the_drawn_pictures():
    blue, green, red = CLASS_COLORS["car"]
    assert palette(("car",))["classes"]["car"] == f"#{red:02x}{green:02x}{blue:02x}"


@pytest.mark.parametrize(("options", "least"), [({"thresholds": {"car": 0.2}}, {"car": 0.2, "bus": 0.4}), ({}, {})])
def test_a_slider_names_the_minimum_of_each_class(options, least):
    head = SimpleNamespace(head="objects", classes=("car", "bus"), threshold=0.4, options=options)
    (slider,) = tunable(SimpleNamespace(heads=(head,)))
    assert (slider["threshold"], slider["least"]) == (0.4, pytest.approx(least))


# Viewers


def test_a_newer_message_replaces_the_one_that_waits():
    hub, woken = Hub(), []
    hub.publish("state", "old")
    client = hub.join(lambda: woken.append(1))
    assert client.take() == "old"
    for message in (b"1", b"2", b"3"):
        hub.publish("front", message)
    hub.publish("left", b"9")
    assert [client.take(), client.take(), client.take()] == [b"3", b"9", None]
    hub.publish("front", b"4")
    assert client.take() is None  # b"3" is not acknowledged
    hub.publish("state", "new")
    assert client.take() == "new"  # text needs no acknowledgement
    client.acknowledge("front")
    assert (client.take(), client.replaced, len(woken) > 3) == (b"4", 2, True)


def test_who_joins_late_gets_the_latest_and_who_left_nothing():
    hub = Hub()
    first = hub.join(lambda: None)
    hub.publish("front", b"1")
    hub.publish("front", b"2")
    assert hub.join(lambda: None).take() == b"2"
    hub.leave(first)
    hub.publish("front", b"3")
    assert (first.take(), len(hub)) == (b"2", 1)


# Access


@pytest.mark.parametrize(
    ("token", "host", "origin", "refused"),
    [
        ("", "127.0.0.1:8080", None, False),
        ("", "127.0.0.1:8080", "http://127.0.0.1:8080", False),
        ("", "localhost:9000", "http://localhost:9000", False),
        ("", "[::1]:8080", "http://[::1]:8080", False),
        ("", "127.0.0.1:8080", "http://evil.example", True),
        ("", "127.0.0.1:8080", "http://127.0.0.1:9999", True),
        ("", "127.0.0.1:8080", "null", True),
        ("", "evil.example", "http://evil.example", True),  # DNS rebinding
        ("", "", None, True),
        (TOKEN, "car.local:8080", "http://car.local:8080", False),
        (TOKEN, "car.local:8080", "https://evil.example", True),
    ],
)
def test_pages_of_other_sites_may_not_connect(token, host, origin, refused):
    assert bool(Access("127.0.0.1", token).foreign(host, origin)) is refused


def test_any_address_but_loopback_has_a_token():
    assert open_access("127.0.0.1").token == "" == open_access("localhost").fragment
    made = [open_access("0.0.0.0").token, open_access("::").token]
    assert len(set(made)) == 2
    assert min(map(len, made)) >= 20
    assert open_access("127.0.0.1", TOKEN).fragment == f"#token={TOKEN}"
    with pytest.raises(PerceptionError, match="too weak"):
        open_access("0.0.0.0", "short")
    assert [is_loopback(host) for host in ("127.0.0.9", "::1", "localhost", "10.0.0.1", "car")] == [1, 1, 1, 0, 0]


def test_the_token_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("CAMERA_PERCEPTION_TOKEN", TOKEN)
    assert [open_access("0.0.0.0").token, open_access("0.0.0.0", TOKEN[::-1]).token] == [TOKEN, TOKEN[::-1]]


def test_the_token_is_compared_as_a_whole():
    access = Access("0.0.0.0", TOKEN)
    assert [access.admits(text) for text in (TOKEN, TOKEN[:-1], "", TOKEN + "x", "é")] == [1, 0, 0, 0, 0]
    assert Access("127.0.0.1").admits("")


def test_nothing_of_elsewhere_may_be_loaded():
    policy = security_headers("h:1")["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name, (content, kind) in page_files().items():
        text = content.decode()
        assert kind.startswith(("text/", "image/")), name
        outside = text.replace("http://www.w3.org/2000/svg", "").replace("${location.host}", "")
        assert [word for word in ("http://", "https://", "//cdn") if word in outside] == [], name
        assert [word for word in (" style=", "onclick=", "<script>") if word in text] == [], "refused by the policy"


# Recordings


def test_the_recorded_file_is_sent_untouched(tmp_path):
    recording = open_recording(write_drive(tmp_path / "drive"))
    assert list(recording.cameras) == ["front", "left"]
    assert (recording.start_ns, recording.end_ns) == (START_NS, START_NS + 11 * PERIOD_NS + 20_000_001)
    pictures = list(recording.pictures(START_NS + 10 * PERIOD_NS))
    assert [(p.camera, p.time_ns - START_NS) for p in pictures] == [
        ("front", 10 * PERIOD_NS), ("left", 10 * PERIOD_NS + 20_000_000), ("front", 11 * PERIOD_NS),
        ("left", 11 * PERIOD_NS + 20_000_000),
    ]  # fmt: skip
    assert shown_file(pictures[0], pictures[0].pixels()) == (png(drive_image(10)), "image/png")


def test_compressed_images_are_preferred_and_raw_ones_encoded(tmp_path):
    header = {"stamp": {"sec": 1, "nanosec": 0}, "frame_id": "f"}
    image = drive_image(0)
    raw = {"header": header, "height": 192, "width": 320, "encoding": "bgr8", "is_bigendian": 0, "step": 960}
    small = {"header": header, "format": "jpeg", "data": np.frombuffer(png(image), np.uint8)}
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_fields("/a/image_raw", IMAGE, 10, {**raw, "data": image.ravel()})
        bag.write_fields("/a/image_raw/compressed", COMPRESSED_IMAGE, 11, small)
        bag.write_fields("/b/image_raw", IMAGE, 12, {**raw, "data": image.ravel()})
    recording = open_recording(tmp_path / "bag")
    first, second = recording.pictures(0)
    assert (list(recording.cameras), first.file[:2], second.file) == (["a", "b"], b"\x89P", b"")
    file, kind = shown_file(second, second.pixels())
    assert kind == "image/jpeg"
    assert np.abs(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR).astype(int) - image).max() < 40
    assert list(open_recording(tmp_path / "bag", "b").cameras) == ["b"]
    with pytest.raises(BagError, match="has no image topic c: choose one of /a"):
        open_recording(tmp_path / "bag", "c")


def test_a_film_begins_anywhere(tmp_path):
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 192))
    for index in range(12):
        writer.write(np.full((192, 320, 3), 10 + 20 * index, np.uint8))
    writer.release()
    recording = open_recording(path)
    assert (recording.end_ns, list(recording.cameras)) == (1_200_000_000, ["film"])
    for start in (0, 5):
        pictures = list(recording.pictures(start * PERIOD_NS))
        assert [picture.time_ns for picture in pictures] == [i * PERIOD_NS for i in range(start, 12)]
        means = [picture.pixels().mean() for picture in pictures]
        np.testing.assert_allclose(means, [10 + 20 * i for i in range(start, 12)], atol=6)


def test_a_missing_source_names_all_kinds(tmp_path):
    result = CliRunner().invoke(app, ["live", str(tmp_path / "absent"), "--model", "x"])
    assert (result.exit_code, "Traceback" in result.output) == (2, False)
    result = CliRunner().invoke(app, ["live", str(tmp_path)])
    assert "is not a recording, video or folder of images: give" in " ".join(result.output.split())


# Playing


def play(player, *commands, seconds=30.0, until=lambda: False):
    """Run the player with these commands until it has nothing to do, or until the condition holds."""
    for command in commands:
        player.control(command)
    thread = threading.Thread(target=player.run, args=(False,))
    thread.start()
    deadline = time.monotonic() + seconds
    while (player.playing or not player._commands.empty()) and not until() and time.monotonic() < deadline:
        time.sleep(0.01)
    player.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_every_image_is_perceived_once_and_in_order(tmp_path, tiny_model):
    hub = Hub()
    with player_of(tiny_model, write_drive(tmp_path / "drive"), hub) as player:
        frames = []
        player.show = frames.append
        play(player, Command("speed", 16.0))
        assert [(frame.camera, frame.seconds) for frame in frames] == [
            (camera, pytest.approx(0.1 * i + late))
            for i in range(12)
            for camera, late in (("front", 0), ("left", 0.02))
        ]
        assert (player.playing, player.error) == (False, "")
        box = frames[-2].fields["objects"][0]
        expected = (CAR[0] + CAR[2]) / 2 + 2 * 11
        assert box["cx"] == pytest.approx(expected, abs=2.5)


@pytest.mark.parametrize(
    ("seconds", "first"),
    [(0.55, 6), (0.0, 0), (1.1, 11), (99.0, 11), (-5.0, 0)],
)
def test_seeking_shows_the_image_at_that_time_with_its_track(tmp_path, tiny_model, seconds, first):
    hub = Hub()
    with player_of(tiny_model, write_drive(tmp_path / "drive", cameras=("front",)), hub) as player:
        frames = []
        player.show = frames.append
        play(player, Command("pause"), Command("seek", 0.8))
        frames.clear()
        play(player, Command("seek", seconds))
        assert [round(frame.seconds * 10) for frame in frames] == [first]
        assert frames[0].fields["objects"][0]["track_age"] >= min(first, 4)
        assert not frames[0].fields["status_flags"] & Status.CLOCK_JUMP


@pytest.mark.parametrize("cameras", [("front",), ("front", "left")])
def test_steps_of_one_image_of_each_camera(tmp_path, tiny_model, cameras):
    hub = Hub()
    with player_of(tiny_model, write_drive(tmp_path / "drive", cameras=cameras), hub) as player:
        frames = []
        player.show = frames.append
        play(player, Command("pause"), Command("seek", 0.5))
        for by in (1.0, -1.0, -1.0):
            play(player, Command("step", by))
        assert [(f.camera, int(10 * f.seconds + 0.01)) for f in frames] == [
            (c, i) for i in (5, 6, 5, 4) for c in cameras
        ]


def test_a_threshold_changes_the_image_that_stands_still(tmp_path, tiny_model):
    hub = Hub()
    with player_of(tiny_model, write_images(tmp_path / "images", faint=True), hub) as player:
        frames = []
        player.show = frames.append
        play(player, Command("pause"), Command("seek", 0.5))
        play(player, Command("tune", 0.1, "objects"))
        play(player, Command("tune", 0.9, "objects"), Command("tune", 0.5, "nonsense"))
        play(player, Command("tune", 7.0, "objects"))
        assert [len(frame.fields["objects"]) for frame in frames] == [0, 1, 0]
        assert {round(10 * frame.seconds) for frame in frames} == {5}
        player._tuning = False
        play(player, Command("tune", 0.1, "objects"))
        assert player.perceiver.thresholds["objects"] == 0.9


def test_a_broken_image_is_flagged_and_shown_as_nothing(tmp_path, tiny_model):
    folder = write_images(tmp_path / "images", 3)
    (folder / "001.png").write_bytes(b"\x89PNG broken")
    hub = Hub()
    with player_of(tiny_model, folder, hub) as player:
        frames = []
        player.show = frames.append
        play(player, Command("speed", 16.0))
        assert [len(frame.image) > 0 for frame in frames] == [True, False, True]
        head, image = unpacked(packed(frames[1], 1))
        assert (head["perception"]["status"], head["perception"]["flags"], image) == (2, ["BAD_IMAGE"], b"")


def test_the_end_is_a_new_beginning_with_loop(tmp_path, tiny_model):
    hub = Hub()
    with player_of(tiny_model, write_images(tmp_path / "images", 3), hub, loop=True) as player:
        frames = []
        player.show = frames.append
        play(player, Command("speed", 16.0), until=lambda: len(frames) >= 4)
        assert [round(10 * frame.seconds) for frame in frames[:4]] == [0, 1, 2, 0]


def test_anonymised_images_are_new_ones_with_covered_cars(tmp_path, tiny_model):
    source = write_images(tmp_path / "images", 2)
    hub = Hub()
    with player_of(tiny_model, source, hub, anonymize=True) as player:
        frames = []
        player.show = frames.append
        play(player, Command("speed", 16.0))
        assert frames[0].mime == "image/jpeg"
        image = cv2.imdecode(np.frombuffer(frames[0].image, np.uint8), cv2.IMREAD_COLOR)
        x0, y0, x1, y1 = CAR
        assert drive_image(0)[y0:y1, x0:x1].min() == 235
        assert image[(y0 + y1) // 2 : y1, x0:x1].min() < 200  # a mosaic of the car and the road around it


# Cameras


class FakeVideo:
    def __init__(self, images):
        self.images = list(images)

    def read(self):
        return (True, self.images.pop(0)) if self.images else (False, None)


@pytest.mark.parametrize(
    ("source", "device"),
    [("0", True), ("/dev/video2", True), ("rtsp://u:p@cam/1", True), ("videotestsrc ! appsink", True), ("bag", False)],
)
def test_what_is_a_camera(source, device):
    assert is_device(source) is device


def test_passwords_are_not_shown():
    assert redacted("rtsp://user:secret@10.0.0.2/stream") == "rtsp://10.0.0.2/stream"
    with pytest.raises(PerceptionError, match=r"rtsp://10.0.0.2/stream cannot be opened"):
        Device("rtsp://user:secret@10.0.0.2/stream", lambda source: None)


def test_a_camera_that_comes_back_is_shown_again(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr("camera_perception.tools.live.device.RETRY", (0.01, 0.02))
    opened = iter([FakeVideo([drive_image(0)]), None, FakeVideo([drive_image(5)])])
    device = Device("rtsp://cam", lambda source: next(opened, None))
    spec = load_spec(tiny_model)
    engine = load_engine(spec, "onnxruntime", threads=1)
    hub, frames = Hub(), []
    player = DevicePlayer(device, Perceiver(spec, engine, {"camera": None}), hub, show=frames.append)
    player.control(Command("tune", 0.3, "objects"))
    thread = threading.Thread(target=player.run, args=(False,))
    thread.start()
    deadline = time.monotonic() + 20
    while not any(f.fields["objects"] and f.fields["objects"][0]["cx"] > 140 for f in frames):
        assert time.monotonic() < deadline, [f.fields["objects"] for f in frames]
        time.sleep(0.01)
    player.stop()
    thread.join(10)
    engine.close()
    assert player.perceiver.thresholds["objects"] == 0.3
    assert all(frame.fields["age_ms"] >= 0 for frame in frames)


# Server


async def connected(session, server, **options):
    return await session.ws_connect(server.address.partition("#")[0] + "live", **options)


async def receive(socket, seconds=20.0):
    """The next message: JSON of a text, (JSON, image) of an image."""
    message = await asyncio.wait_for(socket.receive(), seconds)
    if message.type.name == "TEXT":
        return json.loads(message.data)
    return unpacked(message.data) if message.type.name == "BINARY" else message


async def next_frame(socket, ack=True):
    while True:
        message = await receive(socket)
        if isinstance(message, tuple):
            if ack:
                await socket.send_json({"ack": message[0]["camera"]})
            return message


def in_session(function, *arguments):
    """Run an async function with an HTTP client."""
    aiohttp = pytest.importorskip("aiohttp")

    async def run():
        async with aiohttp.ClientSession() as session:
            return await function(session, *arguments)

    return asyncio.run(run())


def test_the_page_is_served_with_its_files_and_headers():
    async def visit(session, server):
        for name, (content, kind) in {**page_files(), "": page_files()["index.html"]}.items():
            async with session.get(server.address + name) as answer:
                assert (answer.status, await answer.read(), answer.content_type) == (200, content, kind)
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        for name in ("server.py", "../hub.py", "%2e%2e/hub.py", "page/"):
            async with session.get(server.address + name) as answer:
                assert answer.status == 404
        for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            for path in ("", "live"):
                async with session.get(server.address + path, headers=header) as answer:
                    assert answer.status == 403

    with LiveServer(Hub(), print, Access("127.0.0.1"), port=0) as server:
        in_session(visit, server)


def test_a_port_that_is_taken_is_one_sentence():
    with LiveServer(Hub(), print, Access("127.0.0.1"), port=0) as server:
        port = int(server.address.rsplit(":")[-1].strip("/"))
        with pytest.raises(PerceptionError, match=f"port {port} of 127.0.0.1 cannot be served"):
            LiveServer(Hub(), print, Access("127.0.0.1"), port).start()


def test_frames_arrive_one_by_one_and_commands_are_obeyed(tmp_path, tiny_model):
    async def watch(session, server, player):
        async with await connected(session, server) as socket:
            hello = await receive(socket)
            assert (hello["type"], [camera["name"] for camera in hello["cameras"]]) == ("hello", ["front", "left"])
            head, image = await next_frame(socket)
            assert image.startswith(b"\x89PNG")
            await socket.send_json({"do": "pause"})
            await socket.send_json({"do": "seek", "to": 0.6})
            while head["seconds"] != pytest.approx(0.6):
                head, image = await next_frame(socket)
            assert image == png(drive_image(6))
            await socket.send_str("nonsense")
            await socket.send_json({"do": "tune", "head": "objects", "to": 0.99})
            while head["perception"]["objects"]:
                head, _ = await next_frame(socket)
        assert player.perceiver.thresholds["objects"] == 0.99

    with served(tiny_model, write_drive(tmp_path / "drive")) as (server, player, _):
        in_session(watch, server, player)


def test_a_viewer_who_does_not_acknowledge_gets_one_image_and_holds_up_nobody(tmp_path, tiny_model):
    async def watch(session, server, player, hub):
        async with await connected(session, server) as idle, await connected(session, server) as quick:
            await quick.send_json({"do": "speed", "to": 16.0})
            seen = [(await next_frame(quick))[0]["number"] for _ in range(25)]
            assert seen == sorted(seen)
            got, end = [], time.monotonic() + 1.0  # a fast machine tells of a new round of the drive all the time
            while time.monotonic() < end and len(got) <= 2:
                try:
                    message = await receive(idle, 0.3)
                except asyncio.TimeoutError:
                    break
                got.append(message[0]["camera"]) if isinstance(message, tuple) else None
            assert got == ["front"]

    source = write_drive(tmp_path / "drive", cameras=("front",), count=30)
    with served(tiny_model, source, loop=True) as (server, player, hub):
        in_session(watch, server, player, hub)


def test_ten_viewers_see_the_same_and_leave(tmp_path, tiny_model):
    async def watch(session, server, hub):
        sockets = [await connected(session, server) for _ in range(10)]
        frames = await asyncio.gather(*(next_frame(socket) for socket in sockets))
        assert {frame[0]["camera"] for frame in frames} == {"images"}
        assert len(hub) == 10
        for socket in sockets:
            await socket.close()
        for _ in range(100):
            if not len(hub):
                break
            await asyncio.sleep(0.02)
        assert len(hub) == 0

    with served(tiny_model, write_images(tmp_path / "images"), loop=True) as (server, _, hub):
        in_session(watch, server, hub)


@pytest.mark.parametrize("first", [{"token": "wrong"}, {"token": TOKEN[:-1]}, {"do": "play"}, {}])
def test_without_the_token_nothing_is_sent(first):
    hub, commands = Hub(), []
    hub.publish("state", "secret")

    async def watch(session, server):
        async with await connected(session, server) as socket:
            await socket.send_json(first)
            message = await asyncio.wait_for(socket.receive(), 20)
            assert (message.type.name, socket.close_code) == ("CLOSE", live_server.WRONG_TOKEN)

    with LiveServer(hub, commands.append, Access("127.0.0.1", TOKEN), port=0) as server:
        in_session(watch, server)
    assert (commands, len(hub)) == ([], 0)


def test_with_the_token_one_may_watch():
    hub = Hub()
    hub.publish("state", '"welcome"')

    async def watch(session, server):
        async with await connected(session, server) as socket:
            await socket.send_json({"token": TOKEN})
            return await receive(socket)

    with LiveServer(hub, print, Access("127.0.0.1", TOKEN), port=0) as server:
        assert server.address.endswith(f"#token={TOKEN}")
        assert in_session(watch, server) == "welcome"
