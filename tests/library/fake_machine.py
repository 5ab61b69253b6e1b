"""Pytest plugin that replaces TensorRT and CUDA by their fakes for a whole run: `-p fake_machine`."""

from __future__ import annotations

import pytest
from fake_tensorrt import install

PATCH = pytest.MonkeyPatch()


def pytest_configure(config: pytest.Config) -> None:
    install(PATCH)


def pytest_unconfigure(config: pytest.Config) -> None:
    PATCH.undo()
