"""`camera-perception inspect-onnx`: from an ONNX file to a model folder that runs.

Inputs and outputs are read from the file; the heads are guessed from names and shapes. Every guess is printed, for the
user to check.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from camera_perception.core.errors import ModelError
from camera_perception.core.text_table import text_table
from camera_perception.tools.models.guess_heads import guess
from camera_perception.tools.models.import_onnx import OnnxFile, model_json, read_onnx, safe_name, write_folder


def inspect_command(path: Path, out: Path | None, size: str | None, name: str | None) -> None:
    """Print the contents of the file and the guessed heads; write a model folder if `out` is given."""
    file = read_onnx(path, parse_size(size))
    guessed = guess(file.input, file.outputs, file.metadata)
    data = model_json(file, guessed, name or safe_name(path.stem))
    typer.echo(describe(file))
    for note in guessed.notes:
        typer.echo(f"- {note}")
    if out is None:
        typer.echo("\nfirst model.json (--out FOLDER writes a model folder):\n" + json.dumps(data, indent=2))
        return
    folder = write_folder(file, data, out)
    typer.echo(f"\n{folder}: model.onnx, model.json, reference.npz")
    typer.echo("Check model.json: classes, colour order, scale and license are guesses.")
    typer.echo(f"Then: camera-perception check-model {folder}")


def describe(file: OnnxFile) -> str:
    """Inputs and outputs as a table."""
    rows = [("input", file.input.name, _shape(file.declared[file.input.name]), file.input.dtype.name)]
    rows += [("output", o.name, _shape(o.shape), o.dtype.name) for o in file.outputs.values()]
    return f"{file.path}\n{text_table(('', 'name', 'shape', 'dtype'), rows)}\n"


def parse_size(text: str | None) -> tuple[int, int] | None:
    """ "640x384" as (640, 384)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ModelError(f"--size {text}: give WIDTHxHEIGHT, such as 640x384")
    return int(parts[0]), int(parts[1])


def _shape(shape: Any) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
