"""Structured pruning: remove the least important channels of a trained network, which leaves a smaller ordinary one.

torch-pruning (DepGraph, Fang et al. 2023, arXiv 2301.12900) finds the channels that depend on each other (residuals,
sums, concatenations) and must be cut together. A NetworkConfig gives the number of channels to keep, so that training,
transfer and export accept the result like any other network.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from perception_models.compression.reconstruct import thinned
from perception_models.config import SettingsError, load_settings
from perception_models.data.registry import find_entries
from perception_models.export.export import trained_size
from perception_models.export.speed import seconds
from perception_models.losses import LossConfig, task_losses
from perception_models.network import NetworkConfig, PerceptionNet
from perception_models.training import checkpoint
from perception_models.training.config import DataConfig
from perception_models.training.loader import validation_batches

STEP = 16  # channels; widths stay multiples of it, see NetworkConfig
# Not lane_features: pooling along a line is a matrix product, through which torch-pruning cannot trace dependencies.
WIDTHS = ("stem", "widths", "neck", "fine")


@dataclass(frozen=True)
class Pruned:
    """A pruned checkpoint and the configuration that fine-tunes it. parameters, macs: before and after."""

    checkpoint: Path
    config: Path
    network: NetworkConfig
    parameters: tuple[int, int]
    macs: tuple[int, int]


def prune(
    path: Path,
    out: Path,
    keep: float = 0.75,
    overrides: list[str] | None = None,
    batch: dict[str, Tensor] | None = None,
) -> Pruned:
    """Write out/pruned.safetensors and out/finetune.yaml, a training that starts from it.

    keep       fraction of the channels to keep, rounded to multiples of 16
    overrides  key=value settings of NetworkConfig that replace it: neck=48 "widths=[32, 48, 64, 96]"
    batch      labelled targets to rank channels by their influence on the loss (Taylor); default: by weight magnitude
    """
    net, state = checkpoint.load_network(path)
    made = cut(net, smaller(net.config, keep, overrides), trained_size(state), batch)
    return write(net, made, state, out)


def prune_blocks(path: Path, out: Path, images: Sequence[Tensor], lost: float = 0.05) -> Pruned:
    """The same for a network with the backbone efficientnet_lite0: fewer channels inside its blocks.

    images  batches of B H W 3 uint8, see compression/reconstruct.py
    lost    largest share of the variance of a block's output to lose
    """
    net, state = checkpoint.load_network(path)
    if net.config.backbone != "efficientnet_lite0":
        raise SettingsError(f"{path} has the backbone {net.config.backbone}: prune it with --keep")
    return write(net, thinned(net, images, lost), state, out)


def write(net: PerceptionNet, made: PerceptionNet, state: dict[str, Any], out: Path) -> Pruned:
    """Checkpoint and configuration of `made`, cut from `net` with the saved state `state`."""
    target, finetune = out / "pruned.safetensors", out / "finetune.yaml"
    network = asdict(made.config)
    config = state["config"] | {"network": network, "transfer": {"weights": str(target), "replace": []}}
    checkpoint.save(target, {"average": made.state_dict()}, {**state, "network": network, "config": config})
    finetune.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    before, after = (count(each, trained_size(state)) for each in (net, made))
    return Pruned(target, finetune, made.config, (before[0], after[0]), (before[1], after[1]))


def labelled_batches(path: Path, data: Sequence[Path], images: int, batch: int) -> list[dict[str, Tensor]]:
    """Targets of evenly spaced labelled images, at the size of the last training stage."""
    entries = [entry for folder in data for entry in find_entries(folder)]
    _, state = checkpoint.load_network(path)
    config = DataConfig(val=[dict(entry) for entry in entries], cache=None)
    return validation_batches(config, trained_size(state), images, batch)


def pruned_speed(before: Path, after: Path) -> list[float]:
    """Seconds per image of both checkpoints, see perception_models.export.speed."""
    nets, states = zip(*(checkpoint.load_network(path) for path in (before, after)))
    return seconds(list(nets), trained_size(states[0]))


def count(net: PerceptionNet, size: tuple[int, int]) -> tuple[int, int]:
    """Parameters, and multiply-accumulates for one image of (height, width)."""
    import torch_pruning as tp

    macs, parameters = tp.utils.count_ops_and_params(net, torch.zeros(1, *size, 3))
    return int(parameters), int(macs)


def cut(
    net: PerceptionNet, wanted: NetworkConfig, size: tuple[int, int], batch: dict[str, Tensor] | None = None
) -> PerceptionNet:
    """A network of the wanted configuration with the most important channels of `net`, which is left unchanged.

    size   (height, width) of an image to trace with
    batch  labelled targets to rank channels by (first-order Taylor, Molchanov et al. 2019, arXiv 1906.10771)
    """
    import torch_pruning as tp

    if net.config.attention:
        raise SettingsError("networks with attention cannot be pruned: their heads share channels")
    pruned, target = copy.deepcopy(net).eval(), PerceptionNet(wanted)
    ramps = [(p, 1) for name, p in pruned.named_parameters() if name.endswith("ramp")]
    graph = tp.DependencyGraph().build_dependency(pruned, torch.zeros(1, *size, 3), unwrapped_parameters=ramps)
    importance = tp.importance.GroupMagnitudeImportance(p=2)
    if batch is not None:
        importance = tp.importance.GroupTaylorImportance()
        losses = task_losses(pruned(batch["images"]), batch, LossConfig(), wanted.strides)
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
    counterparts = {module: dict(target.named_modules())[name] for name, module in pruned.named_modules()}
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]):
        module, handler = group[0].dep.target.module, group[0].dep.handler
        surplus = len(module.weight) - len(counterparts[module].weight)
        if surplus > 0:
            least = importance(group).argsort()[:surplus]
            graph.get_pruning_group(module, handler, least.tolist()).prune()
    return _filled(target, pruned)


def _filled(target: PerceptionNet, pruned: nn.Module) -> PerceptionNet:
    try:
        target.load_state_dict(pruned.state_dict())
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise SettingsError(
            f"no cut leads to these sizes ({first}): make the last of widths a multiple of 2"
        ) from error
    return target.eval()


def smaller(config: NetworkConfig, keep: float, overrides: list[str] | None = None) -> NetworkConfig:
    """The configuration with a fraction of the channels; SettingsError if `overrides` ask for more than there are."""
    if not 0 < keep <= 1:
        raise SettingsError(f"keep={keep}: expected a fraction above 0 and at most 1")
    if config.backbone != "residual":
        raise SettingsError(f"the widths of {config.backbone} are fixed: prune inside its blocks, with --data")
    scaled = replace(
        config,
        stem=_scaled(config.stem, keep),
        # The pyramid pool works with half of the last width.
        widths=[*(_scaled(w, keep) for w in config.widths[:-1]), _scaled(config.widths[-1], keep, 2 * STEP)],
        neck=_scaled(config.neck, keep),
        fine=_scaled(config.fine, keep),
    )
    chosen = replace(scaled, **_overrides(overrides or []))
    if wrong := [name for name in WIDTHS if not _fits(getattr(chosen, name), getattr(config, name))]:
        raise SettingsError(f"{', '.join(wrong)}: pruning only removes channels: give at least 1 and no more than now")
    return chosen


def _scaled(channels: int, keep: float, step: int = STEP) -> int:
    """A multiple of `step`, at least one step, no more channels than there are."""
    return min(channels, max(step, round(channels * keep / step) * step))


def _overrides(overrides: list[str]) -> dict[str, Any]:
    """Fields of NetworkConfig from key=value words; channel counts only."""
    names = [word.partition("=")[0] for word in overrides]
    if unknown := sorted(set(names) - set(WIDTHS)):
        raise SettingsError(f"{', '.join(unknown)}: pruning changes {', '.join(WIDTHS)} only")
    settings = load_settings(NetworkConfig, None, overrides)
    return {name: getattr(settings, name) for name in names}


def _fits(wanted: Any, now: Any) -> bool:
    wanted, now = (each if isinstance(each, list) else [each] for each in (wanted, now))
    return len(wanted) == len(now) and all(0 < a <= b for a, b in zip(wanted, now))
