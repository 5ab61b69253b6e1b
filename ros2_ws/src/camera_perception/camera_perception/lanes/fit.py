"""Lane lines on the road: the cubic course of an image polyline, and how sure each point of it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from camera_perception.core.types import GroundLine, LaneLine
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.ground import DEFAULT_NOISE, GroundNoise, ground_with_covariance

REACH = 80.0  # metres ahead, beyond which a line is not placed
MAX_SHARE = 0.3  # standard deviation of x as share of it, above which a point is not used
LEAST_POINTS, LEAST_LENGTH = 4, 3.0  # points, metres
# One standard deviation of a line's u; neighbouring rows err together, hence more than a single point.
LINE_PIXELS = np.array([[2.0, 0.0]])
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
    courses = _courses([lane.points for lane in lanes], camera, noise)
    return tuple(replace(lane, ground=course) for lane, course in zip(lanes, courses))


def ground_line(points: np.ndarray, camera: Camera, noise: GroundNoise = DEFAULT_NOISE) -> GroundLine | None:
    """The cubic course of an image polyline (P, 2) on the road; None when too little of it lies near enough."""
    return _courses([points], camera, noise)[0]


def _courses(lines: Sequence[np.ndarray], camera: Camera, noise: GroundNoise) -> list[GroundLine | None]:
    """Of image polylines (P, 2). All points of all lines go through each step at once: it is the calls that cost."""
    points, cov, counts = _near(lines, camera, noise)
    ends = np.cumsum(counts)
    if not len(points):
        return [None] * len(lines)
    span = points[np.maximum(ends - 1, 0), 0] - points[np.minimum(ends - counts, len(points) - 1), 0]
    long = (counts >= LEAST_POINTS) & (span >= LEAST_LENGTH)
    rows = np.repeat(long, counts)
    courses = iter(_fitted(points[rows], cov[rows], counts[long]))
    return [next(courses) if enough else None for enough in long.tolist()]


def _near(lines: Sequence[np.ndarray], camera: Camera, noise: GroundNoise) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of all lines the points that are near and sure enough: (N, 2) metres, (N, 2, 2) covariances, (L,) how many each.

    Line after line, each from near to far.
    """
    pixels, number = np.concatenate(lines), np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    ground, cov = ground_with_covariance(pixels, LINE_PIXELS, camera, noise)
    x = ground[:, 0]
    with np.errstate(invalid="ignore"):
        near = (x < REACH) & (cov[:, 0, 0] < np.square(MAX_SHARE * (x - camera.pose[0, 3])))
    rows = np.lexsort((x, number))
    rows = rows[near[rows]]
    return ground[rows], cov[rows], np.bincount(number[near], minlength=len(lines))


def _fitted(points: np.ndarray, cov: np.ndarray, counts: np.ndarray) -> Iterator[GroundLine]:
    """Courses of lines whose points follow each other, counts (L,) of each line."""
    if not len(counts):
        return
    y_std = across(cov, slopes(points, counts))
    polys = fit_cubic(*padded(np.column_stack((points, y_std)), counts))[0].astype(np.float32)
    single, single_std, end = points.astype(np.float32), y_std.astype(np.float32), 0
    for poly, count in zip(polys, counts.tolist()):
        start, end = end, end + count
        x_min, x_max = points[[start, end - 1], 0].tolist()
        yield GroundLine(single[start:end], single_std[start:end], poly, x_min, x_max)


def padded(rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Lines of (N, 3) x, y, y_std that follow each other as (3, L, P), filled up with points of infinite y_std."""
    places = np.arange(counts.max()) < counts[:, None]
    lines = np.zeros((3, *places.shape))
    lines[2] = np.inf
    lines[:, places] = rows.T
    return lines


def slopes(points: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(N,) dy/dx at each of (N, 2) points, from both neighbours of its line as np.gradient has it; counts > 1 (L,)."""
    ends = np.cumsum(counts)
    with np.errstate(divide="ignore", invalid="ignore"):  # from one line to the next
        steps, rise = (points[1:] - points[:-1]).T
        steps = steps + 1e-3
        each = rise / steps
        slope = np.empty(len(points))
        slope[1:-1] = (each[:-1] * steps[1:] + each[1:] * steps[:-1]) / (steps[:-1] + steps[1:])
    slope[ends - counts], slope[ends - 1] = each[ends - counts], each[ends - 2]
    return slope


def across(cov: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """(P,) standard deviation of y at fixed x, of points with (P, 2, 2) covariances on a line of (P,) slope dy/dx."""
    slope = slope.clip(-1.0, 1.0)
    variance = cov[:, 1, 1] - 2 * slope * cov[:, 0, 1] + slope**2 * cov[:, 0, 0]
    return np.sqrt(np.maximum(variance, 0.0) + FLOOR**2)


def powers(x: np.ndarray) -> np.ndarray:
    """(..., P) -> (..., P, 4) 1, x, x^2, x^3."""
    x = np.asarray(x, float)
    terms = np.ones((*x.shape, 4))
    terms[..., 1] = x
    np.multiply(x, x, out=terms[..., 2])
    np.multiply(terms[..., 2], x, out=terms[..., 3])
    return terms


def fit_cubic(x: np.ndarray, y: np.ndarray, y_std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c0..c3 of y = c0 + c1 x + c2 x^2 + c3 x^3 and the inverse of their (4, 4) covariance; strays count less (Huber).

    (P,) each, or (L, P) for L lines at once; a point of infinite y_std does not count.
    """
    terms, y_std = powers(x), y_std.astype(float)
    columns, weights = np.concatenate((terms, y[..., None]), axis=-1), 1 / np.square(y_std)
    poly, known = _least_squares(terms, columns, weights)
    for _ in range(2):
        error = np.abs(y - (terms @ poly)[..., 0]) / y_std
        poly, known = _least_squares(terms, columns, weights * (1.5 / np.maximum(error, 1.5)))
    return poly[..., 0], known


def _least_squares(terms: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., 4, 1) coefficients of (..., P, 4) terms and the inverse of their covariance; columns are terms and y."""
    sums = np.swapaxes(terms * weights[..., None], -1, -2) @ columns
    known = sums[..., :4] + USUAL
    return np.linalg.solve(known, sums[..., 4:]), known
