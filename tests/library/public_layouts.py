"""ONNX files with the outputs of public networks: the same two objects, encoded as each network's authors publish it.

The objects are at fixed places of a 160x128 image; the graph returns them whatever the image shows. Where networks
return any number of boxes, a black image has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from tiny_models import OPSET, Graph, value

WIDTH, HEIGHT = 160, 128
OBJECTS = (  # x0 y0 x1 y1, score, class
    ((20.0, 30.0, 60.0, 70.0), 0.8, 2),
    ((100.0, 40.0, 140.0, 100.0), 0.6, 0),
)
BOXES = np.array([box for box, _, _ in OBJECTS])
SCORES = np.array([score for _, score, _ in OBJECTS])
CLASSES = np.array([number for _, _, number in OBJECTS])
NAMES = "{'0': 'person', '1': 'tram', '2': 'car'}"  # keys as JSON writes them
COCO, OWN = 80, 3


@dataclass
class Layout:
    """What a network returns, and how it has to be read.

    outputs  name: array with batch; dynamic: rows of any number, of those objects above a threshold
    inputs   besides the image: name: (shape, type)
    kind     of the decoder
    """

    kind: str
    outputs: dict[str, np.ndarray]
    metadata: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, tuple[list[Any], int]] = field(default_factory=dict)
    dynamic: bool = False
    scaled_by: str = ""  # input with which the output boxes is multiplied
    boxes: np.ndarray = field(default_factory=lambda: BOXES)


def grid(strides: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(column, row, stride) of all cells, cut ones at the border included."""
    return [
        (column, row, stride)
        for stride in strides
        for row in range(-(-HEIGHT // stride))
        for column in range(-(-WIDTH // stride))
    ]


def middle_and_size() -> np.ndarray:
    return np.hstack(((BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]))


def one_hot(count: int) -> np.ndarray:
    scores = np.zeros((len(CLASSES), count))
    scores[np.arange(len(CLASSES)), CLASSES] = SCORES
    return scores


def ultralytics(count: int, strides: tuple[int, ...], extra: np.ndarray | None = None) -> np.ndarray:
    """(1, 4 + C + E, cells): the objects are in some of the cells."""
    rows = np.hstack([middle_and_size(), one_hot(count), *([] if extra is None else [extra])])
    output = np.zeros((rows.shape[1], len(grid(strides))))
    output[:, [17, 300]] = rows.T
    return output[None]


def yolox(count: int, strides: tuple[int, ...]) -> np.ndarray:
    cells = grid(strides)
    output = np.full((len(cells), 5 + count), -9.0)
    output[:, 4:] = 0
    for (x, y, w, h), number, score in zip(middle_and_size(), CLASSES, SCORES):
        index = cells.index((int(x // 16), int(y // 16), 16))
        output[index, :5] = x / 16 - x // 16, y / 16 - y // 16, np.log(w / 16), np.log(h / 16), score
        output[index, 5 + number] = 1
    return output[None]


def nanodet(
    count: int, strides: tuple[int, ...] = (8, 16, 32, 64), number_of_bins: int = 8, offset: float = 0.0
) -> np.ndarray:
    """Distances are expectations over the bins 0 to 7, in strides."""
    cells = grid(strides)
    output = np.zeros((len(cells), count + 4 * number_of_bins))
    for (x0, y0, x1, y1), score, number in OBJECTS:
        column, row = int((x0 + x1) / 2 // 16), int((y0 + y1) / 2 // 16)
        x, y = (column + offset) * 16, (row + offset) * 16
        sides = np.array([x - x0, y - y0, x1 - x, y1 - y]) / 16
        bins = np.full((4, number_of_bins), -30.0)
        for side, distance in enumerate(sides):
            low = int(distance)
            bins[side, low] = np.log(max(1 - (distance - low), 1e-9))
            bins[side, low + 1] = np.log(max(distance - low, 1e-9))
        index = cells.index((column, row, 16))
        output[index, number] = score
        output[index, count:] = bins.ravel()
    return output[None]


def by_stride(whole: np.ndarray, strides: tuple[int, ...], parts: dict[str, slice], maps: bool) -> Layout:
    """Columns of (1, N, columns) as outputs of each stride: rows, or maps."""
    outputs, first = {}, 0
    for stride in strides:
        rows, columns = HEIGHT // stride, WIDTH // stride
        level = whole[:, first : first + rows * columns]
        first += rows * columns
        for name, part in parts.items():
            values = level[:, :, part]
            outputs[f"{name}_stride_{stride}"] = values.swapaxes(1, 2).reshape(1, -1, rows, columns) if maps else values
    return Layout("", outputs)


def nanodet_by_stride() -> Layout:
    """NanoDet before NanoDet-plus: scores and distances in two outputs per stride, grid points in the middle."""
    parts = {"cls_pred": slice(0, COCO), "dis_pred": slice(COCO, None)}
    layout = by_stride(nanodet(COCO, P5, offset=0.5), P5, parts, maps=False)
    return Layout("nanodet", layout.outputs)


def yolov8_by_stride(two: bool) -> Layout:
    """64 + C planes per stride before the detection layer, scores as logits; or two maps, as for RKNN."""
    whole = nanodet(OWN, P5, 16, 0.5)
    scores, sides = logits(whole[:, :, :OWN]), whole[:, :, OWN:]
    whole = np.concatenate((sides, scores), 2)
    parts = {"reg": slice(0, 64), "cls": slice(64, None)} if two else {"output": slice(None)}
    return Layout("nanodet", by_stride(whole, P5, parts, maps=True).outputs, DETECT)


def yolox_by_stride(three: bool) -> Layout:
    """Box, objectness and scores per stride, in one map or three; the three hold logits, as mmdeploy exports them."""
    whole = yolox(COCO, P5)
    parts = {"output": slice(None)}
    if three:
        whole[:, :, 4:] = logits(whole[:, :, 4:])
        parts = {"cls": slice(5, None), "bbox": slice(0, 4), "objectness": slice(4, 5)}
    return Layout("yolox", by_stride(whole, P5, parts, maps=True).outputs)


def fastestdet(count: int) -> np.ndarray:
    output = np.zeros((5 + count, HEIGHT // 16, WIDTH // 16))
    output[5:] = 1 / count
    for (x, y, w, h), number, score in zip(middle_and_size(), CLASSES, SCORES):
        column, row = int(x // 16), int(y // 16)
        share = np.array([w / WIDTH, h / HEIGHT])
        output[0, row, column] = score
        output[1:3, row, column] = np.arctanh([x / 16 - column, y / 16 - row])
        output[3:5, row, column] = np.log(share / (1 - share))
        output[5:, row, column] = np.eye(count)[number]
    return output[None]


def queries(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as fractions and scores of 30 queries."""
    boxes, scores = np.full((1, 30, 4), 0.5), np.zeros((1, 30, count))
    boxes[0, 4:6], scores[0, 4:6] = middle_and_size() / (WIDTH, HEIGHT, WIDTH, HEIGHT), one_hot(count)
    return boxes, scores


def logits(scores: np.ndarray) -> np.ndarray:
    inside = scores.clip(1e-4, 1 - 1e-4)
    return np.log(inside / (1 - inside))


def final(rows: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Count, boxes, scores, classes; after the first rows there is something that must not be read."""
    boxes, scores, classes = np.full((1, rows, 4), 33.0), np.full((1, rows), 0.99), np.full((1, rows), 1)
    boxes[0, :2], scores[0, :2], classes[0, :2] = BOXES, SCORES, CLASSES
    boxes[0, 2:, 2:] = 66
    return np.array([[2]], np.int32), boxes, scores, classes.astype(np.int32)


def candidates(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as corners and scores of all cells."""
    cells = len(grid((8, 16, 32)))
    boxes, scores = np.zeros((1, cells, 4)), np.zeros((1, cells, count))
    boxes[0, [9, 30]], scores[0, [9, 30]] = BOXES, one_hot(count)
    return boxes, scores


def columns(names: str) -> np.ndarray:
    """(2, columns): a row per object; names: b batch, x box, c class, s score."""
    parts = {"b": np.zeros((2, 1)), "x": BOXES, "c": CLASSES[:, None], "s": SCORES[:, None]}
    return np.hstack([parts[name] for name in names])


def segment() -> Layout:
    """The first weight is 1: the mask of each object is where the first prototype is positive, its upper half."""
    weights = np.zeros((2, 32))
    weights[:, 0] = 1
    protos = np.full((1, 32, HEIGHT // 4, WIDTH // 4), -1.0)
    protos[0, 0, 8:12, 5:15] = 1  # the upper 16 pixels of the first box
    outputs = {"output0": ultralytics(OWN, (8, 16, 32), weights), "output1": protos}
    return Layout("ultralytics", outputs, {"task": "segment", "names": NAMES})


def turned() -> Layout:
    """Boxes turned by a quarter: width and height change places."""
    rows = ultralytics(OWN, (8, 16, 32), np.full((2, 1), np.pi / 2))
    rows[0, [2, 3]] = rows[0, [3, 2]]
    return Layout("ultralytics", {"output0": rows}, {"task": "obb", "names": NAMES})


def detr_two_inputs() -> Layout:
    """Boxes are multiplied by the size that the second input gives, as in RT-DETR's post-processing."""
    _, boxes, scores, classes = final(30)
    scores[0, 2:] = 0
    boxes = boxes / (WIDTH, HEIGHT, WIDTH, HEIGHT)
    inputs = {"orig_target_sizes": (["N", 2], TensorProto.INT64)}
    outputs = {"labels": classes.astype(np.int64), "boxes": boxes, "scores": scores}
    return Layout("efficient_nms", outputs, inputs=inputs, scaled_by="orig_target_sizes")


def nas_batch() -> Layout:
    count, boxes, scores, classes = final()
    names = ("graph2_num_predictions", "graph2_pred_boxes", "graph2_pred_scores", "graph2_pred_classes")
    return Layout("efficient_nms", dict(zip(names, (count.astype(np.int64), boxes, scores, classes.astype(np.int64)))))


def efficient_nms() -> Layout:
    return Layout("efficient_nms", dict(zip(("num_dets", "det_boxes", "det_scores", "det_classes"), final())))


def rf_detr() -> Layout:
    """91 classes, of which 1 is a person and 3 a car."""
    boxes, scores = queries(91)
    scores = np.zeros_like(scores)
    scores[0, 4, 3], scores[0, 5, 1] = SCORES
    return Layout("detr", {"dets": boxes, "labels": logits(scores)})


def yolov5_p6() -> Layout:
    rows = np.zeros((1, 3 * len(grid((8, 16, 32, 64))), 85))
    rows[0, [9, 30]] = np.hstack((middle_and_size(), SCORES[:, None], np.eye(80)[CLASSES]))
    return Layout("yolop_boxes", {"output": rows})


def rt_detr() -> Layout:
    metadata = {"description": "Ultralytics rtdetr-l model", "task": "detect", "names": NAMES}
    return Layout("detr", {"output0": np.concatenate(queries(OWN), 2)}, metadata)


def of_paddle() -> Layout:
    two = [1, 2], TensorProto.FLOAT
    inputs = {"im_shape": two, "scale_factor": two}
    return Layout("final_rows", {"multiclass_nms3_0.tmp_0": columns("csx")}, inputs=inputs, dynamic=True)


def pose() -> Layout:
    metadata = {"task": "pose", "kpt_shape": "[17, 3]", "names": NAMES}
    return Layout("ultralytics", {"output0": ultralytics(OWN, (8, 16, 32), np.full((2, 51), 0.9))}, metadata)


def dets_labels() -> Layout:
    return Layout("dets_labels", {"dets": columns("xs")[None], "labels": CLASSES[None]}, dynamic=True)


def tensorflow() -> Layout:
    """y, x, y, x as fractions, and COCO's numbers of categories: 1 is a person, 3 a car."""
    _, boxes, scores, _ = final()
    scores[0, 2:] = 0
    boxes = (boxes / (WIDTH, HEIGHT, WIDTH, HEIGHT))[:, :, [1, 0, 3, 2]]
    classes = np.ones((1, 100))
    classes[0, 0] = 3
    names = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
    return Layout("efficient_nms", dict(zip(names, (boxes, scores, classes, np.array([100.0])))))


def detr() -> Layout:
    """91 classes and one for nothing, whose probabilities sum to 1."""
    boxes, _ = queries(COCO)
    scores = np.full((1, 30, 92), 1e-6)
    scores[0, :, 91] = 1
    scores[0, 4], scores[0, 5] = 1e-6, 1e-6
    scores[0, 4, [3, 91]] = SCORES[0], 1 - SCORES[0]
    scores[0, 5, [1, 91]] = SCORES[1], 1 - SCORES[1]
    return Layout("detr", {"logits": np.log(scores), "pred_boxes": boxes})


def yolov5_seg() -> Layout:
    rows = np.full((1, 3 * len(grid(P5)), 117), 0.0)
    rows[0, [9, 30], :85] = np.hstack((middle_and_size(), SCORES[:, None], np.eye(80)[CLASSES]))
    rows[0, :, 85:] = 5
    return Layout("yolop_boxes", {"output0": rows, "output1": np.zeros((1, 32, HEIGHT // 4, WIDTH // 4))})


def torchvision(names: tuple[str, str, str], first: int) -> Layout:
    """No batch; torchvision's and COCO's numbers of categories begin at 1, Detectron2's classes at 0."""
    numbers = CLASSES.astype(np.int64) + first
    return Layout("efficient_nms", dict(zip(names, (BOXES, numbers, SCORES))), dynamic=True)


def mask_rcnn() -> Layout:
    layout = torchvision(("boxes", "labels", "scores"), 1)
    layout.outputs["masks"] = np.ones((2, 1, HEIGHT, WIDTH))
    return layout


def ultraface() -> Layout:
    """Decoded boxes as fractions, and probabilities of which the first is for no object."""
    boxes, classes = candidates(OWN)
    scores = np.concatenate((1 - classes.sum(axis=2, keepdims=True), classes), 2)
    outputs = {"scores": scores, "boxes": boxes / (WIDTH, HEIGHT, WIDTH, HEIGHT)}
    return Layout("boxes_scores", outputs, {"names": NAMES})


def yolov4() -> Layout:
    """Boxes (N, 1, 4) as fractions."""
    boxes, scores = np.zeros((1, 3 * len(grid(P5)), 1, 4)), np.zeros((1, 3 * len(grid(P5)), COCO))
    boxes[0, [9, 30], 0], scores[0, [9, 30]] = BOXES / (WIDTH, HEIGHT, WIDTH, HEIGHT), one_hot(COCO)
    return Layout("boxes_scores", {"boxes": boxes, "confs": scores})


def centres() -> Layout:
    """Candidates as centre and size, without metadata that says so."""
    boxes, scores = candidates(COCO)
    column, row, stride = np.array(grid(P5)).T
    boxes[0] = np.column_stack(((column + 0.5) * stride, (row + 0.5) * stride, 3 * stride, 3 * stride))
    boxes[0, [9, 30]] = middle_and_size()
    return Layout("boxes_scores", {"boxes": boxes, "scores": scores})


def prior_offsets(rows: int, names: tuple[str, str], classes: int, **more: np.ndarray) -> Layout:
    """What SSDs return before decoding: offsets around zero, and scores with a background."""
    offsets = np.random.default_rng(0).normal(0, 1, (1, rows, 4))
    scores = np.full((1, rows, classes), 0.1 / (classes - 1))
    scores[:, :, 0] = 0.9
    return Layout("", {**dict(zip(names, (offsets, scores))), **more})


P5, P2, P6 = (8, 16, 32), (4, 8, 16, 32), (8, 16, 32, 64)
DETECT = {"task": "detect", "names": NAMES}
LAYOUTS: dict[str, Callable[[], Layout]] = {
    "YOLOv8": lambda: Layout("ultralytics", {"output0": ultralytics(COCO, P5)}),
    "YOLOv8 P2": lambda: Layout("ultralytics", {"output0": ultralytics(OWN, P2)}, DETECT),
    "YOLOv8 P6": lambda: Layout("ultralytics", {"output0": ultralytics(COCO, P6)}),
    "YOLOv8 transposed": lambda: Layout("ultralytics", {"o": ultralytics(OWN, P5).swapaxes(1, 2)}, DETECT),
    "YOLO26 end to end": lambda: Layout("ultralytics", {"output0": np.pad(columns("xsc"), ((0, 298), (0, 0)))[None]}),
    "YOLO11-seg": segment,
    "YOLO11-pose": pose,
    "YOLO11-obb": turned,
    "YOLOX": lambda: Layout("yolox", {"output": yolox(COCO, P5)}),
    "YOLOX P6": lambda: Layout("yolox", {"output": yolox(COCO, P6)}),
    "YOLOv5 P6": yolov5_p6,
    "YOLOv5-seg": yolov5_seg,
    "TensorFlow": tensorflow,
    "DETR": detr,
    "YOLOv7 end2end": lambda: Layout("final_rows", {"output": columns("bxcs")}, dynamic=True),
    "YOLO-NAS flat": lambda: Layout("final_rows", {"graph2_flat_predictions": columns("bxsc")}, dynamic=True),
    "YOLO-NAS batch": nas_batch,
    "YOLO-NAS raw": lambda: Layout("boxes_scores", dict(zip(("904", "913"), candidates(COCO)))),
    "EfficientNMS": efficient_nms,
    "mmdeploy": dets_labels,
    "PaddleDetection": of_paddle,
    "RT-DETR two inputs": detr_two_inputs,
    "RT-DETR": rt_detr,
    "RF-DETR": rf_detr,
    "D-FINE": lambda: Layout("detr", dict(zip(("pred_boxes", "logits"), (queries(COCO)[0], logits(queries(COCO)[1]))))),
    "NanoDet-plus": lambda: Layout("nanodet", {"output": nanodet(COCO)}),
    "NanoDet per stride": nanodet_by_stride,
    "YOLOv8 per stride": lambda: yolov8_by_stride(two=False),
    "YOLOv8 per stride, two maps": lambda: yolov8_by_stride(two=True),
    "YOLOX per stride": lambda: yolox_by_stride(three=False),
    "YOLOX per stride, three maps": lambda: yolox_by_stride(three=True),
    "torchvision": lambda: torchvision(("boxes", "labels", "scores"), 1),
    "torchvision, numbered": lambda: torchvision(("6379", "6381", "6383"), 1),
    "torchvision Mask R-CNN": mask_rcnn,
    "Detectron2": lambda: torchvision(("pred_boxes", "pred_classes", "scores"), 0),
    "UltraFace": ultraface,
    "YOLOv4": yolov4,
    "candidates as centres": centres,
    "FastestDet": lambda: Layout("fastestdet", {"output": fastestdet(OWN)}, {"names": "person\ntram\ncar"}),
}  # fmt: skip


def write(path: Path, layout: Layout) -> Path:
    """The ONNX file of a layout."""
    model = graph_of(layout)
    for key, text in layout.metadata.items():
        model.metadata_props.add(key=key, value=text)
    onnx.save(model, path)
    return path


def graph_of(layout: Layout) -> onnx.ModelProto:
    g = Graph()
    mean = g("ReduceMean", "images", keepdims=0)
    nothing = g("Mul", mean, g.constant(0.0))
    shown = (
        g("Greater", g("Add", nothing, g.constant(SCORES)), g("Sub", g.constant(0.9), mean)) if layout.dynamic else ""
    )
    ports = []
    for name, array in layout.outputs.items():
        ports.append(add_output(g, name, array, nothing, shown, layout))
    inputs = [value("images", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])]
    inputs += [value(name, kind, shape) for name, (shape, kind) in layout.inputs.items()]
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(
        helper.make_graph(g.nodes, "public", inputs, ports, g.constants), opset_imports=opset, ir_version=8
    )


def add_output(g: Graph, name: str, array: np.ndarray, nothing: str, shown: str, layout: Layout) -> onnx.ValueInfoProto:
    """One output; `shown`: condition of each row."""
    whole = array.dtype.kind == "i"
    kind = {np.dtype(np.int32): TensorProto.INT32, np.dtype(np.int64): TensorProto.INT64}.get(array.dtype)
    kind = kind if whole and kind is not None else TensorProto.FLOAT
    parts = [g("Add", g.constant(array.astype(np.float32)), nothing)]
    shape: list[int | str] = list(array.shape)
    if name == "boxes" and layout.scaled_by:
        size = g.cast(layout.scaled_by, TensorProto.FLOAT)
        parts = [g("Mul", parts[-1], g("Concat", size, size, axis=1))]
    if shown:
        axis = array.shape.index(len(SCORES))
        parts = [g("Compress", parts[-1], shown, axis=axis)]
        shape[axis] = "num_dets"
    g.cast(parts[-1], kind, out=name)
    return value(name, kind, shape)


def with_plugin(path: Path) -> Path:
    """YOLOv7's export for TensorRT: candidates with centre and size go into the plugin EfficientNMS_TRT."""
    boxes, scores = candidates(COCO)
    boxes[0, :, :2], boxes[0, :, 2:] = (boxes[0, :, :2] + boxes[0, :, 2:]) / 2, boxes[0, :, 2:] - boxes[0, :, :2]
    model = graph_of(Layout("", {"boxes_in": boxes, "scores_in": scores}))
    names = ["num_dets", "det_boxes", "det_scores", "det_classes"]
    settings = {"box_coding": [1], "background_class": [-1], "iou_threshold": 0.5, "score_threshold": 0.25}
    more = {"max_output_boxes": 100, "plugin_version": "1", "score_activation": 0}
    plugin = helper.make_node("EfficientNMS_TRT", ["boxes_in", "scores_in"], names, domain="TRT", **settings, **more)
    model.graph.node.append(plugin)
    del model.graph.output[:]
    kinds = (TensorProto.INT32, TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT32)
    shapes: tuple[list[int | str], ...] = ([1, 1], [1, 100, 4], [1, 100], [1, 100])
    model.graph.output.extend(value(name, kind, shape) for name, kind, shape in zip(names, kinds, shapes))
    model.opset_import.append(helper.make_opsetid("TRT", 1))
    onnx.save(model, path)
    return path
