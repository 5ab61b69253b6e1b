"""Changes of an ONNX graph so that every backend can run it: one input, fixed shapes, weights in one file.

All need the package onnx, which is imported when it is needed.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.core.errors import ModelError

NMS_PLUGIN = "EfficientNMS_TRT"
EXTERNAL_MARK = b"\x0a\x08location"  # key of an external tensor in the bytes of an ONNX file
MOST_BYTES = 2**31 - 1  # of one protobuf message
ROWS = 300  # of final boxes, when a network leaves their number open


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ModelError(
            f"this file has to be rewritten, which needs the package onnx ({error}): pip install onnx"
        ) from error
    return onnx


def has_external_data(path: Path) -> bool:
    """Whether weights are in further files, as torch.onnx.export writes them by default."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(EXTERNAL_MARK) >= 0


def load(path: Path) -> Any:
    """The model with all weights; ModelError when one of its files is missing."""
    onnx = _onnx()
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf and onnx raise their own types
        text = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{path} cannot be read as an ONNX file ({text}): export it again") from error
    missing = sorted({name for name in _external_files(onnx, model) if not (path.parent / name).is_file()})
    if missing:
        raise ModelError(f"{path} needs its weights in {', '.join(missing)}, missing in {path.parent}: copy all files")
    onnx.load_external_data_for_model(model, str(path.parent))
    return model


def _external_files(onnx: Any, model: Any) -> Iterator[str]:
    for weights in model.graph.initializer:
        if weights.data_location == onnx.TensorProto.EXTERNAL:
            yield from (entry.value for entry in weights.external_data if entry.key == "location")


def parsed(content: bytes) -> Any:
    """The model in these bytes."""
    return _onnx().load_model_from_string(content)


def serialized(model: Any, path: Path) -> bytes:
    """The model in one piece; ModelError above the 2 GB of a protobuf message."""
    if model.ByteSize() > MOST_BYTES:
        raise ModelError(f"{path} has more than 2 GB of weights: export it in fp16")
    content: bytes = model.SerializeToString()
    return content


def with_constants(model: Any, values: Mapping[str, np.ndarray]) -> None:
    """Turn inputs into constants."""
    onnx = _onnx()
    inputs = [port for port in model.graph.input if port.name not in values]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in values.items())


def with_batch(model: Any, name: str) -> None:
    """Put a batch of one before the axes of an input: torchvision and Detectron2 take single images."""
    onnx = _onnx()
    port = next(port for port in model.graph.input if port.name == name)
    nodes = _Nodes(onnx, model.graph)
    nodes("Gather", batch := f"{name}_with_batch", nodes.constant(np.array(0, np.int64)), out=name, axis=0)
    model.graph.node.insert(0, model.graph.node.pop())
    tensor = port.type.tensor_type
    shape = [1, *(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)]
    model.graph.input.remove(port)
    model.graph.input.insert(0, onnx.helper.make_tensor_value_info(batch, tensor.elem_type, shape))


def without_nms_plugin(model: Any) -> bool:
    """Output the boxes and scores that go into TensorRT's plugin instead of what it returns; False without plugin.

    Its attributes become metadata: nms.box_coding, nms.iou_threshold, nms.score_activation.
    """
    onnx = _onnx()
    nodes = [node for node in model.graph.node if node.op_type == NMS_PLUGIN]
    if len(nodes) != 1:
        return False
    for attribute in nodes[0].attribute:
        value = onnx.helper.get_attribute_value(attribute)
        text = value.decode() if isinstance(value, bytes) else str(np.ravel(value)[0])
        model.metadata_props.add(key=f"nms.{attribute.name}", value=text)
    lost = set(nodes[0].output)
    model.graph.node.remove(nodes[0])
    kept = [port for port in model.graph.output if port.name not in lost]
    del model.graph.output[:]
    float_ = onnx.TensorProto.FLOAT
    ports = [onnx.helper.make_tensor_value_info(name, float_, None) for name in nodes[0].input[:2]]
    model.graph.output.extend([*ports, *kept])
    return True


