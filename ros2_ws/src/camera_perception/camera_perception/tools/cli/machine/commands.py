"""Commands on cameras and this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.cli.machine import policy
from camera_perception.tools.cli.options import Backend, ImageTopic, ModelFolder, examples, model_or_shipped

PANEL = "Cameras and machine"  # of --help

machine = typer.Typer()
calibrate = typer.Typer(no_args_is_help=True, help="Calibrate a lens from a board, a mounting from lane lines.")
machine.add_typer(calibrate, name="calibrate", rich_help_panel=PANEL)
machine.command("security-policy", rich_help_panel=PANEL, epilog=examples(*policy.EXAMPLES))(policy.security_policy)


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
    from camera_perception.tools.cli.machine.calibrate import board_of, intrinsics_command

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
    from camera_perception.tools.cli.machine.calibrate import extrinsics_command

    extrinsics_command(source, model_or_shipped(model), lens, (forward, left, height), camera, engine)


@machine.command(rich_help_panel=PANEL)
def doctor() -> None:
    """Check the installation and list problems with their remedies. Exit code 1 when drives cannot be processed."""
    from camera_perception.tools.doctor import doctor_command

    doctor_command()


@machine.command(
    rich_help_panel=PANEL,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def bench(context: typer.Context) -> None:
    """Benchmark this machine: engines, pipeline stages, transport."""
    try:
        from camera_perception.tools.cli.machine.bench import main
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("camera_perception.tools.bench"):
            raise
        raise PerceptionError("benchmarks are not installed: run `make bench` in the repository") from error
    raise typer.Exit(main(context.args))
