"""Lane lines on the road: the cubic course of an image polyline, and how sure each point of it is."""

from __future__ import annotations

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
# What roads are like, against which few or far points cannot argue: standard deviation of c0..c3 (60 m: tight bend in town).
ROADS = np.array([10.0, 0.5, 1 / 120, 1.5e-4])


def locate_lanes(
    lanes: tuple[LaneLine, ...], camera: Camera | None, noise: GroundNoise = DEFAULT_NOISE
) -> tuple[LaneLine, ...]:
    """Lane lines with their course on the road where the camera is calibrated."""
    if camera is None:
        return lanes
    return tuple(replace(lane, ground=ground_line(lane.points, camera, noise)) for lane in lanes)


def ground_line(points: np.ndarray, camera: Camera, noise: GroundNoise = DEFAULT_NOISE) -> GroundLine | None:
    """The cubic course of an image polyline (P, 2) on the road; None when too little of it lies on the road near enough."""
    sigmas = np.tile((LINE_PIXELS, 0.0), (len(points), 1))
    ground, cov = ground_with_covariance(points, sigmas, camera, noise)
    with np.errstate(invalid="ignore"):
        near = (ground[:, 0] < REACH) & (np.sqrt(cov[:, 0, 0]) < MAX_SHARE * np.abs(ground[:, 0] - camera.pose[0, 3]))
    ground, cov = ground[near], cov[near]
    order = np.argsort(ground[:, 0], kind="stable")
    ground, cov = ground[order], cov[order]
    if len(ground) < LEAST_POINTS or np.ptp(ground[:, 0]) < LEAST_LENGTH:
        return None
    y_std = across(cov, np.gradient(ground[:, 1], ground[:, 0] + 1e-3 * np.arange(len(ground))))
    poly, _ = fit_cubic(ground[:, 0], ground[:, 1], y_std)
    return GroundLine(
        ground.astype(np.float32),
        y_std.astype(np.float32),
        poly.astype(np.float32),
        float(ground[0, 0]),
        float(ground[-1, 0]),
    )


def across(cov: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """(P,) standard deviation of y at fixed x, of points with (P, 2, 2) covariances on a line of (P,) slope dy/dx."""
    slope = np.clip(slope, -1.0, 1.0)
    variance = cov[:, 1, 1] - 2 * slope * cov[:, 0, 1] + slope**2 * cov[:, 0, 0]
    return np.sqrt(np.maximum(variance, 0.0) + FLOOR**2)


def powers(x: np.ndarray) -> np.ndarray:
    """(P,) -> (P, 4) 1, x, x^2, x^3."""
    return np.vander(np.asarray(x, float), 4, increasing=True)


def fit_cubic(x: np.ndarray, y: np.ndarray, y_std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c0..c3 of y = c0 + c1 x + c2 x^2 + c3 x^3 and their (4, 4) covariance; strays count less (Huber), roads bend little."""
    terms, weights = powers(x), 1 / np.square(y_std.astype(float))
    usual = np.diag(1 / ROADS**2)
    doubt = np.ones(len(x))
    for _ in range(3):
        pull = terms.T * (weights * doubt)
        cov = np.linalg.inv(pull @ terms + usual)
        poly = cov @ (pull @ y)
        error = np.abs(y - terms @ poly) / y_std
        doubt = 1.5 / np.maximum(error, 1.5)
    return poly, cov
