"""Recognise detectors whose boxes are not final: by the number of grid cells, and by Ultralytics' metadata.

Each function looks at a network, adds its head to the guess and returns true, or returns false.
"""

from __future__ import annotations

from math import prod

from camera_perception.engines import Tensor
from camera_perception.tools.models.class_names import COCO, COCO_GAPS, named
from camera_perception.tools.models.network import IMAGENET, Guess, Network

NANODET_BINS = 4 * 8
MOST_QUERIES = 1000  # of DETRs; grids have more cells
NANODET_INPUT = {"color": "bgr", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395]}
FULL = (8, 16, 32)


def ultralytics(net: Network, found: Guess) -> bool:
    """(4 + C + E, cells) or (cells, 4 + C + E)."""
    protos = _protos(net)
    extra = _extra(net, protos)
    for output in _three(net):
        _, rows, columns = output.shape
        crossed = columns in net.pyramids and (columns == net.cells(FULL) or not _is_grid(net, rows))
        if crossed and rows > 4 + extra:
            layout = f"[4 + {rows - 4 - extra}{f' + {extra}' * (extra > 0)}, {columns}]"
            return _add_ultralytics(net, found, output, rows - 4 - extra, extra, protos, layout)
        if _is_grid(net, rows) and net.names and columns == 4 + len(net.names) + extra:
            layout = f"[{rows}, 4 + {len(net.names)}{f' + {extra}' * (extra > 0)}]"
            return _add_ultralytics(net, found, output, len(net.names), extra, protos, layout)
    return False


def end_to_end(net: Network, found: Guess) -> bool:
    """Ultralytics' rows (N, 6 + E)."""
    protos = _protos(net)
    extra = _extra(net, protos)
    for output in _three(net):
        _, rows, columns = output.shape
        if columns == 6 + extra and rows <= MOST_QUERIES and not _is_query_layout(net, columns):
            return _add_ultralytics(net, found, output, None, extra, protos, f"[{rows}, {columns}] end-to-end rows")
    return False


def _three(net: Network) -> list[Tensor]:
    return [output for output in net.of_rank(3) if output.dtype.kind == "f"]


def _is_grid(net: Network, rows: int) -> bool:
    return rows in net.pyramids and rows > 16


def _is_query_layout(net: Network, columns: int) -> bool:
    """RT-DETR of two or three classes has as many columns as end-to-end rows; only the metadata tells them apart."""
    return "detr" in net.metadata.get("description", "").lower() and columns == 4 + len(net.names)


def _protos(net: Network) -> Tensor | None:
    """Ultralytics' mask prototypes: of a quarter of the input's size."""
    quarter = net.size[0] // 4, net.size[1] // 4
    found = [o for o in net.of_rank(4) if o.shape[2:] == quarter and (net.task == "segment" or o.shape[1] == 32)]
    return found[0] if found and net.task in ("", "segment") else None


def _extra(net: Network, protos: Tensor | None) -> int:
    """Columns after the scores."""
    if protos is not None:
        return protos.shape[1]
    return {"pose": net.keypoint_columns or 51, "obb": 1}.get(net.task, 0)


LEFT_OUT = {
    "pose": "keypoints are not read: objects are boxes",
    "obb": "boxes are turned: an object is the upright box around it, its angle is left out",
    "segment": "masks become the semantic map; remove 'protos' from tensors to leave them out",
}


def _add_ultralytics(
    net: Network, found: Guess, output: Tensor, count: int | None, extra: int, protos: Tensor | None, layout: str
) -> bool:
    task = "segment" if protos is not None else net.task if net.task in LEFT_OUT else "detect"
    classes = named(net.metadata, count, found.notes)
    options = {"task": task, "extra": extra} if extra else {}
    tensors = {"output": output.name, **({"protos": protos.name} if protos is not None else {})}
    found.add("objects", "ultralytics", tensors, classes, options=options)
    found.notes.append(f"'{output.name}' {layout}: Ultralytics layout (YOLOv8, YOLO11, YOLO26), task {task}")
    if task in LEFT_OUT:
        found.notes.append(f"task {task}: {LEFT_OUT[task]}")
    return True


