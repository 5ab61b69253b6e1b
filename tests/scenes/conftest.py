"""Fixtures shared by the tests of the renderer: a few scenes, rendered once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

os.environ["DRIVING_SCENES_PEOPLE"] = ""  # simple figures: the same scenes with and without the data of real people
pytest.importorskip("moderngl", reason="the renderer needs moderngl")

from driving_scenes.base.errors import NoOpenGL
from driving_scenes.labels.objects import Labels
from driving_scenes.output import shot
from driving_scenes.output.dataset import make_dataset
from driving_scenes.renderer.raster import Raster

Recipe = dict[str, Any]


@pytest.fixture(scope="session")
def engine() -> Raster:
    try:
        return shot.engine()
    except NoOpenGL as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Arguments of `make_dataset` for the rendered folder."""
    return {"count": 5, "seed": 0, "size": (256, 160)}


@pytest.fixture(scope="session")
def rendered_folder(engine: Raster, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five labelled images of 256x160 pixels."""
    path = tmp_path_factory.mktemp("rendered")
    make_dataset(path, **recipe)
    return path


@pytest.fixture(scope="session")
def street(engine: Raster) -> Labels:
    """Labels of a city scene of 640x384 pixels, in the world of the rendered folder; not to be changed."""
    return shot.random_shot(0, 1, (640, 384)).labels
