"""What several commands share: options, examples, errors as one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from camera_perception.core.errors import PerceptionError

ModelFolder = Annotated[
    Path | None,
    typer.Option(
        "--model", "-m", help="Model folder: model.onnx, model.json. Default: the shipped one.", show_default=False
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        "--engine",
        "-e",
        help="auto, onnxruntime, openvino, openvino:fp32, openvino:bf16, tensorrt, tensorrt_rtx or recorded.",
    ),
]
Threads = Annotated[int, typer.Option(help="CPU threads of the engine; 0: all cores.", min=0, metavar="N")]
ImageTopic = Annotated[
    str | None,
    typer.Option("--camera", help="Image topic, or a name such as front; required if a recording has several."),
]
Rotate = Annotated[int, typer.Option(help="Turn every image clockwise by 0, 90, 180 or 270 degrees.")]
Mirror = Annotated[bool, typer.Option("--mirror", help="Swap left and right of every image, before turning it.")]
Range16 = Annotated[
    str,
    typer.Option(
        help="Samples of 16-bit images that become black and white: LOW,HIGH such as 0,4095 (12 bits), full, or auto: "
        "from percentiles where an image uses less than a quarter of the range."
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        help="Region in which nothing is reported, such as the own bonnet: a PNG in which it is white, or a polygon "
        "'0,0.9 0.5,0.8 1,0.9 1,1 0,1' in fractions of width and height, or auto: the own bonnet, found in the lower "
        "image by an edge that never moves while the world does, after 20 changed images (the default; objects in it "
        "are still reported); '': nothing is ignored; repeatable."
    ),
]


def ignored(regions: list[str] | None) -> list[str]:
    """The regions of --ignore, or its default."""
    return ["auto"] if regions is None else regions


class Group(TyperGroup):
    """A command group that prints this library's errors as one sentence, with exit code 2 and without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PerceptionError as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            raise typer.Exit(2) from error


def examples(*lines: str, command: str = "camera-perception") -> str:
    """The end of a command's help: lines to paste."""
    return "Examples:\n\n" + "\n\n".join(f"{command} {line}" for line in lines)


def model_or_shipped(model: Path | None) -> Path:
    """The model folder that was given, or a new one for an .onnx file; else the shipped one."""
    from camera_perception.tools.models.on_the_fly import folder_of
    from camera_perception.tools.models.shipped import shipped_model

    return folder_of(model) if model else shipped_model()
