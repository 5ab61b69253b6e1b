"""Objects keep their ids over frames, through gaps and occlusion.

Two-stage association as in ByteTrack (Zhang et al. 2022): sure detections first, then what is left of the tracks
against doubtful ones. Places and velocities are filtered on the road; without calibration the image plane alone
decides. Time comes from stamps only, so that a replay gives the same ids.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from camera_perception.assignment import (
    NEVER,
    alike,
    iou_matrix,
    mahalanobis,
    match,
    near_in_image,
)
from camera_perception.kalman import predict_ground, predict_line, seen_from, update_ground, update_line
from camera_perception.tracks import BIAS_SHARE, Tracks, middle_and_size
from camera_perception.types import EgoMotion, Objects

WALKERS = {"pedestrian", "person", "rider", "bicycle"}
CUT_SHARE = 0.6  # what lying wholly inside the other box is worth as overlap, for boxes cut by the image's edge
LAMP_MEMORY, LAMP_MARGIN = 0.25, 0.15  # seconds; lead in smoothed score that changes the state shown


@dataclass(frozen=True, slots=True)
class TrackRules:
    """When a track begins, goes on and ends."""

    sure: float = 0.5  # score from which on a detection is matched first
    begin: float = 0.4  # score from which on a detection begins a track
    overlap: float = 0.2  # IoU that two boxes need, unless they are near on the road
    doubtful_overlap: float = 0.4  # the same for doubtful detections
    show: float = 0.5  # seconds that a track which is not seen is still published
    keep: float = 1.5  # seconds after which it is forgotten
    proven: int = 3  # times seen before a track outlives a long gap and is shown in it
    unproven: float = 0.25  # seconds that the others are kept
    gap: float = 5.0  # seconds without a frame after which everything is new
    vehicle: float = 2.5  # m/s^2, one standard deviation of acceleration
    walker: float = 1.2


class ObjectTracker:
    """The tracks of one camera. Velocities are over the ground where the car's motion is given, else relative to it."""

    def __init__(self, classes: tuple[str, ...], rules: TrackRules | None = None) -> None:
        self.rules = rules or TrackRules()
        self._alike = alike(classes or ("",))
        self._walks = np.array([name in WALKERS for name in classes] or [False])
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget every track; ids are not used again."""
        self._tracks: Tracks | None = None
        self._stamp_ns: int | None = None

    def number_after(self, before: ObjectTracker) -> None:
        """Use no id that another tracker has used."""
        self._next_id = max(self._next_id, before._next_id)

    def update(
        self,
        objects: Objects,
        stamp_ns: int,
        motion: EgoMotion | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> Objects:
        """The objects of this frame with track ids, filtered places and velocities; then those that are only predicted.

        motion      of the car since the frame before
        image_size  (height, width); a predicted object whose middle leaves the image is not shown
        """
        tracks = self._predicted(objects, stamp_ns, motion)
        rows, columns = self._associate(tracks, objects)
        row_of = np.full(len(objects), -1)  # the track of each object
        row_of[columns] = rows
        kept = ~self._twins(objects, row_of)
        self._correct(tracks, rows, objects[columns], stamp_ns)
        fresh = np.flatnonzero(kept & (row_of < 0) & (objects.scores >= self.rules.begin))
        if len(fresh):
            row_of[fresh] = np.arange(len(tracks), len(tracks) + len(fresh))
            tracks = tracks.joined(self._begun(objects[fresh], stamp_ns, motion))
        unseen = self._shown_unseen(tracks, stamp_ns, image_size)
        alive = self._alive(tracks, stamp_ns)
        self._tracks = tracks if alive.all() else tracks[alive]
        shown = objects if kept.all() else objects[kept]
        if len(unseen):
            shown = _joined(shown, _coasting(tracks[unseen], stamp_ns, self.rules))
        return _described(shown, np.concatenate((row_of[kept], unseen)), tracks, stamp_ns, self.rules)

    def _predicted(self, objects: Objects, stamp_ns: int, motion: EgoMotion | None) -> Tracks:
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        known = self._tracks is not None and self._tracks.lights.shape[1] == objects.light_states.shape[1]
        if self._tracks is None or not known or not 0 <= seconds <= self.rules.gap:
            self._tracks = self._begun(objects[:0], stamp_ns, motion)
        self._stamp_ns, tracks = stamp_ns, self._tracks
        if motion is not None:
            tracks.place, tracks.place_cov = seen_from(tracks.place, tracks.place_cov, motion)
        push = np.where(self._walks[tracks.votes.argmax(axis=1)], self.rules.walker, self.rules.vehicle)
        push = push if motion is not None else np.hypot(push, 1.0)
        tracks.place, tracks.place_cov = predict_ground(tracks.place, tracks.place_cov, seconds, push)
        drift = np.tile(1.0 * tracks.box[:, 2:, 0].mean(axis=1)[:, None], 4)
        tracks.box, tracks.box_cov = predict_line(tracks.box, tracks.box_cov, seconds, drift)
        tracks.ages = tracks.ages + (seconds > 0)
        return tracks

    def _associate(self, tracks: Tracks, objects: Objects) -> tuple[np.ndarray, np.ndarray]:
        """Rows of tracks and rows of objects that belong together."""
        cost, overlap = self._cost(tracks, objects)
        sure = np.flatnonzero(objects.scores >= self.rules.sure)
        rows, columns = match(cost[:, sure])
        columns = sure[columns]
        doubtful = np.flatnonzero(objects.scores < self.rules.sure)
        if not len(doubtful):
            return rows, columns
        free = np.setdiff1d(np.arange(len(tracks)), rows)
        cost[overlap < self.rules.doubtful_overlap] = NEVER
        more_rows, more_columns = match(cost[np.ix_(free, doubtful)])
        return np.concatenate((rows, free[more_rows])), np.concatenate((columns, doubtful[more_columns]))

    def _cost(self, tracks: Tracks, objects: Objects) -> tuple[np.ndarray, np.ndarray]:
        boxes, seen = tracks.boxes, objects.boxes.astype(float)
        overlap = iou_matrix(boxes, seen)
        places, covs = objects.positions.astype(float), objects.position_covs.astype(float)
        apart = mahalanobis(tracks.place, tracks.covs, places, covs)
        known = np.isfinite(apart)
        apart = np.where(known, apart, 4.0)
        near = known & (apart < 9.2) & near_in_image(boxes, seen)
        classes = tracks.votes.argmax(axis=1)
        number = np.clip(objects.classes, 0, len(self._alike) - 1)
        cost = 1 - overlap + 0.05 * np.minimum(apart, 20.0) + 0.2 * (classes[:, None] != number[None])
        possible = (near | (overlap > self.rules.overlap)) & self._alike[classes[:, None], number[None]]
        possible &= (apart < 60.0) | (overlap > 0.5)
        return np.where(possible, cost, NEVER), overlap

    def _twins(self, objects: Objects, row_of: np.ndarray) -> np.ndarray:
        """(N,) bool: objects without a track that lie on a matched or better one of their kind."""
        free = row_of < 0
        if not free.any():
            return free
        overlap = iou_matrix(objects.boxes, objects.boxes) > 0.75
        number = np.clip(objects.classes, 0, len(self._alike) - 1)
        overlap &= self._alike[number[:, None], number[None]]
        rank = np.lexsort((np.arange(len(objects)), -objects.scores, free))
        place = np.empty(len(objects), int)
        place[rank] = np.arange(len(objects))
        return free & (overlap & (place[None] < place[:, None])).any(axis=1)

    def _begun(self, objects: Objects, stamp_ns: int, motion: EgoMotion | None) -> Tracks:
        ids = np.arange(self._next_id, self._next_id + len(objects), dtype=np.int64)
        self._next_id += len(objects)
        walks = self._walks[np.clip(objects.classes, 0, len(self._walks) - 1)]
        speed = np.where(walks, 2.0, 12.0) if motion is not None else np.full(len(objects), 15.0)
        return Tracks.begun(objects, ids, stamp_ns, len(self._alike), speed)

    def _correct(self, tracks: Tracks, rows: np.ndarray, seen: Objects, stamp_ns: int) -> None:
        _correct_boxes(tracks, rows, seen)
        _correct_places(tracks, rows, seen, stamp_ns)
        _correct_lights(tracks, rows, seen, stamp_ns)
        number = np.clip(seen.classes, 0, len(self._alike) - 1)
        tracks.votes[rows] *= 0.95
        tracks.votes[rows, number] += seen.scores
        tracks.seen[rows], tracks.scores[rows] = stamp_ns, seen.scores
        tracks.truncated[rows], tracks.widths[rows] = seen.truncated, seen.ground_widths
        tracks.hits[rows] += 1

    def _alive(self, tracks: Tracks, stamp_ns: int) -> np.ndarray:
        unseen = (stamp_ns - tracks.seen) / 1e9
        return unseen <= np.where(tracks.hits >= self.rules.proven, self.rules.keep, self.rules.unproven)

    def _shown_unseen(self, tracks: Tracks, stamp_ns: int, image_size: tuple[int, int] | None) -> np.ndarray:
        """Rows of tracks that are published though this frame does not show them."""
        unseen = (stamp_ns - tracks.seen) / 1e9
        shown = (unseen > 0) & (unseen <= self.rules.show) & (tracks.hits >= self.rules.proven)
        if image_size is not None:
            u, v = tracks.box[:, 0, 0], tracks.box[:, 1, 0]
            shown &= (u >= 0) & (v >= 0) & (u < image_size[1]) & (v < image_size[0])
        return np.flatnonzero(shown)


def _coasting(rows: Tracks, stamp_ns: int, rules: TrackRules) -> Objects:
    """Tracks as objects where they should be by now; _described gives them their places."""
    n = len(rows)
    faded = rows.scores * np.exp(-(stamp_ns - rows.seen) / 1e9 / rules.show)
    return Objects(
        rows.boxes.astype(np.float32),
        faded.astype(np.float32),
        rows.votes.argmax(axis=1).astype(np.int32),
        rows.lights.astype(np.float32),
        rows.ids,
        rows.ages.astype(np.int32),
        np.ones(n, bool),
        rows.truncated,
        np.full((n, 3), np.nan, np.float32),
        np.full((n, 2, 2), np.nan, np.float32),
        np.zeros(n, np.uint8),
        np.full((n, 2), np.nan, np.float32),
        np.full((n, 2, 2), np.nan, np.float32),
        rows.widths,
        np.zeros(n, np.uint8),
    )


def _correct_boxes(tracks: Tracks, rows: np.ndarray, seen: Objects) -> None:
    value = middle_and_size(seen.boxes)
    sigma = 1.0 + 0.03 * np.tile(value[:, 2:], 2)
    tracks.box[rows], tracks.box_cov[rows] = update_line(tracks.box[rows], tracks.box_cov[rows], value, sigma)


def _correct_places(tracks: Tracks, rows: np.ndarray, seen: Objects, stamp_ns: int) -> None:
    """New places start a filter, later ones correct it."""
    known = np.isfinite(seen.positions[:, 0]) & np.isfinite(seen.position_covs).all(axis=(1, 2))
    first = known & ~np.isfinite(tracks.place[rows, 0])
    again = known & ~first
    place, cov = seen.positions[:, :2].astype(float), seen.position_covs.astype(float)
    new, old = rows[first], rows[again]
    tracks.place[new, :2] = place[first]
    tracks.place_cov[new, :2, :2] = (1 - BIAS_SHARE) * cov[first]
    tracks.place_cov[new, :2, 2:] = tracks.place_cov[new, 2:, :2] = 0.0
    white = (1 - BIAS_SHARE) * cov[again]
    tracks.place[old], tracks.place_cov[old] = update_ground(
        tracks.place[old], tracks.place_cov[old], place[again], white
    )
    tracks.bias[rows[known]] = BIAS_SHARE * cov[known]
    tracks.placed[rows[known]], tracks.methods[rows[known]] = stamp_ns, seen.position_methods[known]


def _correct_lights(tracks: Tracks, rows: np.ndarray, seen: Objects, stamp_ns: int) -> None:
    """Scores with a memory; the state shown changes only when another one leads clearly."""
    if not tracks.lights.shape[1] or seen.light_states.shape[1] != tracks.lights.shape[1] or not len(rows):
        return
    seconds = np.maximum((stamp_ns - tracks.seen[rows]) / 1e9, 1e-3)
    share = 1 - np.exp(-seconds / LAMP_MEMORY)[:, None]
    fresh = np.where(np.isfinite(seen.light_states), seen.light_states, tracks.lights[rows])
    tracks.lights[rows] = (1 - share) * tracks.lights[rows] + share * fresh
    best, held = tracks.lights[rows].argmax(axis=1), tracks.held[rows]
    lead = tracks.lights[rows, best] - np.where(held >= 0, tracks.lights[rows, held], -1.0)
    shines = tracks.lights[rows, best] > 0  # only traffic lights have scores at all
    tracks.held[rows] = np.where((lead > LAMP_MARGIN) & shines, best, held)


def _shown_lights(tracks: Tracks) -> np.ndarray:
    """(T, S) smoothed scores in which the state held is the largest."""
    shown, rows = tracks.lights.copy(), np.flatnonzero(tracks.held >= 0)
    if not len(rows):
        return shown
    shown[rows, tracks.held[rows]] = shown[rows].max(axis=1) + 1e-3
    return np.minimum(shown, 1.0)


def _described(objects: Objects, row_of: np.ndarray, tracks: Tracks, stamp_ns: int, rules: TrackRules) -> Objects:
    """Objects with what their tracks know; row_of (N,) is -1 where there is none."""
    tracked = np.flatnonzero(row_of >= 0)
    rows = row_of[tracked]
    known = np.isfinite(tracks.place[rows, 0]) & (stamp_ns - tracks.placed[rows] <= 1e9 * rules.show)
    at, row = tracked[known], rows[known]
    columns = {name: getattr(objects, name).copy() for name in CHANGED}
    columns["track_ids"][tracked] = tracks.ids[rows]
    columns["ages"][tracked] = tracks.ages[rows]
    columns["classes"][tracked] = tracks.votes[rows].argmax(axis=1) if len(rows) else 0
    columns["light_states"][tracked] = _shown_lights(tracks)[rows]
    columns["positions"][at] = np.column_stack((tracks.place[row, :2], np.zeros(len(row))))
    columns["position_covs"][at] = tracks.covs[row]
    columns["position_methods"][at] = tracks.methods[row]
    moving = (tracks.hits[row] >= 4) & (np.trace(tracks.place_cov[row, 2:, 2:], axis1=1, axis2=2) < 2 * SPEED_DOUBT**2)
    columns["velocities"][at[moving]] = tracks.place[row[moving], 2:]
    columns["velocity_covs"][at[moving]] = tracks.place_cov[row[moving], 2:, 2:]
    return replace(objects, **columns)


SPEED_DOUBT = 2.5  # m/s, one standard deviation, above which a velocity is not published
CHANGED = (
    "track_ids", "ages", "classes", "light_states", "positions", "position_covs", "position_methods",
    "velocities", "velocity_covs",
)  # fmt: skip


def _joined(a: Objects, b: Objects) -> Objects:
    if not len(b):
        return a
    return Objects(*(np.concatenate((getattr(a, name), getattr(b, name))) for name in a.__dataclass_fields__))
