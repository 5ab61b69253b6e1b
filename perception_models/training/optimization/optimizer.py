"""Optimiser with parameter groups, and freezing of parts of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from perception_models.training.config import OptimizerConfig, PhaseConfig


def build_optimizer(module: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW or SGD with one parameter group per (decay, scale); `scale` is for `set_learning_rate`."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((decay, scale_of(name, config.scales)), []).append(parameter)
    rows: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": decay, "scale": scale} for (decay, scale), parameters in groups.items()
    ]
    if config.kind == "adamw":
        return torch.optim.AdamW(rows, lr=config.lr, fused=True)
    if config.kind == "sgd":
        return torch.optim.SGD(rows, lr=config.lr, momentum=config.momentum, nesterov=True)
    raise ValueError(f"unknown optimizer.kind '{config.kind}': expected adamw or sgd")


def scale_of(name: str, scales: dict[str, float]) -> float:
    """Learning-rate factor of a parameter; the longest matching prefix wins."""
    name = name.removeprefix("net.")
    return scales[max(matching, key=len)] if (matching := [p for p in scales if name.startswith(p)]) else 1.0


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def frozen_prefixes(net: nn.Module, phase: PhaseConfig) -> list[str]:
    """Of the names of all parameters that do not learn in a phase."""
    return [*phase.frozen, *(depthwise_filters(net) if phase.frozen_filters else [])]


def depthwise_filters(net: nn.Module) -> list[str]:
    """Names of the weights of all depthwise convolutions."""
    modules = ((name, module) for name, module in net.named_modules() if isinstance(module, nn.Conv2d))
    return [f"{name}.weight" for name, module in modules if module.groups == module.in_channels > 1]


def freeze(net: nn.Module, prefixes: list[str]) -> None:
    """Drop the gradients and stop the statistics of parts by name prefix, until the next `net.train()`."""
    if not prefixes:
        return
    for name, parameter in net.named_parameters():
        if name.startswith(tuple(prefixes)):
            parameter.grad = None
    for name, module in net.named_modules():
        if name.startswith(tuple(prefixes)):
            module.eval()


def spare_backward(parameters: dict[str, nn.Parameter], prefixes: list[str]) -> None:
    """Compute gradients of these parameters only where their names do not start with a prefix.

    Saves the backward pass through frozen first layers. Not for several devices, whose strategy expects the same
    gradients in every step.
    """
    for name, parameter in parameters.items():
        parameter.requires_grad_(not name.startswith(tuple(prefixes)))


def hold_norms(net: nn.Module) -> None:
    """Keep and use the statistics of all batch norms, until the next `net.train()`."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
