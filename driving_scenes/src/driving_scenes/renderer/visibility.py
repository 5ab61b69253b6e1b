"""How many pixels each labelled piece would cover if nothing stood before it: each is drawn alone into a tile."""

from __future__ import annotations

import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.base.projection import column_major, projection
from driving_scenes.renderer.picture import Picture
from driving_scenes.renderer.raster import Raster
from driving_scenes.scene.drive import Snapshot

TILE, GRID = 32, 24  # pixels of a tile, tiles per side


def whole_areas(raster: Raster, snapshot: Snapshot, camera: Camera, picture: Picture) -> np.ndarray:
    """(len(picture.seen),) pixels of the canvas; 0 where a piece has no visible pixel anyway."""
    width, height, cx, cy = camera.canvas
    counts = np.bincount(picture.ids.ravel(), minlength=len(picture.seen) + 1)[1:]
    camera_from_world = np.linalg.inv(snapshot.world_from_base @ camera.base_from_camera)
    clip = projection(width, height, *camera.intrinsics[:2], cx, cy) @ camera_from_world
    wanted = [i for i in np.argsort(-counts) if counts[i] > 0][: GRID * GRID]
    ctx, target, program = raster.gpu.ctx, raster.gpu.tiles(TILE * GRID), raster.gpu.programs["thing_id"]
    target.use()
    target.clear()
    ctx.enable_only(0)
    program["uIds"].value = (255.0, 0.0, 0.0)
    areas = np.zeros(len(picture.seen))
    for slot, i in enumerate(wanted):
        seen = picture.seen[i]
        box = _box(clip @ seen.thing.world_from_object, seen.piece.hull)
        areas[i] = np.prod(box[1] - box[0]) * width * height / 4
        target.viewport = (slot % GRID * TILE, slot // GRID * TILE, TILE, TILE)
        program["uClipFromWorld"].write(column_major(_zoom(box) @ clip))
        program["uWorldFromObject"].write(column_major(seen.thing.world_from_object))
        seen.piece.ids.render()
    pixels = np.frombuffer(target.read(components=1, viewport=(0, 0, TILE * GRID, TILE * GRID)), np.uint8)
    filled = pixels.reshape(GRID, TILE, GRID, TILE).astype(np.float32).mean((1, 3)).ravel() / 255
    areas[wanted] *= filled[: len(wanted)]
    return np.maximum(areas, counts)


def _box(clip_from_object: np.ndarray, hull: np.ndarray) -> np.ndarray:
    """(2, 2) lower and upper corner in normalised device coordinates, inside the picture."""
    p = np.c_[hull, np.ones(len(hull))] @ clip_from_object.T
    if (p[:, 3] < 0.25).any():
        return np.array([[-1.0, -1], [1, 1]])
    xy = p[:, :2] / p[:, 3:]
    return np.clip(np.stack([xy.min(0), xy.max(0) + 1e-4]), -1, 1)


def _zoom(box: np.ndarray) -> np.ndarray:
    scale = 2 / np.maximum(box[1] - box[0], 1e-5)
    out = np.eye(4)
    out[0, 0], out[1, 1] = scale
    out[:2, 3] = -scale * box.mean(0)
    return out
