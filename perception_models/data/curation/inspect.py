"""perception-models check-data: counts the content of data sets, names broken files, draws a contact sheet."""

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
from perception_models.data.drawing import draw_labels, tile
from perception_models.data.files import IMAGE_SUFFIXES, DataError
from perception_models.data.labels import DRIVABLE, LIGHT_STATES, LINE_COLORS, LINE_TYPES, OBJECTS, SCENE, SEMANTIC
from perception_models.data.registry import find_entries, name_entries, no_labels, open_dataset
from perception_models.data.sample import Sample

RARE = 50  # boxes of a class, below which a training hardly learns it
COLUMNS, ROWS, THUMB = 4, 5, (288, 480)  # of the contact sheet
ORIENTATION = 0x0112  # EXIF tag


@dataclass
class Counts:
    """Statistics of a data set; the field names are keys of counts.json.

    broken   one sentence per unusable sample, or per unusable label file
    orphans  labelled images that do not exist
    others   class names that are not in OBJECTS
    unread   label folders of no known name
    turned   images that EXIF says to turn, as they are: their labels must belong to the turned image
    """

    images: int = 0
    sizes: Counter[str] = field(default_factory=Counter)
    labelled: Counter[str] = field(default_factory=Counter)  # images by type of label
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
    unread: list[str] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        self.images += 1
        self.sizes[f"{sample.size[1]}x{sample.size[0]}"] += 1
        for label in ("boxes", "lanes", "drivable", "semantic"):
            self.labelled[label] += getattr(sample, label) is not None
        self._add_boxes(sample)
        for line in sample.lanes.lines if sample.lanes else ():
            self.positions[f"{line.position:+d}"] += 1
            self.line_types[_name(LINE_TYPES, line.line_type)] += 1
            self.line_colors[_name(LINE_COLORS, line.line_color)] += 1
        _add_pixels(self.drivable, sample.drivable, DRIVABLE)
        _add_pixels(self.semantic, sample.semantic, SEMANTIC)
        for attribute, value in sample.scene.items():
            self.scene[attribute][_name(SCENE[attribute], value)] += 1

    def _add_boxes(self, sample: Sample) -> None:
        if sample.boxes is None:
            return
        counted = sample.boxes[~sample.boxes.ignored]
        self.ignored += int(sample.boxes.ignored.sum())
        self.objects.update(OBJECTS[class_id] for class_id in counted.classes)
        if outside := boxes_outside(sample):
            self.broken.append(
                f"{sample.name}: {outside} boxes are outside the image: do they belong to an image of another size, or "
                "are they corners where width and height are expected?"
            )
        self.light_states.update(LIGHT_STATES[state] for state in counted.light_states if state >= 0)


def _add_pixels(counter: Counter[str], mask: np.ndarray | None, names: Sequence[str]) -> None:
    if mask is not None:
        pixels = np.bincount(mask.ravel(), minlength=256)
        counter.update({name: int(pixels[i]) for i, name in enumerate(names)} | {"ignored": int(pixels[255])})


def _name(names: Sequence[str], index: int) -> str:
    return names[index] if index >= 0 else "not labelled"


def boxes_outside(sample: Sample) -> int:
    """Number of boxes of which more than half is outside the image."""
    if sample.boxes is None:
        return 0
    height, width = sample.size
    inside = sample.boxes.boxes.clip(0, (width, height, width, height))
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (inside, sample.boxes.boxes)]
    return int((areas[0] < areas[1] / 2).sum())


def check(folder: Path | str, out: Path | str | None = None, split: str = "val") -> dict[str, Counts]:
    """Read every sample of a folder or of its children; returns counts by name of the data set.

    out    folder for counts.json and one contact sheet per data set, or None for counts only
    split  the part of data sets that have several
    """
    results = {}
    for name, entry in name_entries(find_entries(folder, split)).items():
        try:
            results[name], examples = count(open_dataset(**entry), name)
        except DataError as error:
            results[name], examples = Counts(broken=[str(error)]), []
        if out is not None:
            write(Path(out), name, results[name], examples)
    return results


