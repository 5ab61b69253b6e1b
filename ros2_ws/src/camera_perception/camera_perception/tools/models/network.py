"""What is known of a network before its outputs are recognised."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from camera_perception.engines import Tensor
from camera_perception.tools.models.class_names import names_in

UNIT_RGB = {"color": "rgb", "scale": 1 / 255}
IMAGENET = {**UNIT_RGB, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
MOST_INVERTED = 0.02  # of the rows of boxes
# Strides of detectors; P2 adds small objects, P6 and P7 large ones.
PYRAMIDS = (
    (8, 16, 32),
    (4, 8, 16, 32),
    (8, 16, 32, 64),
    (8, 16, 32, 64, 128),
    (4, 8, 16, 32, 64),
    (16, 32),
    (8, 16),
    (16, 32, 64),
    (4, 8, 16),
)


@dataclass
class Guess:
    """input and outputs are sections of model.json; notes: what was recognised, and what the user has to check."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    input: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, head: str, kind: str, tensors: Mapping[str, str], classes: list[str], **more: Any) -> None:
        entry = {"head": head, "kind": kind, "tensors": dict(tensors), "classes": classes}
        self.outputs.append({**entry, **{key: value for key, value in more.items() if value not in (None, {})}})

    @property
    def used(self) -> set[str]:
        """Names of the outputs that a head reads."""
        return {name for output in self.outputs for name in output["tensors"].values()}


@dataclass(frozen=True)
class Network:
    """Input, outputs (shapes with batch) and metadata of a file; values: the outputs of a run on a black image."""

    image: Tensor
    outputs: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    values: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        shape = self.image.shape
        return (shape[2], shape[3]) if shape[1] == 3 else (shape[1], shape[2])

    @cached_property
    def pyramids(self) -> dict[int, tuple[int, ...]]:
        """Number of grid cells: strides with that many."""
        found: dict[int, tuple[int, ...]] = {}
        for strides in PYRAMIDS:
            for partial in (False, True):
                found.setdefault(self.cells(strides, partial), strides)
        return found

    def cells(self, strides: tuple[int, ...], partial: bool = False) -> int:
        """Grid cells of these strides, with those cut by the border or without."""
        height, width = self.size
        return sum(((height + (s - 1) * partial) // s) * ((width + (s - 1) * partial) // s) for s in strides)

    @cached_property
    def names(self) -> list[str]:
        """Class names in the metadata; empty without any."""
        return names_in(self.metadata)

    @property
    def task(self) -> str:
        """Ultralytics' task: detect, segment, pose, obb, classify; "" in other files."""
        return self.metadata.get("task", "").strip().lower()

    @cached_property
    def keypoint_columns(self) -> int:
        """Columns of keypoints in rows of task pose; 0 if the metadata does not tell."""
        try:
            points, numbers = ast.literal_eval(self.metadata["kpt_shape"])
            return int(points) * int(numbers)
        except (KeyError, ValueError, SyntaxError, TypeError):
            return 0

    def of_rank(self, rank: int) -> list[Tensor]:
        """Outputs with this number of axes, batch included."""
        return [output for output in self.outputs.values() if len(output.shape) == rank]

    def are_boxes(self, output: Tensor, coding: str) -> bool | None:
        """Whether (nearly) all rows (..., 4) of the run are boxes of a size >= 0; None when they are not known.

        coding  corners: x0 y0 x1 y1; center: centre x y, width, height
        """
        values = self.values.get(output.name)
        if values is None or not values.size:
            return None
        inverted = values[..., 2:] < (values[..., :2] if coding == "corners" else 0)
        return bool(inverted.any(axis=-1).mean() <= MOST_INVERTED)

    def within(self, output: Tensor, low: float, high: float) -> bool | None:
        """Whether all values of the run lie in this range; None when they are not known."""
        values = self.values.get(output.name)
        if values is None or not values.size:
            return None
        return bool((values.min() >= low) & (values.max() <= high))
