"""The training precision by processor, and resuming on another one."""

from __future__ import annotations

import json

import pytest
import torch

import perception_models.training.optimization.precision as precision
import perception_models.training.train as training
from perception_models.config import load_settings
from perception_models.training.config import TrainConfig
from perception_models.training.optimization.precision import choose, for_cpu, for_gpu

SMALL = [
    "network={size: t}", "accelerator=cpu", "data.cache=null", "optimizer.warmup=2", "log_every=1",
    "picture_every=0", "validate_every=0", "save_every=0", "stages=[{views: 4, height: 64, width: 128, batch: 2}]",
]  # fmt: skip


def cores(key: str, *flags: str) -> str:
    """The text of /proc/cpuinfo for cores with these instruction sets."""
    return "\n".join(f"processor\t: {i}\n{key}\t: {line}\n" for i, line in enumerate(flags))


AVX2 = "fpu sse4_2 avx2 fma"
AVX512 = "fpu avx2 avx512f avx512_vnni"


@pytest.mark.parametrize(
    ("text", "machine", "expected", "reason"),
    [
        ("", "x86_64", "32-true", "no amx_bf16 or avx512_bf16"),
        (cores("flags", AVX2, AVX2), "x86_64", "32-true", "no amx_bf16"),
        (cores("flags", AVX512), "x86_64", "32-true", "no amx_bf16"),
        (cores("flags", f"{AVX512} avx512_bf16"), "x86_64", "bf16-mixed", "has avx512_bf16"),
        (cores("flags", f"{AVX512} avx512_bf16 amx_bf16 amx_tile"), "x86_64", "bf16-mixed", "has amx_bf16"),
        (cores("flags", f"{AVX512} avx512_bf16", AVX512), "x86_64", "32-true", "no amx_bf16"),
        (cores("flags", "fpu bf16"), "x86_64", "32-true", "no amx_bf16"),
        ("bugs\t: avx512_bf16\n" + cores("flags", AVX2), "x86_64", "32-true", "no amx_bf16"),
        (cores("Features", "fp asimd sve bf16 i8mm"), "aarch64", "bf16-mixed", "has bf16"),
        (cores("Features", "fp asimd sve svebf16"), "aarch64", "32-true", "no bf16"),
        (cores("Features", "fp asimd"), "aarch64", "32-true", "no bf16"),
    ],
)
def test_cpus(text, machine, expected, reason):
    found = for_cpu(text, machine)
    assert found.name == expected
    assert reason in found.reason


@pytest.mark.parametrize(("bf16", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_gpus(bf16, expected):
    assert for_gpu(bf16).name == expected


@pytest.mark.parametrize("name", ["bf16-mixed", "16-mixed", "32-true"])
def test_a_given_precision_is_kept(name):
    assert choose(name, "cpu").name == name


@pytest.mark.parametrize(
    ("accelerator", "gpu", "expected"),
    [("auto", False, "32-true"), ("cpu", True, "32-true"), ("auto", True, "bf16-mixed"), ("mps", False, "32-true")],
)
def test_the_accelerator_decides_whose_precision_counts(monkeypatch, tmp_path, accelerator, gpu, expected):
    (tmp_path / "cpuinfo").write_text(cores("flags", AVX2))
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert choose("auto", accelerator).name == expected


def test_without_cpuinfo_fp32_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "missing")
    assert choose("auto", "cpu").name == "32-true"


def test_auto_is_the_default():
    assert TrainConfig().precision == "auto"


def test_a_run_may_continue_in_another_precision(monkeypatch, drawn_folder, tmp_path, capsys):
    """A machine without bf16, then one with it: both sittings are logged and recorded, the setting stays auto."""
    data, cpuinfo = f"data.train=[{{kind: labelled, path: {drawn_folder}}}]", tmp_path / "cpuinfo"
    monkeypatch.setattr(precision, "CPUINFO", cpuinfo)
    monkeypatch.setattr(precision.platform, "machine", lambda: "x86_64")
    for flags, views, resume in ((AVX2, 4, False), (f"{AVX512} avx512_bf16", 8, True)):
        cpuinfo.write_text(cores("flags", flags))
        config = load_settings(TrainConfig, None, [*SMALL, data])
        config.stages[0].views = views
        training.train(config, tmp_path / "run", resume)
    state = json.loads((tmp_path / "run/last.json").read_text())
    assert (state["precision"], state["config"]["precision"], state["step"]) == ("bf16-mixed", "auto", 4)
    said = capsys.readouterr().out
    assert "precision 32-true: the CPU has no amx_bf16 or avx512_bf16" in said
    assert "precision was 32-true until step 2; continuing in bf16-mixed" in said
