"""The Dockerfile's GPU images: engines are built where the vehicle is, with CUDA bindings that its driver accepts."""

from __future__ import annotations

import re

import pytest


@pytest.fixture
def stages(repository):
    """Name of a stage -> its text."""
    text = (repository / "Dockerfile").read_text("utf-8")
    parts = re.split(r"^FROM \S+ AS (\S+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


@pytest.mark.parametrize("stage", ["x86-tensorrt", "jetson", "jetson-7"])
def test_gpu_images_build_their_engine_in_the_background(stages, stage):
    assert '"build_engine:=background"' in stages[stage]


@pytest.mark.parametrize(
    ("stage", "bindings"),
    [("jetson", "cuda-python==12.6."), ("jetson-7", "cuda-bindings==13."), ("x86-tensorrt", "12.")],
)
def test_the_cuda_bindings_suit_the_driver(stages, stage, bindings):
    assert bindings in re.search(r"cuda-\w+==[\w.]+", stages[stage])[0]
