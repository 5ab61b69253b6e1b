"""Choice of the training precision by the processor."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import torch

CPUINFO = Path("/proc/cpuinfo")
BF16_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")  # x86 tiles, x86 vectors, aarch64; in this order of preference


@dataclass(frozen=True, slots=True)
class Precision:
    """A precision of Lightning Fabric, and why it was chosen."""

    name: str
    reason: str


def choose(precision: str, accelerator: str) -> Precision:
    """`auto` becomes bf16-mixed where bf16 arithmetic is in hardware, otherwise 32-true; others stay as they are.

    On a CPU without it bf16 is emulated: a step takes several times as long as in fp32.
    """
    if precision != "auto":
        return Precision(precision, "as configured")
    if accelerator in ("cuda", "gpu") or (accelerator == "auto" and torch.cuda.is_available()):
        return for_gpu(torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False))
    if accelerator not in ("auto", "cpu"):
        return Precision("32-true", f"accelerator {accelerator} is not known to calculate in bf16")
    return for_cpu(_cpuinfo(), platform.machine())


def for_gpu(bf16: bool) -> Precision:
    return Precision("bf16-mixed", "the GPU has bf16") if bf16 else Precision("32-true", "the GPU has no bf16")


def for_cpu(cpuinfo: str, machine: str) -> Precision:
    """By the text of /proc/cpuinfo and the architecture (x86_64, aarch64); every core must have the instruction."""
    wanted = BF16_FLAGS[2:] if machine in ("aarch64", "arm64") else BF16_FLAGS[:2]
    cores = _flags(cpuinfo)
    found = [flag for flag in wanted if cores and all(flag in flags for flags in cores)]
    if found:
        return Precision("bf16-mixed", f"the CPU has {found[0]}")
    return Precision("32-true", f"the CPU has no {' or '.join(wanted)}, so bf16 would be slower than fp32")


def _flags(cpuinfo: str) -> list[set[str]]:
    """Instruction sets of each core; the line is called `flags` on x86 and `Features` on ARM."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return [set(values.split()) for name, _, values in lines if name.strip() in ("flags", "Features")]


def _cpuinfo() -> str:
    try:
        return CPUINFO.read_text("utf-8", errors="replace")
    except OSError:  # not Linux
        return ""
