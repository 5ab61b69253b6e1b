"""Sightings of several cameras as one: those that lie together and are alike are one thing.

Cameras err together (one road, one pitching car), so estimates are merged by covariance intersection (Julier and
Uhlmann 1997), which is never too sure whatever they share.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from camera_perception.assignment import NEVER, alike, mahalanobis, match
from camera_perception.fused_types import FusedObjects
from camera_perception.kalman import inverse

GATE = 9.2  # squared Mahalanobis distance of 99 % in two dimensions
LEAST_SIGMA = 0.1  # metres, nobody is surer than that
# Two cameras see two sides of one body: metres that contact points may lie apart, one standard deviation.
BODY = {"car": 1.3, "truck": 2.5, "bus": 3.0, "train": 5.0}
SMALL_BODY = 0.4
RANK = np.array([0, 2, 1, 3, 4])  # how good each PositionMethod is
KINDS = lru_cache(64)(alike)  # few sets of class names ever meet


def merged(known: FusedObjects, seen: FusedObjects) -> FusedObjects:
    """Objects of the cameras so far and of one more; what lies together and is alike becomes one."""
    rows, columns = match(cost(known, seen))
    if not len(rows):
        return known.joined(seen)
    alone = without(len(known), rows), without(len(seen), columns)
    return known[alone[0]].joined(_ones(known[rows], seen[columns]), seen[alone[1]])


def without(count: int, rows: np.ndarray) -> np.ndarray:
    """(count,) bool: all rows but these."""
    others = np.ones(count, bool)
    others[rows] = False
    return others


def cost(a: FusedObjects, b: FusedObjects, led: bool = False) -> np.ndarray:
    """(N, M) squared distances of what may be one; led: only what some camera has under one track id."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    kinds = tuple(sorted({*a.names, *b.names}))
    number = {name: index for index, name in enumerate(kinds)}
    first, second = (np.array([number[name] for name in names]) for names in (a.names, b.names))
    body = np.array([BODY.get(name, SMALL_BODY) for name in kinds])
    a_cov, b_cov = _with_body(a.position_covs, body[first]), _with_body(b.position_covs, body[second])
    distance = mahalanobis(a.positions, a_cov, b.positions, b_cov)
    total = distance + (first[:, None] != second)
    if not led:
        return np.where((distance < GATE) & KINDS(kinds)[first[:, None], second], total, NEVER)
    same = ((a.camera_ids[:, None] == b.camera_ids[None]) & (a.camera_ids[:, None] > 0)).any(axis=2)
    return np.where(same & (distance < 10 * GATE), total, NEVER)


def _with_body(covs: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Covariances of where any camera may see objects of those bodies touch the road."""
    return covs + (body**2 / 2 + LEAST_SIGMA**2)[:, None, None] * np.eye(2)


def _ones(a: FusedObjects, b: FusedObjects) -> FusedObjects:
    """Row by row two sightings of one object."""
    positions, position_covs = intersection(a.positions, a.position_covs, b.positions, b.position_covs)
    velocities, velocity_covs, over_ground = _one_velocity(a, b)
    better = (b.scores - 2.0 * b.coasted) > (a.scores - 2.0 * a.coasted)
    return FusedObjects(
        names=np.where(better, b.names, a.names),
        scores=np.where(better, b.scores, a.scores),
        track_ids=a.track_ids,
        ages=a.ages,
        seen_ns=np.maximum(a.seen_ns, b.seen_ns),
        positions=positions,
        position_covs=position_covs,
        velocities=velocities,
        velocity_covs=velocity_covs,
        over_ground=over_ground,
        methods=np.where(RANK[b.methods] > RANK[a.methods], b.methods, a.methods),
        ground_widths=np.fmax(a.ground_widths, b.ground_widths),
        coasted=a.coasted & b.coasted,
        rows=np.maximum(a.rows, b.rows),
        camera_ids=np.maximum(a.camera_ids, b.camera_ids),
    )


def _one_velocity(a: FusedObjects, b: FusedObjects) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first = a.moving & (~b.moving | (a.over_ground >= b.over_ground))
    velocity = np.where(first[:, None], a.velocities, b.velocities)
    cov = np.where(first[:, None, None], a.velocity_covs, b.velocity_covs)
    both = a.moving & b.moving & (a.over_ground == b.over_ground)
    if both.any():
        velocity[both], cov[both] = intersection(
            a.velocities[both], a.velocity_covs[both], b.velocities[both], b.velocity_covs[both]
        )
    return velocity, cov, np.where(first, a.over_ground, b.over_ground)


SHARES = np.linspace(0.05, 0.95, 7)[:, None, None, None]


def intersection(a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance intersection of N pairs of estimates (N, 2), (N, 2, 2) whose correlation is not known; least trace."""
    a_info, b_info = (inverse(cov + LEAST_SIGMA**2 * np.eye(2)) for cov in (a_cov, b_cov))
    covs = inverse(SHARES * a_info + (1 - SHARES) * b_info)
    spread = (covs[..., 0, 0] + covs[..., 1, 1]) * (1 + 0.01 * np.abs(SHARES[..., 0, 0] - 0.5))  # equals share equally
    best = spread.argmin(axis=0)
    share, cov = SHARES[best, 0], covs[best, np.arange(len(best))]
    pull = share * a_info @ a[:, :, None] + (1 - share) * b_info @ b[:, :, None]
    return (cov @ pull)[:, :, 0], cov
