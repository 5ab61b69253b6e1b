"""Places on the road after objects were seen, with their velocities and own heights.

A kind of thing has a usual height, by which its size in the image tells its range. By how much one of them is taller
never changes: taken for a change of range, it would look like a speed as soon as the weight between the road and the
size changes on the way. So the height is a part of the state, and what the road says of it corrects the velocity too.
"""

from __future__ import annotations

import numpy as np

from camera_perception.kalman import inverse, update_ground, update_range
from camera_perception.tracks import BIAS_SHARE, Tracks, learned
from camera_perception.types import Objects, PositionMethod

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
