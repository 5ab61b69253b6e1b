"""The last step of every object decoder: convert candidates in network pixels to Detections in source pixels."""

from __future__ import annotations

import numpy as np

from camera_perception.core.boxes import decayed_scores, nms
from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Detections
from camera_perception.decode.heads import Shapes, expect, expect_shape
from camera_perception.decode.scores import check_scores, lowest_network_score, minimum_scores, object_groups, reported
from camera_perception.image.letterbox import Letterbox

DEFAULT_IOU = 0.45  # for models that need suppression when model.json has no nms_iou


def corners(cxcywh: np.ndarray) -> np.ndarray:
    """(N, 4) centre and size -> (N, 4) x0 y0 x1 y1."""
    half = cxcywh[:, 2:] / 2
    return np.concatenate((cxcywh[:, :2] - half, cxcywh[:, :2] + half), axis=1)


def detections_from(
    boxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    head: HeadSpec,
    letterbox: Letterbox,
    max_iou: float | None,
    light_states: np.ndarray | None = None,
) -> Detections:
    """Remove invalid rows, suppress duplicates (unless max_iou is None), and map to source pixels.

    boxes (N, 4) x0 y0 x1 y1 network pixels. Rows are invalid with non-finite numbers, an unknown class, or a box
    outside the image.
    """
    if light_states is None:
        light_states = np.zeros((len(boxes), 0), np.float32)
    if not len(boxes):
        return Detections.empty(light_states.shape[1])
    in_image = letterbox.image_from_input_boxes(boxes)
    rows = valid_rows(boxes, scores, classes, in_image, head, max_iou)
    states = light_states[rows].astype(np.float32, copy=False)
    return Detections(
        in_image[rows],
        scores[rows].clip(0, 1).astype(np.float32, copy=False),
        classes[rows].astype(np.int32, copy=False),
        np.where(np.isfinite(states), states, np.float32(0)),
    )


def valid_rows(
    boxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    in_image: np.ndarray,
    head: HeadSpec,
    max_iou: float | None,
) -> np.ndarray:
    """Rows to report: see detections_from. in_image (N, 4) are the boxes in source pixels, clipped to the image."""
    visible = (in_image[:, 2:] > in_image[:, :2]).all(axis=1)
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    rows = (visible & finite & (classes >= 0) & (classes < len(head.classes))).nonzero()[0]
    if max_iou is not None:
        rows = rows[nms(boxes[rows], scores[rows], object_groups(head)[classes[rows]], max_iou)]
    return np.asarray(rows)


def with_decayed_scores(found: Detections, head: HeadSpec, threshold: float) -> Detections:
    """The detections, best first, that are still reported once the head's option `overlap_decay` has lowered scores."""
    least_iou = head.options.get("overlap_decay")
    if least_iou is None or len(found.boxes) < 2:
        return found
    scores = decayed_scores(found.boxes, found.scores, object_groups(head).take(found.classes), least_iou)
    order = (-scores).argsort(kind="stable")
    order = order[scores.take(order) >= minimum_scores(head, threshold).take(found.classes.take(order))]
    kept = found[order]
    return Detections(kept.boxes, scores.take(order), kept.classes, kept.light_states)


def final_detections(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, head: HeadSpec, letterbox: Letterbox, threshold: float
) -> Detections:
    """Convert rows of networks that suppress duplicates themselves; nms_iou suppresses again where it is given.

    boxes (N, 4) x0 y0 x1 y1 network pixels, scores (N,), classes (N,) of any number type.
    """
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(classes) & (np.abs(classes) < len(head.classes))
        numbers = np.where(finite, classes, -1).round().astype(np.intp)
    kept, published = reported(scores.astype(np.float32), numbers, head, threshold)
    return detections_from(boxes[kept].astype(np.float32), published, numbers[kept], head, letterbox, head.nms_iou)


def detections_from_class_scores(
    cxcywh: np.ndarray, class_scores: np.ndarray, head: HeadSpec, letterbox: Letterbox, threshold: float, max_iou: float
) -> Detections:
    """Convert candidates with one score per class: (N, 4) centre and size in network pixels, (N, C) scores."""
    rows, scores, classes = best_classes(class_scores, head, threshold)
    return detections_from(corners(cxcywh[rows]), scores, classes, head, letterbox, max_iou)


def best_classes(
    class_scores: np.ndarray, head: HeadSpec, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of candidates (N, C) whose best class is reported, its score, and its index."""
    best = class_scores.max(axis=1, initial=-np.inf)
    rows = (best >= lowest_network_score(head, threshold)).nonzero()[0]  # false for nan scores
    classes = class_scores[rows].argmax(axis=1) if len(rows) else np.zeros(0, np.intp)
    kept, scores = reported(best[rows], classes, head, threshold)
    return rows[kept], scores, classes[kept]


def scaled_to_pixels(boxes: np.ndarray, input_size: tuple[int, int]) -> np.ndarray:
    """(N, 4) boxes as fractions of the network's input (H, W) -> network pixels."""
    height, width = input_size
    return np.asarray(boxes, np.float32) * np.array((width, height, width, height), np.float32)


def check_classes(head: HeadSpec) -> None:
    """ModelError unless the head names its classes, and its score options fit them."""
    expect(bool(head.classes), head, "'classes' is empty: name the classes in model.json")
    check_scores(head)


def check_rows(head: HeadSpec, shapes: Shapes) -> None:
    """ModelError unless the role "output" is (N, 5 + C)."""
    check_classes(head)
    expect_shape(head, shapes, "output", "N", 5 + len(head.classes))


def detections_from_rows(rows: np.ndarray, head: HeadSpec, letterbox: Letterbox, threshold: float) -> Detections:
    """Convert rows of YOLOX and YOLOP: (N, 5 + C) centre x, y, width, height, objectness, class scores; network pixels.

    The score of a class is objectness times class score.
    """
    rows = rows[rows[:, 4] >= lowest_network_score(head, threshold)]  # class scores are at most 1
    max_iou = DEFAULT_IOU if head.nms_iou is None else head.nms_iou
    return detections_from_class_scores(rows[:, :4], rows[:, 4:5] * rows[:, 5:], head, letterbox, threshold, max_iou)
