"""Schedule of a run: input size, learning rate and tasks as functions of the number of views so far."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from perception_models.training.config import OptimizerConfig, PhaseConfig, StageConfig


@dataclass(frozen=True)
class Step:
    """One optimiser step.

    views_before  views before it on all devices
    progress      fraction of the run before it
    size          (height, width) of the images
    batch         images per device
    """

    number: int
    views_before: int
    progress: float
    size: tuple[int, int]
    batch: int


def steps(stages: list[StageConfig], devices: int, start: int = 0) -> Iterator[Step]:
    """All steps of a run, from number `start`; a resumed run continues the same sequence."""
    total = total_views(stages, devices)
    number = views = 0
    for stage in stages:
        for _ in range(_steps_of_stage(stage, devices)):
            if number >= start:
                yield Step(number, views, views / total, (stage.height, stage.width), stage.batch)
            number, views = number + 1, views + stage.batch * devices


def same_step(number: int, stages: list[StageConfig], before: int, now: int) -> int:
    """The step on `now` devices before which at least as many views were seen as before step `number` on `before`."""
    if before == now:
        return number
    views = next((step.views_before for step in steps(stages, before, number)), total_views(stages, before))
    return next((step.number for step in steps(stages, now) if step.views_before >= views), total_steps(stages, now))


def total_steps(stages: list[StageConfig], devices: int) -> int:
    return sum(_steps_of_stage(stage, devices) for stage in stages)


def total_views(stages: list[StageConfig], devices: int) -> int:
    return max(1, sum(_steps_of_stage(stage, devices) * stage.batch * devices for stage in stages))


def _steps_of_stage(stage: StageConfig, devices: int) -> int:
    return stage.views // (stage.batch * devices)


def learning_rate(config: OptimizerConfig, step: Step) -> float:
    """Linear warm-up times a cosine from lr to lr * final."""
    cosine = config.final + (1 - config.final) * (1 + math.cos(math.pi * min(step.progress, 1))) / 2
    return config.lr * min(1.0, (step.number + 1) / max(config.warmup, 1)) * cosine


def phase_at(phases: list[PhaseConfig], progress: float) -> PhaseConfig:
    """The current phase; the default, which trains everything, if there is none."""
    return next((phase for phase in phases if progress < phase.until), PhaseConfig())


def tasks_at(phase: PhaseConfig, tasks: tuple[str, ...], number: int) -> tuple[str, ...]:
    """The tasks trained in step `number`."""
    chosen = tuple(task for task in tasks if not phase.tasks or task in phase.tasks)
    return (chosen[number % len(chosen)],) if phase.alternate else chosen
