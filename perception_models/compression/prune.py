"""A trained network with fewer channels: what carries least is cut out, an ordinary smaller network is left.

Which channels belong together (residuals, sums, concatenations) and are cut as one is found by torch-pruning (DepGraph,
Fang et al. 2023, arXiv 2301.12900). How many stay is said by a NetworkConfig, so that training, transfer and export
take the result as they take any network.

How many channels stay when a network is pruned.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from perception_models.config import SettingsError, load_settings
from perception_models.data.registry import find_entries
from perception_models.export.speed import seconds
from perception_models.losses import LossConfig, task_losses
from perception_models.network import NetworkConfig, PerceptionNet
from perception_models.training import checkpoint
from perception_models.training.config import DataConfig
from perception_models.training.loader import validation_batches

LEAST = 16  # channels; widths stay multiples of it, see NetworkConfig
# Not lane_features: pooling along a line is a matrix product, in which the graph cannot see what belongs together.
WIDTHS = ("stem", "widths", "neck", "fine")


def smaller(config: NetworkConfig, keep: float, words: list[str] | None = None) -> NetworkConfig:
    """The configuration with a share of the channels; SettingsError where `words` ask for more than there are."""
    if not 0 < keep <= 1:
        raise SettingsError(f"keep={keep}: expected a share above 0 and at most 1")
    share = replace(
        config,
        stem=_rounded(config.stem, keep),
        # The pyramid pool works with half of the last width.
        widths=[*(_rounded(w, keep) for w in config.widths[:-1]), _rounded(config.widths[-1], keep, 2 * LEAST)],
        neck=_rounded(config.neck, keep),
        fine=_rounded(config.fine, keep),
    )
    chosen = replace(share, **_asked(words or []))
    if wrong := [name for name in WIDTHS if not _fits(getattr(chosen, name), getattr(config, name))]:
        raise SettingsError(f"{', '.join(wrong)}: pruning takes channels away: ask for at least 1 and no more than now")
    return chosen


def _rounded(channels: int, keep: float, step: int = LEAST) -> int:
    """A multiple of `step`, at least one, no more than there are."""
    return min(channels, max(step, round(channels * keep / step) * step))


def _asked(words: list[str]) -> dict[str, Any]:
    """Fields of NetworkConfig from key=value words; only those that say how many channels there are."""
    asked = {key: value for key, _, value in (word.partition("=") for word in words)}
    if unknown := sorted(set(asked) - set(WIDTHS)):
        raise SettingsError(f"{', '.join(unknown)}: pruning changes {', '.join(WIDTHS)} only")
    settings = load_settings(NetworkConfig, None, words)
    return {name: getattr(settings, name) for name in asked}


def _fits(asked: Any, now: Any) -> bool:
    pairs = list(zip(asked, now)) if isinstance(now, list) else [(asked, now)]
    return all(0 < a <= b for a, b in pairs) and (not isinstance(now, list) or len(asked) == len(now))


@dataclass(frozen=True)
class Pruned:
    """What was made. parameters, macs: before and after; config: of the training that lets the rest recover."""

    checkpoint: Path
    config: Path
    network: NetworkConfig
    parameters: tuple[int, int]
    macs: tuple[int, int]


def prune(
    path: Path, out: Path, keep: float = 0.75, words: list[str] | None = None, batch: dict[str, Tensor] | None = None
) -> Pruned:
    """Write out/pruned.safetensors and out/finetune.yaml, a training that starts from it.

    keep   share of the channels that stay, rounded to multiples of 16
    words  key=value words over that, of NetworkConfig: neck=48 "widths=[32, 48, 64, 96]"
    batch  labelled targets; channels whose loss would change least go (Taylor), without it the smallest weights
    """
    net, state = checkpoint.load_network(path)
    wanted = smaller(net.config, keep, words)
    size = _size(state)
    made = cut(net, wanted, size, batch)
    target = out / "pruned.safetensors"
    network = asdict(wanted)
    config = state["config"] | {"network": network, "transfer": {"weights": str(target), "replace": []}}
    checkpoint.save(target, {"average": made.state_dict()}, {**state, "network": network, "config": config})
    finetune = out / "finetune.yaml"
    finetune.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    counts = [count(n, size) for n in (net, made)]
    return Pruned(target, finetune, wanted, (counts[0][0], counts[1][0]), (counts[0][1], counts[1][1]))


def labelled_batch(path: Path, data: list[Path], images: int) -> dict[str, Tensor]:
    """Targets of evenly spread labelled images, of the size the network was trained for last."""
    entries = [entry for folder in data for entry in find_entries(folder)]
    _, state = checkpoint.load_network(path)
    config = DataConfig(val=[dict(entry) for entry in entries], cache=None)
    return validation_batches(config, _size(state), images, images)[0]


def pruned_speed(before: Path, after: Path) -> list[float]:
    """Seconds of one image through each, see perception_models.export.speed."""
    nets, states = zip(*(checkpoint.load_network(path) for path in (before, after)))
    return seconds(list(nets), _size(states[0]))


def cut(
    net: PerceptionNet, wanted: NetworkConfig, size: tuple[int, int], batch: dict[str, Tensor] | None = None
) -> PerceptionNet:
    """A network of the wanted configuration with the most important channels of `net`, which stays as it is.

    size   (height, width) of an image to trace with
    batch  labelled targets to tell importance by (first-order Taylor, Molchanov et al. 2019, arXiv 1906.10771)
    """
    import torch_pruning as tp

    if net.config.attention:
        raise SettingsError("networks with attention are not pruned: their heads share channels that cannot be cut")
    rest, target = copy.deepcopy(net).eval(), PerceptionNet(wanted)
    ramps = [(p, 1) for name, p in rest.named_parameters() if name.endswith("ramp")]
    graph = tp.DependencyGraph().build_dependency(rest, torch.zeros(1, *size, 3), unwrapped_parameters=ramps)
    importance = tp.importance.GroupMagnitudeImportance(p=2)
    if batch is not None:
        importance = tp.importance.GroupTaylorImportance()
        losses = task_losses(rest(batch["images"]), batch, LossConfig(), wanted.strides)
        torch.stack(list(losses.values())).sum().backward()
    left = {module: dict(target.named_modules())[name] for name, module in rest.named_modules()}
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]):
        module, handler = group[0].dep.target.module, group[0].dep.handler
        surplus = len(module.weight) - len(left[module].weight)
        if surplus > 0:
            least = importance(group).argsort()[:surplus]
            graph.get_pruning_group(module, handler, least.tolist()).prune()
    return _filled(target, rest)


def count(net: PerceptionNet, size: tuple[int, int]) -> tuple[int, int]:
    """Parameters, and multiply-accumulates for one image of (height, width)."""
    import torch_pruning as tp

    macs, parameters = tp.utils.count_ops_and_params(net, torch.zeros(1, *size, 3))
    return int(parameters), int(macs)


def _filled(target: PerceptionNet, rest: nn.Module) -> PerceptionNet:
    try:
        target.load_state_dict(rest.state_dict())
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise SettingsError(
            f"no cut leads to these sizes ({first}): keep the last of widths a multiple of 2"
        ) from error
    return target.eval()


def _size(state: dict[str, Any]) -> tuple[int, int]:
    last = state["config"]["stages"][-1]
    return last["height"], last["width"]
