"""Small ONNX models made by hand, so that pipeline and node tests need neither torch nor a download.

`write_tiny_model` makes a model folder of the project's own contract with every head. It really detects simple shapes:
the brightest region is a car, a red region a red traffic light, a green one a green light, a lit lower half is road
between a yellow and a white line, a dark image is night. Its reference comes from ONNX's own reference evaluator.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from camera_perception.core.model_spec import ModelSpec, load_spec, sha256_of
from camera_perception.engines.reference import write_reference

HEIGHT, WIDTH, ROWS_OF_BOXES = 96, 160, 8
LANE_ROWS = HEIGHT // 8
CLASSES = "pedestrian rider car truck bus train motorcycle bicycle".split() + ["traffic light", "traffic sign"]
LIGHT_STATES = ["red", "yellow", "green", "none"]
POSITIONS = [-3, -2, -1, 1, 2, 3]
LINE_TYPES = "solid dashed double_solid double_dashed solid_dashed dashed_solid botts_dots road_edge curb".split()
LINE_COLORS = ["white", "yellow", "blue", "red", "unknown"]
DRIVABLE = ["background", "road", "alternative"]
SEMANTIC = "sky building pole road sidewalk vegetation sign fence vehicle pedestrian rider".split()
LABELS = {
    "weather": "rainy snowy clear overcast partly_cloudy foggy undefined".split(),
    "scene": "tunnel residential parking_lot city_street gas_stations highway undefined".split(),
    "timeofday": "daytime night dawn/dusk undefined".split(),
}
OPSET, IR_VERSION = 17, 8


class Graph:
    """ONNX nodes in the order they are called; every operation returns the name of its result."""

    def __init__(self, height: int = HEIGHT, width: int = WIDTH) -> None:
        self.height, self.width = height, width  # of the input
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def __call__(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def cast(self, value: str, to: int, out: str | None = None) -> str:
        return self("Cast", value, to=to, out=out)

    def model(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "tiny", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model


def value(name: str, dtype: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def tiny_graph(height: int = HEIGHT, width: int = WIDTH) -> onnx.ModelProto:
    """images u8 [1, height, width, 3] BGR -> all heads of the project's own contract."""
    g = Graph(height, width)
    pixels = g.cast("images", TensorProto.FLOAT)
    blue, green, red = (g("Gather", pixels, g.constant(i, np.int64), axis=3) for i in range(3))  # 1 H W each
    gray = g("Div", g("Sum", blue, green, red), g.constant(3.0))
    mean = g("ReduceMean", gray, axes=[1, 2], keepdims=0)  # 1
    objects(g, gray, blue, green, red)
    maps(g, gray)
    lanes(g, mean)
    scene(g, mean)
    k = ROWS_OF_BOXES
    float_, byte = TensorProto.FLOAT, TensorProto.UINT8
    return g.model(
        [value("images", byte, [1, height, width, 3])],
        [
            value("boxes", float_, [1, k, 4]),
            value("scores", float_, [1, k]),
            value("classes", TensorProto.INT32, [1, k]),
            value("light_states", float_, [1, k, 4]),
            value("drivable", byte, [1, height // 4, width // 4]),
            value("semantic", byte, [1, height // 4, width // 4]),
            value("lane_x", float_, [1, 6, height // 8]),
            value("lane_row_score", float_, [1, 6, height // 8]),
            value("lane_score", float_, [1, 6]),
            value("lane_type", float_, [1, 6, len(LINE_TYPES)]),
            value("lane_color", float_, [1, 6, len(LINE_COLORS)]),
            *(value(name, float_, [1, len(labels)]) for name, labels in LABELS.items()),
        ],
    )


def objects(g: Graph, gray: str, blue: str, green: str, red: str) -> None:
    """Row 0 bounds the pixels brighter than 200, row 1 the red ones, row 2 the green ones; the rest is empty."""
    others = g("Max", blue, green), g("Max", blue, red)
    found = [
        box_around(g, g("Greater", gray, g.constant(200.0))),
        box_around(g, g("Greater", g("Sub", red, others[0]), g.constant(80.0))),
        box_around(g, g("Greater", g("Sub", green, others[1]), g.constant(80.0))),
    ]
    empty = ROWS_OF_BOXES - len(found)
    g("Concat", *(box for box, _ in found), g.constant(np.zeros((1, empty, 4))), axis=1, out="boxes")
    g("Concat", *(score for _, score in found), g.constant(np.zeros((1, empty))), axis=1, out="scores")
    car, light = CLASSES.index("car"), CLASSES.index("traffic light")
    states = np.full((1, ROWS_OF_BOXES, 4), 0.02, np.float32)
    states[0, :, 3] = 0.94
    states[0, 1], states[0, 2] = (0.94, 0.02, 0.02, 0.02), (0.02, 0.02, 0.94, 0.02)
    g("Identity", g.constant([[car, light, light] + [0] * empty], np.int32), out="classes")
    g("Identity", g.constant(states), out="light_states")


def box_around(g: Graph, mask: str) -> tuple[str, str]:
    """Box [1, 1, 4] and score [1, 1] of the true pixels; the score grows with their number, 0 without any."""
    weight = g.cast(mask, TensorProto.FLOAT)
    edges = []
    for axis, size in ((1, g.width), (2, g.height)):  # over rows remain columns, over columns remain rows
        hit = g("Greater", g("ReduceMax", weight, axes=[axis], keepdims=0), g.constant(0.5))  # 1 size
        low = g("Where", hit, g.constant(np.arange(size)[None]), g.constant(float(size)))
        high = g("Where", hit, g.constant(np.arange(1, size + 1)[None]), g.constant(0.0))
        edges += [g("ReduceMin", low, axes=[1], keepdims=1), g("ReduceMax", high, axes=[1], keepdims=1)]
    x0, x1, y0, y1 = edges
    box = g("Unsqueeze", g("Concat", x0, y0, x1, y1, axis=1), g.constant([1], np.int64))
    count = g("Unsqueeze", g("ReduceSum", weight, g.constant([1, 2], np.int64), keepdims=0), g.constant([1], np.int64))
    return box, g("Mul", g.constant(0.95), g("Min", g("Div", count, g.constant(40.0)), g.constant(1.0)))


def maps(g: Graph, gray: str) -> None:
    """drivable: lit cells of the lower half; semantic: brightness in steps of 24."""
    cells = g("AveragePool", g("Unsqueeze", gray, g.constant([1], np.int64)), kernel_shape=[4, 4], strides=[4, 4])
    cells = g("Squeeze", cells, g.constant([1], np.int64))  # 1 H/4 W/4
    lower = np.zeros((1, g.height // 4, 1), np.float32)
    lower[:, g.height // 8 :] = 1
    lit = g.cast(g("Greater", cells, g.constant(30.0)), TensorProto.FLOAT)
    g.cast(g("Mul", lit, g.constant(lower)), TensorProto.UINT8, out="drivable")
    steps = g("Min", g("Floor", g("Div", cells, g.constant(24.0))), g.constant(10.0))
    g.cast(steps, TensorProto.UINT8, out="semantic")


def lanes(g: Graph, mean: str) -> None:
    """The two lines of the own lane below the middle of the image, meeting there; they exist when the image is lit."""
    rows = g.height // 8
    v = (np.arange(rows) + 0.5) * g.height / rows
    below = (v - g.height / 2) / (g.height / 2)  # 0 in the middle, 1 at the bottom
    x = g.width / 2 + np.array(POSITIONS)[:, None] * below * 0.35 * g.width  # 6 R
    lit = g("Sigmoid", g("Div", g("Sub", mean, g.constant(20.0)), g.constant(4.0)))  # 1
    own = np.isin(POSITIONS, (-1, 1)).astype(np.float32)
    scores = own[:, None] * (below > 0.1)
    g("Add", g.constant(x[None]), g("Mul", g.constant(np.zeros((1, 6, rows))), lit), out="lane_x")
    g("Mul", g.constant(scores[None] * 0.98), lit, out="lane_row_score")
    g("Mul", g.constant(own[None] * 0.98), lit, out="lane_score")
    kind = np.full((1, 6, len(LINE_TYPES)), 0.01)
    kind[0, :3, LINE_TYPES.index("solid")] = kind[0, 3:, LINE_TYPES.index("dashed")] = 0.92
    color = np.full((1, 6, len(LINE_COLORS)), 0.01)
    color[0, :3, LINE_COLORS.index("yellow")] = color[0, 3:, LINE_COLORS.index("white")] = 0.96
    g("Identity", g.constant(kind), out="lane_type")
    g("Identity", g.constant(color), out="lane_color")


def scene(g: Graph, mean: str) -> None:
    """Dark is night and rainy, lit is daytime and clear; always a highway."""
    light = g(
        "Unsqueeze", g("Div", g("Sub", mean, g.constant(40.0)), g.constant(10.0)), g.constant([1], np.int64)
    )  # 1 1
    slopes = {"weather": ("rainy", "clear"), "scene": (None, "highway"), "timeofday": ("night", "daytime")}
    for name, (dark, lit) in slopes.items():
        slope, bias = np.zeros((1, len(LABELS[name]))), np.zeros((1, len(LABELS[name])))
        slope[0, LABELS[name].index(lit)] = 1 if dark else 0
        bias[0, LABELS[name].index(lit)] = 3
        if dark:
            slope[0, LABELS[name].index(dark)], bias[0, LABELS[name].index(dark)] = -1, 3
        g("Softmax", g("Add", g("Mul", light, g.constant(slope)), g.constant(bias)), axis=1, out=name)


def tiny_json(height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    """model.json of the tiny model, without the hash."""
    lights = {"light_states": LIGHT_STATES, "light_class": "traffic light"}
    lane_options = {"positions": POSITIONS, "line_types": LINE_TYPES, "line_colors": LINE_COLORS, "row_threshold": 0.5}
    roles = {
        "x": "lane_x",
        "row_score": "lane_row_score",
        "score": "lane_score",
        "type": "lane_type",
        "color": "lane_color",
    }
    boxes = {"boxes": "boxes", "scores": "scores", "classes": "classes", "light_states": "light_states"}
    return {
        "schema": 1,
        "name": "tiny",
        "version": "1",
        "license": "Apache-2.0",
        "description": "Made by hand for tests: sees bright, red and green regions.",
        "onnx": {"file": "model.onnx", "sha256": "0" * 64},
        "input": {"name": "images", "width": width, "height": height},
        "outputs": [
            {"head": "objects", "kind": "topk_boxes", "tensors": boxes, "classes": CLASSES, "options": lights},
            {"head": "drivable", "kind": "class_map", "tensors": {"map": "drivable"}, "classes": DRIVABLE},
            {"head": "semantic", "kind": "class_map", "tensors": {"map": "semantic"}, "classes": SEMANTIC},
            {"head": "lanes", "kind": "lane_rows", "tensors": roles, "threshold": 0.5, "options": lane_options},
            {"head": "scene", "kind": "attributes", "tensors": {n: n for n in LABELS}, "options": {"labels": LABELS}},
        ],
    }


def tiny_images() -> np.ndarray:
    """(4, 96, 160, 3) uint8: black; road with a car; a red and a green light; noise."""
    images = np.zeros((4, HEIGHT, WIDTH, 3), np.uint8)
    images[1:3] = 90
    images[1, 50:70, 60:100] = 230
    images[2, 10:22, 30:36] = (20, 20, 220)
    images[2, 12:24, 120:126] = (20, 220, 20)
    images[3] = np.random.default_rng(7).integers(0, 190, images[3].shape, np.uint8)
    return images


def write_folder(folder: Path, model: onnx.ModelProto, data: dict[str, Any], images: np.ndarray | None = None) -> Path:
    """A model folder: hash filled in, reference computed by ONNX's reference evaluator, one image at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / data["onnx"]["file"]
    onnx.save(model, path)
    data = {**data, "onnx": {**data["onnx"], "sha256": sha256_of(path)}}
    (folder / "model.json").write_text(json.dumps(data, indent=2))
    if images is not None:
        write_reference(folder / "reference.npz", images, reference_outputs(model, images))
    return folder


def reference_outputs(model: onnx.ModelProto, images: np.ndarray) -> dict[str, np.ndarray]:
    """Every output of a batch-1 model for each image."""
    evaluator = ReferenceEvaluator(model)
    names = [output.name for output in model.graph.output]
    rows = [evaluator.run(names, {model.graph.input[0].name: image[None]}) for image in images]
    return {name: np.concatenate([row[i] for row in rows]) for i, name in enumerate(names)}


def write_tiny_model(folder: Path) -> Path:
    return write_folder(folder, tiny_graph(), tiny_json(), tiny_images())


def write_tiny_sizes(folder: Path, *sizes: str) -> Path:
    """The tiny model, and in subfolders the same at other sizes, WIDTHxHEIGHT; a black image is their reference."""
    for size in sizes:
        width, height = map(int, size.split("x"))
        black = np.zeros((1, height, width, 3), np.uint8)
        write_folder(folder / size, tiny_graph(height, width), tiny_json(height, width), black)
    return write_folder(folder, tiny_graph(), {**tiny_json(), "other_sizes": list(sizes)}, tiny_images())


def tiny_spec(folder: Path) -> ModelSpec:
    return load_spec(write_tiny_model(folder))


def logits_json(**input_json: Any) -> dict[str, Any]:
    """model.json of a 32x32 network with one raw output, "logits"."""
    data = tiny_json()
    data["input"] = {"name": "images", "width": 32, "height": 32, **input_json}
    data["outputs"] = [{"head": "objects", "kind": "yolox", "tensors": {"output": "logits"}}]
    return data


def mean_spec(
    folder: Path,
    output_shape: tuple[int | str, ...] = (1, 2),
    *,
    input_shape: tuple[int | str, ...] = (1, 32, 32, 3),
    dtype: int = TensorProto.UINT8,
    name: str = "images",
    **input_json: Any,
) -> ModelSpec:
    """A network that returns the mean of each image, twice; for tests of what surrounds a network."""
    g = Graph()
    mean = g("ReduceMean", g.cast(name, TensorProto.FLOAT), axes=[1, 2, 3], keepdims=0)  # batch
    g("Concat", *[g("Unsqueeze", mean, g.constant([1], np.int64))] * 2, axis=1, out="logits")
    model = g.model([value(name, dtype, list(input_shape))], [value("logits", TensorProto.FLOAT, list(output_shape))])
    return load_spec(write_folder(folder, model, logits_json(**input_json)))
