"""Histograms of the outputs of one frame: the metrics that drift monitoring compares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import LineColor, LineType, Perception, Task

Histogram = dict[str, float]  # bin: weight
Metrics = dict[str, Histogram]  # name of the metric: histogram

SCORE_STEPS = 5  # from 0 to 1, of a score or fraction
COUNT_STEPS = 6  # doublings of a count
STRIDE = 4  # every fourth pixel of a class map counts, in both directions


def metrics_of(perception: Perception, spec: ModelSpec) -> Metrics:
    """The histograms of one frame. A task that did not run adds nothing; without detections it adds a count of 0."""
    metrics: Metrics = {}
    if perception.tasks & Task.OBJECTS:
        metrics |= _objects(perception, spec)
    if perception.tasks & Task.LANES:
        metrics |= _lanes(perception)
    if perception.road is not None:
        metrics["road fraction"] = score_histogram([perception.road.coverage])
    if perception.semantic is not None:
        metrics["semantic classes"] = _class_fractions(perception.semantic.ids, perception.semantic.names)
    for attribute in perception.scene:
        metrics[attribute.name] = {attribute.label: 1.0}
        metrics[f"{attribute.name} score"] = score_histogram([attribute.score])
    return metrics


def _objects(perception: Perception, spec: ModelSpec) -> Metrics:
    objects = perception.objects[~perception.objects.coasted]
    states = objects.light_states
    lit = states[np.isfinite(states).all(axis=1) & (states > 0).any(axis=1)]
    return {
        "object count": count_histogram(len(objects)),
        "object scores": score_histogram(objects.scores),
        "object classes": name_histogram(spec.classes[index] for index in objects.classes),
        "light states": name_histogram(f"state {index}" for index in lit.argmax(axis=1)) if lit.size else {},
    }


def _lanes(perception: Perception) -> Metrics:
    lines = perception.lanes
    return {
        "lane count": count_histogram(len(lines)),
        "lane scores": score_histogram(line.score for line in lines),
        "line types": name_histogram(LineType(line.line_type).name.lower() for line in lines),
        "line colors": name_histogram(LineColor(line.color).name.lower() for line in lines),
    }


def _class_fractions(ids: np.ndarray, names: tuple[str, ...]) -> Histogram:
    pixels = ids[::STRIDE, ::STRIDE]
    fractions = np.bincount(pixels.ravel(), minlength=len(names)) / pixels.size
    return {name: float(fraction) for name, fraction in zip(names, fractions) if fraction}


def name_histogram(names: Iterable[str]) -> Histogram:
    return {name: float(count) for name, count in Counter(names).items()}


def score_histogram(values: Iterable[float]) -> Histogram:
    """Values of 0 to 1, each split between the two nearest of SCORE_STEPS + 1 points; nan is left out."""
    return _split((min(max(value, 0.0), 1.0) * SCORE_STEPS for value in values if value == value), SCORE_STEPS)


def count_histogram(value: int) -> Histogram:
    """A count, split between the two nearest of 0, 1, 3, 7, 15, 31, 63."""
    return _split([min(math.log2(1 + value), COUNT_STEPS)], COUNT_STEPS)


def _split(positions: Iterable[float], last: int) -> Histogram:
    """Positions between the points 0 to last, each split between its two neighbours.

    With hard bins, a nearly constant value would seem to drift when it crosses the border of two bins.
    """
    histogram: Histogram = {}
    for position in map(float, positions):
        low = min(int(position), last - 1)
        for point, weight in ((low, low + 1 - position), (low + 1, position - low)):
            if weight > 0:
                histogram[str(point)] = histogram.get(str(point), 0.0) + weight
    return histogram


def add_metrics(total: Metrics, more: Mapping[str, Mapping[str, float]]) -> Metrics:
    """Add histograms to `total`, in place; returns it."""
    for name, histogram in more.items():
        into = total.setdefault(name, {})
        for key, weight in histogram.items():
            into[key] = into.get(key, 0.0) + weight
    return total
