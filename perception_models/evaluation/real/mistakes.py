"""Rows about what is taken for something else: people for two-wheelers, and what is beyond the last line for a lane."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from camera_perception.core.boxes import iou_matrix
from camera_perception.image.files import size_of_file
from perception_models.evaluation.real.metrics import MATCH, REPORTED
from perception_models.evaluation.real.output import Output
from perception_models.evaluation.real.rows import LEAST_OBJECTS, MODEL, Outputs, Row, counted, of_set, truth
from perception_models.evaluation.real.sets import RealSet

BESIDE = 0.02  # of the image width: a line this far right of the last one is another line
OTHER_LANE = 0.005  # of the picture: a smaller area is no lane


def mistake_rows(sets: Sequence[RealSet], outputs: Outputs) -> list[Row]:
    makers = (confused_rows, beyond_rows)
    return [row for make in makers for each in sets for row in make(each, of_set(outputs, each))]


def confused_rows(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Iterator[Row]:
    """People called riders or two-wheelers, and two-wheelers, with their riders or without, called pedestrians."""
    wrong, total = 0, 0
    for number, (picture, output) in enumerate(zip(each.pictures, found[MODEL])):
        people = truth(each, number, found)[0].get("person")
        boxes, walking = _vulnerable(output)
        for targets, is_walking in ((people, True), (picture.cycles, False)):
            best = best_overlaps(boxes, targets)
            total += len(best)
            wrong += int((walking[best] != is_walking).sum())
    if total >= LEAST_OBJECTS:
        rows = {MODEL: wrong / total}
        yield Row("people and two-wheelers taken for each other", each.name, counted(total, "object"), rows)


def _vulnerable(output: Output) -> tuple[np.ndarray, np.ndarray]:
    """Reported boxes of people and two-wheelers, and which of them are called pedestrians."""
    people, scores = output.relative("person")
    riders = (output.riders if len(output.riders) else np.zeros(len(output.kinds), bool))[output.kinds == 0]
    cycles, cycle_scores = output.relative("cycle")
    walking = np.concatenate([~riders, np.zeros(len(cycles), bool)])
    reported = np.concatenate([scores, cycle_scores]) >= REPORTED
    order = np.argsort(-np.concatenate([scores, cycle_scores])[reported], kind="stable")
    return np.concatenate([people, cycles])[reported][order], walking[reported][order]


def best_overlaps(boxes: np.ndarray, targets: np.ndarray | None) -> np.ndarray:
    """Row of the box with the largest overlap of each target that has one of MATCH."""
    if targets is None or not len(targets) or not len(boxes):
        return np.zeros(0, int)
    overlap = iou_matrix(targets, boxes)
    return np.asarray(overlap.argmax(1)[overlap.max(1) >= MATCH])


def beyond_rows(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Iterator[Row]:
    """Pictures with a lane, or with a painted line, right of the line that ends the road there."""
    pairs = [(p, o) for p, o in zip(each.pictures, found[MODEL]) if p.last_line is not None]
    if not pairs:
        return
    lanes, lines = [], []
    for picture, output in pairs:
        size, last = size_of_file(picture.path), picture.last_line
        assert last is not None
        lanes.append(output.other_lane.size and other_lane_beyond(output.other_lane, last, size) > OTHER_LANE)
        painted = [points for points, paint in zip(output.lines or (), output.painted) if paint]
        lines.append(any(is_beyond(points, last, size[1]) for points in painted))
    count = counted(len(pairs), "picture")
    yield Row("lane reported beyond the last line", each.name, count, {MODEL: float(np.mean(lanes))})
    yield Row("marking reported beyond the last line", each.name, count, {MODEL: float(np.mean(lines))})


def other_lane_beyond(other: np.ndarray, last: np.ndarray, size: tuple[int, int]) -> float:
    """Fraction of the picture that is called another lane right of a line.

    other  (h, w) uint8 1 other lane, covering a picture of size (height, width)
    last   (P, 2) pixels of the line
    """
    corners = np.concatenate([last, [[size[1], last[-1, 1]], [size[1], last[0, 1]]]])
    scale = np.array(other.shape[::-1]) / size[::-1]
    beyond = cv2.fillPoly(np.zeros_like(other), [np.rint(corners * scale).astype(np.int32)], 1)
    beyond = np.logical_and(np.roll(beyond, max(round(BESIDE * other.shape[1]), 1), axis=1), beyond)
    return float(np.logical_and(other, beyond).mean())


def is_beyond(points: np.ndarray, last: np.ndarray, width: int) -> bool:
    """Whether a line is right of another one wherever both are; both (P, 2) pixels."""
    order = np.argsort(last[:, 1])
    rows, columns = last[order, 1], last[order, 0]
    both = (points[:, 1] >= rows[0]) & (points[:, 1] <= rows[-1])
    gap = points[both, 0] - np.interp(points[both, 1], rows, columns)
    return bool(both.any() and np.median(gap) > BESIDE * width)
