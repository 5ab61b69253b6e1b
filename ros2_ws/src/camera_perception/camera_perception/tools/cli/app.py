"""The command line `camera-perception`. Commands import what they need when they run, so that --help is fast."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.cli import trust
from camera_perception.tools.cli.fleet import fleet
from camera_perception.tools.cli.options import (
    Backend,
    Group,
    Ignore,
    ImageTopic,
    Mirror,
    ModelFolder,
    Range16,
    Rotate,
    Threads,
    examples,
    model_or_shipped,
)
from camera_perception.tools.cli.trust import TrustedKeys

DRIVES, MODELS, MACHINE = "Drives", "Models", "Cameras and machine"  # panels of --help

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Camera perception without ROS: replay drives, check models and recordings, diagnose this machine.",
)
calibrate = typer.Typer(no_args_is_help=True, help="Calibrate a lens from a board, a mounting from lane lines.")
app.add_typer(calibrate, name="calibrate", rich_help_panel=MACHINE)
app.add_typer(fleet, name="fleet", rich_help_panel=DRIVES)


def _version(asked: bool) -> None:
    if asked:
        from camera_perception import __version__

        typer.echo(f"camera-perception {__version__}")
        raise typer.Exit()


@app.callback(epilog=examples("replay film.mp4 --out out/film", "doctor", "replay --help"))
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log messages.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s")


# Drives


@app.command(
    rich_help_panel=DRIVES,
    epilog=examples(
        "replay bags/demo_drive --camera front --out out/replay",
        "replay film.mp4 --calibration lens.yaml --mount auto,1.3 --out out/film",
        "replay rear.mp4 --rotate 180 --ignore '0,0.9 1,0.9 1,1 0,1' --out out/rear",
        "replay pictures/ --independent --write csv --write coco --out out/pictures",
    ),
)
def replay(
    source: Annotated[Path, typer.Argument(help="A rosbag2 recording, a video, an image, or a folder of images.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output folder: messages, film, report and what --write names.")
    ],
    model: ModelFolder = None,
    camera: ImageTopic = None,
    calibration: Annotated[
        Path | None, typer.Option(help="camera_info YAML of the lens. Default: the recording's CameraInfo.")
    ] = None,
    mount: Annotated[
        str | None,
        typer.Option(
            help="Camera pose in base_link: x,y,z,roll,pitch,yaw (m, rad), or auto,HEIGHT: pitch and yaw from straight "
            "lane lines. Default: the recording's /tf_static."
        ),
    ] = None,
    independent: Annotated[
        bool | None,
        typer.Option(
            help="The pictures are no drive: no tracks, one annotated picture each. Default: as a folder looks.",
            show_default=False,
        ),
    ] = None,
    engine: Backend = "auto",
    threads: Threads = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an earlier replay in --out.")] = False,
    limit: Annotated[int, typer.Option(help="Maximum number of images; 0: all.", min=0)] = 0,
    video: Annotated[bool, typer.Option(help="Write the film, or the pictures of --independent.")] = True,
    write: Annotated[
        list[str] | None,
        typer.Option(help="Further result: jsonl, csv, coco, parquet or pictures; repeatable."),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="perception.mcap of an earlier replay; exit code 1 on a difference.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Factor on the tolerances of --compare.", min=0.0)] = 1.0,
    rotate: Rotate = 0,
    mirror: Mirror = False,
    range16: Range16 = "auto",
    ignore: Ignore = None,
) -> None:
    """Run every image of a drive through the pipeline, with the same result each time.

    Exit code 1 when no image could be decoded.
    """
    from camera_perception.image.turn import Turn
    from camera_perception.tools.cli.replay import Choices, replay_command

    chosen = Choices(
        camera, calibration, mount, independent, engine, threads, force, limit, video, write or [], compare, tolerance,
        Turn(rotate, mirror), range16, ignore or [],
    )  # fmt: skip
    replay_command(source, model_or_shipped(model), out, chosen)


@app.command(rich_help_panel=DRIVES, epilog=examples("live bags/demo_drive", "live 0", "live topics"))
def live(
    source: Annotated[
        str,
        typer.Argument(
            help="A recording, a video, a folder of images, a webcam (0, /dev/video0), an address such as rtsp://..., "
            "a GStreamer pipeline, or `topics` of running nodes."
        ),
    ],
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="Model folder; default: the shipped one. `topics` needs none.")
    ] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Image topic or name; default: all cameras.")] = None,
    mount: Annotated[
        str | None,
        typer.Option(
            help="Camera pose in base_link: x,y,z,roll,pitch,yaw (m, rad). Default: the recording's /tf_static."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to serve; any but loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the page; 0: any free one.", min=0, max=65535)] = 8080,
    token: Annotated[
        str, typer.Option(help="Token of viewers; CAMERA_PERCEPTION_TOKEN sets it, too. Default: a new one.")
    ] = "",
    tuning: Annotated[
        bool | None,
        typer.Option("--tuning/--no-tuning", help="Viewers may change thresholds. Default: yes, but not for `topics`."),
    ] = None,
    anonymize: Annotated[
        bool, typer.Option("--anonymize", help="Cover heads and number plates before images are sent.")
    ] = False,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end of a recording.")] = False,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in this machine's browser.")] = False,
    foxglove: Annotated[int, typer.Option(help="Also serve Foxglove on this port, e.g. 8765.", min=0, max=65535)] = 0,
    engine: Backend = "auto",
    threads: Threads = 0,
) -> None:
    """Watch a drive, a camera or running nodes in the browser, on http://127.0.0.1:8080."""
    from camera_perception.tools.cli.live import LiveOptions, live_command

    shown = model if source == "topics" else model_or_shipped(model)
    live_command(
        LiveOptions(
            source, shown, camera, mount, host, port, token, engine, threads, tuning, anonymize, loop, browser, foxglove
        )
    )


