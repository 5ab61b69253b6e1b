"""Model soups: the weighted mean of checkpoints trained from the same weights.

Such checkpoints lie in one basin of the loss; their mean is often more accurate than each of them at the same inference
cost (Wortsman et al. 2022, arXiv 2203.05482; with the initial weights among them: WiSE-FT, arXiv 2109.01903).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from camera_perception.core.errors import CheckpointError
from perception_models.config import SettingsError
from perception_models.training import checkpoint


def soup(paths: Sequence[Path], out: Path, weights: Sequence[float] | None = None) -> list[float]:
    """Write the weighted mean of the averaged networks of `paths` to `out`; returns the weights, which add up to one.

    The state (network, configuration, steps) is that of the last checkpoint; `soup` lists the checkpoints.
    """
    if len(paths) < 2:
        raise SettingsError("give at least two checkpoints that were trained from the same weights")
    weights = _normalised(weights, len(paths))
    loaded = [checkpoint.load(path) for path in paths]
    _check_adjustments(paths, [float(state.get("adjusted", 0)) for _, state in loaded])
    state = loaded[-1][1] | {"soup": [{"checkpoint": p.stem, "share": w} for p, w in zip(paths, weights)]}
    checkpoint.save(out, {"average": _mean(paths, loaded, weights)}, state)
    return weights


def _check_adjustments(paths: Sequence[Path], strengths: Sequence[float]) -> None:
    if len(set(strengths)) > 1:
        given = ", ".join(f"{path.stem} {strength:g}" for path, strength in zip(paths, strengths))
        raise CheckpointError(
            f"different logit adjustments ({given[:200]}): average the checkpoints before `perception-models adjust`"
        )


def _normalised(weights: Sequence[float] | None, count: int) -> list[float]:
    weights = weights or [1.0] * count
    if len(weights) != count or min(weights) <= 0:
        raise SettingsError(
            f"give {count} positive weights for {count} checkpoints, got {', '.join(map(str, weights))}"
        )
    return [weight / sum(weights) for weight in weights]


def _mean(
    paths: Sequence[Path], loaded: Sequence[tuple[dict[str, dict[str, Tensor]], dict[str, Any]]], weights: list[float]
) -> dict[str, Tensor]:
    networks = [parts.get("average", {}) for parts, _ in loaded]
    first = {name: tensor.shape for name, tensor in networks[0].items()}
    for path, network in zip(paths, networks):
        if not network or {name: tensor.shape for name, tensor in network.items()} != first:
            raise CheckpointError(
                f"{path} and {paths[0]} are different networks: give checkpoints with the same weight shapes"
            )
    return {name: _blend([network[name] for network in networks], weights) for name in first}


def _blend(tensors: list[Tensor], weights: list[float]) -> Tensor:
    """Weighted mean; integer counters, such as those of batch normalisation, are taken from the last."""
    if not tensors[0].is_floating_point():
        return tensors[-1]
    mean = sum(weight * tensor.double() for weight, tensor in zip(weights, tensors))
    assert isinstance(mean, Tensor)
    return mean.to(tensors[0].dtype)
