"""Import of an ONNX file: its inputs and outputs, and a model folder for it."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from camera_perception.core.documents.external_weights import external_weights
from camera_perception.core.documents.parsing import Malformed
from camera_perception.core.errors import EngineError, ModelError
from camera_perception.core.model_spec import check_schema, load_spec, onnx_sha256
from camera_perception.decode.detectors.final_rows import YOLOV7
from camera_perception.decode.heads import check_all
from camera_perception.engines import Tensor
from camera_perception.engines.onnxruntime import DTYPES, available
from camera_perception.engines.reference import run_all, write_reference
from camera_perception.engines.select import load_engine
from camera_perception.engines.validate import tensor
from camera_perception.tools.models import graph
from camera_perception.tools.models.guess_heads import guess
from camera_perception.tools.models.nearest import nearest
from camera_perception.tools.models.network import UNIT_RGB, Guess, Network
from camera_perception.tools.models.per_stride import JOINED, PerStride, per_stride

MOST_INLINE_BYTES = 1_900_000_000  # protobuf messages end at 2 GiB


@dataclass(frozen=True)
class OnnxFile:
    """Inputs, outputs and metadata of an ONNX file.

    declared  shapes as in the file, with names for free sizes
    outputs   with their shapes in a run on a black image; values: these outputs
    content   the network if it had to be rewritten; None: as in the file
    notes     what was rewritten
    """

    path: Path
    input: Tensor
    declared: dict[str, list[Any]]
    outputs: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    content: bytes | None = None
    notes: tuple[str, ...] = ()


def read_onnx(path: Path | str, size: tuple[int, int] | None = None) -> OnnxFile:
    """Open a file with ONNX Runtime and run it once; `size` (width, height) replaces free sizes.

    ModelError when it is not an ONNX file with one image input.
    """
    path = Path(path)
    if reason := available():
        raise EngineError(f"inspect-onnx needs ONNX Runtime: {reason}")
    session, content, notes = _open(path)
    ports = session.get_inputs()
    image_port = _image_port(ports, path)
    shape = _fixed(image_port.shape, size or _metadata_size(session), path)
    image = tensor(image_port.name, shape, DTYPES.get(image_port.type, "") or "float32")
    if len(ports) > 1:
        content, text = _with_one_input(path, content, image, [port for port in ports if port is not image_port])
        session, notes = _session(path, content), [*notes, text]
    return _run(path, session, image, content, notes)


def _run(path: Path, session: Any, image: Tensor, content: bytes | None, notes: Sequence[str]) -> OnnxFile:
    names = [output.name for output in session.get_outputs()]
    try:
        arrays = session.run(names, {image.name: np.zeros(image.shape, image.dtype)})
    except Exception as error:  # ONNX Runtime raises a dozen types without a common parent
        text = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{path} fails on an image of shape {image.shape} ({text}): give another --size") from error
    values = {name: array for name, array in zip(names, arrays) if isinstance(array, np.ndarray)}
    outputs = {name: tensor(name, array.shape, array.dtype) for name, array in values.items()}
    declared = {port.name: list(port.shape) for port in (*session.get_inputs(), *session.get_outputs())}
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    return OnnxFile(path, image, declared, outputs, metadata, values, content, tuple(notes))


def _open(path: Path) -> tuple[Any, bytes | None, list[str]]:
    """A session, the network if it was rewritten, and what was rewritten."""
    if not path.is_file():
        raise ModelError(f"{path} does not exist: give an .onnx file")
    if graph.has_external_data(path):
        content = graph.serialized(graph.load(path), path)
        return _session(path, content), content, ["weights of further files are now in model.onnx"]
    try:
        return _with_batch(path, _session(path))
    except ModelError as error:
        if graph.NMS_PLUGIN not in str(error):
            raise
    model = graph.load(path)
    if not graph.without_nms_plugin(model):
        raise ModelError(f"{path} needs TensorRT's plugin {graph.NMS_PLUGIN} more than once: export it without NMS")
    content = graph.serialized(model, path)
    text = f"TensorRT's plugin {graph.NMS_PLUGIN} was cut off: boxes are suppressed after the network, on any backend"
    return _session(path, content), content, [text]


def _with_batch(path: Path, session: Any) -> tuple[Any, bytes | None, list[str]]:
    ports = session.get_inputs()
    if len(ports) != 1 or len(ports[0].shape) != 3 or ports[0].shape[0] != 3:
        return session, None, []
    model = graph.load(path)
    graph.with_batch(model, ports[0].name)
    content = graph.serialized(model, path)
    return _session(path, content), content, ["the input was an image without a batch: it has a batch of 1 now"]


def _session(path: Path, content: bytes | None = None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content or str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # see _run
        text = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{path} is not an ONNX file that ONNX Runtime can load ({text}): export it again") from error


# Inputs besides the image, as exporters call them: their value for an image (height, width) that fills the input.
EXTRA_INPUTS: dict[str, Callable[[int, int], Sequence[float]]] = {
    "orig_target_sizes": lambda height, width: (width, height),  # RT-DETR, D-FINE, DEIM
    "orig_sizes": lambda height, width: (width, height),
    "target_sizes": lambda height, width: (height, width),
    "im_shape": lambda height, width: (height, width),  # PaddleDetection
    "scale_factor": lambda height, width: (1, 1),
    "pixel_mask": lambda height, width: (1,),  # DETR of Hugging Face
}


def _image_port(ports: Sequence[Any], path: Path) -> Any:
    images = [port for port in ports if len(port.shape) == 4]
    others = [port for port in ports if port not in images]
    if len(images) != 1 or any(port.name not in EXTRA_INPUTS for port in others):
        shapes = ", ".join(f"{port.name} {port.shape}" for port in ports)
        raise ModelError(
            f"{path} has the inputs {shapes}: export it with one image of four dimensions as its input; "
            f"besides it, only {', '.join(EXTRA_INPUTS)} are known"
        )
    return images[0]


def _with_one_input(path: Path, content: bytes | None, image: Tensor, others: Sequence[Any]) -> tuple[bytes, str]:
    """The network with its other inputs as constants, and a note about it."""
    size = image.shape[2:] if image.shape[1] == 3 else image.shape[1:3]
    values = {port.name: _constant(port, image.shape[0], (size[0], size[1])) for port in others}
    model = graph.load(path) if content is None else graph.parsed(content)
    graph.with_constants(model, values)
    text = ", ".join(f"{name} = {list(value.reshape(-1)[:2].tolist())}" for name, value in values.items())
    return graph.serialized(model, path), f"inputs besides the image are constants now: {text}"


def _constant(port: Any, batch: int, size: tuple[int, int]) -> np.ndarray:
    """The value of an input besides the image, in the shape that the file declares."""
    given = EXTRA_INPUTS[port.name](*size)
    free = (batch, *(size if port.name == "pixel_mask" else (len(given),)))
    shape = [n if isinstance(n, int) and n > 0 else free[axis] for axis, n in enumerate(port.shape)]
    return np.broadcast_to(np.array(given, DTYPES.get(port.type, "float32")), shape).copy()


def examine(
    path: Path | str, size: tuple[int, int] | None = None, heads: list[dict[str, Any]] | None = None
) -> tuple[OnnxFile, Guess]:
    """The file and a guess of its heads, unless they are given (the section outputs of model.json).

    Final boxes of any number become a fixed number of rows.
    """
    file = read_onnx(path, size)
    strided = per_stride(_network(file)) if heads is None else None
    if strided is not None:
        file = _joined(file, strided)
        guessed = Guess(input=dict(UNIT_RGB) if file.input.dtype.kind == "f" else {})
        strided.describe(_network(file), guessed)
        return file, guessed
    guessed = guess(file.input, file.outputs, file.metadata, file.values)
    if heads is not None:
        guessed = Guess(heads, guessed.input, [])
    return with_fixed_rows(file, guessed), guessed


def _joined(file: OnnxFile, strided: PerStride) -> OnnxFile:
    """The file with one output in place of those of its strides."""
    model = graph.load(file.path) if file.content is None else graph.parsed(file.content)
    levels = [[(part.name, part.start, part.stop, part.logits) for part in level] for level in strided.levels]
    graph.with_joined_strides(model, levels, JOINED)
    content = graph.serialized(model, file.path)
    note = f"{sum(map(len, levels))} parts of outputs per stride are one output now"
    return _run(file.path, _session(file.path, content), file.input, content, (*file.notes, note))


FINAL = {"final_rows": "output", "dets_labels": "dets", "efficient_nms": "scores"}  # kind: role that holds the scores


def with_fixed_rows(file: OnnxFile, guessed: Guess) -> OnnxFile:
    """The file with a fixed number of final boxes, where the network leaves it open."""
    head = next((output for output in guessed.outputs if output["kind"] in FINAL), None)
    if head is None or not _open_rows(file, head):
        return file
    if file.input.shape[0] != 1:
        raise ModelError(f"{file.path} returns boxes of a batch of {file.input.shape[0]}: export it with batch 1")
    names = {role: name for role, name in head["tensors"].items() if role != "count"}
    head["tensors"] = names
    scores = names[FINAL[head["kind"]]]
    columns = {name: _columns(file.outputs[name], role, head["kind"]) for role, name in names.items()}
    rows = max(graph.ROWS, max(file.outputs[name].shape[-2 if columns[name] else -1] for name in names.values()))
    model = graph.load(file.path) if file.content is None else graph.parsed(file.content)
    graph.with_fixed_rows(model, columns, scores, _score_column(head), rows)
    content = graph.serialized(model, file.path)
    note = f"the number of boxes was open: the best {rows} now, filled with zeros"
    return _run(file.path, _session(file.path, content), file.input, content, (*file.notes, note))


def _open_rows(file: OnnxFile, head: Mapping[str, Any]) -> bool:
    """Whether the number of rows is not fixed, or rows do not start with the batch."""
    for name in head["tensors"].values():
        declared, found = file.declared[name], file.outputs[name].shape
        if len(found) == 2 and found[1] in (6, 7) and head["kind"] == "final_rows":
            return True
        if any(not isinstance(size, int) for size in declared[1:]) or not all(found) or len(found) == 4:
            return True
    return False


def _columns(output: Tensor, role: str, kind: str) -> int:
    """Columns per row; 0 for one number."""
    numbers = {"dets_labels": ("labels",), "efficient_nms": ("scores", "classes")}.get(kind, ())
    return 0 if role in numbers else output.shape[-1]


def _score_column(head: Mapping[str, Any]) -> int | None:
    if head["kind"] == "final_rows":
        return int(list(head.get("options", {}).get("columns", YOLOV7)).index("score"))
    return 4 if head["kind"] == "dets_labels" else None


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
    """The model folder: the network, model.json, and a reference by ONNX Runtime in fp32.

    It appears when it is complete. ModelError when there is a model already, or when no head was recognised.
    """
    out = Path(out)
    if not data["outputs"]:
        raise ModelError(f"no head of {file.path} was recognised: {nearest_of(file)}")
    if (out / "model.json").exists():
        raise ModelError(f"{out} already holds a model: give another --out or remove it")
    if out.is_file():
        raise ModelError(f"{out} is a file: give a folder as --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as partial:
        _write_files(file, data, Path(partial))
        out.mkdir(exist_ok=True)
        for name in (data["onnx"]["file"], "reference.npz", "model.json"):  # a folder without the last is no model
            (Path(partial) / name).replace(out / name)
    return out


def nearest_of(file: OnnxFile) -> str:
    """What to do when no decoder fits."""
    return nearest(_network(file))


def _network(file: OnnxFile) -> Network:
    return Network(file.input, file.outputs, file.metadata, file.values)


def _write_files(file: OnnxFile, data: Mapping[str, Any], folder: Path) -> None:
    target = folder / data["onnx"]["file"]
    if file.content is None:
        write_with_weights(file.path, target)
    else:
        target.write_bytes(file.content)
    data = {**data, "onnx": {**data["onnx"], "sha256": onnx_sha256(target)}}
    check_schema(data, folder / "model.json")
    (folder / "model.json").write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    check_all(load_spec(folder), {name: output.shape for name, output in file.outputs.items()})
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
