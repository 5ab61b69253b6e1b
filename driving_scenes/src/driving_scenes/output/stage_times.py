"""Measure the CPU time of each rendering stage."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from driving_scenes.base.camera import random_camera
from driving_scenes.labels.objects import label
from driving_scenes.output.dataset import write_shot
from driving_scenes.output.shot import IMAGES_PER_WORLD, Shot, engine, supersampling
from driving_scenes.renderer.camera_effects import photograph, random_lens
from driving_scenes.renderer.visibility import unoccluded_areas
from driving_scenes.scene.drive import random_drive
from driving_scenes.scene.world import build_world


def stage_times(count: int, seed: int, size: tuple[int, int]) -> dict[str, float]:
    """Mean CPU seconds per image of each stage and of all; a first round fills the caches and is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        _round(count, seed, size, Path(folder))
        seconds = _round(count, seed, size, Path(folder))
    return {name: total / count for name, total in seconds.items()} | {"all": sum(seconds.values()) / count}


def _round(count: int, seed: int, size: tuple[int, int], folder: Path) -> dict[str, float]:
    seconds: dict[str, float] = {}
    raster = engine()

    def timed(name: str, call: Callable[..., Any], *args: Any) -> Any:
        start = time.process_time()
        result = call(*args)
        raster.gpu.ctx.finish()
        seconds[name] = seconds.get(name, 0.0) + time.process_time() - start
        return result

    world = None
    for i in range(count):
        if i % IMAGES_PER_WORLD == 0:
            world = timed("world", build_world, (seed, i))
        rng = np.random.default_rng([seed, i])
        found = timed("traffic", random_drive, rng, world)
        camera, lens = random_camera(rng, *size), random_lens(rng, found.conditions)
        snapshot = found.snapshot()
        rendered = timed("draw", raster.draw, snapshot, camera, supersampling(camera, lens))
        areas = timed("occlusion", unoccluded_areas, raster, snapshot, camera, rendered)
        labels = timed("labels", label, snapshot, camera, rendered, areas)
        image = timed("lens", photograph, rng, rendered.light, camera, lens, found.conditions)
        timed("write", write_shot, folder, str(i), Shot(image, labels, lens))
    return seconds
