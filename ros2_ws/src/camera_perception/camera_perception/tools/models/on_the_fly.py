"""A model folder for an ONNX file that is given where a folder is expected: written once, in the cache."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from camera_perception.core.model_spec import sha256_of

log = logging.getLogger(__name__)
FOLDER = "camera_perception/models"  # below XDG_CACHE_HOME


def folder_of(model: Path) -> Path:
    """The folder of a model: as it is, or a new one in the cache for an .onnx file without model.json beside it.

    Raises ModelError when the file is no network that a decoder fits. Logs what was assumed.
    """
    if model.suffix.lower() != ".onnx" or not model.is_file() or _belongs_to_its_folder(model):
        return model
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / FOLDER
    folder = cache / f"{_short(model)}-{sha256_of(model)[:12]}"
    if not (folder / "model.json").is_file():
        _write(model, folder)
    log.warning(
        "%s: using %s, whose model.json is guessed: check it, or write your own with `camera-perception inspect-onnx "
        "%s --out FOLDER`",
        model,
        folder,
        model,
    )
    return folder


def _belongs_to_its_folder(model: Path) -> bool:
    try:
        data = json.loads((model.parent / "model.json").read_text("utf-8"))
        return bool(data["onnx"]["file"] == model.name)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _short(model: Path) -> str:
    from camera_perception.tools.models.import_onnx import safe_name

    return safe_name(model.stem)


def _write(model: Path, folder: Path) -> None:
    from camera_perception.tools.models.import_onnx import examine, model_json, write_folder

    file, guessed = examine(model)
    for note in (*file.notes, *guessed.notes):
        log.warning("%s: %s", model.name, note)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=folder.parent) as beside:
        written = write_folder(file, model_json(file, guessed, _short(model)), Path(beside) / "model")
        if not folder.exists():
            os.replace(written, folder)
