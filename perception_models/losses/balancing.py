"""Balancing of the task losses: fixed, learned or derived weights, or operations on the task gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.losses import TASKS


@dataclass
class BalanceConfig:
    """Method and settings of the balancing.

    method       fixed | uncertainty | uwso | dwa | gradnorm | pcgrad
    weights      fixed factor per task, applied before every method; missing tasks have 1
    temperature  of the softmax in uwso and dwa
    alpha        of gradnorm: how strongly slow tasks are favoured
    cosine_every steps between logs of task gradient norms and cosines at the shared layer; 0: never
    """

    method: str = "fixed"
    weights: dict[str, float] = field(default_factory=dict)
    temperature: float = 2.0
    alpha: float = 0.5
    cosine_every: int = 200


class Balancer(nn.Module):
    """Weights the task losses. Its state (learned or running) is part of the checkpoint.

    uncertainty  Kendall et al. 2018: one learned log-variance per task, clamped
    uwso         Kirchdorfer et al. 2024 (arXiv 2408.07985): softmax of 1/loss, analytical uncertainty weights
    dwa          Liu et al. 2019: softmax of the rate at which each loss falls
    gradnorm     Chen et al. 2018: equal gradient norms at the shared layer, slow tasks more
    pcgrad       Yu et al. 2020: conflicting gradients are projected onto each other's normal plane; see `project`
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
        self.factors: Tensor  # gradnorm
        self.first: Tensor  # gradnorm: loss of the first step, 0 before
        self.slow: Tensor  # dwa: running mean over about 100 steps
        self.fast: Tensor  # dwa: running mean over about 20 steps
        for name in ("factors", "first", "slow", "fast"):
            self.register_buffer(name, torch.full((len(TASKS),), 1.0 if name == "factors" else 0.0))

    def weighted(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses times their fixed factors, without tasks of factor 0."""
        weights = self.config.weights
        return {task: loss * weights.get(task, 1.0) for task, loss in losses.items() if weights.get(task, 1.0) > 0}

    def total(self, losses: dict[str, Tensor], shared: Tensor | None = None) -> Tensor:
        """The scalar to call backward() on; `losses` as from `weighted`. gradnorm reads gradients at `shared`.

        A loss of exactly 0 belongs to a task without labels in this batch: it must not influence any weight.
        """
        values = torch.stack(list(losses.values()))
        labelled = values.detach() > 0
        rows = torch.tensor([TASKS.index(task) for task in losses], device=values.device)[labelled]
        unlabelled, values = values[~labelled].sum(), values[labelled]
        if not len(rows):
            return unlabelled
        if self.config.method == "uncertainty":
            log_variance = self.log_variance[rows].clamp(-4, 4)
            return (values * (-log_variance).exp() + log_variance).sum() + unlabelled
        return (values * self._factors(values, rows, shared)).sum() + unlabelled

    def _factors(self, values: Tensor, rows: Tensor, shared: Tensor | None) -> Tensor:
        plain = values.detach()
        if self.config.method == "uwso":
            return len(rows) * F.softmax(1 / plain.clamp(min=1e-3) / self.config.temperature, 0)
        if self.config.method == "dwa":
            return len(rows) * F.softmax(self._relative_losses(plain, rows) / self.config.temperature, 0)
        if self.config.method == "gradnorm" and shared is not None:
            self._update_factors(values, rows, shared)
            return self.factors[rows].clone()
        return torch.ones_like(plain)

    def _relative_losses(self, values: Tensor, rows: Tensor) -> Tensor:
        """Recent loss over older loss of each task; 1 while it does not change."""
        for mean, rate in ((self.slow, 0.01), (self.fast, 0.05)):
            old = mean[rows]
            mean[rows] = torch.where(old > 0, old + rate * (values - old), values)
        return self.fast[rows] / self.slow[rows].clamp(min=1e-6)

    def _update_factors(self, values: Tensor, rows: Tensor, shared: Tensor) -> None:
        """Move each factor a little towards the gradient norm its task should have (multiplicative form)."""
        self.first[rows] = torch.where(self.first[rows] > 0, self.first[rows], values.detach())
        norms = gradients(values, [shared]).norm(dim=1) * self.factors[rows]
        progress = values.detach() / self.first[rows]
        wanted = norms.mean() * (progress / progress.mean()) ** self.config.alpha
        step = (0.025 * (wanted.clamp(min=1e-12) / norms.clamp(min=1e-12)).log()).clamp(-0.05, 0.05)
        moved = self.factors[rows] * step.exp()
        # The sum is preserved, so tasks without labels in this batch keep their relative weight.
        self.factors[rows] = moved * (self.factors[rows].sum() / moved.sum())


def gradients(losses: Iterable[Tensor], parameters: Sequence[Tensor]) -> Tensor:
    """(tasks, N) flat gradient of each loss with respect to all parameters; the graph is retained."""
    rows = []
    for loss in losses:
        parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        rows.append(torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in zip(parts, parameters)]))
    return torch.stack(rows)


def project(rows: Tensor, order: list[int]) -> Tensor:
    """PCGrad: sum of the task gradients (tasks, N), each without its components that oppose another.

    order  random permutation of the tasks
    """
    total = torch.zeros_like(rows[0])
    for i in order:
        gradient = rows[i].clone()
        for j in order:
            dot = gradient @ rows[j]
            if i != j and dot < 0:
                gradient -= dot / rows[j].square().sum().clamp(min=1e-12) * rows[j]
        total += gradient
    return total


def agreement(losses: dict[str, Tensor], shared: Tensor) -> dict[str, float]:
    """Gradient norm of each task and cosine of each pair at the shared layer, for the log."""
    tasks = list(losses)
    rows = gradients(losses.values(), [shared]).float()
    norms = rows.norm(dim=1)
    cosine = (rows @ rows.T) / (norms[:, None] * norms[None]).clamp(min=1e-12)
    metrics = {f"norm/{task}": float(norms[i]) for i, task in enumerate(tasks)}
    for i, task in enumerate(tasks):
        metrics |= {f"cosine/{task}-{other}": float(cosine[i, j]) for j, other in enumerate(tasks) if j > i}
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
