"""CUDA's names exist in the real cuda-bindings; the letterbox kernel compiles with the real NVRTC for each GPU type."""

from __future__ import annotations

import pytest
import wheels
from conftest import ENGINES, run_once

# Turing, Ampere, Orin, Ada, Blackwell; Thor only from CUDA 13 on.
GPUS = {
    "12.6": ("7.5", "8.6", "8.7", "8.9"),
    "12": ("7.5", "8.6", "8.7", "8.9", "12.0"),
    "13": ("7.5", "8.6", "8.7", "8.9", "11.0", "12.0"),
}


@pytest.fixture(scope="module", params=wheels.CUDA)
def cuda(request):
    """CUDA's major version, and what the script found."""
    folder = wheels.unpacked(*wheels.CUDA[request.param])
    library = next(folder.rglob("libnvrtc.so.*"))
    gpus = (*GPUS[request.param], "8.77")
    return request.param, run_once("kernel_once.py", library, ENGINES / "cuda", *gpus, packages=folder)


def test_every_name_exists(cuda, report):
    report("names of CUDA", wheels.CUDA[cuda[0]][0], ", ".join(cuda[1]["missing"]) or "all exist")
    assert cuda[1]["missing"] == []


def test_the_letterbox_kernel_becomes_machine_code_of_each_gpu(cuda, report):
    compiled = {gpu: cuda[1]["compiled"][gpu] for gpu in GPUS[cuda[0]]}
    report(
        "letterbox kernel", wheels.CUDA[cuda[0]][1], ", ".join(f"SM {gpu}: {size} B" for gpu, size in compiled.items())
    )
    assert all(isinstance(size, int) for size in compiled.values()), compiled


def test_a_gpu_that_nvrtc_does_not_know_is_one_sentence(cuda):
    assert "does not compile" in cuda[1]["compiled"]["8.77"]
