"""A slowly following copy of the network: what is validated, kept and exported."""

from __future__ import annotations

import copy

import torch
from torch import nn


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
