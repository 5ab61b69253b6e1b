"""Glare of lamps that point at the camera, and their reflections on wet roads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.base.semantic_ids import ROAD
from driving_scenes.renderer.rendered_image import RenderedImage, VisibleObject
from driving_scenes.scene.drive import Snapshot
from driving_scenes.scene.lighting import lights_on

HEADLAMP_COLOR, TAIL_LAMP_COLOR = (1.0, 0.93, 0.8), (1.0, 0.05, 0.03)


@dataclass(frozen=True, slots=True)
class _Lamp:
    position: np.ndarray  # (3,) metres in the camera frame
    color: np.ndarray  # (3,) float32
    gain: float
    height: float  # above the road, metres


def add_light_glare(
    rendered: RenderedImage,
    snapshot: Snapshot,
    camera: Camera,
    camera_from_world: np.ndarray,
    visible: list[VisibleObject],
) -> None:
    """Add glare and streaks to `rendered.light`: in the dark, lamps outshine the few pixels that they cover."""
    height, width = rendered.depth.shape
    scale = rendered.light.shape[0] / height
    _, _, cx, cy = camera.canvas
    wet, streaks = snapshot.conditions.wetness, np.zeros((height // 2, width // 2, 3), np.float32)
    for lamp in _lamps(snapshot, camera_from_world, visible):
        x, y, z = lamp.position
        u, v = camera.intrinsics[0] * x / z + cx, camera.intrinsics[1] * y / z + cy
        i, j = int(v), int(u)
        if 1 <= i < height - 1 and 1 <= j < width - 1 and rendered.depth[i, j] > z - 0.4:
            i, j = int(v * scale), int(u * scale)
            rendered.light[i - 1 : i + 2, j - 1 : j + 2] += lamp.color * lamp.gain * 0.11
            foot = int((v + camera.intrinsics[1] * lamp.height / z) / 2)
            length = max(int(camera.intrinsics[1] * lamp.height / z), 3)
            if wet and foot + 2 < height // 2:
                columns = slice(max(int(u / 2) - 1, 0), int(u / 2) + 1)
                streaks[foot : foot + length, columns] += lamp.color * lamp.gain * 0.012 * wet
    if wet and streaks.any():
        road = ((rendered.labels[::2, ::2] & 15) == ROAD)[: height // 2, : width // 2, None]
        blurred = cv2.GaussianBlur(streaks, (0, 0), sigmaX=0.8, sigmaY=5) * road
        rendered.light[:] += cv2.resize(blurred, rendered.light.shape[1::-1])


def _lamps(snapshot: Snapshot, camera_from_world: np.ndarray, visible: list[VisibleObject]) -> Iterator[_Lamp]:
    """Every lamp that shines towards the camera."""
    power = 260.0 if snapshot.conditions.timeofday == "night" else 25.0
    for item in visible:
        if not lights_on(item.obj, snapshot):
            continue
        camera_from_object, street = (
            camera_from_world @ item.obj.world_from_object,
            item.obj.key.asset_type == "street_lamp",
        )
        for group, color, direction in ((0, HEADLAMP_COLOR, 1.0), (1, TAIL_LAMP_COLOR, -1.0)):
            forward = camera_from_object[:3, 0] * direction
            for lamp in (p for piece in item.pieces for p in piece.lamps[group]):
                position = (camera_from_object @ [*lamp, 1])[:3]
                cosine = 0.9 if street else -(forward @ position) / (np.linalg.norm(position) + 1e-6)
                if position[2] > 2 and cosine > 0.2:
                    gain = (
                        power
                        * cosine**4
                        * (1.0 if group == 0 else 0.16)
                        / (position[2] + 6)
                        * np.exp(-snapshot.conditions.fog * position[2])
                    )
                    gain = gain * (0.35 if street else 1.0)
                    yield _Lamp(position, np.array(color, np.float32), gain, float(lamp[2]))
