"""A small drive for tests of the live page, and a player of it: a bright car of known place on a lit road."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from camera_perception.core.model_spec import load_spec
from camera_perception.engines.select import load_engine
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import COMPRESSED_IMAGE
from camera_perception.tools.cli.drives.live import hello
from camera_perception.tools.live.access import Access
from camera_perception.tools.live.hello import HELLO
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.perceive import Perceiver
from camera_perception.tools.live.player import Player
from camera_perception.tools.live.recordings import open_recording
from camera_perception.tools.live.server import LiveServer
from camera_perception.tools.replay.view import View

START_NS, PERIOD_NS = 1_700_000_000 * 10**9, 100_000_000
CAR = (120, 100, 144, 120)  # x0 y0 x1 y1 in an image of 320x192, twice the tiny model's input: 120 of its pixels
FAINT = (230, 150, 238, 156)  # 12 pixels of the network's input: score 0.285


def drive_image(index: int, faint: bool = False) -> np.ndarray:
    """(192, 320, 3) uint8 BGR: gray road, the car two pixels farther right each time."""
    image = np.full((192, 320, 3), 90, np.uint8)
    x0, y0, x1, y1 = FAINT if faint else CAR
    image[y0:y1, x0 + 2 * index : x1 + 2 * index] = 235
    return image


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def write_images(folder: Path, count: int = 12, faint: bool = False) -> Path:
    folder.mkdir()
    for index in range(count):
        (folder / f"{index:03d}.png").write_bytes(png(drive_image(index, faint)))
    return folder


def write_drive(folder: Path, count: int = 12, cameras: tuple[str, ...] = ("front", "left")) -> Path:
    """A recording of compressed images, 10 Hz, the cameras 20 ms apart."""
    with BagWriter(folder) as bag:
        for index in range(count):
            for number, camera in enumerate(cameras):
                stamp_ns = START_NS + index * PERIOD_NS + number * 20_000_000
                stamp = {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}
                data = np.frombuffer(png(drive_image(index)), np.uint8)
                fields = {"header": {"stamp": stamp, "frame_id": camera}, "format": "png", "data": data}
                bag.write_fields(f"/camera/{camera}/image_raw/compressed", COMPRESSED_IMAGE, stamp_ns, fields)
    return folder


@contextmanager
def player_of(
    model: Path, source: Path, hub: Hub, anonymize: bool = False, loop: bool = False, view: View | None = None
) -> Iterator[Player]:
    """A player that is not running yet."""
    spec = load_spec(model)
    engine = load_engine(spec, "onnxruntime", threads=1)
    view = view or View()
    recording = open_recording(source, view=view)
    perceiver = Perceiver(spec, engine, recording.cameras, anonymize, view.region)
    hub.publish(HELLO, hello(recording, perceiver, tuning=True, anonymized=anonymize).text())
    try:
        yield Player(recording, perceiver, hub, loop=loop)
    finally:
        engine.close()


@contextmanager
def served(
    model: Path, source: Path, token: str = "", loop: bool = False, port: int = 0, playing: bool = True
) -> Iterator[tuple[LiveServer, Player, Hub]]:
    """A page with a playing drive."""
    hub = Hub()
    with player_of(model, source, hub, loop=loop) as player:
        player.playing = playing
        with LiveServer(hub, player.control, Access("127.0.0.1", token), port) as server:
            thread = threading.Thread(target=player.run)
            thread.start()
            try:
                yield server, player, hub
            finally:
                player.stop()
                thread.join(20)
