"""Multi-object tracking: stable ids through gaps and occlusion, filtered positions and velocities.

Positions and velocities are filtered on the road; without calibration the image plane alone decides. Time comes from
stamps only, so that a replay gives the same ids.
"""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from camera_perception import core
from camera_perception.core.types import EgoMotion, Objects
from camera_perception.geometry.camera import Camera
from camera_perception.objects.config import DEFAULT_LOCALIZATION, LocalizationConfig
from camera_perception.objects.localize import tracking_height_priors
from camera_perception.objects.tracker.association import DUPLICATE, associate, compatible_classes
from camera_perception.objects.tracker.config import DEFAULT_TRACKER, VULNERABLE_ROAD_USERS, TrackerConfig
from camera_perception.objects.tracker.duplicates import SETTINGS as DUPLICATES
from camera_perception.objects.tracker.duplicates import find_duplicates
from camera_perception.objects.tracker.filter import predict, start_positions, update_tracks
from camera_perception.objects.tracker.output import published_objects
from camera_perception.objects.tracker.tracks import Tracks
from camera_perception.objects.visibility import drop_invisible_positions

# What the compiled twins read: settings and columns, each in this order.
LIFETIMES = (
    "max_age", "max_age_3d", "tentative_lifetime", "min_hits", "max_coast", "full_accel_speed", "max_position_std",
    "max_position_std_stationary",
)  # fmt: skip
_kept_columns = attrgetter("last_update_ns", "hits", "state", "state_cov", "box")
_doubled_tracks = attrgetter("box", "votes", "hits", "last_update_ns", "scores")
_doubled_objects = attrgetter("boxes", "classes", "scores")


