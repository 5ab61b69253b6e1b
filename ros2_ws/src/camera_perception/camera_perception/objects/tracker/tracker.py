"""Objects keep their ids over frames, through gaps and occlusion.

Places and velocities are filtered on the road; without calibration the image plane alone decides. Time comes from
stamps only, so that a replay gives the same ids.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.core.types import EgoMotion, Objects
from camera_perception.geometry.camera import Camera
from camera_perception.objects.localize import usual_heights
from camera_perception.objects.tracker.association import DOUBLES, alike, associate
from camera_perception.objects.tracker.config import BEGIN, WALKERS, TrackRules
from camera_perception.objects.tracker.duplicates import twins
from camera_perception.objects.tracker.filter import correct_boxes, correct_places, predict
from camera_perception.objects.tracker.light_states import correct_lights
from camera_perception.objects.tracker.output import SETTLED, coasting, described
from camera_perception.objects.tracker.tracks import Tracks
from camera_perception.objects.visibility import only_in_sight

__all__ = ["ObjectTracker", "TrackRules"]

CERTAIN = 1.5  # times the score that begins a track: from where on an object is no double of a surer one
MERGED = 10  # sightings up to which a track may turn out to follow what another one follows
WALK, DRIVE = 2.0, 8.0  # m/s, how fast things are: one standard deviation; cars also come at the own speed
MOVING, STANDING = 3.0, 0.3  # m/s below which changes of velocity are smaller, and the least share of the usual
REBASED = 0.5  # m/s, doubt of velocities that change from over the ground to relative or back, one sigma
LOST, LOST_STANDING = 4.0, 10.0  # metres of doubt beyond which nothing finds back to its track after a long gap


class ObjectTracker:
    """The tracks of one camera. Velocities are over the ground where the car's motion is given, else relative to it."""

    def __init__(self, classes: tuple[str, ...], rules: TrackRules | None = None) -> None:
        self.rules = rules or TrackRules()
        self._alike = alike(classes or ("",))
        self._same = alike(classes or ("",), DOUBLES)
        self._walks = np.array([name in WALKERS for name in classes] or [False])
        self._classes = classes
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget every track; ids are not used again."""
        self._tracks: Tracks | None = None
        self._stamp_ns: int | None = None
        self._speed = 0.0  # of the car, m/s
        self._ego: np.ndarray | None = None  # (2,) its velocity, as long as it is known

    def number_after(self, before: ObjectTracker) -> None:
        """Use no id that another tracker has used."""
        self._next_id = max(self._next_id, before._next_id)

    def begin_at(self, score: float) -> None:
        """The score of sure detections; BEGIN times as much begins a track. On a rise, tracks seen with less end.

        What stays just above the threshold comes and goes: a tenth more saved a third of the switches of ids.
        """
        if self._tracks is not None and score > self.rules.sure:
            self._tracks = self._tracks[self._tracks.scores >= score]
        if score != self.rules.sure:
            self.rules = replace(self.rules, sure=score, begin=BEGIN * score)

    def update(
        self,
        objects: Objects,
        stamp_ns: int,
        motion: EgoMotion | None = None,
        image_size: tuple[int, int] | None = None,
        camera: Camera | None = None,
    ) -> Objects:
        """The objects of this frame with track ids, filtered places and velocities; then those that are only predicted.

        motion      of the car since the frame before
        image_size  (height, width); a predicted object whose middle leaves the image is not shown
        camera      that took the picture; with motion it says how hidden objects move in the image
        """
        tracks = self._predicted(objects, stamp_ns, motion, camera)
        if not len(tracks) and not len(objects):
            return objects
        tracks, objects = self._merged(tracks), self._single(objects)
        row_of = np.full(len(objects), -1)  # the track of each object
        rows, columns = associate(tracks, objects, self.rules, self._alike, image_size)
        row_of[columns] = rows
        self._correct(tracks, rows, objects[columns], stamp_ns, camera)
        fresh = np.flatnonzero((row_of < 0) & (objects.scores >= self.rules.begin))
        if len(fresh):
            row_of[fresh] = np.arange(len(tracks), len(tracks) + len(fresh))
            new = self._begun(objects[fresh], stamp_ns, motion)
            correct_places(new, np.arange(len(fresh)), objects[fresh], stamp_ns, _eye(camera))
            tracks = Tracks.concatenate((tracks, new))
        unseen = self._shown_unseen(tracks, stamp_ns, image_size)
        alive = self._alive(tracks, stamp_ns, motion is not None)
        self._tracks = tracks if alive.all() else tracks[alive]
        kept = row_of >= 0
        shown = objects if kept.all() else objects[kept]
        if len(unseen):
            shown = Objects.concatenate((shown, coasting(tracks[unseen], stamp_ns, self.rules)))
        rows = np.concatenate((row_of[kept], unseen))
        return only_in_sight(described(shown, rows, tracks, stamp_ns, self.rules, motion is not None), camera)

    def _predicted(self, objects: Objects, stamp_ns: int, motion: EgoMotion | None, camera: Camera | None) -> Tracks:
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        known = self._tracks is not None and self._tracks.lights.shape[1] == objects.light_states.shape[1]
        if self._tracks is None or not known or not 0 <= seconds <= self.rules.gap:
            self._tracks = self._begun(objects[:0], stamp_ns, motion)
        self._stamp_ns, tracks = stamp_ns, self._tracks
        if motion is not None and seconds > 0:
            self._speed = float(np.hypot(motion.x, motion.y)) / seconds
        self._rebase(tracks, motion, seconds)
        if not len(tracks):
            return tracks
        push = np.where(self._walks[tracks.classes], self.rules.walker, self.rules.vehicle)
        # What stands mostly goes on standing.
        push *= np.clip(np.hypot(*tracks.place[:, 2:4].T) / MOVING, STANDING, 1.0)
        push = push if motion is not None else np.hypot(push, 1.0)
        predict(tracks, seconds, push, stamp_ns, motion, camera)
        return tracks

    def _rebase(self, tracks: Tracks, motion: EgoMotion | None, seconds: float) -> None:
        """Velocities are over the ground with the car's motion, else relative to it: they change when that does."""
        if seconds <= 0:
            return
        ego = None if motion is None else np.array([motion.x, motion.y]) / seconds
        if (ego is None) != (self._ego is None):
            rows = np.flatnonzero(tracks.hits >= SETTLED)
            tracks.place[rows, 2:4] += ego if ego is not None else -np.asarray(self._ego)
            tracks.place_cov[rows, 2:4, 2:4] += REBASED**2 * np.eye(2)
        self._ego = ego

    def _merged(self, tracks: Tracks) -> Tracks:
        """Without tracks that follow what an older one follows."""
        if not (tracks.hits < MERGED).any():
            return tracks
        number, rank = tracks.classes, np.argsort(np.argsort(-tracks.hits))
        doubtful = (tracks.seen < tracks.seen.max()) & (tracks.scores < CERTAIN * self.rules.begin)
        scores = np.where(doubtful, 0.0, tracks.scores)  # what was seen surely and is hidden now is no double
        gone = twins(tracks.boxes, self._same[number[:, None], number[None]], rank, scores, 0.0)
        gone &= tracks.hits < MERGED
        return tracks[~gone] if gone.any() else tracks

    def _single(self, objects: Objects) -> Objects:
        """Without what a surer object of its kind shows already."""
        if len(objects) < 2:
            return objects
        number = np.clip(objects.classes, 0, len(self._same) - 1)
        rank = np.empty(len(objects), int)
        rank[np.argsort(-objects.scores, kind="stable")] = np.arange(len(objects))
        same = self._same[number[:, None], number[None]]
        gone = twins(objects.boxes, same, rank, objects.scores, CERTAIN * self.rules.begin)
        return objects[~gone] if gone.any() else objects

    def _begun(self, objects: Objects, stamp_ns: int, motion: EgoMotion | None) -> Tracks:
        ids = np.arange(self._next_id, self._next_id + len(objects), dtype=np.int64)
        self._next_id += len(objects)
        walks = self._walks[np.clip(objects.classes, 0, len(self._walks) - 1)]
        speed = (
            np.where(walks, WALK, np.hypot(DRIVE, self._speed)) if motion is not None else np.full(len(objects), 15.0)
        )
        return Tracks.begun(
            objects, ids, stamp_ns, len(self._alike), speed, usual_heights(objects.classes, self._classes)
        )

    def _correct(self, tracks: Tracks, rows: np.ndarray, seen: Objects, stamp_ns: int, camera: Camera | None) -> None:
        correct_boxes(tracks, rows, seen)
        correct_places(tracks, rows, seen, stamp_ns, _eye(camera))
        correct_lights(tracks, rows, seen, stamp_ns)
        number = np.clip(seen.classes, 0, len(self._alike) - 1)
        tracks.votes[rows] *= 0.95
        tracks.votes[rows, number] += seen.scores
        tracks.seen[rows], tracks.scores[rows] = stamp_ns, seen.scores
        tracks.truncated[rows], tracks.widths[rows] = seen.truncated, seen.ground_widths
        tracks.hits[rows] += 1

    def _alive(self, tracks: Tracks, stamp_ns: int, moving: bool) -> np.ndarray:
        unseen = (stamp_ns - tracks.seen) / 1e9
        doubt = np.where(np.hypot(*tracks.place[:, 2:4].T) < MOVING, LOST_STANDING, LOST)
        placed = moving & (np.trace(tracks.place_cov[:, :2, :2], axis1=1, axis2=2) < doubt**2)
        keep = np.where(placed, self.rules.remember, self.rules.keep)
        return unseen <= np.where(tracks.hits >= self.rules.proven, keep, self.rules.unproven)

    def _shown_unseen(self, tracks: Tracks, stamp_ns: int, image_size: tuple[int, int] | None) -> np.ndarray:
        """Rows of tracks that are published though this frame does not show them."""
        unseen = (stamp_ns - tracks.seen) / 1e9
        shown = (unseen > 0) & (unseen <= self.rules.show) & (tracks.hits >= self.rules.proven)
        if image_size is not None:
            u, v = tracks.box[:, 0, 0], tracks.box[:, 1, 0]
            shown &= (u >= 0) & (v >= 0) & (u < image_size[1]) & (v < image_size[0])
        return np.flatnonzero(shown)


def _eye(camera: Camera | None) -> np.ndarray | None:
    """(2,) the camera in base_link."""
    return None if camera is None else camera.pose[:2, 3]
