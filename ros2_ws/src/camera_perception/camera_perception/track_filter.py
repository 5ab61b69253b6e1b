"""Tracks one step later, and their boxes after objects were seen. Places are in track_places.py."""

from __future__ import annotations

import numpy as np

from camera_perception.camera import Camera
from camera_perception.kalman import predict_ground, predict_line, seen_from, update_line
from camera_perception.track_flow import steer
from camera_perception.tracks import YOUNG, Tracks, learned, middle_and_size
from camera_perception.types import EgoMotion, Objects

BOX_PIXELS, BOX_SHARE = 1.0, 0.05  # one standard deviation of the middle and size of a box, until its noise is known
BOX_DRIFT = 1.5  # sizes per second and square root of a second: how the speed of a box in the image changes
BOX_NOISE = 0.3, 30.0  # bounds of the noise learned


def predict(
    tracks: Tracks,
    seconds: float,
    push: np.ndarray,
    stamp_ns: int,
    motion: EgoMotion | None,
    camera: Camera | None,
) -> None:
    """Move tracks to the time stamp_ns, `seconds` after the frame before; push (T,) as in predict_ground."""
    before = tracks.place[:, :2].copy()
    if motion is not None:
        tracks.place, tracks.place_cov = seen_from(tracks.place, tracks.place_cov, motion)
    tracks.place, tracks.place_cov = predict_ground(tracks.place, tracks.place_cov, seconds, push)
    if camera is not None and motion is not None and seconds > 0:
        lost = (tracks.hits <= YOUNG) | (stamp_ns - tracks.seen > 1.5e9 * seconds)
        rows = np.flatnonzero(lost & np.isfinite(tracks.place[:, 0]))
        if len(rows):
            steer(tracks, rows, before[rows], camera, seconds)
    drift = np.repeat(BOX_DRIFT * tracks.box[:, 2:, 0].mean(axis=1)[:, None], 4, axis=1)
    tracks.box, tracks.box_cov = predict_line(tracks.box, tracks.box_cov, seconds, drift)
    tracks.ages = tracks.ages + (seconds > 0)


def correct_boxes(tracks: Tracks, rows: np.ndarray, seen: Objects) -> None:
    """Tracks at rows after objects (same order) were seen."""
    value = middle_and_size(seen.boxes)
    sigma = (BOX_PIXELS + BOX_SHARE * np.tile(value[:, 2:], 2)) ** 2
    off, doubt = np.square(value - tracks.box[rows, :, 0]), tracks.box_cov[rows, :, 0, 0]
    whole = seen.truncated == 0  # a box that grows out of the edge of the image surprises, and is right
    noise = learned(tracks.box_noise[rows], ((off - doubt) / sigma).mean(axis=1), BOX_NOISE)
    tracks.box_noise[rows] = np.where(whole, noise, BOX_NOISE[0])
    sigma = np.sqrt(sigma * tracks.box_noise[rows, None])
    tracks.box[rows], tracks.box_cov[rows] = update_line(tracks.box[rows], tracks.box_cov[rows], value, sigma)
    tracks.last[rows] = seen.boxes
