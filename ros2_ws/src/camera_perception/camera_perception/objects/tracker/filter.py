"""Tracks one step later, and their boxes after objects were seen. Places are in track_places.py.

How boxes move in the image because things and the car move on the road.

Places on the road after objects were seen, with their velocities and own heights.

A kind of thing has a usual height, by which its size in the image tells its range. By how much one of them is taller
never changes: taken for a change of range, it would look like a speed as soon as the weight between the road and the
size changes on the way. So the height is a part of the state, and what the road says of it corrects the velocity too.
"""

from __future__ import annotations

import numpy as np

from camera_perception.core.types import EgoMotion, Objects, PositionMethod
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.kalman import (
    inverse,
    predict_ground,
    predict_line,
    seen_from,
    update_ground,
    update_line,
    update_range,
)
from camera_perception.objects.tracker.tracks import BIAS_SHARE, YOUNG, Tracks, learned, middle_and_size

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


PLACE_NOISE = 1.0, 9.0  # bounds of the noise learned
GONE_NS, RETURNED = 500_000_000, 3.0  # m/s, doubt of the speed of what comes back after that time, one sigma
JOLT = 1.0  # m/s, doubt of the speed after a wild place, one standard deviation
CUT = 9.0  # variance of a place, times what is usual, where the image's edge cuts: what is left changes with the view
FAR_OFF = 4.0  # surprise, times what is usual, from where on a place counts less
SAME_BOXES = 2.0  # times the variance of one box: those of following images err alike
UNKNOWN = 1e4  # square metres along the line of sight where the road says nothing of the range
GROUND, SIZE = int(PositionMethod.GROUND_PLANE), int(PositionMethod.SIZE_PRIOR)


def correct_places(tracks: Tracks, rows: np.ndarray, seen: Objects, stamp_ns: int, eye: np.ndarray | None) -> None:
    """New places start a filter, later ones correct it.

    rows  (N,) of tracks, in the order of seen
    eye   (2,) the camera in base_link; without one, places are taken as they are
    """
    known = np.isfinite(seen.positions[:, 0]) & np.isfinite(seen.position_covs).all(axis=(1, 2))
    rows, seen = (rows, seen) if known.all() else (rows[known], seen[known])
    first = ~np.isfinite(tracks.place[rows, 0])
    if first.any():
        _begin(tracks, rows[first], seen[first], eye)
    if not first.all():
        _correct(tracks, rows[~first], seen[~first], stamp_ns, eye)
    tracks.bias[rows] = BIAS_SHARE * seen.position_covs
    tracks.placed[rows], tracks.methods[rows] = stamp_ns, seen.position_methods


def _begin(tracks: Tracks, rows: np.ndarray, seen: Objects, eye: np.ndarray | None) -> None:
    own, sight, place, white = _by_road(seen, eye)
    mean, cov = np.zeros((len(rows), 5)), np.zeros((len(rows), 5, 5))
    mean[:, :2], mean[:, 4] = place, tracks.usual[rows, 0]
    cov[:, :2, :2], cov[:, 4, 4] = white, np.square(tracks.usual[rows, 1])
    cov[:, 2, 2] = cov[:, 3, 3] = np.square(tracks.haste[rows])
    tracks.place[rows], tracks.place_cov[rows] = mean, cov
    _correct_by_height(tracks, rows[own], seen.cues[own], sight[own], eye, SAME_BOXES)


def _correct(tracks: Tracks, rows: np.ndarray, seen: Objects, stamp_ns: int, eye: np.ndarray | None) -> None:
    returned = rows[stamp_ns - tracks.placed[rows] > GONE_NS]
    tracks.place_cov[returned, 2:4, 2:4] += RETURNED**2 * np.eye(2)
    scale = _wildness(tracks, rows, seen)
    own, sight, place, white = _by_road(seen, eye)
    white *= scale[:, None, None]
    tracks.place[rows], tracks.place_cov[rows] = update_ground(tracks.place[rows], tracks.place_cov[rows], place, white)
    _correct_by_height(tracks, rows[own], seen.cues[own], sight[own], eye, SAME_BOXES * scale[own])


def _wildness(tracks: Tracks, rows: np.ndarray, seen: Objects) -> np.ndarray:
    """(N,) times the usual variance: one wild place does not pull, but leaves the speed in doubt."""
    place, white = seen.positions[:, :2].astype(float), (1 - BIAS_SHARE) * seen.position_covs.astype(float)
    off, doubt = place - tracks.place[rows, :2], tracks.place_cov[rows, :2, :2]
    surprise = np.einsum("ni,nij,nj->n", off, inverse(doubt + white), off) / 2
    tracks.place_noise[rows] = learned(tracks.place_noise[rows], surprise, PLACE_NOISE)
    jolted = rows[surprise > FAR_OFF * tracks.place_noise[rows]]
    tracks.place_cov[jolted, 2:4, 2:4] += JOLT**2 * np.eye(2)
    scale = np.maximum(tracks.place_noise[rows], surprise / FAR_OFF)
    return np.where(seen.truncated != 0, CUT * scale, scale)


def _by_road(seen: Objects, eye: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where the road alone says that objects are: what height would add is taken out again.

    returns (N,) bool, whether their height has something to say, too; (N, 2) lines of sight; (N, 2) places; (N, 2, 2)
            covariances, without the part that does not shrink by looking often
    """
    place, cov = seen.positions[:, :2].astype(float), seen.position_covs.astype(float)
    by_camera = (seen.position_methods == GROUND) | (seen.position_methods == SIZE)
    own = by_camera & (seen.truncated == 0) & np.isfinite(seen.cues[:, 2])
    if eye is None or not own.any():
        return np.zeros(len(seen), bool), place, place, (1 - BIAS_SHARE) * cov
    sight = place - eye
    reach = np.sqrt(np.square(sight).sum(axis=1))
    sight /= reach[:, None]
    road, sigma = seen.cues[:, :2].T.astype(float)
    road, along = np.where(np.isnan(road), reach, road), np.where(np.isnan(road), UNKNOWN, np.square(sigma))
    before = np.einsum("ni,nij,nj->n", sight, cov, sight)
    place[own] += ((road - reach)[:, None] * sight)[own]
    cov[own] += ((along - before)[:, None, None] * sight[:, :, None] * sight[:, None])[own]
    return own, sight, place, (1 - BIAS_SHARE) * cov


def _correct_by_height(
    tracks: Tracks,
    rows: np.ndarray,
    cues: np.ndarray,
    sight: np.ndarray,
    eye: np.ndarray | None,
    scale: np.ndarray | float,
) -> None:
    """Range and own height have to fit the height in the image."""
    if eye is None or not len(rows):
        return
    per_metre, share = cues[:, 2:].T.astype(float)
    var = scale * np.square(share * per_metre * tracks.place[rows, 4])
    tracks.place[rows], tracks.place_cov[rows] = update_range(
        tracks.place[rows], tracks.place_cov[rows], sight, eye, per_metre, var
    )
