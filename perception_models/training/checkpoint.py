"""Checkpoints: one safetensors file (no pickle) whose header holds the JSON state, and the same JSON beside it to read.

One file, written under another name and renamed: a killed run leaves the old one or the new one, never half of each.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from perception_models.network import NetworkConfig, PerceptionNet


class CheckpointError(RuntimeError):
    """A checkpoint cannot be read or does not fit; the message says which and why."""


def save(path: Path, parts: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
    """Write tensors as PART.NAME and the state as JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous().clone()
        for part, values in parts.items()
        for name, tensor in values.items()
    }
    text = json.dumps(state, indent=1)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"state": text})
    os.replace(partial, path)
    partial.write_text(text + "\n", "utf-8")
    os.replace(partial, path.with_suffix(".json"))


def load(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """What `save` wrote."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: give a file in it, such as {path / 'best.safetensors'}")
    try:
        with safe_open(path, "pt") as file:
            state = json.loads((file.metadata() or {})["state"])
            parts: dict[str, dict[str, Tensor]] = {}
            for key in file.keys():
                part, name = key.split(".", 1)
                parts.setdefault(part, {})[name] = file.get_tensor(key)
            return parts, state
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist: give a checkpoint such as runs/NAME/best.safetensors") from None
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is no checkpoint of ours ({error}): train again or take another file") from error


def load_network(path: Path | str) -> tuple[PerceptionNet, dict[str, Any]]:
    """The averaged network of a checkpoint, in evaluation mode, and the state it was saved with."""
    path = Path(path)
    parts, state = load(path / "best.safetensors" if path.is_dir() else path)
    net = PerceptionNet(NetworkConfig(**state["network"]))
    try:
        net.load_state_dict(parts["average"])
    except (KeyError, RuntimeError) as error:
        reason = f"does not fit its own network settings ({error}): it was made by other code"
        raise CheckpointError(f"{path} {reason}") from error
    return net.eval(), state


def transfer(net: nn.Module, path: str, replace: list[str]) -> list[str]:
    """Start from the weights of a checkpoint wherever name and shape agree and no `replace` prefix asks for new ones.

    Levels of the object head agree by stride, so a network that also looks at stride 4 keeps what the others know, and
    towers for boxes alone start as the one tower that served for all.
    Returns the names that start anew.
    """
    parts, _ = load(Path(path))
    mine = net.state_dict()
    finer = _object_levels(mine) - _object_levels(parts["average"])
    kept = {
        name: tensor
        for name, tensor in _split(_renumbered(parts["average"], finer)).items()
        if name in mine and mine[name].shape == tensor.shape and not name.startswith(tuple(replace))
    }
    if not any(tensor.ndim for tensor in kept.values()):
        raise CheckpointError(f"{path} shares no weight with this network: check network.size and transfer.replace")
    net.load_state_dict(kept, strict=False)
    return sorted(set(mine) - set(kept))


def _object_levels(tensors: dict[str, Tensor]) -> int:
    return sum(bool(re.fullmatch(r"heads\.objects\.one\.classes\.\d+\.weight", name)) for name in tensors)


def _renumbered(tensors: dict[str, Tensor], finer: int) -> dict[str, Tensor]:
    """Levels of the object head are numbered from the finest: those of a head with `finer` more levels before them."""
    level = re.compile(r"^(heads\.objects\.\w+\.\w+\.)(\d+)")
    return {level.sub(lambda m: f"{m[1]}{int(m[2]) + finer}", name): tensor for name, tensor in tensors.items()}


def _split(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The towers of an object head under the names of towers for boxes too, unless it has those itself."""
    return {name.replace(".towers.", ".side_towers."): tensor for name, tensor in tensors.items()} | tensors


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's memory as flat tensors ROW.NAME."""
    state = optimizer.state_dict()["state"]
    return {
        f"{row}.{name}": torch.as_tensor(value)
        for row, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimiser back what `optimizer_tensors` took."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        row, name = key.split(".", 1)
        state.setdefault(int(row), {})[name] = _laid_out_like(parameters[int(row)], value)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """Fused optimisers walk through memory, so their state must lie as the weight does (channels_last)."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
