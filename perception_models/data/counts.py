"""What is in a data set, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from perception_models.data.labels import DRIVABLE, LIGHT_STATES, LINE_COLORS, LINE_TYPES, OBJECTS, SCENE, SEMANTIC
from perception_models.data.sample import Sample


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
