"""Functions from a network's logits to scores 0..1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.decode.heads import expect


def sigmoid(logits: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float32))), np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float32))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def none(scores: np.ndarray) -> np.ndarray:
    return scores.astype(np.float32, copy=False)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"none": none, "sigmoid": sigmoid, "softmax": softmax}


def check_activation(head: HeadSpec, *allowed: str) -> None:
    """ModelError unless the option `activation` is missing or one of these."""
    name = head.options.get("activation", allowed[0])
    expect(name in allowed, head, f"option 'activation' is '{name}': expected one of {', '.join(allowed)}")