def nanodet(net: Network, found: Guess) -> bool:
    """(cells, C + 4 * 8); the cells of four strides, as YOLOX has them, too, if it has P6."""
    for output in _three(net):
        _, rows, columns = output.shape
        classes = columns - NANODET_BINS
        strides = net.pyramids.get(rows, ())
        known = len(net.names) or len(COCO)
        if 64 not in strides or classes < 1 or known in (columns - 5, columns - 4):
            continue
        if classes != known and not {"names"} & net.metadata.keys() and "nano" not in output.name.lower():
            continue
        names = named(net.metadata, classes, found.notes)
        found.add("objects", "nanodet", {"output": output.name}, names, **_strides(strides, (8, 16, 32, 64)))
        found.input = dict(NANODET_INPUT)
        found.notes.append(f"'{output.name}' [{rows}, {classes} + 4 * 8]: NanoDet-plus; assumed BGR with its mean")
        return True
    return False


def _strides(strides: tuple[int, ...], default: tuple[int, ...]) -> dict[str, dict[str, list[int]]]:
    return {} if strides == default else {"options": {"strides": list(strides)}}


def yolox(net: Network, found: Guess) -> bool:
    """(cells, 5 + C)."""
    for output in _three(net):
        _, rows, columns = output.shape
        if not _is_grid(net, rows) or columns < 6:
            continue
        strides = net.pyramids[rows]
        classes = named(net.metadata, columns - 5, found.notes)
        found.add("objects", "yolox", {"output": output.name}, classes, **_strides(strides, FULL))
        found.input = {"color": "bgr", "align": "top_left"}
        found.notes.append(f"'{output.name}' [{rows}, 5 + {columns - 5}]: YOLOX layout, strides {list(strides)}")
        found.notes.append(
            "YOLOX: assumed BGR 0..255, aligned to the top left corner; set options.decoded if exported with "
            "--decode_in_inference"
        )
        return True
    return False