@app.command(
    rich_help_panel=DRIVES,
    epilog=examples("profile good_drive --out profile.json", "profile new_drive --against profile.json"),
)
def profile(
    sources: Annotated[list[Path], typer.Argument(help="Drives on which the model works well: recordings, videos.")],
    model: ModelFolder = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output file. Default: MODEL/profile.json.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="Existing profile: compare the drives with it, write none.")
    ] = None,
    camera: ImageTopic = None,
    threshold: Annotated[
        list[str] | None, typer.Option(help="Score threshold of the node as HEAD=SCORE; repeatable.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an earlier profile.")] = False,
    engine: Backend = "auto",
    threads: Threads = 0,
) -> None:
    """Record a model's typical output distributions (drift profile), or compare drives with a profile.

    Exit code 1 when a compared drive has drifted.
    """
    from camera_perception.tools.cli.profile import profile_command

    profile_command(sources, model_or_shipped(model), out, against, camera, threshold or [], force, engine, threads)


@app.command(
    rich_help_panel=DRIVES,
    epilog=examples("anonymize drive --out drive_covered", "anonymize film.mp4 --how fill --out covered.mp4"),
)
def anonymize(
    source: Annotated[Path, typer.Argument(help="A rosbag2 recording, a video, an image, or a folder of images.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New recording, new folder of images, or new .mp4.")],
    model: ModelFolder = None,
    how: Annotated[
        str, typer.Option(help="Method: mosaic, blur or fill; only fill removes all information.")
    ] = "mosaic",
    whole: Annotated[bool, typer.Option("--whole", help="Cover whole people and vehicles.")] = False,
    least: Annotated[float, typer.Option(help="Minimum detection score.", min=0.0, max=1.0)] = 0.2,
    margin: Annotated[
        float, typer.Option(help="Margin on every side, as a fraction of the region's size.", min=0.0)
    ] = 0.15,
    hold: Annotated[
        float | None,
        typer.Option(
            help="Seconds before and after a detection that are covered too. Default: 0.5, for image files 0.", min=0.0
        ),
    ] = None,
    faces: Annotated[bool, typer.Option("--faces", help="Also detect faces with OpenCV's cascades.")] = False,
    extra_model: Annotated[
        list[Path] | None, typer.Option(help="Second model folder whose detections are covered too; repeatable.")
    ] = None,
    tiles: Annotated[
        bool, typer.Option("--tiles", help="Also look at enlarged parts of each image: more small people, slower.")
    ] = False,
    quality: Annotated[int, typer.Option(help="JPEG quality of rewritten images.", min=1, max=100)] = 95,
    keep: Annotated[list[str] | None, typer.Option(help="Image topic to copy unchanged; repeatable.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Topic to leave out; repeatable.")] = None,
    engine: Backend = "auto",
    threads: Threads = 0,
) -> None:
    """Cover heads and number plates, copy everything else unchanged, and write a report of what was covered."""
    from camera_perception.tools.cli.anonymize import anonymize_command, default_hold
    from camera_perception.tools.privacy.regions import Settings

    settings = Settings(how, margin, default_hold(source) if hold is None else hold, whole, quality)
    models = [model_or_shipped(model), *map(model_or_shipped, extra_model or [])]
    anonymize_command(source, out, models, settings, least, faces, tiles, keep or [], drop or [], engine, threads)


