"""Exponential moving average of the network, which is validated, saved and exported."""

from __future__ import annotations

import copy

import torch
from torch import nn

from perception_models.network import PerceptionNet


class AveragedNetwork(nn.Module):
    """Moving average of all weights and of the batch-norm statistics, which would not fit averaged weights alone."""

    def __init__(self, net: PerceptionNet, decay: float):
        super().__init__()
        self.net = copy.deepcopy(net).eval()
        self.net.requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Move towards `net`, faster during the first steps."""
        rate = 1 - min(self.decay, (1 + step) / (10 + step))
        averaged, current = ([*m.parameters(), *m.buffers()] for m in (self.net, net))
        pairs = [(a, b.detach()) for a, b in zip(averaged, current) if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], rate)
