"""The command line `camera-perception`. Commands import what they need when they run, so that --help is instant."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from camera_perception.core.errors import PerceptionError


class Group(TyperGroup):
    """Errors that we raise on purpose are one sentence and exit code 2, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PerceptionError as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            raise typer.Exit(2) from error


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Camera perception without ROS: replay drives, look into models and recordings, check this machine.",
)

ModelFolder = Annotated[
    Path, typer.Option("--model", "-m", help="Model folder: model.onnx, model.json, reference.npz.")
]
EngineName = Annotated[
    str, typer.Option("--engine", "-e", help="auto, onnxruntime, openvino[:fp32|:bf16], tensorrt, recorded.")
]
Threads = Annotated[int, typer.Option(help="CPU threads of the engine; 0 = all cores.", min=0)]


@app.callback()
def options(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s")


@app.command()
def replay(
    source: Annotated[Path, typer.Argument(help="A rosbag2 recording, a video, or a folder of images.")],
    model: ModelFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for perception.mcap, overlay.mp4, report.html.")],
    camera: Annotated[str | None, typer.Option(help="Image topic, where the recording has several.")] = None,
    mount: Annotated[
        str | None, typer.Option(help="Camera in base_link: x,y,z,roll,pitch,yaw in metres, radians; else /tf_static.")
    ] = None,
    engine: EngineName = "auto",
    threads: Threads = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an earlier replay in --out.")] = False,
    limit: Annotated[int, typer.Option(help="Stop after so many images; 0 = all.", min=0)] = 0,
    video: Annotated[bool, typer.Option(help="Write overlay.mp4.")] = True,
    compare: Annotated[
        Path | None, typer.Option(help="perception.mcap of an earlier replay; exit code 1 when this one differs.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Multiplies the tolerances of --compare.", min=0.0)] = 1.0,
) -> None:
    """Run every image of a drive through the pipeline; the same result each time."""
    from camera_perception.tools.cli.replay import replay_command

    replay_command(source, model, out, camera, mount, engine, threads, force, limit, video, compare, tolerance)


@app.command("inspect-onnx")
def inspect_onnx(
    file: Annotated[Path, typer.Argument(help="An ONNX file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write a model folder here.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT, where the file leaves it open.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; the file's name when not given.")] = None,
) -> None:
    """Show inputs and outputs, guess the heads, and write a starting model folder."""
    from camera_perception.tools.cli.inspect import inspect_command

    inspect_command(file, out, size, name)


@app.command("check-model")
def check_model(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    threads: Threads = 0,
) -> None:
    """Check schema, hash, graph and reference, and time every installed backend. Exit code 1 when none passes."""
    from camera_perception.tools.models.check import check_command

    check_command(folder, threads)


@app.command("build-engine")
def build_engine(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    precision: Annotated[
        str, typer.Option(help="fp32, fp16, int8, fp8; auto = fp16 where the folder has it.")
    ] = "auto",
    batch: Annotated[int, typer.Option(help="Cameras per batch; 0 = as model.json says.", min=0, max=64)] = 0,
    workspace: Annotated[int, typer.Option(help="GPU memory that building may use, MiB.", min=16)] = 2048,
    optimization_level: Annotated[int, typer.Option(help="0 builds fastest, 5 runs fastest.", min=0, max=5)] = 3,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the engines.")] = None,
    labelled: Annotated[Path | None, typer.Option(help="Labelled images: also gate the loss per task.")] = None,
    most_lost: Annotated[float | None, typer.Option(help="Points a task may lose on --labelled.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Build although a fitting engine exists.")] = False,
) -> None:
    """Build a TensorRT engine for this GPU and prove that it computes what the model computes."""
    from camera_perception.engines.tensorrt.store import BuildOptions
    from camera_perception.tools.cli.build_engine import build_command

    options = BuildOptions(workspace, optimization_level)
    build_command(folder, precision, batch, options, out, labelled, most_lost, force)


calibrate = typer.Typer(no_args_is_help=True, help="Lens from a chessboard; mounting from lane lines.")
app.add_typer(calibrate, name="calibrate")


@calibrate.command("intrinsics")
def calibrate_intrinsics(
    source: Annotated[Path, typer.Argument(help="Folder of pictures of a chessboard, a video, or a recording.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="camera_info YAML; printed when not given.")] = None,
    corners: Annotated[str, typer.Option(help="Inner corners of the board, COLUMNSxROWS.")] = "9x6",
    model: Annotated[str, typer.Option(help="plumb_bob, rational_polynomial or equidistant.")] = "plumb_bob",
    camera: Annotated[str | None, typer.Option(help="Image topic, where the recording has several.")] = None,
    name: Annotated[str, typer.Option(help="Name of the camera in the file.")] = "camera",
) -> None:
    """Calibrate a lens from pictures of a chessboard."""
    from camera_perception.tools.cli.calibrate import intrinsics_command

    intrinsics_command(source, out, corners, model, camera, name)


@calibrate.command("extrinsics")
def calibrate_extrinsics(
    source: Annotated[Path, typer.Argument(help="A drive on a straight, marked road.")],
    model: ModelFolder,
    lens: Annotated[Path, typer.Option(help="camera_info YAML of the lens.")],
    height: Annotated[float, typer.Option(help="Of the camera over the road, metres.", min=0.05)],
    forward: Annotated[float, typer.Option(help="x of the camera in base_link, metres.")] = 0.0,
    left: Annotated[float, typer.Option(help="y of the camera in base_link, metres.")] = 0.0,
    camera: Annotated[str | None, typer.Option(help="Image topic, where the recording has several.")] = None,
    engine: EngineName = "auto",
) -> None:
    """Find how a camera is turned, from the lane lines of a straight drive."""
    from camera_perception.tools.cli.calibrate import extrinsics_command

    extrinsics_command(source, model, lens, (forward, left, height), camera, engine)


@app.command()
def doctor() -> None:
    """What is installed here, and what does not work and why. Exit code 1 when a drive could not be processed."""
    from camera_perception.tools.doctor import doctor_command

    doctor_command()


@app.command("repair-bag")
def repair_bag(
    bag: Annotated[Path, typer.Argument(help="A recording that was cut off or damaged.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder; BAG_repaired when not given.")] = None,
    humble: Annotated[bool, typer.Option(help="Metadata that ROS 2 Humble reads.")] = False,
) -> None:
    """Copy every message that can be read into a new recording; the old one stays as it is."""
    from camera_perception.io.bag_writer import repair_bag as repair

    folder, counts = repair(bag, out, version=8 if humble else 9)
    typer.echo(f"{folder}: {sum(counts.values())} messages")
    for topic, count in sorted(counts.items()):
        typer.echo(f"  {count:8d}  {topic}")


@app.command()
def anonymize(
    source: Annotated[Path, typer.Argument(help="A rosbag2 recording, a video, an image or a folder of images.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New recording, new folder of images, or new .mp4.")],
    model: ModelFolder,
    how: Annotated[str, typer.Option(help="mosaic, blur or fill; fill alone leaves nothing to guess from.")] = "mosaic",
    whole: Annotated[bool, typer.Option("--whole", help="Cover whole people and vehicles.")] = False,
    least: Annotated[float, typer.Option(help="Score from which on a find counts.", min=0.0, max=1.0)] = 0.2,
    margin: Annotated[float, typer.Option(help="Added on every side, as a share of the region.", min=0.0)] = 0.15,
    hold: Annotated[
        float | None,
        typer.Option(help="Seconds before and after a find that are covered too; 0.5, for image files 0.", min=0.0),
    ] = None,
    faces: Annotated[bool, typer.Option("--faces", help="Also look for faces with OpenCV's cascades.")] = False,
    quality: Annotated[int, typer.Option(help="Of jpeg images that are written again.", min=1, max=100)] = 95,
    keep: Annotated[list[str] | None, typer.Option(help="Topic with pictures to pass on as it is; repeatable.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Topic to leave out; repeatable.")] = None,
    engine: EngineName = "auto",
    threads: Threads = 0,
) -> None:
    """Cover heads and number plates; everything else passes on unchanged. A report says what was covered."""
    from camera_perception.tools.cli.anonymize import anonymize_command, default_hold
    from camera_perception.tools.privacy.regions import Settings

    settings = Settings(how, margin, default_hold(source) if hold is None else hold, whole, quality)
    anonymize_command(source, out, model, settings, least, faces, keep or [], drop or [], engine, threads)


@app.command()
def profile(
    sources: Annotated[list[Path], typer.Argument(help="Drives on which the model was good: recordings, videos.")],
    model: ModelFolder,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File; MODEL/profile.json by default.")] = None,
    against: Annotated[Path | None, typer.Option(help="Compare the drives with this profile instead.")] = None,
    camera: Annotated[str | None, typer.Option(help="Image topic, where a recording has several.")] = None,
    threshold: Annotated[list[str] | None, typer.Option(help="HEAD=SCORE, as the node is tuned; repeatable.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an earlier profile.")] = False,
    engine: EngineName = "auto",
    threads: Threads = 0,
) -> None:
    """Write down what a model usually says, for the nodes to compare with; or compare here, exit code 1 if it moved."""
    from camera_perception.tools.cli.profile import profile_command

    profile_command(sources, model, out, against, camera, threshold or [], force, engine, threads)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def bench(context: typer.Context) -> None:
    """Measure this machine: engines, stages, transport."""
    try:
        from camera_perception.tools.cli.bench import main
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("camera_perception.tools.bench"):
            raise
        raise PerceptionError("this installation has no benchmarks: run `make bench` in the repository") from error
    raise typer.Exit(main(context.args))
