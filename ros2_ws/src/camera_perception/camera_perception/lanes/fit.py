"""Fit lane lines on the road: a cubic for each image polyline, with the uncertainty of each point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from camera_perception import core
from camera_perception.core.types import GroundLine, LaneLine
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.ground import DEFAULT_NOISE, GroundNoise, ground_with_covariance

MAX_RANGE = 80.0  # metres ahead up to which lines are located
MAX_RELATIVE_STD = 0.3  # of a usable point: standard deviation of x relative to x
MIN_POINTS, MIN_LENGTH = 4, 3.0  # points, metres
# One standard deviation of a line's u; errors of neighbouring rows are correlated, hence more than that of a point.
LINE_PIXEL_STD = np.array([[2.0, 0.0]])
MIN_STD = 0.03  # metres, lower bound due to the width of the paint
# Prior from typical roads, which dominates few or distant points: standard deviation of c0..c3.
COEFFICIENT_STD = np.array([10.0, 0.5, 1 / 120, 1.5e-4])
PRIOR_INFORMATION = np.diag(1 / COEFFICIENT_STD**2)
PRIOR_DIAGONAL = PRIOR_INFORMATION.diagonal().tolist()


def locate_lanes(
    lanes: tuple[LaneLine, ...], camera: Camera | None, noise: GroundNoise = DEFAULT_NOISE
) -> tuple[LaneLine, ...]:
    """Lane lines with their cubic on the road where the camera is calibrated."""
    if camera is None or not lanes:
        return lanes
    ground_lines = _ground_lines([lane.points for lane in lanes], camera, noise)
    return tuple(lane.on(ground) for lane, ground in zip(lanes, ground_lines))


def ground_line(points: np.ndarray, camera: Camera, noise: GroundNoise = DEFAULT_NOISE) -> GroundLine | None:
    """The cubic of an image polyline (P, 2) on the road; None when too little of it is close enough."""
    return _ground_lines([points], camera, noise)[0]


def _ground_lines(lines: Sequence[np.ndarray], camera: Camera, noise: GroundNoise) -> list[GroundLine | None]:
    """Cubics of image polylines (P, 2). All points are processed at once: the number of calls dominates."""
    if core.kernels is not None:
        return _compiled_ground_lines(lines, camera, noise)
    points, cov, counts = _reliable_points(lines, camera, noise)
    ends = np.cumsum(counts)
    if not len(points):
        return [None] * len(lines)
    span = points[np.maximum(ends - 1, 0), 0] - points[np.minimum(ends - counts, len(points) - 1), 0]
    long = (counts >= MIN_POINTS) & (span >= MIN_LENGTH)
    if not long.all():
        rows = np.repeat(long, counts)
        points, cov, counts = points[rows], cov[rows], counts[long]
    ground_lines = iter(_fit_lines(points, cov, counts))
    return [next(ground_lines) if enough else None for enough in long.tolist()]


FIT = MAX_RANGE, MAX_RELATIVE_STD, MIN_POINTS, MIN_LENGTH, MIN_STD**2  # what the compiled twin reads first


def _compiled_ground_lines(lines: Sequence[np.ndarray], camera: Camera, noise: GroundNoise) -> list[GroundLine | None]:
    pixels, pose, k = np.concatenate(lines), camera.pose, camera.pixel_from_camera
    points, std = np.empty((len(pixels), 2), np.float32), np.empty(len(pixels), np.float32)
    polys, ends = np.empty((len(lines), 4), np.float32), np.empty((len(lines), 2))
    counts, used = np.array([len(line) for line in lines]), np.empty(len(lines), np.int64)
    settings = np.array((*FIT, pose[0, 3], *PRIOR_DIAGONAL))
    found_in = counts, settings, points, std, polys, ends, used
    if camera.has_distortion or pixels.dtype != np.float32:
        core.kernels.fit_lines(*ground_with_covariance(pixels, LINE_PIXEL_STD, camera, noise), *found_in)
    else:
        numbers = noise.pitch, noise.roll, noise.height, k[0, 0], k[1, 1], k[0, 2], k[1, 2], *LINE_PIXEL_STD[0]
        lens = np.array((*pose.ravel().tolist(), *numbers))
        core.kernels.locate_lines(pixels, counts, lens, *found_in[1:])
    found: list[GroundLine | None] = []
    end = 0
    for poly, (x_min, x_max), count in zip(polys, ends.tolist(), used.tolist()):
        start, end = end, end + count
        found.append(GroundLine(points[start:end], std[start:end], poly, x_min, x_max) if count else None)
    return found


def _reliable_points(
    lines: Sequence[np.ndarray], camera: Camera, noise: GroundNoise
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Usable points of all lines: (N, 2) metres, (N, 2, 2) covariances, (L,) number per line.

    Grouped by line, each from near to far.
    """
    pixels, number = np.concatenate(lines), np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    ground, cov = ground_with_covariance(pixels, LINE_PIXEL_STD, camera, noise)
    x = ground[:, 0]
    with np.errstate(invalid="ignore"):
        reliable = (x < MAX_RANGE) & (cov[:, 0, 0] < np.square(MAX_RELATIVE_STD * (x - camera.pose[0, 3])))
    rows = np.lexsort((x, number))
    rows = rows[reliable[rows]]
    return ground[rows], cov[rows], np.bincount(number[reliable], minlength=len(lines))


