"""`camera-perception live`: opens the source, serves the page, and plays."""

from __future__ import annotations

import signal
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import typer

from camera_perception.core.errors import CalibrationError, ModelError, PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines.serving.fitting import load_fitting
from camera_perception.image.sample_range import AUTO
from camera_perception.image.turn import Turn
from camera_perception.tools.calibration.calibrate import camera_from_yaml
from camera_perception.tools.cli.drives.replay import parse_mount
from camera_perception.tools.live.access import Access, is_loopback, open_access
from camera_perception.tools.live.device import Device, DevicePlayer, is_device
from camera_perception.tools.live.hello import HELLO, Hello, camera_entries, tunable
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.perceive import Perceiver
from camera_perception.tools.live.player import Player
from camera_perception.tools.live.recordings import Recording, open_recording
from camera_perception.tools.live.server import LiveServer
from camera_perception.tools.replay.view import View

TOPICS = "topics"


@dataclass(frozen=True)
class LiveOptions:
    """The options of the command; see its help."""

    source: str
    model: Path | None = None
    camera: str | None = None
    calibration: Path | None = None
    mount: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""
    engine: str = "auto"
    threads: int = 0
    tuning: bool | None = None
    anonymize: bool = False
    loop: bool = False
    browser: bool = False
    foxglove: int = 0
    turn: Turn = field(default_factory=Turn)
    range16: str = AUTO
    ignored: Sequence[str] = ()

    def view(self) -> View:
        """How images are read; refuses a mounting that would have to be found first."""
        pose, height = parse_mount(self.mount)
        if height is not None:
            raise CalibrationError("live cannot find the mounting by itself: give --mount x,y,z,roll,pitch,yaw")
        lens = camera_from_yaml(self.calibration) if self.calibration else None
        return View(self.turn, self.range16, self.ignored, lens, pose)


def live_command(options: LiveOptions) -> None:
    """Serve until Ctrl-C."""
    if options.source == TOPICS:
        _watch_topics(options)
        return
    access = open_access(options.host, options.token)
    if options.model is None:
        raise ModelError("no model is given: add --model, a folder with model.json and model.onnx")
    spec, view = load_spec(options.model), options.view()
    view.region()  # BadImage before anything is opened
    source = (
        Device(options.source, turn=view.turn)
        if is_device(options.source)
        else open_recording(Path(options.source), options.camera, view)
    )
    cameras = {"camera": view.camera()} if isinstance(source, Device) else source.cameras
    engine = load_fitting(spec, options.engine, threads=options.threads)
    perceiver = Perceiver(spec, engine, cameras, options.anonymize, view.region)
    try:
        _play(source, perceiver, access, options)
    finally:
        perceiver.close()


def _play(source: Device | Recording, perceiver: Perceiver, access: Access, options: LiveOptions) -> None:
    """Perceive and serve."""
    hub, tuning = Hub(), options.tuning is not False
    hub.publish(HELLO, hello(source, perceiver, tuning, options.anonymize).text())
    playing = (
        DevicePlayer(source, perceiver, hub, tuning)
        if isinstance(source, Device)
        else Player(source, perceiver, hub, tuning=tuning, loop=options.loop)
    )
    foxglove = _foxglove(playing, perceiver, tuning, options) if options.foxglove else None
    try:
        _serve(hub, playing, access, options)
    finally:
        if foxglove is not None:
            foxglove.close()


def hello(source: Device | Recording, perceiver: Perceiver, tuning: bool, anonymized: bool) -> Hello:
    """What viewers are told first."""
    spec = perceiver.spec
    return Hello(
        source=source.name,
        model=f"{spec.name} {spec.version}",
        engine=perceiver.engine.info.name,
        cameras=camera_entries(perceiver.cameras.items()),
        classes=spec.classes,
        seconds=None if isinstance(source, Device) else (source.end_ns - source.start_ns) / 1e9,
        heads=tunable(spec) if tuning else [],
        anonymized=anonymized,
    )


def _foxglove(playing: Player | DevicePlayer, perceiver: Perceiver, tuning: bool, options: LiveOptions) -> Any:
    """The server for Foxglove; it gets every frame that is shown."""
    from camera_perception.tools.live.foxglove import FoxgloveServer

    def load(folder: str) -> None:
        spec = load_spec(Path(folder))
        perceiver.replace_model(spec, load_fitting(spec, options.engine, threads=options.threads))

    if not is_loopback(options.host):
        raise PerceptionError("Foxglove has no token: serve it on the loopback address, and forward its port by ssh")
    server = FoxgloveServer(
        perceiver.cameras, perceiver.thresholds, playing.control, load, port=options.foxglove, tuning=tuning
    )
    playing.show = server.show
    typer.echo(f"Foxglove: connect to ws://127.0.0.1:{server.port}")
    return server


def _serve(hub: Hub, playing: Player | DevicePlayer, access: Access, options: LiveOptions) -> None:
    """The page, until the user or `kill` ends it."""
    with LiveServer(hub, playing.control, access, options.port) as server:
        typer.echo(f"{options.source}: open {server.address} in a browser; Ctrl-C ends")
        if options.browser:
            webbrowser.open(server.address)
        before = [signal.signal(number, lambda *_: playing.stop()) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            playing.run(wait_for_viewer=not options.foxglove)  # its viewers are not ours to count
        finally:
            for number, handler in zip((signal.SIGINT, signal.SIGTERM), before):
                signal.signal(number, handler)


def _watch_topics(options: LiveOptions) -> None:
    """The command of the ROS package, which this library does not know."""
    if options.turn or options.range16 != AUTO or options.ignored or options.calibration or options.mount:
        raise PerceptionError(
            "`topics` shows what nodes perceive: set their parameters rotate, mirror, range16, ignore and camera_pose"
        )
    found = list(entry_points(group="camera_perception.live"))
    if not found:
        raise PerceptionError("topics need ROS 2 and our nodes: source ros2_ws/env.sh, or your workspace's setup.bash")
    found[0].load()(
        host=options.host,
        port=options.port,
        token=options.token,
        tuning=bool(options.tuning),
        anonymize=options.anonymize,
        model=str(options.model or ""),
        cameras=[options.camera or ""],
    )