class ObjectTracker:
    """The tracks of one camera. Velocities are over the ground where ego motion is given, else relative to the car.

    high_score  detections from this score are matched first; a multiple of it starts a track (TrackerConfig); one for
                all classes, or (C,) one per class
    """

    def __init__(
        self,
        classes: tuple[str, ...],
        config: TrackerConfig = DEFAULT_TRACKER,
        localization: LocalizationConfig = DEFAULT_LOCALIZATION,
        high_score: float | np.ndarray = 0.4,
    ) -> None:
        self.config = config
        self._localization = localization
        self._classes = classes
        self._asked, self._high_scores = high_score, self._per_class(high_score)
        self._distinct_scores = self._distinct_score(np.arange(len(self._high_scores))).astype(float)
        self._compatible = compatible_classes(classes or ("",))
        self._may_be_duplicates = compatible_classes(classes or ("",), DUPLICATE)
        self._is_pedestrian = np.array([name in VULNERABLE_ROAD_USERS for name in classes] or [False])
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Drop all tracks; ids are not used again."""
        self._tracks: Tracks | None = None
        self._stamp_ns: int | None = None
        self._last_motion: tuple[EgoMotion, float] | None = None  # and its seconds
        self._ego_velocity: tuple[float, float] | None = None  # m/s, while it is known

    def skip_ids_of(self, other: ObjectTracker) -> None:
        """Use no id that the other tracker has used."""
        self._next_id = max(self._next_id, other._next_id)

    def set_high_score(self, score: float | np.ndarray) -> None:
        """Change high_score. Where it rises, tracks whose last detection scored less end. Arrays must not change."""
        if score is self._asked:  # as in most frames
            return
        self._asked, scores = score, self._per_class(score)
        if self._tracks is not None and (scores > self._high_scores).any():
            classes = self._tracks.classes
            risen = scores[classes] > self._high_scores[classes]
            self._tracks = self._tracks[~risen | (self._tracks.scores >= scores[classes])]
        self._high_scores = scores
        self._distinct_scores = self._distinct_score(np.arange(len(scores))).astype(float)

    def _per_class(self, score: float | np.ndarray) -> np.ndarray:
        """(C,) float32; one entry where no classes are known."""
        return np.array(np.broadcast_to(np.asarray(score, np.float32), max(len(self._classes), 1)))

    def _high_score_of(self, classes: np.ndarray) -> np.ndarray:
        """(N,) high_score of objects of these class indices."""
        return self._high_scores.take(classes, mode="clip")

    def _init_threshold(self, classes: np.ndarray) -> np.ndarray:
        """(N,) score from which a detection of each class starts a track."""
        return self.config.init_score_factor * self._high_score_of(classes)

    def update(
        self,
        objects: Objects,
        stamp_ns: int,
        motion: EgoMotion | None = None,
        image_size: tuple[int, int] | None = None,
        camera: Camera | None = None,
    ) -> Objects:
        """The objects of this frame with track ids, filtered positions and velocities; then coasted objects.

        motion      of the car since the previous frame
        image_size  (height, width); coasted objects whose centre leaves the image are not published
        camera      that took the image; with motion it predicts how hidden objects move in the image
        """
        tracks = self._predict(objects, stamp_ns, motion, camera)
        if not len(tracks.ids) and not len(objects.boxes):
            return objects
        tracks, objects = self._without_duplicate_tracks(tracks), self._without_duplicates(objects)
        row_of, new = associate(tracks, objects, self._high_scores, self.config, self._compatible, image_size)
        update_tracks(tracks, row_of, objects, stamp_ns, camera, self.config)
        if new:
            started = self._create(objects[row_of >= len(tracks)], stamp_ns, motion, camera)
            tracks = Tracks.concatenate((tracks, started))
        over_ground = motion is not None
        alive, coasting, count = self._kept(tracks, row_of, stamp_ns, over_ground, image_size)
        self._tracks = tracks if alive is None else tracks[alive]
        found = published_objects(objects, row_of, tracks, coasting, count, stamp_ns, self.config, over_ground)
        return drop_invisible_positions(found, camera, self._localization)

    def _predict(self, objects: Objects, stamp_ns: int, motion: EgoMotion | None, camera: Camera | None) -> Tracks:
        """The tracks of the previous frame at stamp_ns; none after a jump in time."""
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        tracks, self._stamp_ns = self._tracks, stamp_ns
        same_states = tracks is not None and tracks.light_scores.shape[1] == objects.light_states.shape[1]
        if tracks is None or not same_states or not 0 <= seconds <= self.config.max_gap:
            tracks = self._new_tracks(objects[:0], stamp_ns, motion)
        self._tracks = tracks
        if motion is not None and seconds > 0:
            self._last_motion = motion, seconds
        self._change_velocity_reference(tracks, motion, seconds)
        predict(tracks, seconds, self._is_pedestrian, stamp_ns, motion, camera, self.config)
        return tracks

    def _change_velocity_reference(self, tracks: Tracks, motion: EgoMotion | None, seconds: float) -> None:
        """Convert velocities when ego motion becomes known or unknown: over the ground with it, else relative."""
        if seconds <= 0:
            return
        ego = None if motion is None else (motion.x / seconds, motion.y / seconds)
        if (ego is None) != (self._ego_velocity is None):
            rows = np.flatnonzero(tracks.hits >= self.config.min_velocity_hits)
            tracks.state[rows, 2:4] += ego if ego is not None else -np.asarray(self._ego_velocity)
            tracks.state_cov[rows, 2:4, 2:4] += self.config.reference_change_std**2 * np.eye(2)
        self._ego_velocity = ego

    def _without_duplicate_tracks(self, tracks: Tracks) -> Tracks:
        """Without young tracks that follow the object of an older one."""
        if core.kernels is not None:
            gone = np.empty(len(tracks.ids), bool)
            found = core.kernels.duplicate_tracks(
                _doubled_tracks(tracks), self._distinct_scores, self._may_be_duplicates,
                core.settings(self.config, *DUPLICATES), self.config.merge_hits, gone,
            )  # fmt: skip
            return tracks[~gone] if found else tracks
        young = tracks.hits < self.config.merge_hits
        if not young.any():
            return tracks
        classes, order = tracks.classes, (-tracks.hits).argsort(kind="stable")
        lost = tracks.last_update_ns < tracks.last_update_ns.max()
        weak = lost & (tracks.scores < self._distinct_score(classes))
        scores = np.where(weak, 0.0, tracks.scores)  # an object that scored high and is hidden now is no duplicate
        distinct = np.zeros(len(tracks))
        duplicates = young & find_duplicates(
            tracks.boxes, classes, self._may_be_duplicates, order, scores, distinct, self.config
        )
        return tracks[~duplicates] if duplicates.any() else tracks

    def _without_duplicates(self, objects: Objects) -> Objects:
        """Without detections whose object a better detection shows already."""
        if core.kernels is not None:
            gone = np.empty(len(objects.boxes), bool)
            found = core.kernels.duplicate_objects(
                _doubled_objects(objects), self._distinct_scores, self._may_be_duplicates,
                core.settings(self.config, *DUPLICATES), gone,
            )  # fmt: skip
            return objects[~gone] if found else objects
        classes = np.minimum(np.maximum(objects.classes, 0), len(self._may_be_duplicates) - 1)
        order, distinct = (-objects.scores).argsort(kind="stable"), self._distinct_score(objects.classes)
        duplicates = find_duplicates(
            objects.boxes, classes, self._may_be_duplicates, order, objects.scores, distinct, self.config
        )
        return objects[~duplicates] if duplicates.any() else objects

    def _distinct_score(self, classes: np.ndarray) -> np.ndarray:
        """(N,) score above which a box of each class is not weak."""
        return self.config.distinct_score_factor * self._init_threshold(classes)

    def _create(self, objects: Objects, stamp_ns: int, motion: EgoMotion | None, camera: Camera | None) -> Tracks:
        """Tracks of unmatched detections, with positions."""
        tracks = self._new_tracks(objects, stamp_ns, motion)
        start_positions(tracks, objects, stamp_ns, camera, self.config)
        return tracks

    def _new_tracks(self, objects: Objects, stamp_ns: int, motion: EgoMotion | None) -> Tracks:
        ids = np.arange(self._next_id, self._next_id + len(objects), dtype=np.int64)
        self._next_id += len(objects)
        heights = tracking_height_priors(objects.classes, self._classes, self._localization)
        speed_std = self._speed_prior_std(objects.classes, motion)
        return Tracks.create(objects, ids, stamp_ns, len(self._compatible), speed_std, heights, self.config)

    def _ego_speed(self) -> float:
        """m/s, when it was last known."""
        if self._last_motion is None:
            return 0.0
        motion, seconds = self._last_motion
        return float(np.hypot(motion.x, motion.y)) / seconds

    def _speed_prior_std(self, classes: np.ndarray, motion: EgoMotion | None) -> np.ndarray:
        """(N,) m/s."""
        config = self.config
        if motion is None:
            return np.full(len(classes), config.relative_speed_prior_std)
        pedestrian = self._is_pedestrian[np.clip(classes, 0, len(self._is_pedestrian) - 1)]
        oncoming = np.hypot(config.speed_prior_std, self._ego_speed())  # other cars are as fast as we are
        return np.where(pedestrian, config.pedestrian_speed_prior_std, oncoming)

    def _kept(
        self,
        tracks: Tracks,
        row_of: np.ndarray,
        stamp_ns: int,
        motion_known: bool,
        image_size: tuple[int, int] | None,
    ) -> tuple[np.ndarray | None, np.ndarray, int]:
        """(T,) bool, tracks that are kept after this frame, None if all are; (T,) bool, coasting ones; and how many
        objects are published, those with a track among row_of (N,) and coasting ones."""
        if core.kernels is None:
            alive, coasting = self._alive(tracks, stamp_ns, motion_known), self._coasting(tracks, stamp_ns, image_size)
            return None if alive.all() else alive, coasting, int((row_of >= 0).sum() + coasting.sum())
        alive, coasting = np.empty((2, len(tracks.ids)), bool)
        height, width = image_size or (-1, -1)
        ended, published = core.kernels.kept_tracks(
            _kept_columns(tracks), row_of, core.settings(self.config, *LIFETIMES), stamp_ns, motion_known, height,
            width, alive, coasting,
        )  # fmt: skip
        return alive if ended else None, coasting, published

    def _alive(self, tracks: Tracks, stamp_ns: int, motion_known: bool) -> np.ndarray:
        """(T,) bool: tracks that are kept after this frame."""
        config, age = self.config, (stamp_ns - tracks.last_update_ns) / 1e9
        slow = np.hypot(*tracks.state[:, 2:4].T) < config.full_accel_speed
        max_std = np.where(slow, config.max_position_std_stationary, config.max_position_std)
        located = motion_known & (tracks.state_cov[:, 0, 0] + tracks.state_cov[:, 1, 1] < max_std**2)
        max_age = np.where(located, config.max_age_3d, config.max_age)
        confirmed = tracks.hits >= config.min_hits
        return np.asarray(age <= np.where(confirmed, max_age, config.tentative_lifetime))

    def _coasting(self, tracks: Tracks, stamp_ns: int, image_size: tuple[int, int] | None) -> np.ndarray:
        """(T,) bool: confirmed tracks that are published although this frame does not show them."""
        age = (stamp_ns - tracks.last_update_ns) / 1e9
        coasting = (age > 0) & (age <= self.config.max_coast) & (tracks.hits >= self.config.min_hits)
        if image_size is not None:
            u, v = tracks.box[:, 0, 0], tracks.box[:, 1, 0]
            coasting &= (u >= 0) & (v >= 0) & (u < image_size[1]) & (v < image_size[0])
        return np.asarray(coasting)
