"""The demo: play a recording through the nodes, record their outputs, and report.

Recording and model default to those of the repository around the working directory.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from camera_perception.core.errors import BagError, PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.natural_order import natural_order
from camera_perception.io.bag_reader import Bag
from camera_perception.io.video_file import SUFFIXES, browser_suffix
from camera_perception.tools.models.shipped import shipped_model
from camera_perception_ros.demo.cameras import NODE, DemoCamera, cameras_of, odometry_of, played_topics, write_params
from camera_perception_ros.demo.playing import PLAYER, DemoError, wait_for_player
from camera_perception_ros.demo.processes import Processes, environment, free_domain
from camera_perception_ros.demo.result import CameraResult, as_json, foreign_headers, read_results, table, verdict
from camera_perception_ros.demo.speed import Pace, measured_pace, needed_speed
from camera_perception_ros.launching import FUSION


def default_bag(start: Path) -> Path:
    """The first recording in bags/ of the working directory or its nearest parent that has one."""
    metadata = _first(start, "bags/*/metadata.yaml")
    if metadata is None:
        raise BagError("no recording in bags/: write one with `python bags/make_bag.py`, or give --bag")
    return metadata.parent


def default_model(start: Path) -> Path:
    """The first model in perception_models/zoo/ of the working directory or its nearest parent that has one."""
    return shipped_model(start)


def _first(start: Path, pattern: str) -> Path | None:
    for folder in (start, *start.parents):
        if matches := natural_order(folder.glob(pattern)):
            return matches[0]
    return None


FILMS = tuple(f"overlay{suffix}" for suffix in SUFFIXES)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Settings:
    bag: Path
    model: Path
    out: Path
    engine: str
    engine_threads: int
    asked: Pace | None
    domain: int

    @property
    def recording(self) -> Path:
        return self.out / "perception"


@app.command()
def demo(
    bag: Annotated[
        Path | None, typer.Option(help="Recording to play (rosbag2: mcap or sqlite3); default: the first in bags/.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model folder; default: the first in perception_models/zoo/.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results; those of an earlier demo are replaced.")] = Path(
        "out/demo"
    ),
    engine: Annotated[str, typer.Option(help="Inference backend, as the camera node's parameter `engine`.")] = "auto",
    engine_threads: Annotated[
        int, typer.Option(help="CPU threads of each camera's engine; 0: the engine decides.")
    ] = 1,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=100.0,
            help="Playback speed; default: measured, so that every image is answered; 1: real time.",
        ),
    ] = None,
    domain: Annotated[int, typer.Option(help="ROS_DOMAIN_ID; negative: a free one of 50 to 99.")] = -1,
) -> None:
    """Play a recorded drive through the nodes, which run as separate processes over DDS on this machine."""
    signal.signal(signal.SIGTERM, _interrupt)
    domain = domain if domain >= 0 else free_domain()
    try:
        bag, model = bag or default_bag(Path.cwd()), model or default_model(Path.cwd())
        settings = Settings(bag, model, out, engine, engine_threads, Pace(rate) if rate else None, domain)
        results, killed = run(settings)
    except PerceptionError as error:
        typer.echo(f"demo: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("demo: interrupted, all processes stopped", err=True)
        raise typer.Exit(130) from None
    raise typer.Exit(3 if killed or any(result.lost for result in results) else 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run(settings: Settings) -> tuple[list[CameraResult], set[str]]:
    """Run the demo and write its files. Returns results by camera, and the nodes that were killed from outside.

    DemoError when no perception was received.
    """
    spec = load_spec(settings.model)
    cameras = cameras_of(settings.bag)
    typer.echo(
        f"model {spec.name} {spec.version}; "
        f"cameras {', '.join(f'{c.name} ({c.transport})' for c in cameras)}; domain {settings.domain}"
    )
    _clear_output(settings)
    pace = settings.asked or measured_pace(settings.bag, cameras, spec, settings.engine, settings.engine_threads)
    seconds = _seconds(settings.bag)
    typer.echo(pace.text(seconds))
    with Processes(environment(settings.domain), settings.out / "logs") as processes:
        _start(processes, settings, cameras, pace)
        killed = wait_for_player(processes, seconds / pace.rate)
        player = json.loads((settings.out / "player.json").read_text("utf-8"))
        _stop(processes, cameras)
    return _report(settings, cameras, player, pace), killed


def _clear_output(settings: Settings) -> None:
    for folder in ("perception", "logs", "params"):
        shutil.rmtree(settings.out / folder, ignore_errors=True)
    for file in (*FILMS, "report.html", "summary.json", "player.json", "perception.mcap"):
        (settings.out / file).unlink(missing_ok=True)
    settings.out.mkdir(parents=True, exist_ok=True)


def _start(processes: Processes, settings: Settings, cameras: list[DemoCamera], pace: Pace) -> None:
    params = settings.out / "params"
    outputs = [
        camera.output(name)
        for camera in cameras
        for name in ("perception", "overlay/compressed", "model_info", "markers")
    ]
    fused = [f"/fusion/{name}" for name in ("fused", "markers", "occupancy")]
    recorder = {"output": str(settings.recording), "topics": [*outputs, *fused, "/diagnostics"]}
    processes.start(
        "bag_recorder", "bag_recorder_node", "--params-file", write_params(params / "bag_recorder.yaml", recorder)
    )
    odometry = odometry_of(settings.bag)
    for camera in cameras:
        file = write_params(params / f"{camera.name}.yaml", camera_params(settings, camera, odometry, pace))
        processes.start(
            f"{camera.name}/{NODE}", "camera_node", "-r", f"__ns:={camera.namespace}", "--params-file", file
        )
    names = [camera.name for camera in cameras]
    fusion = {"cameras": names, "topics": [camera.output("perception") for camera in cameras], "autostart": True}
    fusion |= {"odometry_topic": odometry, **clock_params(pace)}
    processes.start("fusion", "fusion_node", "--params-file", write_params(params / "fusion.yaml", fusion))
    player = {
        "bag": str(settings.bag), "rate": pace.rate, "stamps": "now", "depth": 20,
        "clock": 100.0 if clock_params(pace) else 0.0,
        "topics": played_topics(settings.bag, cameras, odometry),
        "wait_for_subscribers": 120.0, "wait_for_cameras": [f"{camera.namespace}/{NODE}" for camera in cameras],
        "wait_for_listeners": 3 if pace.waits else 2,  # the recorder, the fusion, and the player itself
        "answers": [f"{c.topic}={c.output('perception')}" for c in cameras] if pace.waits else [""],
        "wait_for_fusion": FUSION,
        "summary": str(settings.out / "player.json"),
    }  # fmt: skip
    processes.start(PLAYER, "bag_player_node", "--params-file", write_params(params / "bag_player.yaml", player))


def clock_params(pace: Pace) -> dict[str, object]:
    """At other rates than 1 the player publishes /clock; by the wall clock images would seem late."""
    return {"use_sim_time": True} if pace.rate != 1.0 else {}


def camera_params(settings: Settings, camera: DemoCamera, odometry: str, pace: Pace) -> dict[str, object]:
    """The parameters of one camera node of the demo."""
    values: dict[str, object] = {
        "model": str(settings.model), "engine": settings.engine, "engine_threads": settings.engine_threads,
        "camera_name": camera.name, "image_topic": camera.image_topic, "transport": "auto", "autostart": True,
        "odometry_topic": odometry,
        # On a busy machine the node may miss several frames: they are queued and counted here instead of being lost.
        "input_depth": 100,
        "silence": 5.0, "watched_fusion": FUSION, **clock_params(pace),
    }  # fmt: skip
    return values | ({"camera_pose": list(camera.pose)} if any(camera.pose) else {})


def _seconds(bag: Path) -> float:
    """Length of the recording."""
    with Bag(bag) as recording:
        return (recording.contents.end_ns - recording.contents.start_ns) / 1e9


def _stop(processes: Processes, cameras: list[DemoCamera]) -> None:
    """From source to sink, so that each process still receives what the previous one sent."""
    processes.stop(*(f"{camera.name}/{NODE}" for camera in cameras))
    processes.stop("fusion")
    processes.stop("bag_recorder", seconds=20.0)


def _report(settings: Settings, cameras: list[DemoCamera], player: dict[str, Any], pace: Pace) -> list[CameraResult]:
    if not settings.recording.is_dir():
        raise DemoError(f"nothing was recorded; see the logs in {settings.out / 'logs'}")
    results = read_results(settings.recording, cameras, player["sent"], pace.rate)
    if not any(result.received for result in results):
        raise DemoError(
            f"no perception received from {len(cameras)} camera(s); see the logs in {settings.out / 'logs'}"
        )
    foreign = [foreign_headers(r, settings.bag, c.topic, player["stamp_offset_ns"]) for r, c in zip(results, cameras)]
    typer.echo("\n" + table(results))
    _write_files(settings, cameras, results, foreign, pace)
    return results


def _write_files(
    settings: Settings, cameras: list[DemoCamera], results: list[CameraResult], foreign: list[int], pace: Pace
) -> None:
    from camera_perception_ros.demo.report import write_report
    from camera_perception_ros.demo.video import Canvas, write_video

    spec, out = load_spec(settings.model), settings.out
    numbers = {r.camera: {**as_json(r), "headers_not_of_an_input": count} for r, count in zip(results, foreign)}
    facts = {"cameras": numbers, "bag": str(settings.bag), "model": str(settings.model), "rate": pace.rate}
    (out / "summary.json").write_text(json.dumps(facts, indent=1), "utf-8")
    film = out / f"overlay{browser_suffix()}"
    rate = min(max(needed_speed(settings.bag, cameras), 5.0), 30.0)
    frames = write_video(settings.recording, Canvas(cameras, spec), film, rate)
    texts = {
        "Recording": f"{settings.bag}, {_seconds(settings.bag):.1f} s",
        "Model": f"{spec.name} {spec.version} ({spec.input.width}x{spec.input.height}, {spec.license})",
        "Playback": pace.text(_seconds(settings.bag)),
        "Images": verdict(results),
    }
    write_report(out, results, film if frames else None, texts)
    os.link(settings.recording / "perception_0.mcap", out / "perception.mcap")
    equal = sum(r.received for r in results) - sum(foreign)
    typer.echo(f"\nheaders: {equal} of {sum(r.received for r in results)} outputs have the header of an input image")
    typer.echo(verdict(results))
    written = f"{film.name} ({frames} frames), report.html, perception.mcap, perception/, summary.json"
    typer.echo(f"{out}: {written}, player.json, params/, logs/")
