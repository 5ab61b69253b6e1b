"""Lane lines on the road: the cubic course of an image polyline, and how sure each point of it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from camera_perception.camera import Camera
from camera_perception.ground import DEFAULT_NOISE, GroundNoise, ground_with_covariance
from camera_perception.types import GroundLine, LaneLine

REACH = 80.0  # metres ahead, beyond which a line is not placed
MAX_SHARE = 0.3  # standard deviation of x as share of it, above which a point is not used
LEAST_POINTS, LEAST_LENGTH = 4, 3.0  # points, metres
LINE_PIXELS = (
    2.0  # one standard deviation of a line's u; neighbouring rows err together, hence more than a single point
)
FLOOR = 0.03  # metres, paint is not sharper than that
# What roads are like, against which few or far points cannot argue: standard deviation of c0..c3.
ROADS = np.array([10.0, 0.5, 1 / 120, 1.5e-4])
USUAL = np.diag(1 / ROADS**2)


def locate_lanes(
    lanes: tuple[LaneLine, ...], camera: Camera | None, noise: GroundNoise = DEFAULT_NOISE
) -> tuple[LaneLine, ...]:
    """Lane lines with their course on the road where the camera is calibrated."""
    if camera is None or not lanes:
        return lanes
    # All lines in one go: a call for each costs five times as much.
    ground, cov = _near(np.concatenate([lane.points for lane in lanes]), camera, noise)
    ends = np.cumsum([len(lane.points) for lane in lanes])[:-1]
    courses = _courses(list(zip(np.split(ground, ends), np.split(cov, ends))))
    return tuple(replace(lane, ground=course) for lane, course in zip(lanes, courses))


def ground_line(points: np.ndarray, camera: Camera, noise: GroundNoise = DEFAULT_NOISE) -> GroundLine | None:
    """The cubic course of an image polyline (P, 2) on the road; None when too little of it lies near enough."""
    return _courses([_near(points, camera, noise)])[0]


def _near(points: np.ndarray, camera: Camera, noise: GroundNoise) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2) pixels -> (P, 2) metres and (P, 2, 2) covariances; nan for points too far or too doubtful to be used."""
    sigmas = np.tile((LINE_PIXELS, 0.0), (len(points), 1))
    ground, cov = ground_with_covariance(points, sigmas, camera, noise)
    with np.errstate(invalid="ignore"):
        near = (ground[:, 0] < REACH) & (np.sqrt(cov[:, 0, 0]) < MAX_SHARE * np.abs(ground[:, 0] - camera.pose[0, 3]))
    ground[~near] = np.nan
    return ground, cov


def _courses(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[GroundLine | None]:
    """Points and covariances of lines as _near gives them; None for lines with too few points."""
    measured = [_measured(ground, cov) for ground, cov in lines]
    polys = iter(_fit_all([line for line in measured if line is not None]))
    return [None if line is None else _ground_line(line, next(polys)) for line in measured]


def _measured(ground: np.ndarray, cov: np.ndarray) -> np.ndarray | None:
    """(3, P) x, y and standard deviation of y of the usable points, near to far; None when these say too little."""
    order = np.argsort(ground[:, 0], kind="stable")
    order = order[: np.isfinite(ground[:, 0]).sum()]  # nan is sorted to the end
    x, y = ground[order].T
    if len(x) < LEAST_POINTS or x[-1] - x[0] < LEAST_LENGTH:
        return None
    return np.stack((x, y, across(cov[order], slopes(x + 1e-3 * np.arange(len(x)), y))))


def _fit_all(lines: Sequence[np.ndarray]) -> np.ndarray:
    """(L, 4) cubics of (3, P) lines: of different length, filled up with points of no weight."""
    padded = np.zeros((len(lines), 3, max((line.shape[1] for line in lines), default=0)))
    padded[:, 2] = np.inf
    for row, line in zip(padded, lines):
        row[:, : line.shape[1]] = line
    return fit_cubic(*padded.transpose(1, 0, 2))[0]


def _ground_line(line: np.ndarray, poly: np.ndarray) -> GroundLine:
    x, _, y_std = line
    points = line[:2].T.astype(np.float32)
    return GroundLine(points, y_std.astype(np.float32), poly.astype(np.float32), float(x[0]), float(x[-1]))


def slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(P,) dy/dx at each of P > 1 points, from both neighbours: np.gradient(y, x) in a fifth of its time."""
    steps = x[1:] - x[:-1]
    each = (y[1:] - y[:-1]) / steps
    between = (each[:-1] * steps[1:] + each[1:] * steps[:-1]) / (steps[:-1] + steps[1:])
    return np.concatenate((each[:1], between, each[-1:]))


def across(cov: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """(P,) standard deviation of y at fixed x, of points with (P, 2, 2) covariances on a line of (P,) slope dy/dx."""
    slope = np.clip(slope, -1.0, 1.0)
    variance = cov[:, 1, 1] - 2 * slope * cov[:, 0, 1] + slope**2 * cov[:, 0, 0]
    return np.sqrt(np.maximum(variance, 0.0) + FLOOR**2)


def powers(x: np.ndarray) -> np.ndarray:
    """(..., P) -> (..., P, 4) 1, x, x^2, x^3."""
    x = np.asarray(x, float)
    square = x * x
    return np.stack((np.ones_like(x), x, square, square * x), axis=-1)


def fit_cubic(x: np.ndarray, y: np.ndarray, y_std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c0..c3 of y = c0 + c1 x + c2 x^2 + c3 x^3 and their (4, 4) covariance; strays count less (Huber).

    (P,) each, or (L, P) for L lines at once; a point of infinite y_std does not count.
    """
    terms, weights = powers(x), 1 / np.square(y_std.astype(float))
    doubt, poly, cov = np.ones(np.shape(x)), np.zeros((*np.shape(x)[:-1], 4)), USUAL
    for _ in range(3):
        pull = np.swapaxes(terms, -1, -2) * (weights * doubt)[..., None, :]
        cov = np.linalg.inv(pull @ terms + USUAL)
        poly = (cov @ (pull @ y[..., None]))[..., 0]
        error = np.abs(y - (terms @ poly[..., None])[..., 0]) / y_std
        doubt = 1.5 / np.maximum(error, 1.5)
    return poly, cov
