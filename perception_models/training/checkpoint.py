"""Checkpoints: one safetensors file (no pickle) with the state as JSON in its header, and a JSON copy for people.

The file is written under a temporary name and renamed: a killed run leaves the old or the new one, never a mixture.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from camera_perception.core.documents.kind import DocumentKind
from camera_perception.core.documents.parsing import parse
from camera_perception.core.documents.text import shorten
from camera_perception.core.errors import CheckpointError, some_of
from perception_models.data import labels
from perception_models.network import NetworkConfig, PerceptionNet

STATE = DocumentKind(
    "a checkpoint of this project",
    "json",
    ("perception_models.training", "checkpoint.schema.json"),
    CheckpointError,
    "use another file, or the code version that wrote it",
)
# Of states and tensors of an unexpected form.
UNFITTING = (ArithmeticError, AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def save(path: Path, parts: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
    """Write tensors as PART.NAME and the state as JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous().clone()
        for part, values in parts.items()
        for name, tensor in values.items()
    }
    text = json.dumps({**state, "objects": list(labels.OBJECTS)}, indent=1)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"state": text})
    os.replace(partial, path)
    partial.write_text(text + "\n", "utf-8")
    os.replace(partial, path.with_suffix(".json"))


def load(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Tensors by part and name, and state, as passed to `save`; CheckpointError for other classes of objects."""
    parts, state, objects = _load(path)
    if objects != list(labels.OBJECTS):
        shown = ",".join(objects) if len(objects) <= 20 else "FILE"
        raise CheckpointError(
            f"{path} was trained for {len(objects)} classes of objects, {some_of(objects)}: "
            f"run `perception-models --objects '{shown}' COMMAND ...`"
        )
    return parts, state


def _load(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any], list[str]]:
    """Tensors, state, and classes of objects."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: give a file in it, such as {path / 'best.safetensors'}")
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path} is not a file: give a checkpoint such as runs/NAME/best.safetensors")
    try:
        with safe_open(path, "pt") as file:
            state = parse((file.metadata() or {})["state"].encode(), "json")
            STATE.check(state, path)
            parts: dict[str, dict[str, Tensor]] = {}
            for key in file.keys():
                part, name = key.split(".", 1)
                parts.setdefault(part, {})[name] = file.get_tensor(key)
            return parts, state, state.pop("objects", list(labels.TEN))
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist: give a checkpoint such as runs/NAME/best.safetensors") from None
    except (SafetensorError, KeyError, ValueError, OSError, RuntimeError) as error:
        reason = shorten(str(error), 200)
        raise CheckpointError(f"{path} is not a checkpoint of this project ({reason}): use another file") from error


def load_network(path: Path | str) -> tuple[PerceptionNet, dict[str, Any]]:
    """The averaged network of a checkpoint, in evaluation mode, and the saved state."""
    path = Path(path)
    parts, state = load(path / "best.safetensors" if path.is_dir() else path)
    with fitting(path):
        config = NetworkConfig(**state["network"])
        with torch.device("meta"):  # compare the shapes before memory is taken for the network
            wanted = {name: tensor.shape for name, tensor in PerceptionNet(config).state_dict().items()}
        found = {name: tensor.shape for name, tensor in parts["average"].items()}
        if wrong := sorted({name for name, _ in wanted.items() ^ found.items()}):
            raise ValueError(f"{len(wrong)} of its tensors are missing or have other shapes, such as {wrong[0]}")
        net = PerceptionNet(config)
        net.load_state_dict(parts["average"])
    return net.eval(), state


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Turn errors caused by a state or tensors that do not fit this code into a CheckpointError."""
    try:
        yield
    except CheckpointError:
        raise
    except UNFITTING as error:
        reason = f"does not match its own network settings ({shorten(repr(error), 200)})"
        raise CheckpointError(f"{path} {reason}: use the code version that wrote it") from error


def transfer(net: nn.Module, path: str, replace: list[str]) -> list[str]:
    """Copy weights of a checkpoint wherever name and shape match, except for parameters with a `replace` prefix.

    Levels of the object head are matched by stride, so a network with or without stride 4 keeps the other levels, and
    separate towers for boxes start as copies of the shared ones.
    Returns the names of the parameters that were not copied.
    """
    parts, _, objects = _load(Path(path))
    if "average" not in parts:
        raise CheckpointError(f"{path} has no averaged weights: give a checkpoint such as runs/NAME/best.safetensors")
    if objects != list(labels.OBJECTS):
        replace = [*replace, *(f"heads.objects.{branch}.classes." for branch in ("many", "one"))]
    current = net.state_dict()
    finer = _object_levels(current) - _object_levels(parts["average"])
    copied = {
        name: tensor
        for name, tensor in _with_side_towers(_renumbered(parts["average"], finer)).items()
        if name in current and current[name].shape == tensor.shape and not name.startswith(tuple(replace))
    }
    if not any(tensor.ndim for tensor in copied.values()):
        raise CheckpointError(f"{path} has no weight that fits this network: check network.size and transfer.replace")
    net.load_state_dict(copied, strict=False)
    return sorted(set(current) - set(copied))


def _object_levels(tensors: dict[str, Tensor]) -> int:
    level = re.compile(r"heads\.objects\.(?:many|one)\.classes\.(\d+)\.weight")
    return len({match[1] for name in tensors if (match := level.fullmatch(name))})


def _renumbered(tensors: dict[str, Tensor], finer: int) -> dict[str, Tensor]:
    """Shift the level numbers of the object head, counted from the finest, for a head with `finer` more fine levels."""
    level = re.compile(r"^(heads\.objects\.\w+\.\w+\.)(\d+)")
    return {level.sub(lambda m: f"{m[1]}{int(m[2]) + finer}", name): tensor for name, tensor in tensors.items()}


def _with_side_towers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add copies of the towers of the object head as side towers, unless the checkpoint has those."""
    return {name.replace(".towers.", ".side_towers."): tensor for name, tensor in tensors.items()} | tensors


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimiser as flat tensors ROW.NAME."""
    state = optimizer.state_dict()["state"]
    return {
        f"{row}.{name}": torch.as_tensor(value)
        for row, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore the state of an optimiser from `optimizer_tensors`."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        row, name = key.split(".", 1)
        state.setdefault(int(row), {})[name] = _with_layout_of(parameters[int(row)], value)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _with_layout_of(parameter: Tensor, value: Tensor) -> Tensor:
    """Fused optimisers iterate over memory, so their state needs the memory layout of the weight (channels_last)."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
