"""One optimiser step: who is frozen, which losses count, how gradients come together."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn

from perception_models.balancing import gradients, project
from perception_models.network import PerceptionNet
from perception_models.settings import SettingsError
from perception_models.training.config import OptimizerConfig
from perception_models.training.learner import Learner


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
