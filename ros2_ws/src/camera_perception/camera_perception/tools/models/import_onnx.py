"""Import of an ONNX file: its inputs and outputs, and a model folder for it."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from camera_perception.core.documents.external_weights import external_weights
from camera_perception.core.documents.parsing import Malformed
from camera_perception.core.errors import EngineError, ModelError
from camera_perception.core.model_spec import check_schema, load_spec, onnx_sha256
from camera_perception.engines import Tensor
from camera_perception.engines.onnxruntime import DTYPES, available
from camera_perception.engines.reference import run_all, write_reference
from camera_perception.engines.select import load_engine
from camera_perception.engines.validate import tensor
from camera_perception.tools.models.guess_heads import Guess

MOST_INLINE_BYTES = 1_900_000_000  # protobuf messages end at 2 GiB


@dataclass(frozen=True)
class OnnxFile:
    """Inputs, outputs and metadata of an ONNX file.

    declared  shapes as in the file, with names for free sizes
    outputs   with their shapes in a run on a black image
    """

    path: Path
    input: Tensor
    declared: dict[str, list[Any]]
    outputs: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_onnx(path: Path | str, size: tuple[int, int] | None = None) -> OnnxFile:
    """Open a file with ONNX Runtime and run it once; `size` (width, height) replaces free sizes.

    ModelError when it is not an ONNX file with one image input.
    """
    path = Path(path)
    if reason := available():
        raise EngineError(f"inspect-onnx needs ONNX Runtime: {reason}")
    session = _open(path)
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = ", ".join(f"{i.name} {i.shape}" for i in inputs)
        raise ModelError(f"{path} has the inputs {shapes}: export it with one image of four dimensions as its input")
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
    """(width, height) in the metadata of Ultralytics exports, where it is [height, width]."""
    try:
        height, width = ast.literal_eval(session.get_modelmeta().custom_metadata_map["imgsz"])
        return int(width), int(height)
    except (KeyError, ValueError, SyntaxError, TypeError):
        return None


def _fixed(shape: list[Any], size: tuple[int, int] | None, path: Path) -> tuple[int, ...]:
    """The shape with batch 1 and the given size in place of free dimensions."""
    nchw = shape[1] == 3 or shape[3] != 3
    rows, columns = (2, 3) if nchw else (1, 2)
    fixed = list(shape)
    fixed[0] = fixed[0] if isinstance(fixed[0], int) and fixed[0] > 0 else 1
    if nchw and not isinstance(fixed[1], int):
        fixed[1] = 3
    for axis, index in ((columns, 0), (rows, 1)):
        if not isinstance(fixed[axis], int) or fixed[axis] < 1:
            if size is None:
                raise ModelError(f"{path} leaves the image size open {shape}: give --size WIDTHxHEIGHT")
            fixed[axis] = size[index]
    return tuple(fixed)


def model_json(file: OnnxFile, guessed: Guess, name: str) -> dict[str, Any]:
    """A starting model.json, without the hash."""
    shape = file.input.shape
    nchw = shape[1] == 3
    height, width = (shape[2], shape[3]) if nchw else (shape[1], shape[2])
    return {
        "schema": 1,
        "name": name,
        "version": "1",
        "license": file.metadata.get("license") or "unknown",
        "description": file.metadata.get("description")
        or f"From {file.path.name}; written by inspect-onnx, to be checked.",
        "onnx": {"file": "model.onnx", "sha256": "0" * 64},
        "input": {
            "name": file.input.name,
            "width": width,
            "height": height,
            **({"batch": shape[0]} if shape[0] > 1 else {}),
            "layout": "nchw" if nchw else "nhwc",
            "dtype": file.input.dtype.name,
            **guessed.input,
        },
        "outputs": guessed.outputs,
    }


def write_folder(file: OnnxFile, data: Mapping[str, Any], out: Path | str) -> Path:
    """The model folder: a copy of the file, model.json, and a reference by ONNX Runtime in fp32.

    ModelError when the folder holds a model already, or when no head was recognised.
    """
    out = Path(out)
    if not data["outputs"]:
        raise ModelError(f"no head of {file.path} was recognised: write model.json by hand, starting from the above")
    if (out / "model.json").exists():
        raise ModelError(f"{out} already holds a model: give another --out or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as partial:
        _write_files(file, data, Path(partial))
        out.mkdir(exist_ok=True)
        for name in (data["onnx"]["file"], "reference.npz", "model.json"):  # a folder without the last is no model
            (Path(partial) / name).replace(out / name)
    return out


def _write_files(file: OnnxFile, data: Mapping[str, Any], folder: Path) -> None:
    target = folder / data["onnx"]["file"]
    write_with_weights(file.path, target)
    data = {**data, "onnx": {**data["onnx"], "sha256": onnx_sha256(target)}}
    check_schema(data, folder / "model.json")
    (folder / "model.json").write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    _write_reference(folder)


def write_with_weights(path: Path, target: Path) -> None:
    """Copy an ONNX file; weights that it keeps in other files move into the copy, so that none can get lost."""
    try:
        weights = external_weights(path)
    except Malformed as error:
        raise ModelError(f"{path} cannot be copied ({error}): export it again") from error
    if not weights:
        shutil.copyfile(path, target)
        return
    if sum((path.parent / name).stat().st_size for name in weights) > MOST_INLINE_BYTES:
        raise ModelError(f"the weights of {path} exceed the 2 GB of one ONNX file: use a smaller network")
    try:
        import onnx
    except ImportError:
        raise EngineError("weights in other files need the onnx package: pip install onnx") from None
    onnx.save_model(onnx.load(path), target)


def _write_reference(folder: Path) -> None:
    """Write the outputs in fp32 on the CPU, to verify other backends with; this does not verify the guesses."""
    spec = load_spec(folder)
    engine = load_engine(spec, "onnxruntime", check=False, device="cpu")
    images = np.stack([_test_image(spec.input.shape[1:], seed) for seed in range(2)])
    if spec.input.dtype != "uint8":
        mean, std = np.array(spec.input.mean), np.array(spec.input.std)
        planes = (3, 1, 1) if spec.input.layout == "nchw" else (3,)
        images = (images * spec.input.scale - mean.reshape(planes)) / std.reshape(planes)
    images = images.astype(spec.input.dtype)
    write_reference(folder / "reference.npz", images, run_all(engine, images))
    engine.close()


def _test_image(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Smooth waves with a little noise, 0..255: flat images exercise too little of a network."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(0, 2 * np.pi, size) for size in shape], indexing="ij")
    waves = [np.sin(axis * rng.uniform(0.5, 4) + rng.uniform(0, 6)) for axis in axes]
    return np.clip(128 + 40 * sum(waves) + rng.normal(0, 8, shape), 0, 255).astype(np.uint8)


def safe_name(text: str) -> str:
    """The text as a model name that the schema accepts."""
    name = "".join(c if c.isalnum() and c.isascii() or c in "._-" else "-" for c in text).lstrip("._-")
    return name[:64] or "model"
