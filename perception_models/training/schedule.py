"""When in a run what holds: input size, learning rate, tasks. All of it follows from the number of views seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from perception_models.training.config import OptimizerConfig, PhaseConfig, StageConfig


@dataclass(frozen=True)
class Step:
    """One optimiser step: its number, the views seen before it (all devices), the share of the run done."""

    number: int
    seen: int
    progress: float
    size: tuple[int, int]
    batch: int


def steps(stages: list[StageConfig], devices: int, start: int = 0) -> Iterator[Step]:
    """All steps of a run from number `start` on; a resumed run continues the same row."""
    total = total_views(stages, devices)
    number = seen = 0
    for stage in stages:
        for _ in range(stage.views // (stage.batch * devices)):
            if number >= start:
                yield Step(number, seen, seen / total, (stage.height, stage.width), stage.batch)
            number, seen = number + 1, seen + stage.batch * devices


def total_steps(stages: list[StageConfig], devices: int) -> int:
    return sum(stage.views // (stage.batch * devices) for stage in stages)


def total_views(stages: list[StageConfig], devices: int) -> int:
    return max(1, sum(stage.views // (stage.batch * devices) * stage.batch * devices for stage in stages))


def learning_rate(config: OptimizerConfig, step: Step) -> float:
    """Linear warm-up times a cosine from lr to lr * final."""
    cosine = config.final + (1 - config.final) * (1 + math.cos(math.pi * min(step.progress, 1))) / 2
    return config.lr * min(1.0, (step.number + 1) / max(config.warmup, 1)) * cosine


def phase_at(phases: list[PhaseConfig], progress: float) -> PhaseConfig:
    """The phase that holds; everything trains when there is none."""
    return next((phase for phase in phases if progress < phase.until), PhaseConfig())


def tasks_at(phase: PhaseConfig, tasks: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Tasks that count in this step."""
    chosen = tuple(task for task in tasks if not phase.tasks or task in phase.tasks)
    return (chosen[number % len(chosen)],) if phase.alternate else chosen
