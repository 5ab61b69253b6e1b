"""Which models a camera node opens: below one folder, and signed by a trusted key where there are any."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from camera_perception.core.errors import ModelError
from camera_perception.engines.serving.model import Model, ModelRequest
from camera_perception_ros.params.camera import CameraParams

UNSIGNED = "the signature of models is not checked: set trusted_keys to load only models that you have signed"
ABSOLUTE = re.compile(r"(?<![\w.])/[^\s:;,'\"`()]*/([^\s/:;,'\"`()]*)")

OpenModel = Callable[[ModelRequest], Model]


def guarded(open_model: OpenModel, params: CameraParams) -> OpenModel:
    """open_model for the folders that the parameters allow, with their trusted keys."""

    def opened(request: ModelRequest) -> Model:
        folder = request.folder
        if folder and (params.model_root or folder != params.model):
            folder = str(below(folder, params.model_root or Path(params.model).parent))
        return open_model(replace(request, folder=folder, trusted_keys=params.keys))

    return opened


def below(path: Path | str, root: Path | str) -> Path:
    """The folder with its links resolved; ModelError, the same whether it exists or not, unless it is below root."""
    try:
        folder, allowed = Path(path).resolve(), Path(root).resolve()
    except (OSError, ValueError, RuntimeError):  # a link to itself, a NUL
        folder, allowed = Path(), Path("/")
    if folder == allowed or allowed not in folder.parents:
        raise ModelError("the model is not below the parameter model_root: copy it there, or start with another root")
    return folder


def without_paths(text: str, asked: str = "") -> str:
    """A message for whoever may call a service: of all absolute paths but the one asked for only the last part."""
    known = re.compile(re.escape(asked.rstrip("/")) + r"(?![\w.-])") if asked.count("/") > 1 else None
    parts = known.split(text) if known else [text]
    return asked.rstrip("/").join(ABSOLUTE.sub(r".../\1", part) for part in parts)