@app.command("repair-bag", rich_help_panel=DRIVES, epilog=examples("repair-bag broken_drive --out repaired_drive"))
def repair_bag(
    bag: Annotated[Path, typer.Argument(help="A truncated or damaged recording, or one of several files.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder. Default: BAG_repaired.")] = None,
    humble: Annotated[bool, typer.Option(help="Write metadata for ROS 2 Humble.")] = False,
) -> None:
    """Copy every readable message into a new recording; the old one stays as it is."""
    from camera_perception.io.bag_repair import repair_bag as repair

    repaired = repair(bag, out, version=8 if humble else 9)
    typer.echo("\n".join(repaired.lines()))


# Models


@app.command("inspect-onnx", rich_help_panel=MODELS, epilog=examples("inspect-onnx yolo11n.onnx --out models/yolo11n"))
def inspect_onnx(
    file: Annotated[Path, typer.Argument(help="An ONNX file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for a new model folder.")] = None,
    size: Annotated[str | None, typer.Option(help="Input size WIDTHxHEIGHT, if the file leaves it open.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model. Default: the name of the file.")] = None,
    heads: Annotated[
        Path | None, typer.Option(help="JSON file with the section `outputs` of model.json. Default: guessed.")
    ] = None,
) -> None:
    """Show inputs and outputs, guess the heads, and write a first model folder."""
    from camera_perception.tools.cli.inspect import inspect_command

    inspect_command(file, out, size, name, heads)


@app.command("check-model", rich_help_panel=MODELS, epilog=examples("check-model perception_models/zoo/demo"))
def check_model(folder: Annotated[Path, typer.Argument(help="Model folder.")], threads: Threads = 0) -> None:
    """Check schema, hash, graph and reference, and time every installed backend. Exit code 1 when none passes."""
    from camera_perception.tools.models.check import check_command

    check_command(folder, threads)


@app.command(
    "build-engine", rich_help_panel=MODELS, epilog=examples("build-engine perception_models/zoo/demo --precision fp16")
)
def build_engine(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    precision: Annotated[
        str, typer.Option(help="fp32, fp16, int8 or fp8; auto: fp16 if the model folder has it.")
    ] = "auto",
    batch: Annotated[int, typer.Option(help="Cameras per batch; 0: as in model.json.", min=0, max=64)] = 0,
    workspace: Annotated[int, typer.Option(help="Maximum GPU memory of the build, MiB.", min=16)] = 2048,
    optimization_level: Annotated[int, typer.Option(help="0: fastest build ... 5: fastest engine.", min=0, max=5)] = 3,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the engines.")] = None,
    labelled: Annotated[Path | None, typer.Option(help="Labelled images on which to check the loss per task.")] = None,
    most_lost: Annotated[float | None, typer.Option(help="Maximum loss per task on --labelled, points.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Build although a matching engine exists.")] = False,
    backend: Annotated[
        str, typer.Option(help="tensorrt, tensorrt_rtx (desktop RTX GPUs), or auto: the first that is installed.")
    ] = "auto",
    trusted_key: TrustedKeys = None,
) -> None:
    """Build a TensorRT engine for this GPU and verify that it reproduces the model's outputs."""
    from camera_perception.engines.tensorrt.manifest import BuildOptions
    from camera_perception.tools.cli.build_engine import build_command

    options = BuildOptions(workspace, optimization_level)
    trusted = trusted_key or []
    build_command(folder, precision, batch, options, out, labelled, most_lost, force, backend, trusted)


