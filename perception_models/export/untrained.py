"""A network that has learnt nothing, for measuring speed before there is a trained one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from perception_models.network import PerceptionNet
from perception_models.network.config import of_size
from perception_models.training.checkpoint import save
from perception_models.training.config import StageConfig, TrainConfig


def write_untrained(path: Path, size: str = "n", height: int = 384, width: int = 640) -> Path:
    """A checkpoint of random weights whose numbers stay in the range of a trained network's; the same every time."""
    torch.manual_seed(0)
    net = PerceptionNet(of_size(size)).train()
    with torch.no_grad():  # batch norms get to know the scale of what they see, or low precision overflows
        for _ in range(8):
            net(torch.randint(0, 256, (2, height // 4, width // 4, 3), dtype=torch.uint8))
        if "lanes" in net.heads:  # it says that all its lines exist: what comes after it has work to do
            for layer in (net.heads["lanes"].row, net.heads["lanes"].existence):
                layer.bias += 3
    config = TrainConfig(name="untrained", stages=[StageConfig(height=height, width=width)])
    state = {"step": 0, "network": asdict(net.config), "config": asdict(config)}
    save(path, {"average": net.state_dict()}, state)
    return path
