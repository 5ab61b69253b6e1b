"""perception-models check-data: what is in a folder, what is broken, and a sheet to look at."""

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
from perception_models.data.errors import DataError
from perception_models.data.labels import (
    DRIVABLE,
    LIGHT_STATES,
    LINE_COLORS,
    LINE_TYPES,
    OBJECTS,
    SCENE,
    SEMANTIC,
)
from perception_models.data.sample import Sample
from perception_models.data.sheet import draw_labels, tile

COLUMNS, ROWS, THUMB = 4, 5, (240, 400)


@dataclass
class Counts:
    """Everything countable in a data set; `broken` holds one sentence per unusable sample."""

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
        self.light_states.update(LIGHT_STATES[state] for state in kept.light_states if state >= 0)


def _name(names: Sequence[str], index: int) -> str:
    return names[index] if index >= 0 else "not labelled"


def check(folder: Path | str, out: Path | str | None = None) -> dict[str, Counts]:
    """Read every sample of a folder or of its children; data set: what is in it.

    out  folder for counts.json and one contact sheet per data set, or None for counts alone
    """
    from perception_models.data.found import find_datasets

    results = {}
    for name, (_, samples) in find_datasets(folder).items():
        results[name], shown = count(samples, name)
        if out is not None:
            write(Path(out), name, results[name], shown)
    return results


def count(samples: Samples, name: str = "") -> tuple[Counts, list[Sample]]:
    """(counts, samples evenly spread over the data set for a contact sheet)."""
    counts, shown = Counts(), []
    wanted = {i * len(samples) // (COLUMNS * ROWS) for i in range(COLUMNS * ROWS)}
    for index in tqdm(range(len(samples)), desc=name, unit="image"):
        try:
            sample = samples[index]
        except DataError as error:
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
    rows += [("broken", text) for text in counts.broken]
    return "\n".join(f"{name:>14}  {value}" for name, value in rows)


def _histogram(values: Counter[str], share: bool) -> str:
    total = values.total()
    return ", ".join(f"{n} {v / total:.1%}" if share else f"{n} {v}" for n, v in values.most_common() if v)
