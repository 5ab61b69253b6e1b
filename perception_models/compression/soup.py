"""One network from several: the mean of checkpoints that went on from the same weights.

Weights that were trained from one start lie in one basin: their mean often sees better than each of them, at the price
of one (model soups, Wortsman et al. 2022, arXiv 2203.05482; with the start among them WiSE-FT, arXiv 2109.01903).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from perception_models.config import SettingsError
from perception_models.training import checkpoint
from perception_models.training.checkpoint import CheckpointError


def soup(paths: Sequence[Path], out: Path, shares: Sequence[float] | None = None) -> list[float]:
    """Write the weighted mean of the averaged networks of `paths` to `out`; the shares, which add up to one.

    The state (network, configuration, steps) is that of the last checkpoint, with what went into it under `soup`.
    """
    if len(paths) < 2:
        raise SettingsError("give at least two checkpoints that were trained from the same weights")
    weights = _normalised(shares, len(paths))
    loaded = [checkpoint.load(path) for path in paths]
    state = loaded[-1][1] | {"soup": [{"checkpoint": p.stem, "share": w} for p, w in zip(paths, weights)]}
    checkpoint.save(out, {"average": _mean(paths, loaded, weights)}, state)
    return weights


def _normalised(shares: Sequence[float] | None, count: int) -> list[float]:
    shares = shares or [1.0] * count
    if len(shares) != count or min(shares) <= 0:
        raise SettingsError(f"{count} checkpoints need as many shares above 0, got {', '.join(map(str, shares))}")
    return [share / sum(shares) for share in shares]


def _mean(
    paths: Sequence[Path], loaded: Sequence[tuple[dict[str, dict[str, Tensor]], dict[str, Any]]], weights: list[float]
) -> dict[str, Tensor]:
    networks = [parts.get("average", {}) for parts, _ in loaded]
    first = {name: tensor.shape for name, tensor in networks[0].items()}
    for path, network in zip(paths, networks):
        if not network or {name: tensor.shape for name, tensor in network.items()} != first:
            raise CheckpointError(f"{path} is another network than {paths[0]}: only weights of one shape have a mean")
    return {name: _blend([network[name] for network in networks], weights) for name in first}


def _blend(tensors: list[Tensor], weights: list[float]) -> Tensor:
    """Counters, such as those of batch normalisation, are taken from the last."""
    if not tensors[0].is_floating_point():
        return tensors[-1]
    mean = sum(weight * tensor.double() for weight, tensor in zip(weights, tensors))
    assert isinstance(mean, Tensor)
    return mean.to(tensors[0].dtype)
