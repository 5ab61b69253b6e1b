"""Commands on model folders and ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camera_perception.tools.cli.models import trust
from camera_perception.tools.cli.models.trust import TrustedKeys
from camera_perception.tools.cli.options import Threads, examples

PANEL = "Models"  # of --help

models = typer.Typer()


@models.command(
    "inspect-onnx", rich_help_panel=PANEL, epilog=examples("inspect-onnx yolo11n.onnx --out models/yolo11n")
)
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
    from camera_perception.tools.cli.models.inspect import inspect_command

    inspect_command(file, out, size, name, heads)


@models.command("check-model", rich_help_panel=PANEL, epilog=examples("check-model perception_models/zoo/demo"))
def check_model(folder: Annotated[Path, typer.Argument(help="Model folder.")], threads: Threads = 0) -> None:
    """Check schema, hash, graph and reference, and time every installed backend. Exit code 1 when none passes."""
    from camera_perception.tools.models.check import check_command

    check_command(folder, threads)


@models.command(
    "build-engine", rich_help_panel=PANEL, epilog=examples("build-engine perception_models/zoo/demo --precision fp16")
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
    from camera_perception.tools.cli.models.build_engine import build_command

    options = BuildOptions(workspace, optimization_level)
    trusted = trusted_key or []
    build_command(folder, precision, batch, options, out, labelled, most_lost, force, backend, trusted)


models.command("sign-model", rich_help_panel=PANEL, epilog=examples(*trust.SIGN))(trust.sign_model)
models.command("verify-model", rich_help_panel=PANEL, epilog=examples(*trust.VERIFY))(trust.verify_model)
