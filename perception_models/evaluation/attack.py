"""How far a picture must be changed on purpose before the network sees wrong: FGSM and PGD, measured as always.

Whoever attacks knows the weights and the labels (white box), and may change every channel of every pixel by `strength`
of 255 levels. FGSM (Goodfellow et al. 2015, arXiv 1412.6572) goes there in one step, PGD (Madry et al. 2018, arXiv
1706.06083) in several.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from perception_models.data import Sample, collate, targets
from perception_models.data.registry import find_datasets
from perception_models.data.warp import letterbox, warp
from perception_models.evaluation.model import open_model
from perception_models.evaluation.records import headlines, record, summarise
from perception_models.losses import LossConfig, task_losses
from perception_models.network import PerceptionNet
from perception_models.training.checkpoint import load_network


def attacked(net: PerceptionNet, batch: dict[str, Tensor], strength: float, steps: int = 1) -> Tensor:
    """(B, H, W, 3) uint8 images that no channel differs in by more than `strength` levels, and that cost the most.

    steps  1 is FGSM; more is PGD with steps of 2.5 * strength / steps, from the picture itself, hence always the same
    """
    clean = batch["images"].float()
    images = clean.clone()
    for _ in range(steps):
        images.requires_grad_()
        losses = task_losses(net(images), batch, LossConfig(), net.config.strides)
        (gradient,) = torch.autograd.grad(sum(losses.values()), [images])
        step = strength if steps == 1 else 2.5 * strength / steps
        images = images.detach() + step * gradient.sign()
        images = torch.minimum(torch.maximum(images, clean - strength), clean + strength).clamp(0, 255)
    # Whole levels, rounded towards the clean picture, so that no pixel goes further than allowed.
    return (clean + (images - clean).trunc()).to(torch.uint8)


def attack(
    checkpoint: Path,
    data: Sequence[Path],
    out: Path,
    strengths: Sequence[float],
    steps: int = 10,
    limit: int | None = 100,
) -> dict[str, dict[str, float]]:
    """Headline figures of `evaluate` on clean and on attacked pictures of the network's own size; attack.json in `out`.

    strengths  levels of 255; each is tried by FGSM and, with steps > 1, by PGD
    """
    net, _ = load_network(checkpoint)
    net.requires_grad_(False)
    kinds = {"clean": (0.0, 1)}
    for strength in strengths:
        kinds |= {f"fgsm {strength:g}": (strength, 1)}
        kinds |= {f"pgd {strength:g}": (strength, steps)} if steps > 1 else {}
    rows: dict[str, list[Any]] = {name: [] for name in kinds}
    with open_model(checkpoint) as model:
        size = model.spec.input.height, model.spec.input.width
        for sample in _samples(data, limit, size):
            batch = collate([targets(sample, size)])
            for name, (strength, count) in kinds.items():
                image = attacked(net, batch, strength, count)[0].numpy() if strength else sample.image
                changed = replace(sample, image=np.ascontiguousarray(image))
                rows[name].append(record(model.see(changed.image), changed, model))
        threshold = model.threshold("objects")
    figures = {name: headlines(summarise(found, threshold, curves=False)) for name, found in rows.items()}
    out.mkdir(parents=True, exist_ok=True)
    (out / "attack.json").write_text(json.dumps(figures, indent=1), "utf-8")
    return figures


def _samples(data: Sequence[Path], limit: int | None, size: tuple[int, int]) -> Iterator[Sample]:
    """Evenly spread samples of labelled sets as the network sees them; crops of single lights are left out."""
    for name, (kind, samples) in find_datasets(*data).items():
        if kind == "traffic_light_crops":
            continue
        count = min(limit or len(samples), len(samples))
        for i in tqdm(range(count), desc=name, unit="image"):
            sample = samples[i * len(samples) // count]
            yield warp(sample, letterbox(sample.size, size), size)