def _fit_lines(points: np.ndarray, cov: np.ndarray, counts: np.ndarray) -> Iterator[GroundLine]:
    """Fit lines whose points are concatenated; counts (L,) per line."""
    if not len(counts):
        return
    y_std = lateral_std(cov, slopes(points, counts))
    polys = fit_cubic(*padded(np.column_stack((points, y_std)), counts))[0].astype(np.float32)
    points_32, std_32, end = points.astype(np.float32), y_std.astype(np.float32), 0
    for poly, count in zip(polys, counts.tolist()):
        start, end = end, end + count
        x_min, x_max = points[[start, end - 1], 0].tolist()
        yield GroundLine(points_32[start:end], std_32[start:end], poly, x_min, x_max)


def padded(rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Concatenated lines (N, 3) x, y, y_std as (3, L, P), padded with points of infinite y_std."""
    valid = np.arange(counts.max()) < counts[:, None]
    lines = np.zeros((3, *valid.shape))
    lines[2] = np.inf
    lines[:, valid] = rows.T
    return lines


def slopes(points: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(N,) dy/dx at (N, 2) points of concatenated lines, like np.gradient; counts (L,) > 1."""
    ends = np.cumsum(counts)
    with np.errstate(divide="ignore", invalid="ignore"):  # across line boundaries
        dx, rise = (points[1:] - points[:-1]).T
        dx = dx + 1e-3
        each = rise / dx
        slope = np.empty(len(points))
        slope[1:-1] = (each[:-1] * dx[1:] + each[1:] * dx[:-1]) / (dx[:-1] + dx[1:])
    slope[ends - counts], slope[ends - 1] = each[ends - counts], each[ends - 2]
    return slope


def lateral_std(cov: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """(P,) standard deviation of y at fixed x, for points with (P, 2, 2) covariances on a line of (P,) slope dy/dx."""
    slope = slope.clip(-1.0, 1.0)
    variance = cov[:, 1, 1] - 2 * slope * cov[:, 0, 1] + slope**2 * cov[:, 0, 0]
    std: np.ndarray = np.sqrt(np.maximum(variance, 0.0) + MIN_STD**2)
    return std


def powers(x: np.ndarray) -> np.ndarray:
    """(..., P) -> (..., P, 4) 1, x, x^2, x^3."""
    x = np.asarray(x, float)
    terms = np.ones((*x.shape, 4))
    terms[..., 1] = x
    np.multiply(x, x, out=terms[..., 2])
    np.multiply(terms[..., 2], x, out=terms[..., 3])
    return terms


def fit_cubic(x: np.ndarray, y: np.ndarray, y_std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Robust fit (Huber) of y = c0 + c1 x + c2 x^2 + c3 x^3: c0..c3 and the inverse of their (4, 4) covariance.

    (P,) each, or (L, P) for L lines at once; points of infinite y_std are ignored.
    """
    terms, y_std = powers(x), y_std.astype(float)
    columns, weights = np.concatenate((terms, y[..., None]), axis=-1), 1 / np.square(y_std)
    poly, information = _least_squares(terms, columns, weights)
    for _ in range(2):
        error = np.abs(y - (terms @ poly)[..., 0]) / y_std
        poly, information = _least_squares(terms, columns, weights * (1.5 / np.maximum(error, 1.5)))
    return poly[..., 0], information


def _least_squares(terms: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., 4, 1) coefficients of (..., P, 4) terms and the inverse of their covariance; columns are terms and y."""
    sums = np.swapaxes(terms * weights[..., None], -1, -2) @ columns
    information = sums[..., :4] + PRIOR_INFORMATION
    return np.linalg.solve(information, sums[..., 4:]), information
