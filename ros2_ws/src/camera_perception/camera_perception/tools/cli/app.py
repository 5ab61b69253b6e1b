"""The command line `camera-perception`. Commands import what they need when they run, so that --help is fast."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from camera_perception.core.errors import PerceptionError


class Group(TyperGroup):
    """A command group that prints this library's errors as one sentence, with exit code 2 and without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PerceptionError as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            raise typer.Exit(2) from error


DRIVES, MODELS, MACHINE = "Drives", "Models", "Cameras and machine"  # panels of --help

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Camera perception without ROS: replay drives, check models and recordings, diagnose this machine.",
)
calibrate = typer.Typer(no_args_is_help=True, help="Calibrate a lens from a chessboard, a mounting from lane lines.")
app.add_typer(calibrate, name="calibrate", rich_help_panel=MACHINE)


# Options of several commands
ModelFolder = Annotated[
    Path, typer.Option("--model", "-m", help="Model folder: model.onnx, model.json, reference.npz.")
]
Backend = Annotated[
    str,
    typer.Option(
        "--engine",
        "-e",
        help="auto, onnxruntime, openvino, openvino:fp32, openvino:bf16, tensorrt, tensorrt_rtx or recorded.",
    ),
]
Threads = Annotated[int, typer.Option(help="CPU threads of the engine; 0: all cores.", min=0)]
ImageTopic = Annotated[str | None, typer.Option("--camera", help="Image topic; required if a recording has several.")]


@app.callback()
def options(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log messages.")] = False) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s")


# Drives


@app.command(rich_help_panel=DRIVES)
def replay(
    source: Annotated[Path, typer.Argument(help="A rosbag2 recording, a video, or a folder of images.")],
    model: ModelFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder: perception.mcap, overlay.mp4, report.html.")],
    camera: ImageTopic = None,
    mount: Annotated[
        str | None,
        typer.Option(
            help="Camera pose in base_link: x,y,z,roll,pitch,yaw (m, rad). Default: the recording's /tf_static."
        ),
    ] = None,
    engine: Backend = "auto",
    threads: Threads = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an earlier replay in --out.")] = False,
    limit: Annotated[int, typer.Option(help="Maximum number of images; 0: all.", min=0)] = 0,
    video: Annotated[bool, typer.Option(help="Write overlay.mp4.")] = True,
    compare: Annotated[
        Path | None, typer.Option(help="perception.mcap of an earlier replay; exit code 1 on a difference.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Factor on the tolerances of --compare.", min=0.0)] = 1.0,
) -> None:
    """Run every image of a drive through the pipeline, with the same result each time."""
    from camera_perception.tools.cli.replay import replay_command

    replay_command(source, model, out, camera, mount, engine, threads, force, limit, video, compare, tolerance)


@app.command(rich_help_panel=DRIVES)
def profile(
    sources: Annotated[list[Path], typer.Argument(help="Drives on which the model works well: recordings, videos.")],
    model: ModelFolder,
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

    profile_command(sources, model, out, against, camera, threshold or [], force, engine, threads)


@app.command(rich_help_panel=DRIVES)
def anonymize(
    source: Annotated[Path, typer.Argument(help="A rosbag2 recording, a video, an image, or a folder of images.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New recording, new folder of images, or new .mp4.")],
    model: ModelFolder,
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
    anonymize_command(source, out, model, settings, least, faces, keep or [], drop or [], engine, threads)


@app.command("repair-bag", rich_help_panel=DRIVES)
def repair_bag(
    bag: Annotated[Path, typer.Argument(help="A truncated or damaged recording.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder. Default: BAG_repaired.")] = None,
    humble: Annotated[bool, typer.Option(help="Write metadata for ROS 2 Humble.")] = False,
) -> None:
    """Copy every readable message into a new recording; the old one stays as it is."""
    from camera_perception.io.bag_repair import repair_bag as repair

    folder, counts = repair(bag, out, version=8 if humble else 9)
    typer.echo(f"{folder}: {sum(counts.values())} messages")
    for topic, count in sorted(counts.items()):
        typer.echo(f"  {count:8d}  {topic}")


# Models


@app.command("inspect-onnx", rich_help_panel=MODELS)
def inspect_onnx(
    file: Annotated[Path, typer.Argument(help="An ONNX file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for a new model folder.")] = None,
    size: Annotated[str | None, typer.Option(help="Input size WIDTHxHEIGHT, if the file leaves it open.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model. Default: the name of the file.")] = None,
) -> None:
    """Show inputs and outputs, guess the heads, and write a first model folder."""
    from camera_perception.tools.cli.inspect import inspect_command

    inspect_command(file, out, size, name)


@app.command("check-model", rich_help_panel=MODELS)
def check_model(folder: Annotated[Path, typer.Argument(help="Model folder.")], threads: Threads = 0) -> None:
    """Check schema, hash, graph and reference, and time every installed backend. Exit code 1 when none passes."""
    from camera_perception.tools.models.check import check_command

    check_command(folder, threads)


@app.command("build-engine", rich_help_panel=MODELS)
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
) -> None:
    """Build a TensorRT engine for this GPU and verify that it reproduces the model's outputs."""
    from camera_perception.engines.tensorrt.manifest import BuildOptions
    from camera_perception.tools.cli.build_engine import build_command

    options = BuildOptions(workspace, optimization_level)
    build_command(folder, precision, batch, options, out, labelled, most_lost, force, backend)


# Cameras


@calibrate.command("intrinsics")
def calibrate_intrinsics(
    source: Annotated[Path, typer.Argument(help="Chessboard images: a folder, a video, or a recording.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="camera_info YAML. Default: printed.")] = None,
    corners: Annotated[str, typer.Option(help="Inner corners of the board, COLUMNSxROWS.")] = "9x6",
    model: Annotated[
        str, typer.Option(help="Lens model: plumb_bob, rational_polynomial or equidistant.")
    ] = "plumb_bob",
    camera: ImageTopic = None,
    name: Annotated[str, typer.Option(help="Camera name in the file.")] = "camera",
) -> None:
    """Calibrate a lens from images of a chessboard."""
    from camera_perception.tools.cli.calibrate import intrinsics_command

    intrinsics_command(source, out, corners, model, camera, name)


@calibrate.command("extrinsics")
def calibrate_extrinsics(
    source: Annotated[Path, typer.Argument(help="A drive on a straight road with lane lines.")],
    model: ModelFolder,
    lens: Annotated[Path, typer.Option(help="camera_info YAML of the lens.")],
    height: Annotated[float, typer.Option(help="Height of the camera above the road, metres.", min=0.05)],
    forward: Annotated[float, typer.Option(help="x of the camera in base_link, metres.")] = 0.0,
    left: Annotated[float, typer.Option(help="y of the camera in base_link, metres.")] = 0.0,
    camera: ImageTopic = None,
    engine: Backend = "auto",
) -> None:
    """Estimate pitch and yaw of a camera from the lane lines of a straight drive."""
    from camera_perception.tools.cli.calibrate import extrinsics_command

    extrinsics_command(source, model, lens, (forward, left, height), camera, engine)


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
