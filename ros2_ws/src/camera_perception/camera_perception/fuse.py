"""Several cameras as one: objects moved to one time, those seen twice made one, ids that survive a change of camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from camera_perception.assignment import match
from camera_perception.fuse_motion import at_later_time
from camera_perception.fuse_sightings import cost, merged, without
from camera_perception.fused_types import CameraView, FusedObjects
from camera_perception.types import EgoMotion

Motion = Callable[[int, int], "EgoMotion | None"]

KEEP = 1.0  # seconds that an object is remembered
SHOW = 0.5  # seconds that it is published though no camera sees it


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
        rows, columns = match(cost(found, known, led=True))
        free, left = np.flatnonzero(without(len(found), rows)), np.flatnonzero(without(len(known), columns))
        more, others = match(cost(found[free], known[left]))
        rows, columns = np.r_[rows, free[more]], np.r_[columns, left[others]]
        ids, ages = found.track_ids.copy(), found.ages.copy()
        ids[rows], ages[rows] = known.track_ids[columns], known.ages[columns] + 1
        new = ids == 0
        ids[new] = np.arange(self._next_id, self._next_id + new.sum())
        self._next_id += int(new.sum())
        return replace(found, track_ids=ids, ages=ages)
