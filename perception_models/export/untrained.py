"""Checkpoints with random weights, for measuring speed before a network is trained."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from perception_models.network import PerceptionNet
from perception_models.network.config import of_size
from perception_models.network.heads import LaneHead
from perception_models.training.checkpoint import save
from perception_models.training.config import StageConfig, TrainConfig


def write_untrained(path: Path, size: str = "n", height: int = 384, width: int = 640) -> Path:
    """Write a checkpoint of random weights with activations in the range of a trained network; deterministic."""
    torch.manual_seed(0)
    net = PerceptionNet(of_size(size)).train()
    with torch.no_grad():  # batch norms need statistics of their inputs, or low precision overflows
        for _ in range(8):
            net(torch.randint(0, 256, (2, height // 4, width // 4, 3), dtype=torch.uint8))
        head = net.heads["lanes"] if "lanes" in net.heads else None
        if isinstance(head, LaneHead):  # predict that all lines exist, so that post-processing has work to do
            for name, bias in head.named_parameters():
                if name in ("row.bias", "existence.bias"):
                    bias.add_(3)
    config = TrainConfig(name="untrained", stages=[StageConfig(height=height, width=width)])
    state = {"step": 0, "network": asdict(net.config), "config": asdict(config)}
    save(path, {"average": net.state_dict()}, state)
    return path
