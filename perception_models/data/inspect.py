"""perception-models check-data: what is in a folder, what is broken, and a sheet to look at.

What is in a data set, in numbers.

Labels drawn on their pictures, and many pictures on one sheet.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from perception_models.data.cache import Samples
from perception_models.data.files import DataError
from perception_models.data.labels import (
    DRIVABLE,
    IGNORE,
    LIGHT_STATES,
    LINE_COLORS,
    LINE_TYPES,
    OBJECTS,
    SCENE,
    SEMANTIC,
)
from perception_models.data.registry import open_dataset
from perception_models.data.sample import Sample
from perception_models.data.warp import letterbox, warp


@dataclass
class Counts:
    """Everything countable in a data set.

    broken   one sentence per sample that cannot be used, or per label file that none can be used without
    orphans  images that labels speak of but that are not there
    others   classes that are none of ours
    """

    images: int = 0
    sizes: Counter[str] = field(default_factory=Counter)
    labelled: Counter[str] = field(default_factory=Counter)  # images that have this kind of label
    objects: Counter[str] = field(default_factory=Counter)
    ignored: int = 0
    light_states: Counter[str] = field(default_factory=Counter)
    positions: Counter[str] = field(default_factory=Counter)
    line_types: Counter[str] = field(default_factory=Counter)
    line_colors: Counter[str] = field(default_factory=Counter)
    drivable: Counter[str] = field(default_factory=Counter)  # pixels
    semantic: Counter[str] = field(default_factory=Counter)  # pixels
    scene: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in SCENE})
    broken: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        self.images += 1
        self.sizes[f"{sample.size[1]}x{sample.size[0]}"] += 1
        for kind in ("boxes", "lanes", "drivable", "semantic"):
            self.labelled[kind] += getattr(sample, kind) is not None
        self._add_boxes(sample)
        for line in sample.lanes.lines if sample.lanes else ():
            self.positions[f"{line.position:+d}"] += 1
            self.line_types[_name(LINE_TYPES, line.line_type)] += 1
            self.line_colors[_name(LINE_COLORS, line.line_color)] += 1
        for kind, names in (("drivable", DRIVABLE), ("semantic", SEMANTIC)):
            mask = getattr(sample, kind)
            if mask is not None:
                pixels = np.bincount(mask.ravel(), minlength=256)
                getattr(self, kind).update(
                    {name: int(pixels[i]) for i, name in enumerate(names)} | {"ignored": int(pixels[255])}
                )
        for attribute, value in sample.scene.items():
            self.scene[attribute][_name(SCENE[attribute], value)] += 1

    def _add_boxes(self, sample: Sample) -> None:
        if sample.boxes is None:
            return
        kept = sample.boxes[~sample.boxes.ignored]
        self.ignored += int(sample.boxes.ignored.sum())
        self.objects.update(OBJECTS[kind] for kind in kept.classes)
        if outside := outside_of(sample):
            self.broken.append(
                f"{sample.name}: {outside} boxes lie outside of it: are they of an image of another size?"
            )
        self.light_states.update(LIGHT_STATES[state] for state in kept.light_states if state >= 0)


def _name(names: Sequence[str], index: int) -> str:
    return names[index] if index >= 0 else "not labelled"


def outside_of(sample: Sample) -> int:
    """How many boxes share no pixel with the picture."""
    if sample.boxes is None:
        return 0
    x0, y0, x1, y1 = sample.boxes.boxes.T
    height, width = sample.size
    return int(((x1 < 0) | (y1 < 0) | (x0 >= width) | (y0 >= height)).sum())


KINDS = ("semantic", "drivable", "objects", "lanes", "scene")
# BGR. Far apart in hue for neighbours on the road.
OBJECT_COLORS = (
    (60, 60, 255), (60, 140, 255), (255, 160, 40), (255, 80, 80), (220, 60, 180),
    (160, 60, 120), (40, 200, 255), (80, 255, 255), (90, 230, 90), (200, 255, 120),
)  # fmt: skip
MASK_COLORS = {
    "drivable": ((0, 0, 0), (80, 200, 60), (220, 170, 40)),
    "semantic": (
        (200, 170, 110), (90, 90, 160), (190, 190, 190), (130, 70, 130), (200, 60, 220), (60, 150, 80),
        (40, 220, 240), (110, 140, 170), (210, 90, 30), (60, 60, 230), (40, 130, 255),
    ),
}  # fmt: skip
POSITION_COLORS = {-3: (255, 120, 200), -2: (255, 160, 0), -1: (0, 0, 255), 0: (200, 200, 200), 1: (0, 230, 0)}
POSITION_COLORS |= {2: (0, 220, 255), 3: (180, 255, 60)}
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_labels(sample: Sample, kinds: Sequence[str] = KINDS) -> np.ndarray:
    """(H, W, 3) uint8 BGR copy of the image with its labels of these kinds."""
    out = sample.image.copy()
    for kind, mask in (("semantic", sample.semantic), ("drivable", sample.drivable)):
        if kind in kinds and mask is not None:
            out = draw_mask(out, mask, kind)
    if "objects" in kinds and sample.boxes is not None:
        for box, kind_, ignored, state in zip(*(vars(sample.boxes)[name] for name in vars(sample.boxes))):
            light = f" {LIGHT_STATES[state]}" if state >= 0 else ""
            draw_box(out, box, "ignored" if ignored else OBJECTS[kind_] + light, int(kind_), faint=bool(ignored))
    if "lanes" in kinds and sample.lanes is not None:
        for line in sample.lanes.lines:
            draw_line(out, line.points, line.position, LINE_TYPES[line.line_type] if line.line_type >= 0 else "")
    if "scene" in kinds:
        draw_words(out, [f"{name}: {SCENE[name][value]}" for name, value in sample.scene.items() if value >= 0])
    return out


def draw_mask(image: np.ndarray, mask: np.ndarray, kind: str) -> np.ndarray:
    """Blend a mask of ids over a picture; ignored pixels become dark, the background of "drivable" stays."""
    names = DRIVABLE if kind == "drivable" else SEMANTIC
    table = np.zeros((256, 3), np.uint8)
    table[: len(names)] = MASK_COLORS[kind]
    colors = cv2.LUT(cv2.merge([mask] * 3), table[None])
    blended = cv2.addWeighted(image, 0.55, colors, 0.45, 0)
    if kind == "drivable":
        cv2.copyTo(image, cv2.compare(mask, 0, cv2.CMP_EQ), blended)
    return cv2.copyTo(cv2.convertScaleAbs(image, alpha=1 / 3), cv2.compare(mask, IGNORE, cv2.CMP_EQ), blended)


def unit_of(image: np.ndarray) -> float:
    """How thick a thin line is: words can then still be read when the picture is shrunk to a part of a sheet."""
    return max(1.0, image.shape[1] / 480)


def draw_box(image: np.ndarray, box: np.ndarray, text: str, kind: int, faint: bool = False) -> None:
    x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
    color = (128, 128, 128) if faint else OBJECT_COLORS[kind % len(OBJECT_COLORS)]
    unit = unit_of(image)
    cv2.rectangle(image, (x0, y0), (x1, y1), color, round(unit))
    if y1 - y0 >= 18 * unit:  # the words of small boxes would hide them
        place = max(x0, 0), max(y0 - 3, round(10 * unit))
        cv2.putText(image, text, place, FONT, 0.35 * unit, color, round(unit), cv2.LINE_AA)


def draw_line(image: np.ndarray, points: np.ndarray, position: int, text: str) -> None:
    color, unit = POSITION_COLORS.get(position, (255, 255, 255)), unit_of(image)
    corners = np.rint(points).astype(np.int32)
    cv2.polylines(image, [corners], False, color, round(unit), cv2.LINE_AA)
    place = corners[len(corners) // 2].tolist()
    cv2.putText(image, f"{position:+d} {text}", place, FONT, 0.35 * unit, color, round(unit), cv2.LINE_AA)


def draw_words(image: np.ndarray, lines: Sequence[str]) -> None:
    unit = unit_of(image)
    for row, text in enumerate(lines):
        place = round(6 * unit), round((16 + 15 * row) * unit)
        for color, thick in ((0, 3), (255, 1)):
            cv2.putText(image, text, place, FONT, 0.45 * unit, (color,) * 3, round(thick * unit), cv2.LINE_AA)


def tile(images: Sequence[np.ndarray], columns: int, size: tuple[int, int]) -> np.ndarray:
    """Pictures letterboxed to (height, width) each, in rows of `columns`."""
    cells = [warp(Sample("", image), letterbox(image.shape[:2], size), size, pad=30).image for image in images]
    cells += [np.full((*size, 3), 30, np.uint8)] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)])


COLUMNS, ROWS, THUMB = 4, 5, (288, 480)


def check(folder: Path | str, out: Path | str | None = None, split: str = "val") -> dict[str, Counts]:
    """Read every sample of a folder or of its children; data set: what is in it.

    out    folder for counts.json and one contact sheet per data set, or None for counts alone
    split  the part of BDD100K, CULane or COCO
    """
    from perception_models.data.registry import find_entries, name_entries

    results = {}
    for name, entry in name_entries(find_entries(folder, split)).items():
        try:
            results[name], shown = count(open_dataset(**entry), name)
        except DataError as error:
            results[name], shown = Counts(broken=[str(error)]), []
        if out is not None:
            write(Path(out), name, results[name], shown)
    return results


def count(samples: Samples, name: str = "") -> tuple[Counts, list[Sample]]:
    """(counts, samples evenly spread over the data set for a contact sheet)."""
    told = {name: list(getattr(samples, name, ())) for name in ("orphans", "others")}  # some readers know
    counts, shown = Counts(**told), []
    wanted = {i * len(samples) // (COLUMNS * ROWS) for i in range(COLUMNS * ROWS)}
    for index in tqdm(range(len(samples)), desc=name, unit="image"):
        try:
            sample = samples[index]
        except DataError as error:
            if str(error) in counts.broken[-1:]:  # a label file that all samples need: reading on would take for ever
                break
            counts.broken.append(str(error))
            continue
        counts.add(sample)
        if index in wanted:
            shown.append(sample)
    return counts, shown


def write(out: Path, name: str, counts: Counts, shown: Sequence[Sample]) -> None:
    """counts.json gets one entry per data set; the sheet is NAME.png."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "counts.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**known, name: vars(counts)}, indent=1), "utf-8")
    if shown:
        cv2.imwrite(str(out / f"{name}.png"), tile([draw_labels(sample) for sample in shown], COLUMNS, THUMB))


def table(counts: Counts) -> str:
    """Counts as text: one line per histogram, largest first."""
    rows: list[tuple[str, Any]] = [("images", counts.images)]
    for name, value in vars(counts).items():
        if isinstance(value, Counter) and value.total():
            share = name in ("drivable", "semantic")
            rows.append((name, _histogram(value, share)))
    rows += [(name, _histogram(values, False)) for name, values in counts.scene.items() if values]
    rows.append(("ignored boxes", counts.ignored))
    if counts.orphans:
        rows.append(("without image", f"labels of {len(counts.orphans)} that are not there: {_few(counts.orphans)}"))
    if counts.others:
        rows.append(("left out", f"objects of classes that are none of ours: {_few(counts.others, 12)}"))
    rows += [("broken", text) for text in counts.broken]
    return "\n".join(f"{name:>14}  {value}" for name, value in rows)


def _few(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _histogram(values: Counter[str], share: bool) -> str:
    total = values.total()
    return ", ".join(f"{n} {v / total:.1%}" if share else f"{n} {v}" for n, v in values.most_common() if v)
