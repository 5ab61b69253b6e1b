"""Where the time goes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from perception_models.render import shot as shots
from perception_models.render.camera import random_camera
from perception_models.render.folder import write_shot
from perception_models.render.labels import label
from perception_models.render.lens import photograph, random_lens
from perception_models.render.moment import random_drive
from perception_models.render.solo import whole_areas
from perception_models.render.world import build_world


def stages(count: int, seed: int, size: tuple[int, int]) -> dict[str, float]:
    """Mean CPU seconds per picture of each stage; the first round is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        _round(count, seed, size, Path(folder))
        spent = _round(count, seed, size, Path(folder))
    return {name: seconds / count for name, seconds in spent.items()} | {"all": sum(spent.values()) / count}


def _round(count: int, seed: int, size: tuple[int, int], folder: Path) -> dict[str, float]:
    spent: dict[str, float] = {}
    engine = shots.engine()

    def timed(name: str, call, *args):
        start = time.process_time()
        result = call(*args)
        engine.gpu.ctx.finish()
        spent[name] = spent.get(name, 0.0) + time.process_time() - start
        return result

    for i in range(count):
        if i % shots.PICTURES_PER_WORLD == 0:
            world = timed("world", build_world, (seed, i))
        rng = np.random.default_rng([seed, i])
        found = timed("traffic", random_drive, rng, world)
        camera, lens = random_camera(rng, *size), random_lens(rng, found.conditions)
        moment = found.moment()
        picture = timed("draw", engine.draw, moment, camera, shots.fineness(camera, lens))
        areas = timed("occlusion", whole_areas, engine, moment, camera, picture)
        labels = timed("labels", label, moment, camera, picture, areas)
        image = timed("lens", photograph, rng, picture.light, camera, lens, found.conditions)
        timed("write", write_shot, folder, str(i), shots.Shot(image, labels, lens))
    return spent
