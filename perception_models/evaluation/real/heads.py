"""Heads of real people and whether anonymize covers them.

Real pictures have boxes of people, not of heads: the head is taken to be the upper eighth of the box, half as wide as
it, in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from camera_perception.tools.privacy.regions import Region, Settings, region_of
from perception_models.evaluation.real import teachers
from perception_models.evaluation.real.output import Output
from perception_models.evaluation.real.rows import LEAST_OBJECTS, Outputs, Row, counted, of_set, size_of, truth
from perception_models.evaluation.real.sets import RealSet

MIN_HEIGHT = 48.0  # pixels of a person; below, nobody can be recognised
HEAD_HEIGHT, HEAD_WIDTH = 1 / 8, 1 / 2  # of a person's box
MIN_COVERED = 0.9  # of the pixels of a head
HELD_OUT = "7"  # last character of the names of COCO pictures that no model is trained on
LEAST = 0.2  # score from which anonymize covers
CLASSES = {"person": "person", "vehicle": "car", "cycle": "motorcycle"}  # kind: class whose region is covered


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
            regions = regions_of(found[name][number], size_of(picture.path))
            hits[name] += [covered_fraction(head, regions) >= MIN_COVERED for head in heads]
    total = max(map(len, hits.values()), default=0)
    if total < LEAST_OBJECTS:
        return None
    values = {name: float(np.mean(each)) for name, each in hits.items()}
    return Row("heads that anonymize covers", each.name, counted(total, "head"), values)


def regions_of(output: Output, size: tuple[int, int]) -> list[Region]:
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
