"""The table: one row per measure and set, one column per network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.boxes import nms
from camera_perception.image.files import read_file, size_of_file
from camera_perception.lanes.ignored_region import IgnoredRegion
from camera_perception.lanes.learned_region import LearnedRegion
from perception_models.data.files import read_image
from perception_models.data.labels import IGNORE, SEMANTIC
from perception_models.evaluation.metrics.scores import iou_of
from perception_models.evaluation.real import metrics, teachers
from perception_models.evaluation.real.metrics import REPORTED, Judged
from perception_models.evaluation.real.output import TEACHER_SCORE, Output
from perception_models.evaluation.real.sets import Boxes, Picture, RealSet, no_lights

MODEL = "model"
SIZES = (40, 90, 0)  # pixels: minimum heights
CONFIRMING = 0.35  # score from which a detector confirms a component of CamVid
LEAST_OBJECTS = 5  # fewer make no row
LIGHT_HEIGHT, LIGHT_MATCH, SIGN_MATCH = 30, 0.3, 0.4
WET = ("rainy", "snowy")

Outputs = Mapping[str, Mapping[str, Sequence[Output]]]  # column: set: one per picture


@dataclass(frozen=True)
class Row:
    """One line of the table.

    count   objects, lines or pictures that the figure is about, with their unit
    values  column: figure; columns without the head are missing
    """

    measure: str
    set: str
    count: str
    values: dict[str, float]


def table_rows(sets: Sequence[RealSet], outputs: Outputs) -> list[Row]:
    """All rows but those that need another input: light crops and the drive."""
    makers = (_object_rows, _light_rows, _sign_rows, _hood_rows, _road_rows, _semantic_rows, _line_rows, _weather_rows)
    return [row for make in makers for each in sets for row in make(each, of_set(outputs, each))]


def of_set(outputs: Outputs, each: RealSet) -> dict[str, Sequence[Output]]:
    return {column: by_set[each.name] for column, by_set in outputs.items() if each.name in by_set}


def truth(each: RealSet, number: int, found: Mapping[str, Sequence[Output]]) -> tuple[Boxes, Boxes]:
    """Targets and ignored boxes by kind of a picture, components verified by the tiled detector."""
    picture = each.pictures[number]
    if not each.components:
        none = np.zeros((0, 4), np.float32)
        return picture.targets, {kind: picture.ignored.get(kind, none) for kind in picture.targets}
    if teachers.TILES not in found:
        return {}, {}
    pairs = {}
    for kind, components in picture.targets.items():
        boxes, scores = found[teachers.TILES][number].of(kind)
        ignored = picture.ignored.get(kind, boxes[:0])
        pairs[kind] = metrics.verified(components, boxes[scores >= CONFIRMING], ignored)
    return {kind: pair[0] for kind, pair in pairs.items()}, {kind: pair[1] for kind, pair in pairs.items()}


def judged(
    each: RealSet, kind: str, column: str, found: Mapping[str, Sequence[Output]], relative: bool = False
) -> list[Judged]:
    """One per picture that is labelled for this kind; relative: scores are multiples of the reporting score."""
    out = []
    for number, output in enumerate(found[column]):
        targets, ignored = truth(each, number, found)
        if kind in targets:
            boxes = output.relative(kind) if relative else output.of(kind)
            out.append(metrics.judge(*boxes, targets[kind], ignored[kind]))
    return out


def _object_rows(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Iterator[Row]:
    columns = [name for name in found if name != teachers.ROAD and not (each.components and name == teachers.TILES)]
    for kind, plural in (("person", "people"), ("vehicle", "vehicles")):
        by_column = {name: rows for name in columns if (rows := judged(each, kind, name, found))}
        if not by_column:
            continue
        total = metrics.recall(next(iter(by_column.values())), 0.0)[1]
        if total < LEAST_OBJECTS:
            continue
        yield from _recall_rows(f"{plural}, recall at 0.5 false a picture", each, by_column, None)
        own = {name: judged(each, kind, name, found, relative=True) for name in by_column}
        yield from _recall_rows(f"{plural}, recall at own threshold", each, own, REPORTED)
        false = {name: metrics.false_per_picture(rows, REPORTED) for name, rows in own.items()}
        pictures = counted(len(next(iter(by_column.values()))), "picture")
        yield Row(f"{plural}, false a picture at own threshold", each.name, pictures, false)
        errors = {name: metrics.score_error(rows) for name, rows in by_column.items()}
        known = {name: error for name, error in errors.items() if error is not None}
        yield Row(f"{plural}, calibration error of scores", each.name, pictures, known)


def _recall_rows(
    title: str, each: RealSet, by_column: Mapping[str, list[Judged]], score: float | None
) -> Iterator[Row]:
    """Recall by size at one score; None takes the score of the allowed false-positive rate, one per column."""
    scores = {name: metrics.threshold_at(rows) if score is None else score for name, rows in by_column.items()}
    for height in SIZES:
        counts = {name: metrics.recall(rows, scores[name], height) for name, rows in by_column.items()}
        total = next(iter(counts.values()))[1]
        if total >= LEAST_OBJECTS:
            size = f">= {height} px" if height else "all"
            values = {name: hits / total for name, (hits, _) in counts.items()}
            yield Row(f"{title}, {size}", each.name, counted(total, "object"), values)


def _light_rows(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Iterator[Row]:
    """Near traffic lights that the tiled detector marks, found by the model at own threshold."""
    if not each.lights or teachers.TILES not in found:
        return
    rows = []
    for picture, output, marked in zip(each.pictures, found[MODEL], found[teachers.TILES]):
        boxes, scores = marked.of("light")
        near = (scores >= TEACHER_SCORE) & (boxes[:, 3] - boxes[:, 1] >= LIGHT_HEIGHT) & ~no_lights(picture.name, boxes)
        once = nms(boxes[near], scores[near], np.zeros(near.sum(), int), LIGHT_MATCH)
        rows.append(metrics.judge(*output.relative("light"), boxes[near][once], boxes[~near], LIGHT_MATCH))
    hits, total = metrics.recall(rows, REPORTED)
    if total:
        yield Row("near traffic lights found", each.name, counted(total, "object"), {MODEL: hits / total})


def _sign_rows(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Iterator[Row]:
    """Near traffic signs; others in the pictures are not marked, so that false ones are not counted."""
    pairs = [(output, picture.signs) for picture, output in zip(each.pictures, found[MODEL])]
    rows = [metrics.judge(*output.relative("sign"), signs, signs[:0], SIGN_MATCH) for output, signs in pairs]
    hits, total = metrics.recall(rows, REPORTED)
    if total:
        yield Row("near traffic signs found", each.name, counted(total, "object"), {MODEL: hits / total})


def _hood_rows(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Iterator[Row]:
    if not each.hood:
        return
    count, roads = counted(len(each.pictures), "picture"), _with_road(found)
    shares = {name: _hood_share(each, [output.road for output in outputs]) for name, outputs in roads.items()}
    yield Row("own hood called drivable", each.name, count, shares)
    if each.drive and MODEL in roads:
        outside = [_without(output.road, learned(each.drive)) for output in roads[MODEL]]
        yield Row("own hood called drivable, once learned", each.name, count, {MODEL: _hood_share(each, outside)})


def _hood_share(each: RealSet, roads: Sequence[np.ndarray]) -> float:
    pairs = zip(roads, each.pictures)
    counts = [metrics.hood_share(road, each.hood, mask_of(picture.semantic)) for road, picture in pairs]
    return sum(own for own, _ in counts) / max(sum(total for _, total in counts), 1)


def _without(road: np.ndarray, region: IgnoredRegion | None) -> np.ndarray:
    return road if region is None else np.where(region.cells((road.shape[0], road.shape[1])), 0, road)


@lru_cache
def learned(drive: tuple[Path, ...]) -> IgnoredRegion | None:
    """What `--ignore auto` takes for the own car after all images of a drive."""
    region = LearnedRegion()
    for path in drive:
        region.update(read_image(path))
    return region.region


def _road_rows(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Iterator[Row]:
    labels = [road_of(picture) for picture in each.pictures]
    if all(mask is None for mask in labels):
        return
    values = {}
    for name, outputs in _with_road(found).items():
        pairs = [(output.road, mask) for output, mask in zip(outputs, labels) if mask is not None]
        counts = sum(metrics.class_counts(road, mask, 2) for road, mask in pairs)
        values[name] = float(iou_of(np.asarray(counts))[1])
    yield Row("road IoU", each.name, counted(sum(mask is not None for mask in labels), "picture"), values)


def _with_road(found: Mapping[str, Sequence[Output]]) -> dict[str, Sequence[Output]]:
    return {name: outputs for name, outputs in found.items() if outputs and outputs[0].road.size}


def road_of(picture: Picture) -> np.ndarray | None:
    """Road labels of a picture, of its own or from the semantic labels."""
    if picture.road is not None:
        return mask_of(picture.road)
    semantic = mask_of(picture.semantic)
    return None if semantic is None else metrics.road_labels(semantic)


def _semantic_rows(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Iterator[Row]:
    labels = [mask_of(picture.semantic) for picture in each.pictures]
    pairs = [(o.semantic, mask) for o, mask in zip(found[MODEL], labels) if mask is not None and o.semantic.size]
    if pairs:
        counts = np.sum([metrics.class_counts(ids, mask, len(SEMANTIC)) for ids, mask in pairs], 0)
        yield Row("semantic mIoU", each.name, counted(len(pairs), "picture"), {MODEL: metrics.mean_iou(counts)})


def _line_rows(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Iterator[Row]:
    """Lines that jump; lines off the road, by labels or else by the public road network."""
    outputs = found[MODEL]
    if not each.road_lines or not outputs or outputs[0].lines is None:
        return
    jumps, phantoms = [], []
    for number, picture in enumerate(each.pictures):
        size = size_of_file(picture.path)
        road = _road_for_lines(picture, found, number)
        for points in outputs[number].lines or ():
            jumps.append(metrics.jump(points, size[1]) > metrics.JUMP)
            if road is not None:
                phantoms.append(metrics.is_phantom(points, road, size))
    if jumps:
        yield Row("lane lines that jump", each.name, counted(len(jumps), "line"), {MODEL: float(np.mean(jumps))})
    known = [each for each in phantoms if each is not None]
    if known:
        yield Row("lane lines off the road", each.name, counted(len(known), "line"), {MODEL: float(np.mean(known))})


def _road_for_lines(picture: Picture, found: Mapping[str, Sequence[Output]], number: int) -> np.ndarray | None:
    """Where lines may be: labelled road or sidewalk, whose border has lines; else the public network's road."""
    semantic = mask_of(picture.semantic)
    if semantic is not None and picture.road is not None:
        ids = (SEMANTIC.index("road"), SEMANTIC.index("sidewalk"))
        return np.where(semantic == IGNORE, IGNORE, np.isin(semantic, ids)).astype(np.uint8)
    return found[teachers.ROAD][number].road if teachers.ROAD in found else None


def _weather_rows(each: RealSet, found: Mapping[str, Sequence[Output]]) -> Iterator[Row]:
    weather = [output.weather for output in found[MODEL] if output.weather is not None]
    if each.dry and weather:
        wet = float(np.mean([label in WET for label in weather]))
        yield Row("dry pictures called rainy or snowy", each.name, counted(len(weather), "picture"), {MODEL: wet})


def counted(number: int, unit: str) -> str:
    return f"{number} {unit}" + "s" * (number != 1)


@lru_cache(maxsize=1024)
def mask_of(path: Path | None) -> np.ndarray | None:
    """(H, W) uint8, or None without file."""
    return None if path is None else read_file(path, cv2.IMREAD_UNCHANGED)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"measure": row.measure, "set": row.set, "count": row.count, **row.values} for row in rows]
