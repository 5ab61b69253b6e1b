"""Logit adjustment: rare classes of the semantic map are no longer taken for what is frequent around them.

A network that is unsure of a pixel prefers the classes that were common in its training data. Subtracting a share of
the logarithm of each class's frequency from its logits corrects this (Menon et al. 2021, arXiv 2007.07314). The
correction is part of the bias of the last layer, so it costs no time on the vehicle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from camera_perception.core.errors import CheckpointError
from perception_models.config import SettingsError
from perception_models.data.labels import SEMANTIC
from perception_models.data.readers.folder import LabelledFolder
from perception_models.training import checkpoint

BIAS = "heads.semantic.logits.bias"
LEAST = 1e-3  # share of the pixels that a rarer class counts as
MOST_IMAGES = 300  # evenly spaced; shares do not change with more


def adjust(path: Path, out: Path, folders: Sequence[Path], strength: float) -> dict[str, float]:
    """Write the checkpoint with an adjusted semantic head; returns the share of each class in the labels.

    folders   labelled folders with semantic maps, as the network was trained on
    strength  above 0 to 1; 1 minimises the mean error of the classes, as if all were equally common
    """
    if not 0 < strength <= 1:
        raise SettingsError(f"strength={strength}: expected a number above 0 and at most 1")
    parts, state = checkpoint.load(path)
    if BIAS not in parts.get("average", {}):
        raise CheckpointError(f"{path} has no semantic head: nothing to adjust")
    if "adjusted" in state:
        raise CheckpointError(f"{path} is adjusted by {state['adjusted']} already: give the checkpoint before that")
    shares = class_shares(mask for folder in folders for mask in _masks(folder))
    bias = parts["average"][BIAS]
    offset = -strength * torch.from_numpy(np.log(np.maximum(shares, LEAST)))
    average = parts["average"] | {BIAS: (bias.double() + offset - offset.mean()).to(bias.dtype)}
    checkpoint.save(out, {"average": average}, state | {"adjusted": strength})
    return dict(zip(SEMANTIC, shares.tolist()))


def class_shares(masks: Iterable[np.ndarray]) -> np.ndarray:
    """(C,) share of each semantic class among the labelled pixels of masks (H, W) uint8."""
    counts = np.zeros(len(SEMANTIC))
    for mask in masks:
        counts += np.bincount(mask[mask < len(SEMANTIC)], minlength=len(SEMANTIC))
    if not counts.sum():
        raise SettingsError("the folders have no semantic maps: give folders with labels/sem_seg/masks")
    shares: np.ndarray = counts / counts.sum()
    return shares


def _masks(folder: Path) -> Iterable[np.ndarray]:
    samples = LabelledFolder(folder)
    for index in range(0, len(samples), max(1, -(-len(samples) // MOST_IMAGES))):
        mask = samples[index].semantic
        if mask is not None:
            yield mask
