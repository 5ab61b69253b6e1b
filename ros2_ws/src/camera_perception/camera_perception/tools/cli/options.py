"""Options of several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
