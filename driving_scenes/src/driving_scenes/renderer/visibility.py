"""Unoccluded pass: how many pixels each labelled piece would cover if nothing stood in front of it."""

from __future__ import annotations

import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.base.projection import projection
from driving_scenes.renderer.gpu import set_uniform
from driving_scenes.renderer.raster import Raster
from driving_scenes.renderer.rendered_image import RenderedImage
from driving_scenes.scene.drive import Snapshot

TILE, GRID = 32, 24  # pixels of a tile, tiles per side


def unoccluded_areas(raster: Raster, snapshot: Snapshot, camera: Camera, rendered: RenderedImage) -> np.ndarray:
    """(len(rendered.labelled),) pixels of the canvas; 0 for pieces without a visible pixel.

    Each piece is drawn alone into a small tile that its bounding box fills.
    """
    width, height, cx, cy = camera.canvas
    counts = rendered.visible_counts()
    camera_from_world = np.linalg.inv(snapshot.world_from_base @ camera.base_from_camera)
    clip = projection(width, height, *camera.intrinsics[:2], cx, cy) @ camera_from_world
    wanted = [i for i in np.argsort(-counts) if counts[i] > 0][: GRID * GRID]
    ctx, target, program = raster.gpu.ctx, raster.gpu.tiles(TILE * GRID), raster.gpu.programs["object_id"]
    target.use()
    target.clear()
    ctx.enable_only(0)
    set_uniform(program, "uIds", (255.0, 0.0, 0.0))
    areas = np.zeros(len(rendered.labelled))
    for slot, i in enumerate(wanted):
        obj, piece = rendered.labelled[i].obj, rendered.labelled[i].piece
        box = _box(clip @ obj.world_from_object, piece.hull)
        areas[i] = np.prod(box[1] - box[0]) * width * height / 4
        target.viewport = (slot % GRID * TILE, slot // GRID * TILE, TILE, TILE)
        set_uniform(program, "uClipFromWorld", _zoom(box) @ clip)
        set_uniform(program, "uWorldFromObject", obj.world_from_object)
        piece.ids.render()
    pixels = np.frombuffer(target.read(components=1, viewport=(0, 0, TILE * GRID, TILE * GRID)), np.uint8)
    filled = pixels.reshape(GRID, TILE, GRID, TILE).astype(np.float32).mean((1, 3)).ravel() / 255
    areas[wanted] *= filled[: len(wanted)]
    return np.asarray(np.maximum(areas, counts))


def _box(clip_from_object: np.ndarray, hull: np.ndarray) -> np.ndarray:
    """(2, 2) lower and upper corner in normalised device coordinates, clipped to the image."""
    p = np.c_[hull, np.ones(len(hull))] @ clip_from_object.T
    if (p[:, 3] < 0.25).any():
        return np.array([[-1.0, -1], [1, 1]])
    xy = p[:, :2] / p[:, 3:]
    return np.asarray(np.clip(np.stack([xy.min(0), xy.max(0) + 1e-4]), -1, 1))


def _zoom(box: np.ndarray) -> np.ndarray:
    """(4, 4) transform in clip space that makes a box fill the viewport."""
    scale = 2 / np.maximum(box[1] - box[0], 1e-5)
    out = np.eye(4)
    out[0, 0], out[1, 1] = scale
    out[:2, 3] = -scale * box.mean(0)
    return out
