"""Fit lane lines on the road: a cubic for each image polyline, with the uncertainty of each point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from camera_perception import core
from camera_perception.core.types import GroundLine, LaneLine
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.ground import DEFAULT_NOISE, GroundNoise, ground_with_covariance
from camera_perception.lanes.roles import courses

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


class GroundLines(NamedTuple):
    """L lines on the road, in base_link; lines without ground have no points, and nan for the rest.

    points (N, 2) float32 metres x y of the lines one after the other, each from near to far
    y_std  (N,)   float32 metres, one standard deviation across the road
    polys  (L, 4) float32 c0..c3
    ends   (L, 2) float64 metres, first and last x
    counts (L,)   int64 points of each line
    """

    points: np.ndarray
    y_std: np.ndarray
    polys: np.ndarray
    ends: np.ndarray
    counts: np.ndarray

    @staticmethod
    def of(lines: Sequence[LaneLine]) -> GroundLines:
        """The ground that lines have."""
        grounds = [line.ground for line in lines if line.ground is not None]
        counts = [0 if line.ground is None else len(line.ground.points) for line in lines]
        points, y_std = np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
        if grounds:
            points = np.concatenate([ground.points for ground in grounds]).astype(np.float32, copy=False)
            y_std = np.concatenate([ground.y_std for ground in grounds]).astype(np.float32, copy=False)
        return GroundLines(points, y_std, *courses(lines), np.array(counts, np.int64))

    def each(self) -> list[GroundLine | None]:
        """The lines one by one, as views."""
        found: list[GroundLine | None] = []
        end = 0
        for poly, (x_min, x_max), count in zip(self.polys, self.ends.tolist(), self.counts.tolist()):
            start, end = end, end + count
            line = GroundLine(self.points[start:end], self.y_std[start:end], poly, x_min, x_max) if count else None
            found += (line,)
        return found


def locate_lanes(
    lanes: tuple[LaneLine, ...], camera: Camera | None, noise: GroundNoise = DEFAULT_NOISE
) -> tuple[LaneLine, ...]:
    """Lane lines with their cubic on the road where the camera is calibrated."""
    if camera is None or not lanes:
        return lanes
    return tuple(lane.on(ground) for lane, ground in zip(lanes, ground_lines(lanes, camera, noise).each()))


def ground_lines(lanes: Sequence[LaneLine], camera: Camera | None, noise: GroundNoise = DEFAULT_NOISE) -> GroundLines:
    """Lane lines as cubics on the road; without a camera those that they have."""
    if camera is None or not lanes:
        return GroundLines.of(lanes)
    return _ground_lines([lane.points for lane in lanes], camera, noise)


def ground_line(points: np.ndarray, camera: Camera, noise: GroundNoise = DEFAULT_NOISE) -> GroundLine | None:
    """The cubic of an image polyline (P, 2) on the road; None when too little of it is close enough."""
    return _ground_lines([points], camera, noise).each()[0]


def _ground_lines(lines: Sequence[np.ndarray], camera: Camera, noise: GroundNoise) -> GroundLines:
    """Cubics of image polylines (P, 2). All points are processed at once: the number of calls dominates."""
    if core.kernels is not None:
        return _compiled_ground_lines(lines, camera, noise)
    points, cov, counts = _reliable_points(lines, camera, noise)
    ends = np.cumsum(counts)
    span = np.zeros(len(lines))
    if len(points):
        span = points[np.maximum(ends - 1, 0), 0] - points[np.minimum(ends - counts, len(points) - 1), 0]
    long = (counts >= MIN_POINTS) & (span >= MIN_LENGTH)
    rows = np.repeat(long, counts)
    return _fit_lines(points[rows], cov[rows], np.where(long, counts, 0))


FIT = MAX_RANGE, MAX_RELATIVE_STD, MIN_POINTS, MIN_LENGTH, MIN_STD**2  # what the compiled twin reads first


def _compiled_ground_lines(lines: Sequence[np.ndarray], camera: Camera, noise: GroundNoise) -> GroundLines:
    pixels, pose, k = np.concatenate(lines), camera.pose, camera.pixel_from_camera
    found = GroundLines(
        np.empty((len(pixels), 2), np.float32), np.empty(len(pixels), np.float32),
        np.empty((len(lines), 4), np.float32), np.empty((len(lines), 2)), np.empty(len(lines), np.int64),
    )  # fmt: skip
    counts, settings = np.array([len(line) for line in lines]), np.array((*FIT, pose[0, 3], *PRIOR_DIAGONAL))
    if camera.has_distortion or pixels.dtype != np.float32:
        located = ground_with_covariance(pixels, LINE_PIXEL_STD, camera, noise)
        used = core.kernels.fit_lines(*located, counts, settings, found)
    else:
        numbers = noise.pitch, noise.roll, noise.height, k[0, 0], k[1, 1], k[0, 2], k[1, 2], *LINE_PIXEL_STD[0]
        lens = np.array((*pose.ravel().tolist(), *numbers))
        used = core.kernels.locate_lines(pixels, counts, lens, settings, found)
    return found._replace(points=found.points[:used], y_std=found.y_std[:used])


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


def _fit_lines(points: np.ndarray, cov: np.ndarray, counts: np.ndarray) -> GroundLines:
    """Fit lines whose points are concatenated; counts (L,) per line, 0 for lines without ground."""
    used = counts[counts > 0]
    polys, ends = np.full((len(counts), 4), np.nan, np.float32), np.full((len(counts), 2), np.nan)
    y_std = np.zeros(0)
    if len(used):
        y_std = lateral_std(cov, slopes(points, used))
        polys[counts > 0] = fit_cubic(*padded(np.column_stack((points, y_std)), used))[0]
        last = np.cumsum(used) - 1
        ends[counts > 0] = np.column_stack((points[last + 1 - used, 0], points[last, 0]))
    return GroundLines(points.astype(np.float32), y_std.astype(np.float32), polys, ends, counts)


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
