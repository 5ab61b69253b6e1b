"""TensorRT for RTX: the same engines on desktop GPUs from Turing on, without a CUDA toolkit, built in seconds."""

from __future__ import annotations

from typing import Any

from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import Engine, tensorrt
from camera_perception.engines.tensorrt.package import RTX


def available() -> str | None:
    """Why this backend cannot be used here, or None."""
    return tensorrt.available(RTX)


def load(spec: ModelSpec, **options: Any) -> Engine:
    """As tensorrt.load."""
    return tensorrt.load(spec, package=RTX, **options)


def built_precisions(spec: ModelSpec) -> list[str]:
    """As tensorrt.built_precisions."""
    return tensorrt.built_precisions(spec, RTX)
