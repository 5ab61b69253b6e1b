"""CPU time of single steps of the pipeline, and of copying an image, which says how fast the machine is just now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from camera_perception.core.model_spec import HeadSpec, ModelSpec
from camera_perception.core.types import Detections, EgoMotion, Objects
from camera_perception.draw import overlay
from camera_perception.io.perception_frame import perception_fields
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.tracker.tracker import ObjectTracker
from camera_perception.tools.bench import synthetic_inputs
from camera_perception.tools.bench.report import Table
from camera_perception.tools.bench.timing import time_in_turn

STANDING = EgoMotion(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Component:
    """One step with its inputs bound: calling `run` does the work of one frame."""

    name: str
    run: Callable[[], object]


def measure(components: Sequence[Component], seconds: float) -> list[dict[str, Any]]:
    """Median CPU milliseconds of each component and of copying a 1280x720 image, in turn; seconds is per component."""
    image = synthetic_inputs.image()
    results = []
    for component in tqdm(components, desc="components", unit="", disable=None):
        times = time_in_turn({"component": component.run, "copy": image.copy}, seconds, cpu=True)
        own, copy = (float(np.median(times[name])) for name in ("component", "copy"))
        results.append({"name": component.name, "ms": own, "copy_ms": copy, "ratio": own / copy})
    return results


def components_table(results: Sequence[dict[str, Any]]) -> Table:
    rows = [(result["name"], result["ms"], result["copy_ms"]) for result in results]
    return Table(
        "Single steps",
        ("step", "ms", "copying an image ms"),
        rows,
        "CPU time of one thread, medians. Copying a 1280x720 bgr8 image, in turn with each step, tells how fast the "
        "machine was meanwhile: 0.2 to 0.3 ms on a quiet AMD core, several times that beside other work.",
    )


def library_components() -> list[Component]:
    return [tracking(50), drawing(), fields(20)]


def spec() -> ModelSpec:
    """A model contract with the parts that drawing and messages read."""
    options = {"light_states": ["red", "yellow", "green", "none"], "light_class": "traffic light"}
    objects = HeadSpec("objects", "topk_boxes", {}, synthetic_inputs.CLASSES, options=options)
    return ModelSpec(Path(), "bench", "1", "none", "", "", synthetic_inputs.INPUT, (objects, synthetic_inputs.DRIVABLE))


def tracking(objects: int) -> Component:
    """The same objects in every frame, moved by a pixel or two; the car stands."""
    detections = synthetic_inputs.detections(objects)
    frames = cycle([_located(replace(detections, boxes=detections.boxes + shift)) for shift in (0, 1, 2, 1)])
    tracker, frame_numbers, camera = ObjectTracker(synthetic_inputs.CLASSES), count(), synthetic_inputs.camera()
    return Component(
        f"tracking of {objects} objects",
        lambda: tracker.update(next(frames), next(frame_numbers) * 33_000_000, STANDING, synthetic_inputs.SIZE, camera),
    )


def _located(detections: Detections) -> Objects:
    return locate_objects(
        Objects.of(detections), synthetic_inputs.camera(), synthetic_inputs.CLASSES, synthetic_inputs.SIZE
    )


def drawing() -> Component:
    perception, contract = synthetic_inputs.perception(), spec()
    image, canvas = perception.frame.image, np.empty_like(perception.frame.image)
    return Component("overlay of 20 objects, 4 lines, road", lambda: overlay(image, perception, contract, out=canvas))


def fields(objects: int) -> Component:
    perception, contract = synthetic_inputs.perception(objects), spec()
    return Component(f"message fields of {objects} objects, 4 lines", lambda: perception_fields(perception, contract))
