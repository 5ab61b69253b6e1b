"""Rows about what is taken for something else, people for two-wheelers and what is beyond the last line for a lane, and
about heads that anonymize leaves uncovered.

Real pictures have boxes of people, not of heads: the head is taken to be the upper eighth of the box, half as wide as
it, in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from camera_perception.core.boxes import iou_matrix
from camera_perception.image.files import size_of_file
from camera_perception.tools.privacy.regions import Region, Settings, region_of
from perception_models.evaluation.real import teachers
from perception_models.evaluation.real.metrics import MATCH, REPORTED
from perception_models.evaluation.real.output import Output
from perception_models.evaluation.real.rows import LEAST_OBJECTS, MODEL, Outputs, Row, counted, of_set, truth
from perception_models.evaluation.real.sets import RealSet

BESIDE = 0.02  # of the image width: a line this far right of the last one is another line
OTHER_LANE = 0.005  # of the picture: a smaller area is no lane
MIN_HEIGHT = 48.0  # pixels of a person; below, nobody can be recognised
HEAD_HEIGHT, HEAD_WIDTH = 1 / 8, 1 / 2  # of a person's box
MIN_COVERED = 0.9  # of the pixels of a head
HELD_OUT = "7"  # last character of the names of COCO pictures that no model is trained on
LEAST = 0.2  # score from which anonymize covers
CLASSES = {"person": "person", "vehicle": "car", "cycle": "motorcycle"}  # kind: class whose region is covered


def mistake_rows(sets: Sequence[RealSet], outputs: Outputs) -> list[Row]:
    makers = (confused_rows, beyond_rows)
    rows = [row for make in makers for each in sets for row in make(each, of_set(outputs, each))]
    return rows + head_rows(sets, outputs)


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
    beyond = cv2.fillPoly(np.zeros(other.shape, other.dtype), [np.rint(corners * scale).astype(np.int32)], 1)
    beyond = np.logical_and(np.roll(beyond, max(round(BESIDE * other.shape[1]), 1), axis=1), beyond)
    return float(np.logical_and(other, beyond).mean())


def is_beyond(points: np.ndarray, last: np.ndarray, width: int) -> bool:
    """Whether a line is right of another one wherever both are; both (P, 2) pixels."""
    order = np.argsort(last[:, 1])
    rows, columns = last[order, 1], last[order, 0]
    both = (points[:, 1] >= rows[0]) & (points[:, 1] <= rows[-1])
    gap = points[both, 0] - np.interp(points[both, 1], rows, columns)
    return bool(both.any() and np.median(gap) > BESIDE * width)


# Heads


def head_rows(sets: Sequence[RealSet], outputs: Outputs) -> list[Row]:
    """Fraction of the heads that anonymize covers with each network, every picture alone and without tiles."""
    rows = [_head_row(each, of_set(outputs, each)) for each in sets if each.name != "COCO people"]
    rows += [_coco_row(each, of_set(outputs, each)) for each in sets if each.name == "COCO people"]
    return [row for row in rows if row is not None]


def _coco_row(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Row | None:
    kept = [number for number, picture in enumerate(each.pictures) if picture.name.endswith(HELD_OUT)]
    row = _head_row(held_out(each), {name: [rows[number] for number in kept] for name, rows in found.items()})
    return None if row is None else replace(row, set=f"{each.name}, held out")


def _head_row(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Row | None:
    columns = [name for name in found if name != teachers.ROAD and not (each.components and name == teachers.TILES)]
    hits: dict[str, list[bool]] = {name: [] for name in columns}
    for number, picture in enumerate(each.pictures):
        heads = list(heads_of(truth(each, number, found)[0].get("person", np.zeros((0, 4)))))
        for name in columns if heads else ():
            regions = output_regions(found[name][number], size_of_file(picture.path))
            hits[name] += [covered_fraction(head, regions) >= MIN_COVERED for head in heads]
    total = max(map(len, hits.values()), default=0)
    if total < LEAST_OBJECTS:
        return None
    values = {name: float(np.mean(each)) for name, each in hits.items()}
    return Row("heads that anonymize covers", each.name, counted(total, "head"), values)


def output_regions(output: Output, size: tuple[int, int]) -> list[Region]:
    """What is covered in a picture of size (height, width) with these findings."""
    named = [(box, name) for kind, name in CLASSES.items() for box, score in zip(*output.of(kind)) if score >= LEAST]
    regions = [region_of(box, name, size, Settings()) for box, name in named]
    return [region for region in regions if region is not None]


def held_out(each: RealSet) -> RealSet:
    """The set; of COCO only the pictures that are for validation."""
    if each.name != "COCO people":
        return each
    return replace(each, pictures=tuple(p for p in each.pictures if p.name.endswith(HELD_OUT)))


def heads_of(people: np.ndarray) -> Iterator[np.ndarray]:
    """(4,) box of the head of each person that is high enough; people (N, 4) x0 y0 x1 y1."""
    for x0, y0, x1, y1 in people.astype(float):
        if y1 - y0 >= MIN_HEIGHT:
            side = (1 - HEAD_WIDTH) / 2 * (x1 - x0)
            yield np.array((x0 + side, y0, x1 - side, y0 + HEAD_HEIGHT * (y1 - y0)))


def covered_fraction(box: np.ndarray, regions: Sequence[Region]) -> float:
    """Fraction of the pixels of a box that any region covers."""
    x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
    mask = np.zeros((max(y1 - y0, 1), max(x1 - x0, 1)), bool)
    for region in regions:
        mask[max(region.y0 - y0, 0) : max(region.y1 - y0, 0), max(region.x0 - x0, 0) : max(region.x1 - x0, 0)] = True
    return float(mask.mean())
