"""Fuse the tracked objects of several cameras, with ids that survive a change of camera.

Objects are predicted to one time, and those of different cameras that are close and of compatible class are merged.
Errors of cameras are correlated (one road, one pitching car), so estimates are merged by covariance intersection
(Julier and Uhlmann 1997), which stays consistent for any correlation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, reduce
from itertools import accumulate, chain

import numpy as np

from camera_perception import core
from camera_perception.core.assignment import INFEASIBLE, match
from camera_perception.core.types import EgoMotion
from camera_perception.fusion.motion import predict
from camera_perception.fusion.types import (
    AGE,
    CLASS,
    COASTED,
    ID,
    METHOD,
    OVER_GROUND,
    POSITION,
    POSITION_COV,
    SCORE,
    STAMP,
    VELOCITY,
    VELOCITY_COV,
    WIDTH,
    CameraView,
    FusedObjects,
)
from camera_perception.geometry.kalman import inverse
from camera_perception.objects.tracker.association import compatible_classes, mahalanobis

GATE = 9.2  # squared Mahalanobis distance of 99 % in two dimensions
MIN_STD = 0.1  # metres, lower bound of position sigmas
MIN_COV = MIN_STD**2 * np.eye(2)
# Two cameras see different sides of an object: distance of their contact points in metres, one standard deviation.
CONTACT_STD = {"car": 1.3, "truck": 2.5, "bus": 3.0, "train": 5.0}
DEFAULT_CONTACT_STD = 0.4
METHOD_RANK = np.array([0, 2, 1, 3, 4])  # quality of each PositionMethod


def merge(known: FusedObjects, observations: FusedObjects) -> FusedObjects:
    """Merge the objects of one more camera; pairs that are close and of compatible class become one object."""
    if not len(known.counts):
        return observations
    rows, columns = _close_pairs(known, observations)
    if not len(rows):
        return FusedObjects.concatenate((known, observations))
    if core.kernels is not None:
        return _merge_compiled(known, observations, rows, columns)
    known_only = known[all_but(len(known), rows)]
    new_only = observations[all_but(len(observations), columns)]
    return FusedObjects.concatenate((known_only, _merge_pairs(known[rows], observations[columns]), new_only))


def _close_pairs(a: FusedObjects, b: FusedObjects) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a and of b that are close and of compatible class, at minimum total distance."""
    if core.kernels is None:
        return match(proximity_costs(a, b, squared_distances(a, b)))
    column_of = np.empty(len(a.counts), np.int64)
    core.kernels.close_pairs(
        a.numbers, a.counts, b.numbers, b.counts, _contact_covs(a.classes), _compatible(a.classes), GATE, column_of
    )
    rows = (column_of >= 0).nonzero()[0]
    return rows, column_of[rows]


def _merge_compiled(
    known: FusedObjects, observations: FusedObjects, rows: np.ndarray, columns: np.ndarray
) -> FusedObjects:
    size = len(known) + len(observations) - len(rows)
    numbers, counts = np.empty((size, known.numbers.shape[1])), np.empty((size, known.counts.shape[1]), np.int64)
    core.kernels.merge_objects(
        known.numbers, known.counts, observations.numbers, observations.counts, rows, columns, METHOD_RANK,
        MIN_STD**2, WEIGHTS.ravel(), EQUAL_WEIGHT_BIAS.ravel(), numbers, counts,
    )  # fmt: skip
    return FusedObjects(numbers, counts, known.classes)


def all_but(count: int, rows: np.ndarray) -> np.ndarray:
    """(count,) bool: all rows except these."""
    others = np.ones(count, bool)
    others[rows] = False
    return others


def squared_distances(a: FusedObjects, b: FusedObjects) -> np.ndarray:
    """(N, M) squared Mahalanobis distances, including the distance of contact points on different sides."""
    bodies = _contact_covs(a.classes)
    if core.kernels is not None:
        found, classes = np.empty((len(a), len(b))), (np.ascontiguousarray(each.counts[:, CLASS]) for each in (a, b))
        core.kernels.squared_distances(a.numbers, next(classes), b.numbers, next(classes), bodies, found)
        return found
    covs = (each.position_covs + bodies[each.counts[:, CLASS]] for each in (a, b))
    return mahalanobis(a.positions, next(covs), b.positions, next(covs))