def with_fixed_rows(model: Any, outputs: Mapping[str, int], scores: str, column: int | None, rows: int) -> None:
    """Give final boxes a fixed number of rows: the best ones, filled with zeros.

    outputs  name: columns of its rows; 0 where it is one number per row
    scores   name of the output that holds the scores, in this column of its rows
    """
    onnx = _onnx()
    graph = model.graph
    types = {port.name: port.type.tensor_type.elem_type for port in graph.output}
    for name in outputs:
        _rename(graph, name, _inner(name))
    nodes = _Nodes(onnx, graph)
    padded = {name: nodes.padded(_inner(name), types[name], columns, rows) for name, columns in outputs.items()}
    best = nodes.best(padded[scores], column, types[scores], rows)
    for name, columns in outputs.items():
        chosen = nodes("Gather", padded[name], best, axis=0)
        shape = [1, rows, columns] if columns else [1, rows]
        nodes("Reshape", chosen, nodes.constant(np.array(shape, np.int64)), out=name)
    kept = [port for port in graph.output if port.name not in outputs]
    del graph.output[:]
    fixed = {name: [1, rows, columns] if columns else [1, rows] for name, columns in outputs.items()}
    graph.output.extend(onnx.helper.make_tensor_value_info(name, types[name], shape) for name, shape in fixed.items())
    graph.output.extend(kept)


def with_joined_strides(model: Any, levels: Sequence[Sequence[tuple[str, int, int, bool]]], out: str) -> None:
    """Join outputs per stride into one (1, N, columns), N cells by stride, row by row.

    levels  per stride: (output, first column, last column + 1, whether a sigmoid is missing). An output is a map
            (1, C, h, w) or has rows (1, N, C)
    """
    onnx = _onnx()
    ports = {port.name: port for port in model.graph.output}
    nodes = _Nodes(onnx, model.graph)
    rows = [nodes("Concat", *(nodes.columns(ports[part[0]], *part[1:]) for part in level), axis=2) for level in levels]
    nodes("Concat", *rows, axis=1, out=out)
    used = {part[0] for level in levels for part in level}
    kept = [port for port in model.graph.output if port.name not in used]
    kind = ports[levels[0][0][0]].type.tensor_type.elem_type
    del model.graph.output[:]
    model.graph.output.extend([onnx.helper.make_tensor_value_info(out, kind, None), *kept])


def _inner(name: str) -> str:
    return f"{name}__any_rows"


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


class _Nodes:
    """Adds nodes at the end of a graph; every call returns the name of the result."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self.onnx, self.graph = onnx, graph
        self.count = len(graph.node) + len(graph.initializer)  # names of an earlier change are not used again

    def __call__(self, operation: str, *inputs: str, out: str = "", results: int = 1, **attributes: Any) -> str:
        self.count += 1
        names = [out or f"fixed_rows_{self.count}_{i}" for i in range(results)]
        self.graph.node.append(self.onnx.helper.make_node(operation, list(inputs), names, **attributes))
        return names[-1]

    def constant(self, value: np.ndarray) -> str:
        self.count += 1
        name = f"fixed_rows_constant_{self.count}"
        self.graph.initializer.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def padded(self, name: str, kind: int, columns: int, rows: int) -> str:
        """Rows of any number, and after them `rows` of zeros."""
        flat: Sequence[int] = [-1, columns] if columns else [-1]
        dtype = self.onnx.helper.tensor_dtype_to_np_dtype(kind)
        zeros = np.zeros((rows, columns) if columns else (rows,), dtype)
        reshaped = self("Reshape", name, self.constant(np.array(flat, np.int64)))
        return self("Concat", reshaped, self.constant(zeros), axis=0)

    def columns(self, port: Any, start: int, stop: int, logits: bool) -> str:
        """(1, N, stop - start): columns of rows, or planes of a map."""
        name = port.name
        if len(port.type.tensor_type.shape.dim) == 4:
            flat = self("Reshape", name, self.constant(np.array([0, 0, -1], np.int64)))
            name = self("Transpose", flat, perm=[0, 2, 1])
        bounds = [self.constant(np.array([value], np.int64)) for value in (start, stop, 2)]
        part = self("Slice", name, *bounds)
        return self("Sigmoid", part) if logits else part

    def best(self, padded: str, column: int | None, kind: int, rows: int) -> str:
        """Indices of the rows with the highest scores."""
        scores = padded
        if column is not None:
            scores = self("Gather", padded, self.constant(np.array(column, np.int64)), axis=1)
        if kind != self.onnx.TensorProto.FLOAT:
            scores = self("Cast", scores, to=self.onnx.TensorProto.FLOAT)
        return self("TopK", scores, self.constant(np.array([rows], np.int64)), axis=0, results=2)
