"""Tracks one step later, and after their objects were seen: filters on the road and in the image."""

from __future__ import annotations

import numpy as np

from camera_perception.camera import Camera
from camera_perception.kalman import inverse, predict_ground, predict_line, seen_from, update_ground, update_line
from camera_perception.track_flow import steer
from camera_perception.tracks import BIAS_SHARE, YOUNG, Tracks, middle_and_size
from camera_perception.types import EgoMotion, Objects

BOX_PIXELS, BOX_SHARE = 1.0, 0.05  # one standard deviation of the middle and size of a box, until its noise is known
BOX_DRIFT = 1.5  # sizes per second and square root of a second: how the speed of a box in the image changes
LEARNING = 0.1  # share of a sighting in what is known about the noise
BOX_NOISE, PLACE_NOISE = (0.3, 30.0), (1.0, 9.0)  # bounds of the noise learned
GONE_NS, RETURNED = 500_000_000, 3.0  # m/s, doubt of the speed of what comes back after that time, one sigma
JOLT = 1.0  # m/s, doubt of the speed after a wild place, one standard deviation
CUT = 9.0  # variance of a place, times what is usual, where the image's edge cuts: what is left changes with the view
FAR_OFF = 4.0  # surprise, times what is usual, from where on a place counts less


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
    noise = _learned(tracks.box_noise[rows], ((off - doubt) / sigma).mean(axis=1), BOX_NOISE)
    tracks.box_noise[rows] = np.where(whole, noise, BOX_NOISE[0])
    sigma = np.sqrt(sigma * tracks.box_noise[rows, None])
    tracks.box[rows], tracks.box_cov[rows] = update_line(tracks.box[rows], tracks.box_cov[rows], value, sigma)
    tracks.last[rows] = seen.boxes


def correct_places(tracks: Tracks, rows: np.ndarray, seen: Objects, stamp_ns: int) -> None:
    """New places start a filter, later ones correct it."""
    known = np.isfinite(seen.positions[:, 0]) & np.isfinite(seen.position_covs).all(axis=(1, 2))
    first = known & ~np.isfinite(tracks.place[rows, 0])
    _begin_places(tracks, rows[first], seen[first])
    returned = rows[known & ~first & (stamp_ns - tracks.placed[rows] > GONE_NS)]
    tracks.place_cov[returned, 2:, 2:] += RETURNED**2 * np.eye(2)
    _correct_places(tracks, rows[known & ~first], seen[known & ~first])
    tracks.bias[rows[known]] = BIAS_SHARE * seen.position_covs[known]
    tracks.placed[rows[known]], tracks.methods[rows[known]] = stamp_ns, seen.position_methods[known]


def _begin_places(tracks: Tracks, rows: np.ndarray, seen: Objects) -> None:
    tracks.place[rows] = np.column_stack((seen.positions[:, :2], np.zeros((len(rows), 2))))
    tracks.place_cov[rows] = np.square(tracks.haste[rows])[:, None, None] * np.eye(4)
    tracks.place_cov[rows, :2, :2] = (1 - BIAS_SHARE) * seen.position_covs
    tracks.place_cov[rows, :2, 2:] = tracks.place_cov[rows, 2:, :2] = 0.0


def _correct_places(tracks: Tracks, rows: np.ndarray, seen: Objects) -> None:
    place, white = seen.positions[:, :2].astype(float), (1 - BIAS_SHARE) * seen.position_covs.astype(float)
    off, doubt = place - tracks.place[rows, :2], tracks.place_cov[rows, :2, :2]
    surprise = np.einsum("ni,nij,nj->n", off, inverse(doubt + white), off) / 2
    tracks.place_noise[rows] = _learned(tracks.place_noise[rows], surprise, PLACE_NOISE)
    scale = np.maximum(tracks.place_noise[rows], surprise / FAR_OFF)  # one wild place does not pull
    scale = np.where(seen.truncated != 0, CUT * scale, scale)
    white = white * scale[:, None, None]
    jolted = rows[surprise > FAR_OFF * tracks.place_noise[rows]]
    tracks.place_cov[jolted, 2:, 2:] += JOLT**2 * np.eye(2)  # nor is the speed known as well as before
    tracks.place[rows], tracks.place_cov[rows] = update_ground(tracks.place[rows], tracks.place_cov[rows], place, white)


def _learned(noise: np.ndarray, surprise: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return np.clip(noise + LEARNING * (surprise - noise), *bounds)
