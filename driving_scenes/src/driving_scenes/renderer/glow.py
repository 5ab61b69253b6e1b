"""Lamps that point at the camera: in the dark they outshine the few pixels they cover, and wet roads mirror them."""

from __future__ import annotations

import cv2
import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.renderer.picture import Picture
from driving_scenes.scene.drive import Snapshot
from driving_scenes.scene.lighting import lights_on


def glow(picture: Picture, snapshot: Snapshot, camera: Camera, camera_from_world: np.ndarray, visible) -> None:
    """Add the light of lamps that point at the camera, and their streaks on a wet road."""
    height, width = picture.depth.shape
    scale = picture.light.shape[0] / height
    _, _, cx, cy = camera.canvas
    wet, streaks = snapshot.conditions.wetness, np.zeros((height // 2, width // 2, 3), np.float32)
    for at, color, gain, lift in _lamps_seen(snapshot, camera_from_world, visible):
        u, v = camera.intrinsics[0] * at[0] / at[2] + cx, camera.intrinsics[1] * at[1] / at[2] + cy
        i, j = int(v), int(u)
        if 1 <= i < height - 1 and 1 <= j < width - 1 and picture.depth[i, j] > at[2] - 0.4:
            i, j = int(v * scale), int(u * scale)
            picture.light[i - 1 : i + 2, j - 1 : j + 2] += np.array(color, np.float32) * gain * 0.11
            foot = int((v + camera.intrinsics[1] * lift / at[2]) / 2)
            long = max(int(camera.intrinsics[1] * lift / at[2]), 3)
            if wet and foot + 2 < height // 2:
                streaks[foot : foot + long, max(int(u / 2) - 1, 0) : int(u / 2) + 1] += (
                    np.array(color, np.float32) * gain * 0.012 * wet
                )
    if wet and streaks.any():
        streaks = (
            cv2.GaussianBlur(streaks, (0, 0), sigmaX=0.8, sigmaY=5)
            * ((picture.labels[::2, ::2] & 15) == 3)[: height // 2, : width // 2, None]
        )
        picture.light += cv2.resize(streaks, picture.light.shape[1::-1])


def _lamps_seen(snapshot: Snapshot, camera_from_world: np.ndarray, visible):
    """(position in the camera, colour, gain, height over the road) of every lamp that shines towards the camera."""
    power = 260.0 if snapshot.conditions.timeofday == "night" else 25.0
    for thing, pieces, _ in visible:
        if not lights_on(thing, snapshot):
            continue
        camera_from_object, street = camera_from_world @ thing.world_from_object, thing.key.kind == "street_lamp"
        for group, color, direction in ((0, (1.0, 0.93, 0.8), 1.0), (1, (1.0, 0.05, 0.03), -1.0)):
            forward = camera_from_object[:3, 0] * direction
            for lamp in (p for piece in pieces for p in piece.lamps[group]):
                at = (camera_from_object @ [*lamp, 1])[:3]
                cosine = 0.9 if street else -(forward @ at) / (np.linalg.norm(at) + 1e-6)
                if at[2] > 2 and cosine > 0.2:
                    gain = (
                        power
                        * cosine**4
                        * (1.0 if group == 0 else 0.16)
                        / (at[2] + 6)
                        * np.exp(-snapshot.conditions.fog * at[2])
                    )
                    yield at, color, gain * (0.35 if street else 1.0), float(lamp[2])
