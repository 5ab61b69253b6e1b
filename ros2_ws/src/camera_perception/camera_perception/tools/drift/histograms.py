"""What one frame adds to the distributions that are watched: histograms of the answers, not of the image."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import LineColor, LineType, Perception, Task

Histogram = dict[str, float]  # bin: weight
Figures = dict[str, Histogram]  # name of the figure: histogram

STEPS = 5  # from 0 to 1, of a score or share
DOUBLINGS = 6  # of a count
RASTER = 4  # every so many cells of a raster are looked at, in both directions


def figures_of(perception: Perception, spec: ModelSpec) -> Figures:
    """The histograms of one frame. A task that did not run adds nothing; one that found nothing adds its zero."""
    figures: Figures = {}
    if perception.tasks & Task.OBJECTS:
        figures |= _objects(perception, spec)
    if perception.tasks & Task.LANES:
        figures |= _lanes(perception)
    if perception.road is not None:
        figures["road share"] = steps([perception.road.coverage])
    if perception.semantic is not None:
        figures["semantic classes"] = _shares(perception.semantic.ids, perception.semantic.names)
    for attribute in perception.scene:
        figures[attribute.name] = {attribute.label: 1.0}
        figures[f"{attribute.name} score"] = steps([attribute.score])
    return figures


def _objects(perception: Perception, spec: ModelSpec) -> Figures:
    seen = perception.objects[~perception.objects.coasted]
    lit = seen.light_states[np.isfinite(seen.light_states).all(axis=1) & (seen.light_states > 0).any(axis=1)]
    return {
        "object number": number(len(seen)),
        "object scores": steps(seen.scores),
        "object classes": counts(spec.classes[index] for index in seen.classes),
        "light states": counts(f"state {index}" for index in lit.argmax(axis=1)) if lit.size else {},
    }


def _lanes(perception: Perception) -> Figures:
    lines = perception.lanes
    return {
        "lane number": number(len(lines)),
        "lane scores": steps(line.score for line in lines),
        "line types": counts(LineType(line.line_type).name.lower() for line in lines),
        "line colors": counts(LineColor(line.color).name.lower() for line in lines),
    }


def _shares(ids: np.ndarray, names: tuple[str, ...]) -> Histogram:
    cells = ids[::RASTER, ::RASTER]
    shares = np.bincount(cells.ravel(), minlength=len(names)) / cells.size
    return {name: float(share) for name, share in zip(names, shares) if share}


def counts(names: Iterable[str]) -> Histogram:
    return {name: float(times) for name, times in Counter(names).items()}


def steps(values: Iterable[float]) -> Histogram:
    """Values of 0 to 1, each shared between the two nearest of STEPS + 1 points; nan is left out."""
    return shared((min(max(value, 0.0), 1.0) * STEPS for value in values if value == value), STEPS)


def number(value: int) -> Histogram:
    """A count, shared between the two nearest of 0, 1, 3, 7, 15, 31, 63."""
    return shared([min(math.log2(1 + value), DOUBLINGS)], DOUBLINGS)


def shared(places: Iterable[float], last: int) -> Histogram:
    """Places on points 0 to last.

    Hard bins would take a value that hardly varies for a move when it crosses a border.
    """
    histogram: Histogram = {}
    for place in map(float, places):
        low = min(int(place), last - 1)
        for point, weight in ((low, low + 1 - place), (low + 1, place - low)):
            if weight > 0:
                histogram[str(point)] = histogram.get(str(point), 0.0) + weight
    return histogram


def added(total: Figures, more: Mapping[str, Mapping[str, float]]) -> Figures:
    """Both together; `total` is changed and given back."""
    for name, histogram in more.items():
        into = total.setdefault(name, {})
        for key, weight in histogram.items():
            into[key] = into.get(key, 0.0) + weight
    return total