def proximity_costs(a: FusedObjects, b: FusedObjects, distance: np.ndarray) -> np.ndarray:
    """(N, M) costs of pairs that are close and of compatible class; distance from squared_distances."""
    first, second = a.counts[:, CLASS, None], b.counts[:, CLASS]
    possible = (distance < GATE) & _compatible(a.classes)[first, second]
    return np.where(possible, distance + (first != second), INFEASIBLE)


def track_id_costs(a: FusedObjects, b: FusedObjects, distance: np.ndarray) -> np.ndarray:
    """(N, M) costs of pairs that share a track id in some camera; distance from squared_distances."""
    same, others = np.zeros(distance.shape, bool), np.where(b.camera_ids > 0, b.camera_ids, -1)
    for one, other in zip(a.camera_ids.T, others.T):
        same |= one[:, None] == other
    same &= distance < 10 * GATE
    return np.where(same, distance + (a.counts[:, CLASS, None] != b.counts[:, CLASS]), INFEASIBLE)


@lru_cache(64)  # few sets of classes occur
def _compatible(classes: tuple[str, ...]) -> np.ndarray:
    return compatible_classes(classes)


@lru_cache(64)
def _contact_covs(classes: tuple[str, ...]) -> np.ndarray:
    """(K, 2, 2) covariance of a contact point seen by one camera: half of that between two cameras."""
    sizes = np.array([CONTACT_STD.get(name, DEFAULT_CONTACT_STD) for name in classes])
    return sizes[:, None, None] ** 2 / 2 * np.eye(2) + MIN_COV


def _merge_pairs(a: FusedObjects, b: FusedObjects) -> FusedObjects:
    """Merge pairs of rows: position and velocity from both, other columns from the one with the higher score."""
    better = b.numbers[:, SCORE] - 2.0 * b.coasted > a.numbers[:, SCORE] - 2.0 * a.coasted
    numbers, counts = np.where(better[:, None], b.numbers, a.numbers), np.maximum(a.counts, b.counts)
    numbers[:, WIDTH] = np.fmax(a.numbers[:, WIDTH], b.numbers[:, WIDTH])
    counts[:, CLASS] = np.where(better, b.counts[:, CLASS], a.counts[:, CLASS])
    methods = a.counts[:, METHOD], b.counts[:, METHOD]
    counts[:, METHOD] = np.where(METHOD_RANK[methods[1]] > METHOD_RANK[methods[0]], methods[1], methods[0])
    counts[:, COASTED] = np.minimum(a.counts[:, COASTED], b.counts[:, COASTED])
    (a_moves, b_moves), (a_over, b_over) = (a.moving, b.moving), (a.counts[:, OVER_GROUND], b.counts[:, OVER_GROUND])
    first, both = a_moves & (~b_moves | (a_over >= b_over)), a_moves & b_moves & (a_over == b_over)
    counts[:, OVER_GROUND] = np.where(first, a_over, b_over)
    columns = slice(VELOCITY.start, VELOCITY_COV.stop)
    numbers[:, columns] = np.where(first[:, None], a.numbers[:, columns], b.numbers[:, columns])
    _intersect_into(numbers, a, b, both.nonzero()[0])
    return FusedObjects(numbers, counts, a.classes)


def _intersect_into(numbers: np.ndarray, a: FusedObjects, b: FusedObjects, moving: np.ndarray) -> None:
    """Write merged positions into all rows of numbers, and merged velocities into the moving ones, in one pass."""
    count = len(numbers)
    pairs = (
        np.concatenate(each)
        for one in (a, b)
        for each in ((one.positions, one.velocities[moving]), (one.position_covs, one.velocity_covs[moving]))
    )
    mean, cov = intersection(*pairs)
    numbers[:, POSITION], numbers[:, POSITION_COV] = mean[:count], cov[:count].reshape(-1, 4)
    numbers[moving, VELOCITY], numbers[moving, VELOCITY_COV] = mean[count:], cov[count:].reshape(-1, 4)


WEIGHTS = np.linspace(0.05, 0.95, 7)[:, None, None]
EQUAL_WEIGHT_BIAS = 1 + 0.01 * np.abs(WEIGHTS[..., 0] - 0.5)  # prefer equal weights between equal estimates


