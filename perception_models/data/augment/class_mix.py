"""Half of the classes of one picture laid over another: things that are rare in a drive meet other surroundings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perception_models.data.labels import IGNORE
from perception_models.data.sample import Sample


def class_mix(under: Sample, over: Sample, rng: np.random.Generator) -> Sample:
    """ClassMix (arXiv 2007.07936) with labels instead of guesses; both samples of one size.

    `under` with the pixels of a random half of the semantic classes of `over`, with their labels. Boxes, lines and the
    scene have no meaning afterwards and are dropped. Where one has no semantic mask, `under` stays as it is.
    """
    if under.semantic is None or over.semantic is None:
        return under
    present = np.setdiff1d(over.semantic, [IGNORE])
    chosen = np.isin(over.semantic, rng.permutation(present)[: (len(present) + 1) // 2])
    image = np.where(chosen[..., None], over.image, under.image)
    masks = {name: _laid(chosen, getattr(over, name), getattr(under, name)) for name in ("drivable", "semantic")}
    return replace(under, name=f"{under.name}+{over.name}", image=image, boxes=None, lanes=None, scene={}, **masks)


def _laid(chosen: np.ndarray, over: np.ndarray | None, under: np.ndarray | None) -> np.ndarray | None:
    """What is not labelled in one of them stays unlabelled there."""
    if over is None and under is None:
        return None
    blank = np.full(chosen.shape, IGNORE, np.uint8)
    return np.where(chosen, blank if over is None else over, blank if under is None else under)
