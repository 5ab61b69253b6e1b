"""What the commands of `camera-perception` share: panels and examples of --help, and options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DRIVES, MODELS, MACHINE = "Drives", "Models", "Cameras and machine"  # panels of --help


def examples(*lines: str) -> str:
    """The end of a command's help: lines to paste."""
    return "Examples:\n\n" + "\n\n".join(f"camera-perception {line}" for line in lines)


def model_or_shipped(model: Path | None) -> Path:
    """The model folder that was given, else the shipped one."""
    from camera_perception.tools.models.shipped import shipped_model

    return model or shipped_model()


# Options of several commands
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
Threads = Annotated[int, typer.Option(help="CPU threads of the engine; 0: all cores.", min=0)]
ImageTopic = Annotated[
    str | None,
    typer.Option("--camera", help="Image topic, or a name such as front; required if a recording has several."),
]
TrustedKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-key",
        help="Public key that must have signed the model: 64 hex digits or a .pub file; repeatable.",
    ),
]
