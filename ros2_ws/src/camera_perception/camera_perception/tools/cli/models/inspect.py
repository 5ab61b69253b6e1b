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
from camera_perception.tools.models.import_onnx import OnnxFile, examine, model_json, safe_name, write_folder


def inspect_command(
    path: Path, out: Path | None, size: str | None, name: str | None, heads: Path | None = None
) -> None:
    """Print the contents of the file and its heads, guessed or given; write a model folder if `out` is given."""
    file, guessed = examine(path, parse_size(size), heads_in(heads))
    data = model_json(file, guessed, name or safe_name(path.stem))
    typer.echo(describe(file))
    for note in (*file.notes, *guessed.notes):
        typer.echo(f"- {note}")
    if out is None:
        typer.echo(f"\nfirst model.json (--out FOLDER writes a model folder):\n{shown_json(data)}")
        return
    folder = write_folder(file, data, out)
    typer.echo(f"\n{folder}: model.onnx, model.json, reference.npz")
    typer.echo("Check model.json: classes, colour order, scale and license are guesses.")
    typer.echo(f"Then: camera-perception check-model {folder}")


def heads_in(path: Path | None) -> list[dict[str, Any]] | None:
    """The section `outputs` of model.json in a file: a list, or an object with this key."""
    if path is None:
        return None
    try:
        data = json.loads(path.read_text("utf-8"))
        heads = data["outputs"] if isinstance(data, dict) else data
        if isinstance(heads, list) and all(isinstance(head.get("tensors"), dict) for head in heads):
            return heads
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"--heads {path} cannot be read ({error}): give the section outputs of model.json") from error
    raise ModelError(f"--heads {path} holds no list of heads with tensors: give the section outputs of model.json")


def shown_json(data: dict[str, Any], most: int = 12) -> str:
    """JSON for the terminal: of long class lists only the first names."""
    outputs = [{**o, "classes": _some(o["classes"], most)} if "classes" in o else o for o in data["outputs"]]
    return json.dumps({**data, "outputs": outputs}, indent=2)


def _some(classes: list[str], most: int) -> list[str]:
    return classes if len(classes) <= most else [*classes[: most // 2], f"... {len(classes) - most // 2} more"]


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
