"""What an ONNX file says about itself, and what comes out when it runs."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.engines import Tensor
from camera_perception.engines.graph import tensor
from camera_perception.engines.onnxruntime import DTYPES, available
from camera_perception.errors import EngineError, ModelError


@dataclass(frozen=True)
class OnnxFile:
    """What an ONNX file says about itself.

    declared shapes as written, with names for free sizes
    outputs  shapes as they come out of one run on a grey image
    """

    path: Path
    input: Tensor
    declared: dict[str, list[Any]]
    outputs: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_onnx(path: Path | str, size: tuple[int, int] | None = None) -> OnnxFile:
    """Open a file with ONNX Runtime and run it once; `size` (width, height) where the file leaves it open.

    ModelError when it is not an ONNX file with one image input.
    """
    path = Path(path)
    if reason := available():
        raise EngineError(f"inspect-onnx needs ONNX Runtime: {reason}")
    session = _open(path)
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs)
        raise ModelError(f"{path} has the inputs {found}: expected one image of four dimensions; export it so")
    dtype = DTYPES.get(inputs[0].type, "")
    image = tensor(inputs[0].name, _fixed(inputs[0].shape, size or _metadata_size(session), path), dtype or "float32")
    names = [output.name for output in session.get_outputs()]
    try:
        arrays = session.run(names, {image.name: np.zeros(image.shape, image.dtype)})
    except Exception as error:  # ONNX Runtime raises a dozen types without a common parent
        text = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{path} fails on an image of shape {image.shape} ({text}): give another --size") from error
    outputs = {name: tensor(name, array.shape, array.dtype) for name, array in zip(names, arrays)}
    declared = {port.name: list(port.shape) for port in (*inputs, *session.get_outputs())}
    return OnnxFile(path, image, declared, outputs, dict(session.get_modelmeta().custom_metadata_map))


def _open(path: Path) -> Any:
    import onnxruntime

    if not path.is_file():
        raise ModelError(f"{path} does not exist: give an .onnx file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # see read_onnx
        text = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{path} is not an ONNX file that ONNX Runtime can load ({text}): export it again") from error


def _metadata_size(session: Any) -> tuple[int, int] | None:
    """(width, height) that Ultralytics exports write into their metadata as [height, width]."""
    try:
        height, width = ast.literal_eval(session.get_modelmeta().custom_metadata_map["imgsz"])
        return int(width), int(height)
    except (KeyError, ValueError, SyntaxError, TypeError):
        return None


def _fixed(shape: list[Any], size: tuple[int, int] | None, path: Path) -> tuple[int, ...]:
    """The shape with batch 1 and the given size in place of what is free."""
    nchw = shape[1] == 3 or shape[3] != 3
    rows, columns = (2, 3) if nchw else (1, 2)
    fixed = list(shape)
    fixed[0] = fixed[0] if isinstance(fixed[0], int) and fixed[0] > 0 else 1
    if nchw and not isinstance(fixed[1], int):
        fixed[1] = 3
    for axis, place in ((columns, 0), (rows, 1)):
        if not isinstance(fixed[axis], int) or fixed[axis] < 1:
            if size is None:
                raise ModelError(f"{path} leaves the image size open {shape}: give --size WIDTHxHEIGHT")
            fixed[axis] = size[place]
    return tuple(fixed)
