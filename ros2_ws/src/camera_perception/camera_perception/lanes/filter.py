"""Kalman filter of lane line cubics over time, all lines of a frame at once."""

from __future__ import annotations

import math

import numpy as np

from camera_perception.core.types import EgoMotion, LineType
from camera_perception.lanes.fit import GroundLines, fit_cubic, padded, powers

# Covariance added to c0..c3 per second, from one standard deviation of each: swerving, beginning curves.
PROCESS_NOISE = np.diag(np.square([0.3, 0.02, 1e-3, 8e-6]))
PROCESS_NOISE_WITH_ODOMETRY = np.diag(np.square([0.15, 0.01, 6e-4, 5e-6]))  # with ego motion compensated
EFFECTIVE_POINTS = 2.0  # number of independent points that a line is worth, however many neighbouring points it has
BIAS_FRACTION = 0.5  # of the variance of a point that does not shrink over frames
KINDS = len(LineType)  # more than colours
# One tracked line. Its mean is nan until it was on the road. Votes (type, colour) are in the order of the first vote
# for their labels, of which 0 is none yet. Numbers of 8 bytes each: the compiled twin reads rows of them.
TRACK = np.dtype(
    [
        ("id", np.int64), ("seen_ns", np.int64), ("mean", float, 4), ("cov", float, (4, 4)),
        ("votes", float, (2, KINDS)), ("labels", np.int64, (2, KINDS)),
    ]
)  # fmt: skip
WORDS = TRACK.itemsize // 8


def on_road(tracks: np.ndarray) -> np.ndarray:
    """(T,) bool: tracks (T,) of TRACK that have a cubic."""
    known: np.ndarray = ~np.isnan(tracks["mean"][:, 0])
    return known


def process_noise(seconds: float, motion: EgoMotion | None) -> np.ndarray:
    """(4, 4) covariance added to c0..c3 over a time step."""
    return (PROCESS_NOISE if motion is None else PROCESS_NOISE_WITH_ODOMETRY) * seconds


def predict(tracks: np.ndarray, seconds: float, motion: EgoMotion | None) -> None:
    """Predict tracks (T,) of TRACK that have a cubic over a time step and an ego motion."""
    rows = on_road(tracks).nonzero()[0]
    if motion is not None and len(rows):
        tracks["mean"][rows] = moved_cubic(tracks["mean"][rows], motion)
    tracks["cov"][rows] += process_noise(seconds, motion)


REFIT_RANGE = 60.0  # metres ahead over which a moved line is refitted
REFIT_X = np.linspace(0.0, REFIT_RANGE, 13)
REFIT_TERMS, REFIT_SCALES = powers(REFIT_X).T, REFIT_RANGE ** np.arange(4)


def moved_cubic(poly: np.ndarray, motion: EgoMotion) -> np.ndarray:
    """Cubics y = c0 + c1 x + ... expressed in the frame of the moved car: (4,) or (T, 4)."""
    c, s = math.cos(motion.yaw), math.sin(motion.yaw)
    along, left = REFIT_X - motion.x, poly @ REFIT_TERMS - motion.y
    terms = powers((c * along + s * left) / REFIT_RANGE)
    rows = np.swapaxes(terms, -1, -2)
    scaled = np.linalg.solve(rows @ terms, rows @ (c * left - s * along)[..., None])[..., 0]
    return np.asarray(scaled / REFIT_SCALES)


def correct(tracks: np.ndarray, rows: np.ndarray, grounds: GroundLines) -> GroundLines:
    """Update tracks with the lines that have ground, and return those smoothed.

    rows  (L,) of the track of each line
    """
    counts, located = grounds.counts[grounds.counts > 0], (grounds.counts > 0).nonzero()[0]
    if not len(counts):
        return grounds
    x, y, y_std = padded(np.column_stack((grounds.points, grounds.y_std)).astype(float), counts)
    # Errors of neighbouring points are correlated: y_std is inflated to treat them as independent.
    point_std = y_std * np.sqrt(np.maximum(counts / EFFECTIVE_POINTS, 1.0))[:, None]
    terms, used = powers(x), tracks[rows[located]]
    _update(used, grounds.polys[located], terms, point_std, y)
    tracks[rows[located]] = used
    polys = np.full_like(grounds.polys, np.nan)
    polys[located] = used["mean"]
    points, std = _smoothed(used, terms, y_std)
    valid = np.arange(counts.max()) < counts[:, None]
    return grounds._replace(points=points[valid], y_std=std[valid], polys=polys)


def _update(tracks: np.ndarray, cubics: np.ndarray, terms: np.ndarray, point_std: np.ndarray, y: np.ndarray) -> None:
    """Kalman update with the cubics (L, 4) of this frame; terms (L, P, 4), point_std and y (L, P)."""
    known = on_road(tracks)
    new, old = (~known).nonzero()[0], known.nonzero()[0]
    if len(new):
        polys, information = fit_cubic(terms[new, :, 1], y[new], point_std[new])
        tracks["mean"][new], tracks["cov"][new] = polys, np.linalg.inv(information)
    if not len(old):
        return
    measured = terms[old]
    information = np.swapaxes(measured / np.square(point_std[old])[..., None], -1, -2) @ measured
    prior = np.linalg.inv(tracks["cov"][old])
    covs, means, polys = np.linalg.inv(prior + information), tracks["mean"][old], cubics[old].astype(float)
    means = covs @ (prior @ means[..., None] + information @ polys[..., None])
    tracks["mean"][old], tracks["cov"][old] = means[..., 0], covs


def _smoothed(tracks: np.ndarray, terms: np.ndarray, y_std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tracks at the points of their lines: terms (L, P, 4), y_std (L, P) -> float32 (L, P, 2) points, (L, P) sigmas."""
    means, covs = np.array(tracks["mean"]), np.array(tracks["cov"])
    points = np.stack((terms[..., 1], (terms @ means[..., None])[..., 0]), axis=-1).astype(np.float32)
    variance = ((terms @ covs) * terms).sum(axis=-1) + BIAS_FRACTION * np.square(y_std)
    with np.errstate(invalid="ignore"):  # of padding
        return points, np.sqrt(variance).astype(np.float32)
