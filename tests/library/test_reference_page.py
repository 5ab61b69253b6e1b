"""docs/reference/python.md: every public name has an example, and the examples run."""

from __future__ import annotations

import inspect
import re

import cv2
import numpy as np
import pytest

import camera_perception
from camera_perception import draw
from camera_perception.core import errors, types

BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


@pytest.fixture(scope="module")
def blocks(repository):
    return BLOCK.findall((repository / "docs/reference/python.md").read_text("utf-8"))


def public_names():
    """What the packages list as public, and the classes and functions of core.types and core.errors."""
    named = {*camera_perception.__all__, *draw.__all__, "Camera", "Pipeline"} - {"__version__"}
    for module in (types, errors):
        own = {name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
        named |= {name for name in own if not name.startswith("_") and not inspect.ismodule(name)}
    return named


def test_every_public_name_has_an_example(blocks):
    used = set(re.findall(r"\w+", "\n".join(blocks)))
    assert sorted(public_names() - used) == []
    assert len(public_names()) > 35


def test_the_examples_run_one_after_the_other(blocks, tiny_model, tmp_path, capsys):
    image = tmp_path / "road.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(60, 160, (192, 320, 3), np.uint8))
    names = {"MODEL": str(tiny_model), "IMAGE": str(image)}
    for number, block in enumerate(blocks):
        exec(compile(block, f"example {number + 1} of docs/reference/python.md", "exec"), names)
    assert "give the folder that holds model.json" in capsys.readouterr().out
