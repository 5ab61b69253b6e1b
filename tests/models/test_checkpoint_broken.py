"""A checkpoint with wrong settings, tensors or bytes is a CheckpointError, whatever is wrong with it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields

import pytest

pytest.importorskip("torch", reason="needs torch: make setup-models")

import torch
from safetensors.torch import save_file

from camera_perception.core.errors import CheckpointError, PerceptionError
from perception_models.network import NetworkConfig, PerceptionNet, of_size
from perception_models.training import checkpoint

SETTINGS = {**asdict(of_size("t")), "tasks": ["drivable"]}
WRONG = (None, -1, 0, 1.5, "x", [], {}, [None], ["x"], [0, 0, 0, 0], 10**9, 10**30, [[1]], [1, 2])
NAMES = [field.name for field in fields(NetworkConfig) if field.name != "size"]


@pytest.fixture(scope="module")
def weights():
    return PerceptionNet(NetworkConfig(**SETTINGS)).state_dict()


def written(path, weights, state):
    tensors = {f"average.{name}": tensor.contiguous() for name, tensor in weights.items()}
    save_file(tensors, path, {"state": state if isinstance(state, str) else json.dumps(state)})
    return path


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load_network(path)
    assert len(str(caught.value)) <= 500
    assert path.name in str(caught.value)
    return str(caught.value)


def test_a_checkpoint_error_is_one_of_the_common_errors():
    assert issubclass(CheckpointError, PerceptionError)


def test_the_right_settings_are_read(tmp_path, weights):
    net, state = checkpoint.load_network(written(tmp_path / "a.safetensors", weights, {"network": SETTINGS, "step": 3}))
    assert net.config == NetworkConfig(**SETTINGS)
    assert state["step"] == 3


@pytest.mark.parametrize("name", NAMES)
def test_wrong_network_settings_are_refused(tmp_path, weights, name):
    for number, wrong in enumerate(WRONG):
        if wrong == SETTINGS[name]:  # an empty list of channels is the published network
            continue
        # No depth at all is a network, too, but not the one of these weights.
        path = written(tmp_path / f"{number}.safetensors", weights, {"network": {**SETTINGS, name: wrong}})
        refused(path)


@pytest.mark.parametrize(
    "state",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 2000,
        "{}",
        '{"network": 1}',
        '{"network": {"colour": 1}}',
        '{"network": {"stem": NaN}}',
    ],
)
def test_a_state_that_is_none_is_refused(tmp_path, weights, state):
    refused(written(tmp_path / "a.safetensors", weights, state))


def test_missing_and_other_tensors_are_refused_before_memory_is_taken(tmp_path, weights):
    path = tmp_path / "a.safetensors"
    assert "missing" in refused(written(path, {}, {"network": SETTINGS}))
    name = next(iter(weights))
    assert name in refused(written(path, {**weights, name: torch.zeros(3)}, {"network": SETTINGS}))
    large = {**SETTINGS, "widths": [4096] * 4}
    assert "missing or have other shapes" in refused(written(path, weights, {"network": large}))


def test_bytes_that_are_no_checkpoint_are_refused(tmp_path):
    for data in (b"", b"\0" * 100, b"\xff" * 100, (10**6).to_bytes(8, "little") + b"{}"):
        path = tmp_path / "a.safetensors"
        path.write_bytes(data)
        refused(path)
    os.mkfifo(tmp_path / "b.safetensors")
    refused(tmp_path / "b.safetensors")
