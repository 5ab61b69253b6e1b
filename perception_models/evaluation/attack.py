"""Robustness of a network to adversarial perturbations (FGSM and PGD).

White-box attacks: they use the weights and the labels, and may change every channel of every pixel by `strength` of 255
grey levels. FGSM (Goodfellow et al. 2015, arXiv 1412.6572) takes one step, PGD (Madry et al. 2018, arXiv 1706.06083)
several.
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

from perception_models.data import Sample, collate, targets
from perception_models.data.registry import find_datasets
from perception_models.data.warp import letterbox, warp
from perception_models.evaluation.model import open_model
from perception_models.evaluation.records import evenly_spaced, headlines, record, summarise
from perception_models.losses import LossConfig, task_losses
from perception_models.network import PerceptionNet
from perception_models.training.checkpoint import load_network


def attack(
    checkpoint: Path,
    data: Sequence[Path],
    out: Path,
    strengths: Sequence[float],
    steps: int = 10,
    limit: int | None = 100,
) -> dict[str, dict[str, float]]:
    """Headline metrics on clean and on attacked images at the network's input size; written to out/attack.json.

    strengths  grey levels of 255; each is tried with FGSM and, if steps > 1, with PGD
    """
    net, _ = load_network(checkpoint)
    net.requires_grad_(False)
    attacks = {"clean": (0.0, 1)}
    for strength in strengths:
        attacks |= {f"fgsm {strength:g}": (strength, 1)}
        attacks |= {f"pgd {strength:g}": (strength, steps)} if steps > 1 else {}
    rows: dict[str, list[Any]] = {name: [] for name in attacks}
    with open_model(checkpoint) as model:
        size = model.spec.input.height, model.spec.input.width
        for sample in _samples(data, limit, size):
            batch = collate([targets(sample, size)])
            for name, (strength, count) in attacks.items():
                image = attacked(net, batch, strength, count)[0].numpy() if strength else sample.image
                changed = replace(sample, image=np.ascontiguousarray(image))
                rows[name].append(record(model(changed.image), changed, model))
        threshold = model.threshold("objects")
    metrics = {name: headlines(summarise(records, threshold, curves=False)) for name, records in rows.items()}
    out.mkdir(parents=True, exist_ok=True)
    (out / "attack.json").write_text(json.dumps(metrics, indent=1), "utf-8")
    return metrics


def attacked(net: PerceptionNet, batch: dict[str, Tensor], strength: float, steps: int = 1) -> Tensor:
    """(B, H, W, 3) uint8 images with the highest loss whose channels differ by at most `strength` grey levels.

    steps  1 is FGSM; more is PGD with steps of 2.5 * strength / steps, started at the clean image: deterministic
    """
    clean = batch["images"].float()
    images = clean.clone()
    for _ in range(steps):
        images.requires_grad_()
        losses = task_losses(net(images), batch, LossConfig(), net.config.strides)
        total = sum(losses.values(), start=torch.zeros(()))
        (gradient,) = torch.autograd.grad(total, [images])
        step = strength if steps == 1 else 2.5 * strength / steps
        images = images.detach() + step * gradient.sign()
        images = torch.minimum(torch.maximum(images, clean - strength), clean + strength).clamp(0, 255)
    # Whole levels, rounded towards the clean image, so that no channel exceeds the limit.
    return (clean + (images - clean).trunc()).to(torch.uint8)


def _samples(data: Sequence[Path], limit: int | None, size: tuple[int, int]) -> Iterator[Sample]:
    """Evenly spaced samples of labelled data at the input size; crops of single traffic lights are skipped."""
    for name, (kind, samples) in find_datasets(*data).items():
        if kind != "traffic_light_crops":
            for sample in evenly_spaced(samples, limit or None, progress=name):
                yield warp(sample, letterbox(sample.size, size), size)
