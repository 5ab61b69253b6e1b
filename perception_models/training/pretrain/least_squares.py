"""A convolution with batch norm, computed rather than trained: linear regression of its outputs on its inputs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from perception_models.network.blocks import ConvBlock

RIDGE = 1e-4  # of the mean square of the inputs: keeps the solution small where inputs are nearly dependent


class Regression:
    """Normal equations of a block, from any number of batches; its activation is ignored."""

    def __init__(self, block: ConvBlock):
        inputs, outputs = block.conv.weight[0].numel() + 1, block.conv.out_channels
        self.block = block
        self.squares = torch.zeros(inputs, inputs, dtype=torch.float64)
        self.products = torch.zeros(inputs, outputs, dtype=torch.float64)

    def add(self, x: Tensor, wanted: Tensor) -> None:
        """x (B, inputs, H, W), wanted (B, outputs, h, w)"""
        conv = self.block.conv
        patches = F.unfold(x.float(), conv.kernel_size, padding=conv.padding, stride=conv.stride)  # type: ignore[arg-type]
        rows = F.pad(patches.transpose(1, 2).flatten(0, 1), (0, 1), value=1.0)
        self.squares += (rows.T @ rows).double().cpu()
        self.products += (rows.T @ wanted.float().movedim(1, -1).flatten(0, 2)).double().cpu()

    @torch.no_grad()
    def apply(self) -> None:
        """Set the weights, and a batch norm that changes nothing until its statistics move."""
        size = len(self.squares) - 1
        ridge = torch.eye(size + 1, dtype=torch.float64) * RIDGE * self.squares.diagonal()[:-1].mean()
        solution = torch.linalg.solve(self.squares + ridge, self.products)
        weight, offset = solution[:-1], solution[-1]
        count, sums = self.squares[-1, -1], self.squares[-1, :-1]
        mean = sums @ weight / count
        second = (weight * (self.squares[:-1, :-1] @ weight)).sum(0) / count
        variance = (second - mean.square()).clamp(min=0)
        conv, norm = self.block.conv, self.block.norm
        conv.weight.copy_(weight.T.reshape(conv.weight.shape))
        norm.load_state_dict({
            "weight": (variance + norm.eps).sqrt(), "bias": offset + mean,
            "running_mean": mean, "running_var": variance, "num_batches_tracked": torch.tensor(0),
        })  # fmt: skip
