"""Robustness of a network to adversarial perturbations (losses/adversarial.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perception_models.data import Sample, collate, targets
from perception_models.data.registry import find_datasets
from perception_models.data.warp import letterbox, warp
from perception_models.evaluation.model import open_model
from perception_models.evaluation.records import evenly_spaced, headlines, record, summarise
from perception_models.losses.adversarial import attacked
from perception_models.training.checkpoint import load_network


def attack(
    checkpoint: Path,
    data: Sequence[Path | str | Mapping[str, Any]],
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


def _samples(
    data: Sequence[Path | str | Mapping[str, Any]], limit: int | None, size: tuple[int, int]
) -> Iterator[Sample]:
    """Evenly spaced samples of labelled data at the input size; crops of single traffic lights are skipped."""
    for name, (kind, samples) in find_datasets(*data).items():
        if kind != "traffic_light_crops":
            for sample in evenly_spaced(samples, limit or None, progress=name):
                yield warp(sample, letterbox(sample.size, size), size)