def intersection(a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance intersection of N pairs of estimates (N, 2), (N, 2, 2) with unknown correlation; minimum trace."""
    infos = inverse(np.stack((a_cov, b_cov)) + MIN_COV)
    a_info, b_info = infos.reshape(2, -1, 4)
    mixed_info = WEIGHTS * a_info + (1 - WEIGHTS) * b_info
    traces = (mixed_info[..., 0] + mixed_info[..., 3]) / (
        mixed_info[..., 0] * mixed_info[..., 3] - np.square(mixed_info[..., 1])
    )
    best = (traces * EQUAL_WEIGHT_BIAS).argmin(axis=0)
    weight = WEIGHTS[best]
    cov = inverse(mixed_info[best, np.arange(len(best))].reshape(-1, 2, 2))
    weighted = weight * infos[0] @ a[:, :, None] + (1 - weight) * infos[1] @ b[:, :, None]
    return (cov @ weighted)[:, :, 0], cov


Motion = Callable[[int, int], "EgoMotion | None"]

MAX_AGE = 1.0  # seconds without detection after which an object is dropped
MAX_COAST = 0.5  # seconds that it is published without detection


class ObjectFuser:
    """Fuses the objects around the car; one per rig."""

    def __init__(self, cameras: int) -> None:
        self._cameras = cameras
        self._class_indices: dict[str, int] = {}  # index of every class detected so far
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Drop all objects; ids are not reused."""
        self._tracks, self._stamp_ns = self._empty(), 0

    def update(self, views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None = None) -> FusedObjects:
        """All objects at stamp_ns, nearest first.

        views   camera number: its latest view; late and failed cameras are missing
        motion  of the car between two times; without it, objects are predicted with velocities relative to the car
        """
        if not 0 <= stamp_ns - self._stamp_ns <= MAX_AGE * 1e9:  # clock jump
            self._tracks, self._stamp_ns = self._empty(), stamp_ns
        *observations, known = self._predict(dict(sorted(views.items())), stamp_ns, motion)
        detected, matched = self._assign_ids(reduce(merge, observations, self._empty()), _mark_coasted(known))
        coasted = known[all_but(len(known), matched) & (stamp_ns - known.counts[:, STAMP] <= MAX_AGE * 1e9)]
        self._tracks, self._stamp_ns = FusedObjects.concatenate((detected, coasted)), stamp_ns
        coasted = coasted[(coasted.counts[:, AGE] > 2) & (stamp_ns - coasted.counts[:, STAMP] <= MAX_COAST * 1e9)]
        published = FusedObjects.concatenate((detected, coasted))
        return published[np.argsort(np.hypot(*published.positions.T), kind="stable")]

    def _empty(self) -> FusedObjects:
        return FusedObjects.empty(self._class_indices, self._cameras)

    def _predict(self, views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None) -> Iterator[FusedObjects]:
        """The objects of each camera, then the known objects, predicted to stamp_ns in one pass."""
        for name in dict.fromkeys(chain.from_iterable(view.names for view in views.values())):
            self._class_indices.setdefault(name, len(self._class_indices))
        observations, counts = FusedObjects.of(views, self._cameras, self._class_indices, stamp_ns)
        counts.append(len(self._tracks))
        stamps = [*(view.stamp_ns for view in views.values()), self._stamp_ns]
        seconds = [(stamp_ns - stamp) / 1e9 for stamp in stamps]
        moved = [motion(stamp, stamp_ns) if motion else None for stamp in stamps]
        everything = FusedObjects.concatenate((observations, self._tracks))
        predicted = predict(everything, counts, seconds, moved)
        return (predicted[end - count : end] for end, count in zip(accumulate(counts), counts))

    def _assign_ids(self, detected: FusedObjects, known: FusedObjects) -> tuple[FusedObjects, np.ndarray]:
        """Assign ids: first by the track ids of cameras, then by position, then new ones.

        Also returns the rows of known that were matched.
        """
        distance = squared_distances(detected, known)
        rows, columns = match(track_id_costs(detected, known, distance))
        free, left = np.flatnonzero(all_but(len(detected), rows)), np.flatnonzero(all_but(len(known), columns))
        more, others = match(proximity_costs(detected[free], known[left], distance[np.ix_(free, left)]))
        rows, columns = np.concatenate((rows, free[more])), np.concatenate((columns, left[others]))
        counts = detected.counts.copy()
        counts[rows, ID], counts[rows, AGE] = known.counts[columns, ID], known.counts[columns, AGE] + 1
        new = counts[:, ID] == 0
        counts[new, ID] = np.arange(self._next_id, self._next_id + new.sum())
        self._next_id += int(new.sum())
        return FusedObjects(detected.numbers, counts, detected.classes), columns


def _mark_coasted(known: FusedObjects) -> FusedObjects:
    """Mark objects as not detected by any camera."""
    known.counts[:, COASTED], known.rows[:] = 1, -1
    return known
