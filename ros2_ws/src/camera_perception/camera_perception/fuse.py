"""Several cameras as one: objects moved to one time, those seen twice made one, ids that survive a change of camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from itertools import accumulate

import numpy as np

from camera_perception.assignment import match
from camera_perception.fuse_motion import at_later_time
from camera_perception.fuse_sightings import apart, led, merged, together, without
from camera_perception.fused_objects import AGE, COASTED, ID, SEEN, FusedObjects
from camera_perception.fused_types import CameraView
from camera_perception.types import EgoMotion

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