def count(samples: Samples, name: str = "") -> tuple[Counts, list[Sample]]:
    """(counts, samples evenly spread over the data set for a contact sheet)."""
    # Only some readers report these.
    counts = Counts()
    for reported in ("orphans", "others", "unread"):
        setattr(counts, reported, list(getattr(samples, reported, ())))
    counts.turned = [path.name for path in samples.files if turned(path)]
    if reason := no_labels(samples):
        counts.broken.append(reason)
    examples: list[Sample] = []
    wanted = {i * len(samples) // (COLUMNS * ROWS) for i in range(COLUMNS * ROWS)}
    for index in tqdm(range(len(samples)), desc=name, unit="image", disable=None):
        try:
            sample = samples[index]
        except DataError as error:
            if str(error) in counts.broken[-1:]:  # a label file needed by all samples: do not read it again and again
                break
            counts.broken.append(str(error))
            continue
        counts.add(sample)
        if index in wanted:
            examples.append(sample)
    return counts, examples


def turned(path: Path) -> bool:
    """Whether EXIF says that an image is to be turned or mirrored, as OpenCV does on reading."""
    from PIL import Image

    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return False
    try:
        with Image.open(path) as image:
            return bool(image.getexif().get(ORIENTATION, 1) != 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False  # reported as broken when it is read


def write(out: Path, name: str, counts: Counts, examples: Sequence[Sample]) -> None:
    """Add an entry to counts.json and write the contact sheet NAME.png."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "counts.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**known, name: vars(counts)}, indent=1), "utf-8")
    if examples:
        cv2.imwrite(str(out / f"{name}.png"), tile([draw_labels(sample) for sample in examples], COLUMNS, THUMB))


def table(counts: Counts) -> str:
    """Counts as text: one line per histogram, largest first."""
    rows: list[tuple[str, Any]] = [("images", counts.images)]
    for name, value in vars(counts).items():
        if isinstance(value, Counter) and value.total():
            rows.append((name, _histogram(value, relative=name in ("drivable", "semantic"))))
    rows += [(name, _histogram(values)) for name, values in counts.scene.items() if values]
    rows.append(("ignored boxes", counts.ignored))
    if counts.orphans:
        rows.append(("without image", f"{len(counts.orphans)} labels without image: {_first(counts.orphans)}"))
    if counts.others:
        rows.append(("left out", f"objects of unknown classes: {_first(counts.others, 12)}"))
    if counts.unread:
        rows.append(("not read", f"unknown label folders: {_first(counts.unread, 8)}"))
    if counts.turned:
        text = f"{len(counts.turned)} images are turned by EXIF; labels must belong to the turned image: "
        rows.append(("turned", text + _first(counts.turned)))
    rows += [("broken", text) for text in counts.broken]
    return "\n".join([*(f"{name:>14}  {value}" for name, value in rows), "", *in_words(counts)])


def in_words(counts: Counts) -> list[str]:
    """What the counts mean for a training: what it will learn from, and what is wrong or missing."""
    labels = [name for name, number in counts.labelled.items() if number]
    known = [name for name, values in counts.scene.items() if set(values) - {"not labelled"}]
    if known:
        labels.append("scene")
    lines = [f"{counts.images} images can be used; their labels: {', '.join(labels) or 'none'}."]
    if missing := [name for name in ("boxes", "lanes", "drivable", "semantic") if name not in labels]:
        lines.append(f"Nothing will be learned from them about {', '.join(missing)}.")
    rare = [name for name, number in counts.objects.items() if 0 < number < RARE]
    if rare:
        lines.append(f"Fewer than {RARE} boxes each: {', '.join(rare)}; `repeat: 0.5` draws their images more often.")
    if absent := [name for name in OBJECTS if counts.objects and name not in counts.objects]:
        lines.append(f"No boxes of {', '.join(absent)}: the network unlearns them unless other data has some.")
    if counts.broken:
        lines.append(f"{len(counts.broken)} files cannot be used: fix or remove them first.")
    return lines


def _first(names: Sequence[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")


def _histogram(values: Counter[str], relative: bool = False) -> str:
    total = values.total()
    return ", ".join(f"{n} {v / total:.1%}" if relative else f"{n} {v}" for n, v in values.most_common() if v)
