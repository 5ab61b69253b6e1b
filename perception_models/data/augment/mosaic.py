"""Mosaic of four images, so that a batch has more and smaller objects."""

from __future__ import annotations

import numpy as np

from perception_models.data.augment.geometry import random_view
from perception_models.data.labels import IGNORE
from perception_models.data.sample import Boxes, Sample
from perception_models.data.warp import PAD, warp


def mosaic(samples: list[Sample], size: tuple[int, int], rng: np.random.Generator) -> Sample:
    """Tile four samples around a random centre; lanes and scene are dropped, as they have no meaning here."""
    height, width = size
    v, u = (4 * round(edge * rng.uniform(0.35, 0.65) / 4) for edge in size)  # multiples of the mask stride
    out = _blank(samples, size)
    parts = []
    for sample, (top, left, bottom, right) in zip(
        samples, [(0, 0, v, u), (0, u, v, width), (v, 0, height, u), (v, u, height, width)]
    ):
        tile = _tile(sample, (bottom - top, right - left), rng)
        area = np.s_[top:bottom, left:right]
        for name in ("image", "drivable", "semantic"):
            if getattr(out, name) is not None and getattr(tile, name) is not None:
                getattr(out, name)[area] = getattr(tile, name)
        if tile.boxes is not None:
            tile.boxes.boxes += np.array([left, top, left, top], np.float32)
            parts.append(tile.boxes)
    if out.boxes is not None:
        out.boxes = Boxes.concatenate([Boxes.empty(), *parts])
    return out


def _tile(sample: Sample, size: tuple[int, int], rng: np.random.Generator) -> Sample:
    view = random_view(sample.size, size, rng, scale=(1.0, 2.2), shift=0.2, tilt=0.0)
    return warp(sample, view, size)


def _blank(samples: list[Sample], size: tuple[int, int]) -> Sample:
    """Empty canvas; with boxes only if all four are labelled, with a mask if any has it."""
    drivable, semantic = (
        np.full(size, IGNORE, np.uint8) if any(getattr(s, name) is not None for s in samples) else None
        for name in ("drivable", "semantic")
    )
    boxes = Boxes.empty() if all(s.boxes is not None for s in samples) else None
    known = frozenset.intersection(*(s.known_classes for s in samples))
    image = np.full((*size, 3), PAD, np.uint8)
    name = "+".join(s.name for s in samples)
    return Sample(name, image, boxes, drivable=drivable, semantic=semantic, known_classes=known)