# Trust

app.command("sign-model", rich_help_panel=MODELS, epilog=examples(*trust.SIGN))(trust.sign_model)
app.command("verify-model", rich_help_panel=MODELS, epilog=examples(*trust.VERIFY))(trust.verify_model)
app.command("security-policy", rich_help_panel=MACHINE, epilog=examples(*trust.POLICY))(trust.security_policy)


# Cameras


@calibrate.command(
    "intrinsics",
    epilog=examples(
        "calibrate intrinsics chessboards/ --out lens.yaml",
        "calibrate intrinsics film.mp4 --board charuco --corners 10x7 --marker 0.75 --dictionary 5X5_100",
        "calibrate intrinsics bag --board april_6x6.yaml --model equidistant",
    ),
)
def calibrate_intrinsics(
    source: Annotated[Path, typer.Argument(help="Images of a board: a folder, a video, or a recording.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="camera_info YAML. Default: printed.")] = None,
    board: Annotated[
        str, typer.Option(help="chessboard, charuco, aprilgrid, or Kalibr's YAML file of its target.")
    ] = "chessboard",
    corners: Annotated[
        str, typer.Option(help="Inner corners of the board, of an AprilGrid its tags, COLUMNSxROWS.")
    ] = "9x6",
    marker: Annotated[float, typer.Option(help="Side of a ChArUco marker, as a fraction of a square.")] = 0.75,
    dictionary: Annotated[str, typer.Option(help="ArUco dictionary of a ChArUco board.")] = "4X4_50",
    spacing: Annotated[float, typer.Option(help="Gap between tags of an AprilGrid, as a fraction of a tag.")] = 0.3,
    model: Annotated[
        str, typer.Option(help="Lens model: plumb_bob, rational_polynomial or equidistant.")
    ] = "plumb_bob",
    camera: ImageTopic = None,
    name: Annotated[str, typer.Option(help="Camera name in the file.")] = "camera",
) -> None:
    """Calibrate a lens from images of a chessboard, a ChArUco board or an AprilGrid."""
    from camera_perception.tools.cli.calibrate import board_of, intrinsics_command

    described = board_of(board, corners, marker, spacing, dictionary)
    intrinsics_command(source, out, described, model, camera, name)


@calibrate.command("extrinsics", epilog=examples("calibrate extrinsics film.mp4 --lens lens.yaml --height 1.3"))
def calibrate_extrinsics(
    source: Annotated[Path, typer.Argument(help="A drive on a straight road with lane lines.")],
    lens: Annotated[Path, typer.Option(help="camera_info YAML of the lens.")],
    height: Annotated[float, typer.Option(help="Height of the camera above the road, metres.", min=0.05)],
    model: ModelFolder = None,
    forward: Annotated[float, typer.Option(help="x of the camera in base_link, metres.")] = 0.0,
    left: Annotated[float, typer.Option(help="y of the camera in base_link, metres.")] = 0.0,
    camera: ImageTopic = None,
    engine: Backend = "auto",
) -> None:
    """Estimate pitch and yaw of a camera from the lane lines of a straight drive."""
    from camera_perception.tools.cli.calibrate import extrinsics_command

    extrinsics_command(source, model_or_shipped(model), lens, (forward, left, height), camera, engine)


# This machine


@app.command(rich_help_panel=MACHINE)
def doctor() -> None:
    """Check the installation and list problems with their remedies. Exit code 1 when drives cannot be processed."""
    from camera_perception.tools.doctor import doctor_command

    doctor_command()


@app.command(
    rich_help_panel=MACHINE,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def bench(context: typer.Context) -> None:
    """Benchmark this machine: engines, pipeline stages, transport."""
    try:
        from camera_perception.tools.cli.bench import main
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("camera_perception.tools.bench"):
            raise
        raise PerceptionError("benchmarks are not installed: run `make bench` in the repository") from error
    raise typer.Exit(main(context.args))
