"""What the networks of a comparison cost: their size, and their time on this CPU, in turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perception_models.export import deployable
from perception_models.network import PerceptionNet
from perception_models.speed import seconds
from perception_models.training.checkpoint import load_network


@dataclass(frozen=True)
class Cost:
    """Of one network as it is exported.

    parameters  numbers in it
    time        CPU time of an image over that of the first network, ONNX Runtime, one thread
    """

    parameters: int
    time: float


def costs(checkpoints: Mapping[str, Path], rounds: int = 20) -> dict[str, Cost]:
    """Name of a run and its best.safetensors; all at the size of images that the first was trained for last."""
    loaded = {name: load_network(path) for name, path in checkpoints.items()}
    stage = next(iter(loaded.values()))[1]["config"]["stages"][-1]
    times = seconds([net for net, _ in loaded.values()], (stage["height"], stage["width"]), rounds)
    counts = [_parameters(net) for net, _ in loaded.values()]
    return {name: Cost(count, time / times[0]) for name, count, time in zip(loaded, counts, times)}


def _parameters(net: PerceptionNet) -> int:
    """Without the twin of the object head that only teaches."""
    return sum(each.numel() for name, each in deployable(net).named_parameters() if ".many." not in name)


def cost_table(found: Mapping[str, Cost]) -> str:
    """Markdown: millions of parameters, and times."""
    rows = [f"| {name} | {cost.parameters / 1e6:.2f} | {cost.time:.2f} |" for name, cost in found.items()]
    return "\n".join(["| run | million parameters | CPU time, the first is 1 |", "|---|---|---|", *rows]) + "\n"
