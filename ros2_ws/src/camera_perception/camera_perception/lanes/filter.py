"""The courses of lane lines over time: a Kalman filter of each line's cubic, all lines of a frame in one go."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from camera_perception.core.types import EgoMotion, GroundLine, LaneLine, LineColor, LineType
from camera_perception.lanes.fit import fit_cubic, padded, powers

# Covariance that a second adds to c0..c3, from one standard deviation of each: swerving, bends that begin.
DRIFT = np.diag(np.square([0.3, 0.02, 1e-3, 8e-6]))
DRIFT_KNOWN = np.diag(np.square([0.15, 0.01, 6e-4, 5e-6]))  # with the car's own motion taken out
LIKE_POINTS = 2.0  # so many independent points is a line of any number of neighbouring ones worth
BIAS_SHARE = 0.5  # of the variance of a point, which does not shrink over frames


@dataclass
class Track:
    """One line over time; mean (4,) and cov (4, 4) of its cubic are None without ground."""

    number: int
    line: LaneLine
    seen_ns: int
    mean: np.ndarray | None = None
    cov: np.ndarray | None = None
    types: dict[LineType, float] = field(default_factory=dict)
    colors: dict[LineColor, float] = field(default_factory=dict)


def predict(tracks: Sequence[Track], seconds: float, motion: EgoMotion | None) -> None:
    """Tracks that have a course, some time and some motion later."""
    if motion is not None and tracks:
        for track, mean in zip(tracks, moved_cubic(np.array([track.mean for track in tracks]), motion)):
            track.mean = mean
    drift = (DRIFT if motion is None else DRIFT_KNOWN) * seconds
    for track in tracks:
        if track.cov is not None:
            track.cov = track.cov + drift


LOOKED_AT = 60.0  # metres ahead, over which a moved line is fitted again
AHEAD = np.linspace(0.0, LOOKED_AT, 13)
AHEAD_TERMS, SCALES = powers(AHEAD).T, LOOKED_AT ** np.arange(4)


def moved_cubic(poly: np.ndarray, motion: EgoMotion) -> np.ndarray:
    """The same lines y = c0 + c1 x + ... seen from a car that has moved: (4,) or (T, 4)."""
    along, left = AHEAD - motion.x, poly @ AHEAD_TERMS - motion.y
    c, s = math.cos(motion.yaw), math.sin(motion.yaw)
    terms = powers((c * along + s * left) / LOOKED_AT)
    rows = np.swapaxes(terms, -1, -2)
    scaled = np.linalg.solve(rows @ terms, rows @ (c * left - s * along)[..., None])[..., 0]
    return np.asarray(scaled / SCALES)


def corrected(tracks: Sequence[Track]) -> Iterator[GroundLine]:
    """Correct all tracks by the ground of their lines, all at once; the calmer courses that come of it."""
    grounds = [track.line.ground for track in tracks if track.line.ground is not None]
    if not grounds:
        return
    counts = np.array([len(ground.points) for ground in grounds])
    rows = np.column_stack(
        (np.concatenate([g.points for g in grounds]), np.concatenate([g.y_std for g in grounds]))
    ).astype(float)
    x, y, y_std = padded(rows, counts)
    # Neighbouring points err together: y_std as if they were independent.
    apart = y_std * np.sqrt(np.maximum(counts / LIKE_POINTS, 1.0))[:, None]
    terms = powers(x)
    _correct(tracks, grounds, terms, apart, y)
    yield from _calm(tracks, grounds, terms, y_std)


def _correct(
    tracks: Sequence[Track], grounds: Sequence[GroundLine], terms: np.ndarray, apart: np.ndarray, y: np.ndarray
) -> None:
    """By the frame's own robust fit, with the worth of a few independent points; terms (L, P, 4), apart, y (L, P)."""
    fresh = [row for row, track in enumerate(tracks) if track.mean is None]
    if fresh:
        polys, known = fit_cubic(terms[fresh, :, 1], y[fresh], apart[fresh])
        for row, mean, cov in zip(fresh, polys, np.linalg.inv(known)):
            tracks[row].mean, tracks[row].cov = mean, cov
    old = sorted(set(range(len(tracks))) - set(fresh))
    if not old:
        return
    seen = terms[old]
    worth = np.swapaxes(seen / np.square(apart[old])[..., None], -1, -2) @ seen
    before = np.linalg.inv(np.array([tracks[row].cov for row in old]))
    covs, means = np.linalg.inv(before + worth), np.array([tracks[row].mean for row in old])
    polys = np.array([grounds[row].poly for row in old], float)
    means = covs @ (before @ means[..., None] + worth @ polys[..., None])
    for row, mean, cov in zip(old, means[..., 0], covs):
        tracks[row].mean, tracks[row].cov = mean, cov


def _calm(
    tracks: Sequence[Track], grounds: Sequence[GroundLine], terms: np.ndarray, y_std: np.ndarray
) -> Iterator[GroundLine]:
    """What the tracks say of the lines at their points; terms (L, P, 4), y_std (L, P)."""
    means, covs = np.array([track.mean for track in tracks]), np.array([track.cov for track in tracks])
    points = np.stack((terms[..., 1], (terms @ means[..., None])[..., 0]), axis=-1).astype(np.float32)
    variance = ((terms @ covs) * terms).sum(axis=-1) + BIAS_SHARE * np.square(y_std)
    sure, polys = np.sqrt(variance).astype(np.float32), means.astype(np.float32)
    for row, ground in enumerate(grounds):
        count = len(ground.points)
        yield GroundLine(points[row, :count], sure[row, :count], polys[row], ground.x_min, ground.x_max)
