"""How boxes move in the image because things and the car move on the road."""

from __future__ import annotations

import numpy as np

from camera_perception.camera import Camera
from camera_perception.tracks import Tracks

NEAREST = 1.0  # metres in front of the camera, from where on a box can be moved


def steer(tracks: Tracks, rows: np.ndarray, before: np.ndarray, camera: Camera, seconds: float) -> None:
    """Give the boxes at rows the speeds that their places on the road say.

    before  (R, 2) places of these tracks the given seconds ago, in base_link of that time; those of now are in tracks
    """
    flow = _flow(tracks, rows, before, camera)
    known = np.isfinite(flow).all(axis=1)
    tracks.box[rows[known], :, 1] = flow[known] / seconds


def _flow(tracks: Tracks, rows: np.ndarray, before: np.ndarray, camera: Camera) -> np.ndarray:
    """(R, 4) change of middle u v, width and height; nan where a place is not in front of the camera."""
    after = tracks.place[rows, :2]
    feet = np.concatenate((before, after))
    old, new = np.split(camera.pixels_from_base(np.column_stack((feet, np.zeros(len(feet))))), 2)
    ahead, eye = camera.pose[:2, 2], camera.pose[:2, 3]
    depth_before, depth_after = (before - eye) @ ahead, (after - eye) @ ahead
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.where((depth_before > NEAREST) & (depth_after > NEAREST), depth_before / depth_after, np.nan)
    size = tracks.box[rows, 2:, 0]
    grown = (growth[:, None] - 1) * size
    middle = new - old - np.column_stack((np.zeros(len(rows)), grown[:, 1] / 2))  # the lower edge stays on the road
    return np.concatenate((middle, grown), axis=1)
