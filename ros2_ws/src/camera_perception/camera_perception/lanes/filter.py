"""Kalman filter of lane line cubics over time, all lines of a frame at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from camera_perception import core
from camera_perception.core.types import EgoMotion, GroundLine, LaneLine, LineColor, LineType
from camera_perception.lanes.fit import PRIOR_INFORMATION, fit_cubic, padded, powers

# Covariance added to c0..c3 per second, from one standard deviation of each: swerving, beginning curves.
PROCESS_NOISE = np.diag(np.square([0.3, 0.02, 1e-3, 8e-6]))
PROCESS_NOISE_WITH_ODOMETRY = np.diag(np.square([0.15, 0.01, 6e-4, 5e-6]))  # with ego motion compensated
EFFECTIVE_POINTS = 2.0  # number of independent points that a line is worth, however many neighbouring points it has
BIAS_FRACTION = 0.5  # of the variance of a point that does not shrink over frames


@dataclass
class Track:
    """State of one tracked line; mean (4,) and cov (4, 4) of its cubic are None without ground."""

    track_id: int
    line: LaneLine
    last_seen_ns: int
    mean: np.ndarray | None = None
    cov: np.ndarray | None = None
    types: dict[LineType, float] = field(default_factory=dict)
    colors: dict[LineColor, float] = field(default_factory=dict)


def predict(tracks: Sequence[Track], seconds: float, motion: EgoMotion | None) -> None:
    """Predict tracks that have a cubic over a time step and an ego motion."""
    if motion is not None and tracks:
        for track, mean in zip(tracks, moved_cubic(np.array([track.mean for track in tracks]), motion)):
            track.mean = mean
    noise = (PROCESS_NOISE if motion is None else PROCESS_NOISE_WITH_ODOMETRY) * seconds
    for track in tracks:
        if track.cov is not None:
            track.cov = track.cov + noise


REFIT_RANGE = 60.0  # metres ahead over which a moved line is refitted
REFIT_X = np.linspace(0.0, REFIT_RANGE, 13)
REFIT_TERMS, REFIT_SCALES = powers(REFIT_X).T, REFIT_RANGE ** np.arange(4)


def moved_cubic(poly: np.ndarray, motion: EgoMotion) -> np.ndarray:
    """Cubics y = c0 + c1 x + ... expressed in the frame of the moved car: (4,) or (T, 4)."""
    c, s = math.cos(motion.yaw), math.sin(motion.yaw)
    if core.kernels is not None:
        moved = np.array(poly, float)
        core.kernels.moved_cubics(moved, motion.x, motion.y, c, s, REFIT_X)
        return moved
    along, left = REFIT_X - motion.x, poly @ REFIT_TERMS - motion.y
    terms = powers((c * along + s * left) / REFIT_RANGE)
    rows = np.swapaxes(terms, -1, -2)
    scaled = np.linalg.solve(rows @ terms, rows @ (c * left - s * along)[..., None])[..., 0]
    return np.asarray(scaled / REFIT_SCALES)


def correct(tracks: Sequence[Track]) -> Iterator[GroundLine]:
    """Update all tracks with the ground of their lines and yield the smoothed ground lines."""
    grounds = [track.line.ground for track in tracks if track.line.ground is not None]
    if not grounds:
        return
    if core.kernels is not None:
        yield from _correct_compiled(tracks, grounds)
        return
    counts = np.array([len(ground.points) for ground in grounds])
    rows = np.column_stack(
        (np.concatenate([g.points for g in grounds]), np.concatenate([g.y_std for g in grounds]))
    ).astype(float)
    x, y, y_std = padded(rows, counts)
    # Errors of neighbouring points are correlated: y_std is inflated to treat them as independent.
    point_std = y_std * np.sqrt(np.maximum(counts / EFFECTIVE_POINTS, 1.0))[:, None]
    terms = powers(x)
    _update(tracks, grounds, terms, point_std, y)
    yield from _smoothed_lines(tracks, grounds, terms, y_std)


FILTER = np.array((EFFECTIVE_POINTS, BIAS_FRACTION, *PRIOR_INFORMATION.diagonal()))


def _correct_compiled(tracks: Sequence[Track], grounds: Sequence[GroundLine]) -> Iterator[GroundLine]:
    new = np.array([track.mean is None for track in tracks])
    means = np.array([np.zeros(4) if track.mean is None else track.mean for track in tracks])
    covs = np.array([np.zeros((4, 4)) if track.cov is None else track.cov for track in tracks])
    counts = [len(ground.points) for ground in grounds]
    points, y_std = np.concatenate([g.points for g in grounds]), np.concatenate([g.y_std for g in grounds])
    smooth, std, polys = np.empty_like(points), np.empty_like(y_std), np.empty((len(grounds), 4), np.float32)
    fitted = np.array([ground.poly for ground in grounds])
    core.kernels.smooth_lines(points, y_std, np.array(counts), fitted, new, means, covs, FILTER, smooth, std, polys)
    end = 0
    for track, ground, count, mean, cov, poly in zip(tracks, grounds, counts, means, covs, polys):
        track.mean, track.cov, start, end = mean, cov, end, end + count
        yield GroundLine(smooth[start:end], std[start:end], poly, ground.x_min, ground.x_max)


def _update(
    tracks: Sequence[Track], grounds: Sequence[GroundLine], terms: np.ndarray, point_std: np.ndarray, y: np.ndarray
) -> None:
    """Kalman update with the robust fits of this frame; terms (L, P, 4), point_std and y (L, P)."""
    new = [row for row, track in enumerate(tracks) if track.mean is None]
    if new:
        polys, information = fit_cubic(terms[new, :, 1], y[new], point_std[new])
        for row, mean, cov in zip(new, polys, np.linalg.inv(information)):
            tracks[row].mean, tracks[row].cov = mean, cov
    old = sorted(set(range(len(tracks))) - set(new))
    if not old:
        return
    measured = terms[old]
    information = np.swapaxes(measured / np.square(point_std[old])[..., None], -1, -2) @ measured
    prior = np.linalg.inv(np.array([tracks[row].cov for row in old]))
    covs, means = np.linalg.inv(prior + information), np.array([tracks[row].mean for row in old])
    polys = np.array([grounds[row].poly for row in old], float)
    means = covs @ (prior @ means[..., None] + information @ polys[..., None])
    for row, mean, cov in zip(old, means[..., 0], covs):
        tracks[row].mean, tracks[row].cov = mean, cov


def _smoothed_lines(
    tracks: Sequence[Track], grounds: Sequence[GroundLine], terms: np.ndarray, y_std: np.ndarray
) -> Iterator[GroundLine]:
    """Evaluate the tracks at the points of their lines; terms (L, P, 4), y_std (L, P)."""
    means, covs = np.array([track.mean for track in tracks]), np.array([track.cov for track in tracks])
    points = np.stack((terms[..., 1], (terms @ means[..., None])[..., 0]), axis=-1).astype(np.float32)
    variance = ((terms @ covs) * terms).sum(axis=-1) + BIAS_FRACTION * np.square(y_std)
    std, polys = np.sqrt(variance).astype(np.float32), means.astype(np.float32)
    for row, ground in enumerate(grounds):
        count = len(ground.points)
        yield GroundLine(points[row, :count], std[row, :count], polys[row], ground.x_min, ground.x_max)
