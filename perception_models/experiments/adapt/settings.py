"""Settings of an adaptation: which were chosen how is in docs/research_log.md, "A few labelled images"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception_models.data.registry import open_dataset
from perception_models.training.config import (
    DataConfig,
    DistillConfig,
    OptimizerConfig,
    PhaseConfig,
    StageConfig,
    TrainConfig,
    TransferConfig,
)

Entry = dict[str, Any]  # of data.train: kind, path, rows, ...
HELD_OUT = 0.25  # of the images


@dataclass
class Settings:
    """Defaults are those that did best on held-out sets.

    steps       optimiser steps
    batch       images per step
    lr          peak learning rate
    frozen      prefixes of parameters that stay as they are, such as backbone
    scales      learning-rate factor by parameter prefix
    hold_norms  keep the statistics of the batch norms
    replay      fraction of the images that are drawn from the old data, if some are given
    teacher     weight of learning from the outputs of the network that is adapted, against forgetting; 0: none
    share       of the new weights in the mean with the old ones, 0..1
    average     decay of the moving average of the weights
    height, width  size of the images, pixels; 0: that of the network
    """

    steps: int = 120
    batch: int = 4
    lr: float = 0.0005
    frozen: list[str] = field(default_factory=list)
    scales: dict[str, float] = field(default_factory=dict)
    hold_norms: bool = True
    replay: float = 0.3
    teacher: float = 0.0
    share: float = 1.0
    average: float = 0.95
    height: int = 0
    width: int = 0
    threads: int = 1
    seed: int = 0
    augment: dict[str, Any] = field(
        default_factory=lambda: {"scale": [0.8, 1.3], "plain": 0.4, "mosaic": 0.0, "paste_lights": 0.0, "coarse": 0.0}
    )


def split(entries: Sequence[Entry], held_out: float = HELD_OUT) -> tuple[list[Entry], list[Entry]]:
    """Entries for training, and those that are held out: the last images of each data set, at least one.

    Neighbouring images of a drive resemble each other, so that every fourth image would prove little.
    """
    train, held = [], []
    for entry in entries:
        rows = entry.get("rows") or list(range(len(open_dataset(**entry))))
        last = max(1, round(held_out * len(rows)))
        if len(rows) > last:
            train.append({**entry, "rows": rows[:-last]})
        held.append({**entry, "rows": rows[-last:]})
    return train, held


def training(
    settings: Settings, checkpoint: Path, state: dict[str, Any], own: Sequence[Entry], old: Sequence[Entry]
) -> TrainConfig:
    """The training run that adapts a checkpoint.

    state  of the checkpoint: its network and the image size of its last stage
    own    data of the new camera
    old    data to mix in
    """
    last = state["config"]["stages"][-1]
    size = settings.height or last["height"], settings.width or last["width"]
    mixed = settings.replay if old else 0.0
    entries = [{**entry, "weight": (1 - mixed) * len(entry["rows"]) / _count(own)} for entry in own]
    entries += [{**entry, "weight": mixed * len(entry["rows"]) / _count(old)} for entry in old if mixed]
    taught = DistillConfig(str(checkpoint), settings.teacher, 0.0, settings.teacher) if settings.teacher else None
    return TrainConfig(
        name="adapted",
        seed=settings.seed,
        network=state["network"],
        stages=[StageConfig(settings.steps * settings.batch, *size, settings.batch)],
        data=DataConfig(entries, cache=None, augment=dict(settings.augment), epoch=settings.steps * settings.batch),
        optimizer=OptimizerConfig(
            lr=settings.lr, warmup=max(settings.steps // 10, 1), final=0.05, scales=dict(settings.scales)
        ),
        phases=[PhaseConfig(frozen=list(settings.frozen), hold_norms=settings.hold_norms)],
        transfer=TransferConfig(str(checkpoint)),
        distill=taught or DistillConfig(),
        threads=settings.threads,
        average=settings.average,
        save_every=20,
        validate_every=0,
        picture_every=0,
        log_every=10,
    )


def _count(entries: Sequence[Entry]) -> int:
    return sum(len(entry["rows"]) for entry in entries)
