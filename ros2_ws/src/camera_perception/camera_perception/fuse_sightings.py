"""Sightings of several cameras as one: those that lie together and are alike are one thing.

Cameras err together (one road, one pitching car), so estimates are merged by covariance intersection (Julier and
Uhlmann 1997), which is never too sure whatever they share.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from camera_perception.assignment import NEVER, alike, mahalanobis, match
from camera_perception.fused_objects import (
    COASTED,
    KIND,
    METHOD,
    OVER_GROUND,
    PLACE,
    PLACE_COV,
    SCORE,
    SPEED,
    SPEED_COV,
    WIDTH,
    FusedObjects,
)
from camera_perception.kalman import inverse

GATE = 9.2  # squared Mahalanobis distance of 99 % in two dimensions
LEAST_SIGMA = 0.1  # metres, nobody is surer than that
FLOOR = LEAST_SIGMA**2 * np.eye(2)
# Two cameras see two sides of one body: metres that contact points may lie apart, one standard deviation.
BODY = {"car": 1.3, "truck": 2.5, "bus": 3.0, "train": 5.0}
SMALL_BODY = 0.4
RANK = np.array([0, 2, 1, 3, 4])  # how good each PositionMethod is


def merged(known: FusedObjects, seen: FusedObjects) -> FusedObjects:
    """Objects of the cameras so far and of one more; what lies together and is alike becomes one."""
    rows, columns = match(together(known, seen, apart(known, seen)))
    if not len(rows):
        return known.joined(seen)
    alone = without(len(known), rows), without(len(seen), columns)
    return known[alone[0]].joined(_ones(known[rows], seen[columns]), seen[alone[1]])


def without(count: int, rows: np.ndarray) -> np.ndarray:
    """(count,) bool: all rows but these."""
    others = np.ones(count, bool)
    others[rows] = False
    return others


def apart(a: FusedObjects, b: FusedObjects) -> np.ndarray:
    """(N, M) squared Mahalanobis distances, wherever any camera may see these bodies touch the road."""
    bodies = _bodies(a.classes)
    covs = (each.position_covs + bodies[each.counts[:, KIND]] for each in (a, b))
    return mahalanobis(a.positions, next(covs), b.positions, next(covs))


def together(a: FusedObjects, b: FusedObjects, distance: np.ndarray) -> np.ndarray:
    """(N, M) costs of what lies together and is alike; distance as apart says."""
    first, second = a.counts[:, KIND, None], b.counts[:, KIND]
    possible = (distance < GATE) & _alike(a.classes)[first, second]
    return np.where(possible, distance + (first != second), NEVER)


def led(a: FusedObjects, b: FusedObjects, distance: np.ndarray) -> np.ndarray:
    """(N, M) costs of what some camera has under one track id; distance as apart says."""
    same = np.zeros(distance.shape, bool)
    for one, other in zip(a.camera_ids.T, b.camera_ids.T):
        same |= one[:, None] == np.where(other > 0, other, -1)
    same &= distance < 10 * GATE
    return np.where(same, distance + (a.counts[:, KIND, None] != b.counts[:, KIND]), NEVER)


@lru_cache(64)  # few sets of classes ever meet
def _alike(classes: tuple[str, ...]) -> np.ndarray:
    return alike(classes)


@lru_cache(64)
def _bodies(classes: tuple[str, ...]) -> np.ndarray:
    """(K, 2, 2) doubt of where a camera sees bodies touch the road, half of that between two cameras."""
    sizes = np.array([BODY.get(name, SMALL_BODY) for name in classes])
    return sizes[:, None, None] ** 2 / 2 * np.eye(2) + FLOOR


def _ones(a: FusedObjects, b: FusedObjects) -> FusedObjects:
    """Row by row two sightings of one object: what the surer one says, but place and speed are of both."""
    better = b.numbers[:, SCORE] - 2.0 * b.coasted > a.numbers[:, SCORE] - 2.0 * a.coasted
    numbers, counts = np.where(better[:, None], b.numbers, a.numbers), np.maximum(a.counts, b.counts)
    numbers[:, WIDTH] = np.fmax(a.numbers[:, WIDTH], b.numbers[:, WIDTH])
    counts[:, KIND] = np.where(better, b.counts[:, KIND], a.counts[:, KIND])
    methods = a.counts[:, METHOD], b.counts[:, METHOD]
    counts[:, METHOD] = np.where(RANK[methods[1]] > RANK[methods[0]], methods[1], methods[0])
    counts[:, COASTED] = np.minimum(a.counts[:, COASTED], b.counts[:, COASTED])
    (a_moves, b_moves), (a_over, b_over) = (a.moving, b.moving), (a.counts[:, OVER_GROUND], b.counts[:, OVER_GROUND])
    first, both = a_moves & (~b_moves | (a_over >= b_over)), a_moves & b_moves & (a_over == b_over)
    counts[:, OVER_GROUND] = np.where(first, a_over, b_over)
    speeds = slice(SPEED.start, SPEED_COV.stop)
    numbers[:, speeds] = np.where(first[:, None], a.numbers[:, speeds], b.numbers[:, speeds])
    _intersect(numbers, a, b, both.nonzero()[0])
    return FusedObjects(a.classes, numbers, counts)


def _intersect(numbers: np.ndarray, a: FusedObjects, b: FusedObjects, moving: np.ndarray) -> None:
    """Write places of both into all rows of numbers, and speeds into those that move: in one go."""
    count = len(numbers)
    pairs = (
        np.concatenate(each)
        for one in (a, b)
        for each in (
            (one.positions, one.velocities[moving]),
            (one.position_covs, one.velocity_covs[moving]),
        )
    )
    mean, cov = intersection(*pairs)
    numbers[:, PLACE], numbers[:, PLACE_COV] = mean[:count], cov[:count].reshape(-1, 4)
    numbers[moving, SPEED], numbers[moving, SPEED_COV] = mean[count:], cov[count:].reshape(-1, 4)


SHARES = np.linspace(0.05, 0.95, 7)[:, None, None]
EQUALLY = 1 + 0.01 * np.abs(SHARES[..., 0] - 0.5)  # equals share equally


def intersection(a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance intersection of N pairs of estimates (N, 2), (N, 2, 2) whose correlation is not known; least trace."""
    infos = inverse(np.stack((a_cov, b_cov)) + FLOOR)
    a_info, b_info = infos.reshape(2, -1, 4)
    mixed = SHARES * a_info + (1 - SHARES) * b_info
    spread = (mixed[..., 0] + mixed[..., 3]) / (mixed[..., 0] * mixed[..., 3] - np.square(mixed[..., 1]))
    best = (spread * EQUALLY).argmin(axis=0)
    share = SHARES[best]
    cov = inverse(mixed[best, np.arange(len(best))].reshape(-1, 2, 2))
    pull = share * infos[0] @ a[:, :, None] + (1 - share) * infos[1] @ b[:, :, None]
    return (cov @ pull)[:, :, 0], cov
