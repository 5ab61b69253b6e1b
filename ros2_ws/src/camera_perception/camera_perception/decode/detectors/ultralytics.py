"""Networks in the layout of Ultralytics exports (YOLOv8, YOLO11, YOLO26 and similar), with final scores 0..1.

roles    output, one of: (4 + C + E, N) or (N, 4 + C + E), centre x y, width, height, one score per class, E extras;
         (N, 6 + E) end-to-end, x0 y0 x1 y1, score, class, E extras. All in network pixels, C the number of classes.
         protos (E, h, w), optional, of task segment: the E extras of an object weigh these masks
options  task: detect, segment, pose or obb; default: detect
         extra: E, the columns after the scores; default: 0. Of segment the weights of the masks, of pose the
         keypoints, of obb the angle (radians); keypoints are not read, a rotated box becomes the upright one around it
         calibration, thresholds: scores.py
nms_iou  null: 0.45 for the first two, no suppression for end-to-end rows

With protos the masks are a semantic map, too: ids 1 to C for `classes`, 0 is background.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Detections, Task
from camera_perception.decode import Part
from camera_perception.decode.detections import (
    DEFAULT_IOU,
    best_classes,
    check_classes,
    corners,
    detections_from,
    valid_rows,
)
from camera_perception.decode.detectors.masks import semantic_map
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.decode.scores import reported
from camera_perception.image.letterbox import Letterbox

TASKS = ("detect", "segment", "pose", "obb")
END_TO_END = 6  # columns of end-to-end rows without extras
Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # boxes x0 y0 x1 y1, scores, classes, extras


def check(head: HeadSpec, shapes: Shapes) -> None:
    expect_shape(head, shapes, "output", "4 + C or N", "N or 4 + C")
    check_classes(head)
    task, extra = head.options.get("task", "detect"), head.options.get("extra", 0)
    expect(task in TASKS, head, f"option 'task' is '{task}': expected one of {', '.join(TASKS)}")
    expect(isinstance(extra, int) and extra >= 0, head, f"option 'extra' is {extra}: expected a number of columns")
    expect(task != "obb" or extra == 1, head, f"option 'extra' is {extra}: expected 1, the angle of task obb")
    shape, columns = tuple(shapes["output"][1:]), 4 + len(head.classes) + extra
    fits = columns in shape or shape[1] == END_TO_END + extra
    problem = f"{len(head.classes)} classes need an axis of {columns} (or rows of {END_TO_END + extra})"
    expect(fits, head, f"{problem}, the output is {shape}")
    if "protos" in head.tensors:
        expect_shape(head, shapes, "protos", extra, "h", "w")


def decode(arrays: Mapping[str, np.ndarray], head: HeadSpec, letterbox: Letterbox, threshold: float) -> Part:
    output = arrays["output"]
    extra = head.options.get("extra", 0)
    columns = 4 + len(head.classes) + extra
    max_iou = DEFAULT_IOU if head.nms_iou is None else head.nms_iou
    if output.shape[0] == columns:
        rows = _raw(output.T, head, threshold)
    elif output.shape[1] == columns and columns != END_TO_END + extra:
        rows = _raw(output, head, threshold)
    else:
        rows, max_iou = _end_to_end(output, head, threshold), head.nms_iou  # type: ignore[assignment]
    if "protos" in arrays:
        return _with_masks(rows, arrays["protos"], head, letterbox, max_iou)
    return Part(Task.OBJECTS, detections=detections_from(*rows[:3], head, letterbox, max_iou))


def _raw(output: np.ndarray, head: HeadSpec, threshold: float) -> Rows:
    after_scores = 4 + len(head.classes)
    rows, scores, classes = best_classes(output[:, 4:after_scores], head, threshold)
    extras = output[rows, after_scores:]
    return corners(_upright(output[rows, :4], extras, head)), scores, classes, extras


def _end_to_end(output: np.ndarray, head: HeadSpec, threshold: float) -> Rows:
    output = output[np.isfinite(output[:, 5])]
    classes = output[:, 5].clip(-1, len(head.classes)).round().astype(np.intp)
    kept, scores = reported(output[:, 4], classes, head, threshold)
    boxes, extras = output[kept, :4], output[kept, END_TO_END:]
    if head.options.get("task") == "obb":  # the only task whose end-to-end rows keep centre and size
        boxes = corners(_upright(boxes, extras, head))
    return boxes, scores, classes[kept], extras


def _upright(cxcywh: np.ndarray, extras: np.ndarray, head: HeadSpec) -> np.ndarray:
    """(N, 4) centre and size of the upright boxes around boxes that are turned by an angle."""
    if head.options.get("task") != "obb":
        return cxcywh
    with np.errstate(invalid="ignore"):
        cosine, sine = np.abs(np.cos(extras[:, :1])), np.abs(np.sin(extras[:, :1]))
    width, height = cxcywh[:, 2:3], cxcywh[:, 3:4]
    return np.hstack((cxcywh[:, :2], width * cosine + height * sine, width * sine + height * cosine))


def _with_masks(
    candidates: Rows, protos: np.ndarray, head: HeadSpec, letterbox: Letterbox, max_iou: float | None
) -> Part:
    boxes, scores, classes, weights = candidates
    in_image = letterbox.image_from_input_boxes(boxes)
    rows = valid_rows(boxes, scores, classes, in_image, head, max_iou)
    shown = scores[rows].clip(0, 1).astype(np.float32)
    detections = Detections(in_image[rows], shown, classes[rows].astype(np.int32), np.zeros((len(rows), 0), np.float32))
    semantic = semantic_map(boxes[rows], scores[rows], classes[rows], weights[rows], protos, head, letterbox)
    return Part(Task.OBJECTS | Task.SEMANTIC, detections=detections, semantic=semantic)
