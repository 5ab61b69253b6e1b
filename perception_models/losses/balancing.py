"""How six losses become one step: by fixed weights, by learned or derived weights, or by working on their gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.losses import TASKS


@dataclass
class BalanceConfig:
    """Choice and settings of the balancing.

    method       fixed | uncertainty | uwso | dwa | gradnorm | pcgrad
    weights      fixed factor per task, applied before every method; missing tasks have 1
    temperature  of the softmax in uwso and dwa
    alpha        of gradnorm: how strongly slow tasks are pushed
    cosine_every log gradient norms and cosines between tasks at the shared layer every so many steps; 0 never
    """

    method: str = "fixed"
    weights: dict[str, float] = field(default_factory=dict)
    temperature: float = 2.0
    alpha: float = 0.5
    cosine_every: int = 200


class Balancer(nn.Module):
    """Weighs task losses. Its state (learned or remembered) is part of the checkpoint.

    uncertainty  Kendall et al. 2018: one learned log-variance per task, clamped
    uwso         Kirchdorfer et al. 2024 (arXiv 2408.07985): softmax of 1/loss, analytical uncertainty weights
    dwa          Liu et al. 2019: softmax of the rate at which each loss falls
    gradnorm     Chen et al. 2018: equal gradient norms at the shared layer, slow tasks more
    pcgrad       Yu et al. 2020: each gradient is projected off those it contradicts; see `project`
    """

    METHODS = ("fixed", "uncertainty", "uwso", "dwa", "gradnorm", "pcgrad")

    def __init__(self, config: BalanceConfig):
        super().__init__()
        if config.method not in self.METHODS:
            raise ValueError(f"unknown balance.method '{config.method}': expected one of {', '.join(self.METHODS)}")
        if unknown := set(config.weights) - set(TASKS):
            raise ValueError(f"balance.weights names unknown tasks {sorted(unknown)}: known are {', '.join(TASKS)}")
        self.config = config
        self.log_variance = nn.Parameter(torch.zeros(len(TASKS)), requires_grad=config.method == "uncertainty")
        self.register_buffer("factors", torch.ones(len(TASKS)))  # gradnorm
        self.register_buffer("first", torch.zeros(len(TASKS)))  # gradnorm: loss of the first step, 0 not seen yet
        self.register_buffer("slow", torch.zeros(len(TASKS)))  # dwa: running means over about 100 and 20 steps
        self.register_buffer("fast", torch.zeros(len(TASKS)))

    def weighed(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses times their fixed factors; tasks of factor 0 are left out."""
        weights = self.config.weights
        return {task: loss * weights.get(task, 1.0) for task, loss in losses.items() if weights.get(task, 1.0) > 0}

    def total(self, losses: dict[str, Tensor], shared: Tensor | None = None) -> Tensor:
        """One scalar to go backward from; `losses` as from `weighed`. gradnorm reads gradients at `shared`.

        A loss of exactly 0 is a task that no image of the batch is labelled for: it says nothing about any weight.
        """
        values = torch.stack(list(losses.values()))
        told = values.detach() > 0
        rows = torch.tensor([TASKS.index(task) for task in losses], device=values.device)[told]
        silent, values = values[~told].sum(), values[told]
        if not len(rows):
            return silent
        if self.config.method == "uncertainty":
            log_variance = self.log_variance[rows].clamp(-4, 4)
            return (values * (-log_variance).exp() + log_variance).sum() + silent
        return (values * self._factors(values, rows, shared)).sum() + silent

    def _factors(self, values: Tensor, rows: Tensor, shared: Tensor | None) -> Tensor:
        plain = values.detach()
        if self.config.method == "uwso":
            return len(rows) * F.softmax(1 / plain.clamp(min=1e-3) / self.config.temperature, 0)
        if self.config.method == "dwa":
            return len(rows) * F.softmax(self._pace(plain, rows) / self.config.temperature, 0)
        if self.config.method == "gradnorm" and shared is not None:
            self._follow_norms(values, rows, shared)
            return self.factors[rows].clone()
        return torch.ones_like(plain)

    def _pace(self, values: Tensor, rows: Tensor) -> Tensor:
        """Recent loss over older loss of each task: 1 when it stands still."""
        for memory, share in ((self.slow, 0.01), (self.fast, 0.05)):
            old = memory[rows]
            memory[rows] = torch.where(old > 0, old + share * (values - old), values)
        return self.fast[rows] / self.slow[rows].clamp(min=1e-6)

    def _follow_norms(self, values: Tensor, rows: Tensor, shared: Tensor) -> None:
        """Move each factor a little towards the gradient norm its task should have (multiplicative form)."""
        self.first[rows] = torch.where(self.first[rows] > 0, self.first[rows], values.detach())
        norms = gradients(values, [shared]).norm(dim=1) * self.factors[rows]
        pace = values.detach() / self.first[rows]
        wanted = norms.mean() * (pace / pace.mean()) ** self.config.alpha
        step = (0.025 * (wanted.clamp(min=1e-12) / norms.clamp(min=1e-12)).log()).clamp(-0.05, 0.05)
        moved = self.factors[rows] * step.exp()
        # Their sum stays, so tasks that are silent in this batch keep their share.
        self.factors[rows] = moved * (self.factors[rows].sum() / moved.sum())


def gradients(losses: Iterable[Tensor], parameters: list[Tensor]) -> Tensor:
    """(tasks, numbers) gradient of each loss by all parameters, flat; the graph stays usable."""
    rows = []
    for loss in losses:
        parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        rows.append(torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in zip(parts, parameters)]))
    return torch.stack(rows)


def project(rows: Tensor, order: list[int]) -> Tensor:
    """PCGrad: the sum of task gradients (tasks, numbers), each freed of what contradicts another; `order` is random."""
    total = torch.zeros_like(rows[0])
    for i in order:
        mine = rows[i].clone()
        for j in order:
            dot = mine @ rows[j]
            if i != j and dot < 0:
                mine -= dot / rows[j].square().sum().clamp(min=1e-12) * rows[j]
        total += mine
    return total


def agreement(losses: dict[str, Tensor], shared: Tensor) -> dict[str, float]:
    """Gradient norm of each task and cosine of each pair at the shared layer, for the log."""
    tasks = list(losses)
    rows = gradients(losses.values(), [shared]).float()
    norms = rows.norm(dim=1)
    cosine = (rows @ rows.T) / (norms[:, None] * norms[None]).clamp(min=1e-12)
    figures = {f"norm/{task}": float(norms[i]) for i, task in enumerate(tasks)}
    for i, task in enumerate(tasks):
        figures |= {f"cosine/{task}-{other}": float(cosine[i, j]) for j, other in enumerate(tasks) if j > i}
    return {name: value for name, value in figures.items() if math.isfinite(value)}
