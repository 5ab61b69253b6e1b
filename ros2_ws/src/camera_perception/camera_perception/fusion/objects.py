"""Several cameras as one: objects moved to one time, those seen twice made one, ids that survive a change of camera.

Sightings of several cameras as one: those that lie together and are alike are one thing.

Cameras err together (one road, one pitching car), so estimates are merged by covariance intersection (Julier and
Uhlmann 1997), which is never too sure whatever they share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, reduce
from itertools import accumulate

import numpy as np

from camera_perception.core.types import EgoMotion
from camera_perception.fusion.motion import at_later_time
from camera_perception.fusion.types import (
    AGE,
    COASTED,
    ID,
    KIND,
    METHOD,
    OVER_GROUND,
    PLACE,
    PLACE_COV,
    SCORE,
    SEEN,
    SPEED,
    SPEED_COV,
    WIDTH,
    CameraView,
    FusedObjects,
)
from camera_perception.geometry.kalman import inverse
from camera_perception.objects.tracker.association import INFEASIBLE, compatible_classes, mahalanobis, match

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
    return np.where(possible, distance + (first != second), INFEASIBLE)


def led(a: FusedObjects, b: FusedObjects, distance: np.ndarray) -> np.ndarray:
    """(N, M) costs of what some camera has under one track id; distance as apart says."""
    same = np.zeros(distance.shape, bool)
    for one, other in zip(a.camera_ids.T, b.camera_ids.T):
        same |= one[:, None] == np.where(other > 0, other, -1)
    same &= distance < 10 * GATE
    return np.where(same, distance + (a.counts[:, KIND, None] != b.counts[:, KIND]), INFEASIBLE)


@lru_cache(64)  # few sets of classes ever meet
def _alike(classes: tuple[str, ...]) -> np.ndarray:
    return compatible_classes(classes)


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


Motion = Callable[[int, int], "EgoMotion | None"]

KEEP = 1.0  # seconds that an object is remembered
SHOW = 0.5  # seconds that it is published though no camera sees it


class ObjectFuser:
    """The objects around the car. One per rig of so many cameras."""

    def __init__(self, cameras: int) -> None:
        self._cameras = cameras
        self._kinds: dict[str, int] = {}  # every class that was ever seen, and its number
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget every object; ids are not used again."""
        self._known, self._stamp_ns = self._none(), 0

    def update(self, views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None = None) -> FusedObjects:
        """All objects at stamp_ns, nearest first.

        views   camera number: its newest view; late and dead cameras are simply missing
        motion  of the car between two times; without it velocities relative to the car carry objects on
        """
        if not 0 <= stamp_ns - self._stamp_ns <= KEEP * 1e9:  # a jump of the clock
            self._known, self._stamp_ns = self._none(), stamp_ns
        *seen, known = self._carried_on(dict(sorted(views.items())), stamp_ns, motion)
        found, again = self._named(reduce(merged, seen, self._none()), _unseen(known))
        unseen = known[without(len(known), again) & (stamp_ns - known.counts[:, SEEN] <= KEEP * 1e9)]
        self._known, self._stamp_ns = found.joined(unseen), stamp_ns
        shown = found.joined(unseen[(unseen.counts[:, AGE] > 2) & (stamp_ns - unseen.counts[:, SEEN] <= SHOW * 1e9)])
        return shown[np.argsort(np.hypot(*shown.positions.T), kind="stable")]

    def _none(self) -> FusedObjects:
        return FusedObjects.none(self._kinds, self._cameras)

    def _carried_on(
        self, views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None
    ) -> Iterator[FusedObjects]:
        """What each camera sees, then what was known, where it should be at stamp_ns: all in one go."""
        for name in (name for view in views.values() for name in view.names):
            self._kinds.setdefault(name, len(self._kinds))
        seen = [FusedObjects.of(camera, self._cameras, view, self._kinds, stamp_ns) for camera, view in views.items()]
        counts = [len(each) for each in (*seen, self._known)]
        stamps = [*(view.stamp_ns for view in views.values()), self._stamp_ns]
        seconds = [(stamp_ns - stamp) / 1e9 for stamp in stamps]
        moved = [motion(stamp, stamp_ns) if motion else None for stamp in stamps]
        later = at_later_time(self._none().joined(*seen, self._known), counts, seconds, moved)
        return (later[end - count : end] for end, count in zip(accumulate(counts), counts))

    def _named(self, found: FusedObjects, known: FusedObjects) -> tuple[FusedObjects, np.ndarray]:
        """Ids: first to where a camera's own track id leads, then to what is where something was, then new ones.

        Also returns rows of known that were found again.
        """
        distance = apart(found, known)
        rows, columns = match(led(found, known, distance))
        free, left = np.flatnonzero(without(len(found), rows)), np.flatnonzero(without(len(known), columns))
        more, others = match(together(found[free], known[left], distance[np.ix_(free, left)]))
        rows, columns = np.concatenate((rows, free[more])), np.concatenate((columns, left[others]))
        counts = found.counts.copy()
        counts[rows, ID], counts[rows, AGE] = known.counts[columns, ID], known.counts[columns, AGE] + 1
        new = counts[:, ID] == 0
        counts[new, ID] = np.arange(self._next_id, self._next_id + new.sum())
        self._next_id += int(new.sum())
        return replace(found, counts=counts), columns


def _unseen(known: FusedObjects) -> FusedObjects:
    """The same, seen by no camera now."""
    known.counts[:, COASTED], known.rows[:] = 1, -1
    return known
