"""A labelled picture from start to end: draw, label, photograph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from driving_scenes.base.camera import Camera, random_camera
from driving_scenes.labels.objects import Labels, label
from driving_scenes.renderer.camera_effects import Lens, photograph, random_lens
from driving_scenes.renderer.ego_hood import bonnet
from driving_scenes.renderer.raster import Raster
from driving_scenes.renderer.visibility import whole_areas
from driving_scenes.scene.drive import Snapshot, random_drive
from driving_scenes.scene.world import World, build_world

PICTURES_PER_WORLD = 4


@dataclass(frozen=True, slots=True)
class Shot:
    """image (H, W, 3) uint8 RGB and its labels; `lens` knows the JPEG quality."""

    image: np.ndarray
    labels: Labels
    lens: Lens


@lru_cache(maxsize=1)
def engine() -> Raster:
    """The engine of this process."""
    return Raster()


@lru_cache(maxsize=2)
def _world(seed: int, number: int, kind: str | None) -> World:
    return build_world((seed, number), kind)


def fineness(camera: Camera, lens: Lens) -> float:
    """How much finer than the picture to draw: not at all where blur or resampling hides jagged edges anyway."""
    return 1.0 if lens.blur > 0.4 or camera.lookup is not None else 1.25


def shoot(snapshot: Snapshot, camera: Camera, lens: Lens, rng: np.random.Generator) -> Shot:
    """Draw, label and photograph one moment."""
    picture = engine().draw(snapshot, camera, fineness(camera, lens))
    labels = label(snapshot, camera, picture, whole_areas(engine(), snapshot, camera, picture))
    return Shot(photograph(rng, picture.light, camera, lens, snapshot.conditions), labels, lens)


def random_shot(seed: int, index: int, size: tuple[int, int], kind: str | None = None, around: bool = False) -> Shot:
    """Picture `index` of the dataset `seed`, (width, height) pixels: always the same one.

    around: by the side and rear cameras of rigs instead of the front one
    """
    rng = np.random.default_rng([seed, index, 1])
    drive = random_drive(rng, _world(seed, index // PICTURES_PER_WORLD, kind))
    camera = random_camera(rng, *size, around)
    snapshot = drive.snapshot()
    if rng.random() < 0.3 and not around:
        snapshot = replace(snapshot, bonnet=bonnet(rng, camera))
    return shoot(snapshot, camera, random_lens(rng, drive.conditions), rng)
