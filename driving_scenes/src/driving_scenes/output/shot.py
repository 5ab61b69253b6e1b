"""Render one labelled image: draw, label, simulate the camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from driving_scenes.base.camera import Camera, random_camera
from driving_scenes.labels.objects import Labels, label
from driving_scenes.renderer.camera_effects import Lens, photograph, random_lens, without_windscreen
from driving_scenes.renderer.ego_car import random_ego_car
from driving_scenes.renderer.raster import Raster
from driving_scenes.renderer.visibility import unoccluded_areas
from driving_scenes.scene.drive import Snapshot, random_drive
from driving_scenes.scene.world import World, build_world

IMAGES_PER_WORLD = 4


@dataclass(frozen=True, slots=True)
class Shot:
    """image (H, W, 3) uint8 RGB, its labels, and the lens that sets the JPEG quality."""

    image: np.ndarray
    labels: Labels
    lens: Lens


@lru_cache(maxsize=1)
def engine() -> Raster:
    """The renderer of this process, created on first use."""
    return Raster()


@lru_cache(maxsize=2)
def _world(seed: int, number: int, kind: str | None) -> World:
    return build_world((seed, number), kind)


def supersampling(camera: Camera, lens: Lens) -> float:
    """Scale at which to draw the light: 1 where blur or resampling hides jagged edges anyway."""
    return 1.0 if lens.blur > 0.4 or camera.lookup is not None else 1.25


def shoot(snapshot: Snapshot, camera: Camera, lens: Lens, rng: np.random.Generator) -> Shot:
    """Render and label one snapshot."""
    rendered = engine().draw(snapshot, camera, supersampling(camera, lens))
    labels = label(snapshot, camera, rendered, unoccluded_areas(engine(), snapshot, camera, rendered))
    return Shot(photograph(rng, rendered.light, camera, lens, snapshot.conditions), labels, lens)


def random_shot(seed: int, index: int, size: tuple[int, int], kind: str | None = None, around: bool = False) -> Shot:
    """Image `index` of dataset `seed`, always the same.

    size    (width, height), pixels
    kind    road type; None draws one
    around  side and rear cameras instead of a front camera
    """
    rng = np.random.default_rng([seed, index, 1])
    drive = random_drive(rng, _world(seed, index // IMAGES_PER_WORLD, kind))
    camera = random_camera(rng, *size, around)
    snapshot = replace(drive.snapshot(), ego_car=random_ego_car(rng, camera, around))
    lens = random_lens(rng, drive.conditions)
    return shoot(snapshot, camera, without_windscreen(lens) if around else lens, rng)