def anchors(net: Network, found: Guess) -> bool:
    """(3 * cells, 5 + C)."""
    has_masks = any(output.shape[1] <= 2 for output in net.of_rank(4))
    for output in _three(net):
        _, rows, columns = output.shape
        if rows % 3 or not _is_grid(net, rows // 3) or columns < 6:
            continue
        if columns == 6 and rows <= MOST_QUERIES and not has_masks:
            continue  # end-to-end rows
        classes = ["car"] if columns == 6 and has_masks else named(net.metadata, columns - 5, found.notes)
        found.add("objects", "yolop_boxes", {"output": output.name}, classes)
        text = f"'{output.name}' [3 x {rows // 3}, 5 + {columns - 5}]: decoded anchor boxes (YOLOP, YOLOv5, YOLOv7)"
        found.notes.append(text)
        if has_masks:
            found.input = dict(IMAGENET)
            found.notes.append(
                "boxes and masks together, as in YOLOP: assumed RGB with ImageNet mean and standard deviation"
            )
        return True
    return False


def queries(net: Network, found: Guess) -> bool:
    """One output (N, 4 + C) of at most MOST_QUERIES rows."""
    for output in _three(net):
        _, rows, columns = output.shape
        known = columns - 4 in (len(net.names), len(COCO), len(COCO) + len(COCO_GAPS)) or rows % 50 == 0
        if rows > MOST_QUERIES or columns < 5 or rows < 10 or columns > MOST_QUERIES or not known:
            continue
        classes = named(net.metadata, columns - 4, found.notes)
        logits = net.within(output, -1e-3, 1.001) is False
        options = {"activation": "sigmoid"} if logits else {}
        found.add("objects", "detr", {"output": output.name}, classes, options=options)
        found.notes.append(f"'{output.name}' [{rows}, 4 + {columns - 4}]: queries (RT-DETR), boxes as fractions")
        return True
    return False


def fastestdet(net: Network, found: Guess) -> bool:
    """(5 + C, h, w), the class scores of a cell sum to 1."""
    for output in net.of_rank(4):
        _, planes, height, width = output.shape
        if output.dtype.kind != "f" or planes < 6 or (height, width) != (net.size[0] // 16, net.size[1] // 16):
            continue
        values = net.values.get(output.name)
        sums = values is not None and abs(values[:, 5:].sum(axis=1, dtype=float) - 1).max() < 1e-2
        if not sums and planes - 5 != (len(net.names) or len(COCO)):
            continue
        classes = named(net.metadata, planes - 5, found.notes)
        found.add("objects", "fastestdet", {"output": output.name}, classes)
        found.input = {"color": "bgr", "scale": 1 / 255}
        found.notes.append(f"'{output.name}' [5 + {planes - 5}, {height}, {width}]: FastestDet; assumed BGR 0..1")
        return True
    return False


def pairs(net: Network, found: Guess) -> bool:
    """Two outputs: boxes (N, 4) or (N, 1, 4), and scores (N, C) or (C, N)."""
    single = [o for o in net.of_rank(4) if o.shape[2:] == (1, 4) and o.dtype.kind == "f"]
    candidates = [o for o in (*_three(net), *single) if o.shape[-1] == 4 and o.shape[1] > 4]
    for boxes in sorted(candidates, key=_is_named_scores):  # of four classes they have as many columns
        rows = boxes.shape[1]
        scores = next((o for o in _three(net) if o.name != boxes.name and rows in o.shape[1:]), None)
        if scores is None:
            continue
        count = prod(scores.shape[1:]) // rows
        if rows > MOST_QUERIES or _is_grid(net, rows) or boxes in single:
            return _add_candidates(net, found, boxes, scores, count)
        if scores.shape[1] == rows:
            return _add_queries(net, found, boxes, scores, count)
    return False


def _is_named_scores(output: Tensor) -> bool:
    return any(word in output.name.lower() for word in ("score", "conf", "cls", "class", "prob", "logit", "label"))


def _add_candidates(net: Network, found: Guess, boxes: Tensor, scores: Tensor, count: int) -> bool:
    options: dict[str, object] = {}
    if net.metadata.get("nms.box_coding") == "1" or net.are_boxes(boxes, "corners") is False:
        options["boxes"] = "center"
    if net.metadata.get("nms.score_activation") == "1" or net.within(scores, -1e-3, 1.001) is False:
        options["activation"] = "sigmoid"
    if net.within(boxes, -1, 2) and net.values[boxes.name].any():
        options["normalized"] = True
    if background := _background(net, scores, count):
        options["background"] = background
        found.notes.append(f"the scores of a row sum to 1: the {background} of them is for no object")
    iou = net.metadata.get("nms.iou_threshold")
    classes = named(net.metadata, count - bool(background), found.notes)
    tensors = {"boxes": boxes.name, "scores": scores.name}
    more = {"nms_iou": round(float(iou), 4) if iou else None, "options": options}
    found.add("objects", "boxes_scores", tensors, classes, **more)
    found.notes.append(
        f"'{boxes.name}' and '{scores.name}': boxes and scores of {boxes.shape[1]} candidates; assumed boxes are "
        f"{options.get('boxes', 'corners')}{', fractions of the input' * ('normalized' in options)}"
    )
    return True


def _background(net: Network, scores: Tensor, count: int) -> str:
    """Which of the scores (N, C) of a black image, after softmax, is for no object: "first", "last" or ""."""
    values = net.values.get(scores.name)
    if values is None or count < 2 or scores.shape[2] != count or abs(values.sum(axis=2, dtype=float) - 1).max() > 0.01:
        return ""
    return {0: "first", count - 1: "last"}.get(int(values.mean(axis=(0, 1)).argmax()), "")


def _add_queries(net: Network, found: Guess, boxes: Tensor, scores: Tensor, count: int) -> bool:
    softmax = count - 1 == len(net.names) or (not net.names and count - 1 == len(COCO) + len(COCO_GAPS))
    logits = net.within(scores, -1e-3, 1.001) is not True
    options: dict[str, object] = {"activation": "softmax" if softmax else "sigmoid"} if logits else {}
    if net.within(boxes, -1, 2) is False:
        options["normalized"] = False
    classes = named(net.metadata, count - softmax, found.notes)
    found.add("objects", "detr", {"boxes": boxes.name, "scores": scores.name}, classes, options=options)
    text = f"'{boxes.name}' and '{scores.name}': {boxes.shape[1]} queries (DETR, RT-DETR, D-FINE, RF-DETR)"
    found.notes.append(f"{text}, activation {options.get('activation', 'none')}")
    if {"dets", "labels"} == {boxes.name, scores.name}:
        found.input = dict(IMAGENET)
        found.notes.append("named as in RF-DETR: assumed RGB with ImageNet mean and standard deviation")
    return True
