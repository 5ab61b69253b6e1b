"""Several cameras as one: objects moved to one time, those seen twice made one, ids that survive a change of camera.

Cameras err together (one road, one pitching car), so estimates are merged by covariance intersection (Julier and
Uhlmann 1997), which is never too sure whatever they share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from camera_perception.assignment import NEVER, alike, mahalanobis, match
from camera_perception.fused_types import CameraView, FusedObjects
from camera_perception.kalman import inverse, rotation
from camera_perception.types import EgoMotion

Motion = Callable[[int, int], "EgoMotion | None"]

GATE = 9.2  # squared Mahalanobis distance of 99 % in two dimensions
KEEP = 1.0  # seconds that an object is remembered
SHOW = 0.5  # seconds that it is published though no camera sees it
UNKNOWN_SPEED = 5.0  # m/s, one standard deviation of a velocity that is not known
ACCELERATION = 3.0  # m/s^2
LEAST_SIGMA = 0.1  # metres, nobody is surer than that
# Two cameras see two sides of one body: metres that contact points may lie apart, one standard deviation.
BODY = {"car": 1.3, "truck": 2.5, "bus": 3.0, "train": 5.0}
SMALL_BODY = 0.4
RANK = np.array([0, 2, 1, 3, 4])  # how good each PositionMethod is


class ObjectFuser:
    """The objects around the car. One per rig of so many cameras."""

    def __init__(self, cameras: int) -> None:
        self._cameras = cameras
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget every object; ids are not used again."""
        self._known: FusedObjects | None = None
        self._stamp_ns = 0

    def update(self, views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None = None) -> FusedObjects:
        """All objects at stamp_ns, nearest first.

        views   camera number: its newest view; late and dead cameras are simply missing
        motion  of the car between two times; without it velocities relative to the car carry objects on
        """
        found = self._nothing(stamp_ns)
        for camera, view in sorted(views.items()):
            seen = FusedObjects.of(camera, self._cameras, view, stamp_ns)
            moved = motion(view.stamp_ns, stamp_ns) if motion else None
            found = merged(found, at_later_time(seen, (stamp_ns - view.stamp_ns) / 1e9, moved))
        known = self._carried_on(stamp_ns, motion)
        found = self._named(found, known)
        unseen = known[~np.isin(known.track_ids, found.track_ids) & (stamp_ns - known.seen_ns <= KEEP * 1e9)]
        self._known, self._stamp_ns = found.joined(unseen), stamp_ns
        shown = found.joined(unseen[(unseen.ages > 2) & (stamp_ns - unseen.seen_ns <= SHOW * 1e9)])
        return shown[np.argsort(np.hypot(*shown.positions.T), kind="stable")]

    def _nothing(self, stamp_ns: int) -> FusedObjects:
        none, cov = np.zeros(0), np.zeros((0, 2, 2))
        blank = CameraView(stamp_ns, (), none, none, cov[:, 0], cov, cov[:, 0], cov, False, none, none, none)
        return FusedObjects.of(0, self._cameras, blank, stamp_ns)

    def _carried_on(self, stamp_ns: int, motion: Motion | None) -> FusedObjects:
        """What was known, where it should be now; nothing after a jump of the clock."""
        seconds = (stamp_ns - self._stamp_ns) / 1e9
        if self._known is None or not 0 <= seconds <= KEEP:
            return self._nothing(stamp_ns)
        later = at_later_time(self._known, seconds, motion(self._stamp_ns, stamp_ns) if motion else None)
        rows = np.full_like(later.rows, -1)
        return replace(later, coasted=np.ones(len(later), bool), rows=rows)

    def _named(self, found: FusedObjects, known: FusedObjects) -> FusedObjects:
        """Ids: first to where a camera's own track id leads, then to what is where something was, then new ones."""
        rows, columns = match(_cost(found, known, led=True))
        free, left = np.setdiff1d(np.arange(len(found)), rows), np.setdiff1d(np.arange(len(known)), columns)
        more, others = match(_cost(found[free], known[left]))
        rows, columns = np.r_[rows, free[more]], np.r_[columns, left[others]]
        ids, ages = found.track_ids.copy(), found.ages.copy()
        ids[rows], ages[rows] = known.track_ids[columns], known.ages[columns] + 1
        new = ids == 0
        ids[new] = np.arange(self._next_id, self._next_id + new.sum())
        self._next_id += int(new.sum())
        return replace(found, track_ids=ids, ages=ages)


def at_later_time(objects: FusedObjects, seconds: float, motion: EgoMotion | None) -> FusedObjects:
    """Objects `seconds` later: carried by their own velocity, and seen from where the car is then."""
    moving = objects.moving
    velocity = np.where(moving[:, None], objects.velocities, 0.0)
    drift = np.where(moving[:, None, None], objects.velocity_covs, UNKNOWN_SPEED**2 * np.eye(2))
    positions = objects.positions + seconds * velocity
    covs = objects.position_covs + seconds**2 * drift + (ACCELERATION * seconds**2 / 2) ** 2 * np.eye(2)
    velocities, velocity_covs = objects.velocities, objects.velocity_covs + (ACCELERATION * seconds) ** 2 * np.eye(2)
    if motion is not None:
        turn, still = rotation(-motion.yaw), objects.over_ground | ~moving
        positions = np.where(still[:, None], (positions - (motion.x, motion.y)) @ turn.T, positions)
        covs = np.where(still[:, None, None], turn @ covs @ turn.T, covs)
        velocities = np.where(still[:, None], velocities @ turn.T, velocities)
        velocity_covs = np.where(still[:, None, None], turn @ velocity_covs @ turn.T, velocity_covs)
    return replace(objects, positions=positions, position_covs=covs, velocities=velocities, velocity_covs=velocity_covs)


def merged(known: FusedObjects, seen: FusedObjects) -> FusedObjects:
    """Objects of the cameras so far and of one more; what lies together and is alike becomes one."""
    rows, columns = match(_cost(known, seen))
    if not len(rows):
        return known.joined(seen)
    alone = np.setdiff1d(np.arange(len(known)), rows), np.setdiff1d(np.arange(len(seen)), columns)
    return known[alone[0]].joined(_ones(known[rows], seen[columns])).joined(seen[alone[1]])


def _cost(a: FusedObjects, b: FusedObjects, led: bool = False) -> np.ndarray:
    """(N, M) squared distances of what may be one; led: only what some camera has under one track id."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    distance = mahalanobis(a.positions, _with_body(a), b.positions, _with_body(b))
    kinds, number = np.unique(np.concatenate((a.names, b.names)).astype(str), return_inverse=True)
    like = alike(tuple(kinds.tolist()))[number[: len(a), None], number[None, len(a) :]]
    cost = distance + (number[: len(a), None] != number[None, len(a) :])
    if not led:
        return np.where((distance < GATE) & like, cost, NEVER)
    same = ((a.camera_ids[:, None] == b.camera_ids[None]) & (a.camera_ids[:, None] > 0)).any(axis=2)
    return np.where(same & (distance < 10 * GATE), cost, NEVER)


def _with_body(objects: FusedObjects) -> np.ndarray:
    """Covariances of where any camera may see the object touch the road."""
    body = np.array([BODY.get(name, SMALL_BODY) for name in objects.names])
    return objects.position_covs + (body**2 / 2 + LEAST_SIGMA**2)[:, None, None] * np.eye(2)


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
