"""Network, losses and balancing as one module, so that a distribution strategy wraps all that has gradients.

One optimiser step: who is frozen, which losses count, how gradients come together.

When in a run what holds: input size, learning rate, tasks. All of it follows from the number of views seen.

A slowly following copy of the network: what is validated, kept and exported.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from perception_models.config import SettingsError
from perception_models.losses import LossConfig, task_losses
from perception_models.losses.balancing import Balancer, agreement, gradients, project
from perception_models.network import PerceptionNet
from perception_models.training.config import OptimizerConfig, PhaseConfig, StageConfig
from perception_models.training.log import contact_sheet


class Learner(nn.Module):
    """A batch to the loss of every task; `teacher` (training/distill.py) adds what a larger network knows."""

    def __init__(self, net: PerceptionNet, balancer: Balancer, config: LossConfig, teacher: nn.Module | None = None):
        super().__init__()
        self.net, self.balancer, self.config, self.teacher = net, balancer, config, teacher

    def forward(
        self, batch: dict[str, Tensor], tasks: tuple[str, ...], compare: bool = False
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
        """The scalar to go backward from, the weighed loss of each task, and with `compare` how their gradients agree.

        Gradients of single tasks are taken here, inside, where Fabric and DDP do not yet wait for the one backward.
        """
        losses = self.losses(batch)
        counting = {task: loss for task, loss in losses.items() if task in tasks}
        figures = agreement(counting, self.net.shared_layer) if compare else {}
        total = self.balancer.total(counting, self.net.shared_layer)
        # Losses that do not count stay connected, or DDP would wait for their gradients (see `losses`).
        rest = [loss * (task == "distill") for task, loss in losses.items() if task not in counting]
        return sum(rest, start=total), {task: loss.detach() for task, loss in losses.items()}, figures

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Task: weighed loss, and with a teacher "distill"."""
        knowledge = self.teacher.look(batch["images"]) if self.teacher is not None else None
        pyramid = self.net.pyramid(batch["images"])
        outputs = self.net.outputs(pyramid)
        with torch.autocast(batch["images"].device.type, enabled=False):
            losses = self.balancer.weighed(task_losses(outputs, batch, self.config, self.net.config.strides))
            if self.teacher is not None:
                losses["distill"] = self.teacher(knowledge, pyramid, outputs)
        # So do levels of the trunk that no head of this network reads.
        idle = 0 * sum(level.float().mean() for level in pyramid)
        return {task: loss + idle for task, loss in losses.items()}

    def sheet(self, average: PerceptionNet, images: Tensor) -> np.ndarray:
        """What the averaged network sees in images (B, H, W, 3) uint8, drawn."""
        return contact_sheet(average, images)


def compile_parts(net: PerceptionNet) -> None:
    """Trunk and heads through torch.compile, in place: names, weights and copies of the network stay as they are."""
    for part in (net.backbone, net.neck, *net.heads.values()):
        part.compile(dynamic=False)


def check_prefixes(net: nn.Module, wanted: dict[str, list[str]]) -> None:
    """SettingsError for the beginning of a name with which no parameter of the network begins.

    wanted  setting, such as transfer.replace: beginnings
    """
    names = [name for name, _ in net.named_parameters()]
    for setting, prefixes in wanted.items():
        for prefix in prefixes:
            if not any(name.startswith(prefix) for name in names):
                parts = sorted({".".join(name.split(".")[: 1 + name.startswith("heads.")]) for name in names})
                raise SettingsError(f"{setting}: no parameter begins with '{prefix}'; the parts are {', '.join(parts)}")


def build_optimizer(learner: Learner, config: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW or SGD with one group per (decay, scale); groups carry `scale` for the schedule."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((decay, scale_of(name, config.scales)), []).append(parameter)
    rows = [{"params": p, "weight_decay": decay, "scale": scale} for (decay, scale), p in groups.items()]
    if config.kind == "adamw":
        return torch.optim.AdamW(rows, lr=config.lr, fused=True)
    if config.kind == "sgd":
        return torch.optim.SGD(rows, lr=config.lr, momentum=config.momentum, nesterov=True)
    raise ValueError(f"unknown optimizer.kind '{config.kind}': expected adamw or sgd")


def scale_of(name: str, scales: dict[str, float]) -> float:
    """Factor on the learning rate of a parameter; the longest matching beginning wins."""
    name = name.removeprefix("net.")
    return scales[max(matching, key=len)] if (matching := [p for p in scales if name.startswith(p)]) else 1.0


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def freeze(net: nn.Module, frozen: list[str]) -> None:
    """Drop gradients and stop the statistics of parts whose names begin so; the next `net.train()` undoes it."""
    if not frozen:
        return
    for name, parameter in net.named_parameters():
        if name.startswith(tuple(frozen)):
            parameter.grad = None
    for name, module in net.named_modules():
        if name.startswith(tuple(frozen)):
            module.eval()


def projected_gradients(
    learner: Learner, batch: dict[str, Tensor], tasks: tuple[str, ...], number: int
) -> dict[str, Tensor]:
    """PCGrad over all weights of this device: fills every .grad and returns the losses."""
    losses = learner.losses(batch)
    parameters = [p for p in learner.net.parameters() if p.requires_grad]
    counting = [loss for task, loss in losses.items() if task in tasks or task == "distill"]
    order = random.Random(number).sample(range(len(counting)), len(counting))
    flat = project(gradients(counting, parameters), order)
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters])):
        parameter.grad = part.view_as(parameter).clone()
    return {task: loss.detach() for task, loss in losses.items()}


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


class Average(nn.Module):
    """Exponential moving average of all weights and of batch norm's statistics (weights alone would not fit them)."""

    def __init__(self, net: nn.Module, decay: float):
        super().__init__()
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Follow; faster in the first steps, when nothing is worth remembering."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        mine, theirs = ([*m.parameters(), *m.buffers()] for m in (self.net, net))
        pairs = [(a, b.detach()) for a, b in zip(mine, theirs) if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], share)
