"""Accuracy of tracks: HOTA and id switches by trackeval, range and velocity errors of matched objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import numpy as np

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.types import EgoMotion, Objects
from camera_perception.objects.footprint import near_sides
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.tracker.tracker import ObjectTracker
from driving_scenes.labels.objects import LEAST_HEIGHT, LEAST_VISIBLE, LEAST_WIDTH
from perception_models.evaluation.drive.errors import median, percent_within, range_error
from perception_models.evaluation.drive.geometry import as_objects
from perception_models.evaluation.drive.ground_truth import (
    CLASSES,
    MOVING,
    Actor,
    Snapshot,
    boxes_of,
    contact,
    motion_between,
)

KITTI_HEIGHT = 25.0  # pixels: KITTI's benchmarks ignore lower boxes
SETTLED_NS = 1_000_000_000  # track age from which its velocity is judged
MAX_RANGE = 40.0  # metres, for range errors

Track = Callable[[Snapshot, "EgoMotion | None"], Objects]


@dataclass
class TrackLog:
    """One row per frame: true ids, track ids and their overlap; and the errors of matched objects.

    min_height  pixels; lower objects are neither targets nor false positives
    """

    min_height: float = LEAST_HEIGHT
    true_ids: list[np.ndarray] = field(default_factory=list)
    track_ids: list[np.ndarray] = field(default_factory=list)
    overlaps: list[np.ndarray] = field(default_factory=list)
    ranges: list[tuple[float, float, float]] = field(default_factory=list)  # rows of range_error
    velocities: list[np.ndarray] = field(default_factory=list)  # (2, 2) error in m/s and in sigmas, of x and y
    seconds: float = 0.0
    first_seen: dict[int, int] = field(default_factory=dict)  # track id: stamp
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)

    def number(self, sequence: str, track_id: int) -> int:
        """A number that is unique over all drives, for an id that is unique within one."""
        return self.numbers.setdefault((sequence, track_id), len(self.numbers))


def track_truth() -> Track:
    """A tracker fed with the true boxes, which shows what association alone can reach."""
    tracker = ObjectTracker(CLASSES)

    def track(snapshot: Snapshot, motion: EgoMotion | None) -> Objects:
        targets, _ = _targets(snapshot, LEAST_HEIGHT)
        size = snapshot.camera.height, snapshot.camera.width
        located = locate_objects(as_objects(boxes_of(targets), targets), snapshot.camera, CLASSES, size)
        tracks = tracker.update(located, snapshot.stamp_ns, motion, size, snapshot.camera)
        return near_sides(tracks, snapshot.camera, CLASSES)

    return track


def track_logs(
    snapshots: Iterable[Snapshot], track: Track, classes: tuple[str, ...] = CLASSES
) -> tuple[TrackLog, TrackLog]:
    """Run a drive and log what is needed to judge it: for all objects, and for those of at least KITTI_HEIGHT."""
    logs, last = (TrackLog(), TrackLog(KITTI_HEIGHT)), None
    for snapshot in snapshots:
        seconds = (snapshot.stamp_ns - last.stamp_ns) / 1e9 if last and last.sequence == snapshot.sequence else 0.0
        tracks = track(snapshot, motion_between(last, snapshot) if last else None)
        for log in logs:
            log.seconds += seconds
            _log_frame(log, snapshot, tracks, classes)
        last = snapshot
    return logs


def _log_frame(log: TrackLog, snapshot: Snapshot, tracks: Objects, classes: tuple[str, ...]) -> None:
    moving = np.array([name in MOVING for name in classes] or [False])
    tracks = tracks[moving[tracks.classes] & (tracks.track_ids > 0) & ~tracks.coasted]
    targets, ignored = _targets(snapshot, log.min_height)
    boxes, track_boxes = boxes_of(targets), tracks.boxes.astype(float)
    overlap = iou_matrix(boxes, track_boxes)
    neutral = iou_matrix(track_boxes, boxes_of(ignored)).max(axis=1, initial=0.0) > 0.4
    neutral |= tracks.boxes[:, 3] - tracks.boxes[:, 1] < log.min_height
    neutral &= ~(overlap > 0.4).any(axis=0)
    tracks, overlap = tracks[~neutral], overlap[:, ~neutral]
    log.true_ids.append(np.array([log.number(snapshot.sequence, actor.track_id) for actor in targets], int))
    log.track_ids.append(tracks.track_ids.astype(int))
    log.overlaps.append(overlap)
    for row, column in zip(*np.nonzero(overlap >= 0.5)):
        _log_errors(log, snapshot, targets[row], boxes[row], tracks, int(column))


def _targets(snapshot: Snapshot, min_height: float) -> tuple[list[Actor], list[Actor]]:
    """Actors that a tracker should report, and moving ones that it need not: too small or too hidden."""
    targets: list[Actor] = []
    ignored: list[Actor] = []
    for actor in snapshot.actors:
        if actor.category in MOVING:
            width, height = actor.box[2:] - actor.box[:2]
            large = width >= LEAST_WIDTH and height >= min_height
            (targets if large and actor.visible >= LEAST_VISIBLE else ignored).append(actor)
    return targets, ignored


def _log_errors(log: TrackLog, snapshot: Snapshot, actor: Actor, box: np.ndarray, tracks: Objects, row: int) -> None:
    first_seen = log.first_seen.setdefault(int(tracks.track_ids[row]), snapshot.stamp_ns)
    if np.isfinite(tracks.positions[row, 0]) and _whole(box, snapshot):
        log.ranges.append(range_error(tracks, row, contact(actor, snapshot.camera, box), snapshot.camera))
    if snapshot.stamp_ns - first_seen >= SETTLED_NS and np.isfinite(tracks.velocities[row]).all():
        error = tracks.velocities[row] - actor.velocity
        log.velocities.append(np.stack((error, error / np.sqrt(tracks.velocity_covs[row].diagonal()))))


def _whole(box: np.ndarray, snapshot: Snapshot) -> bool:
    """Not clipped by the image border at the sides or below; the rest of a clipped box may be anywhere."""
    return bool(2.0 < box[0] and box[2] < snapshot.camera.width - 2.0 and box[3] < snapshot.camera.height - 2.5)


def metrics_by_part(name: str, logs: tuple[TrackLog, TrackLog]) -> dict[str, dict[str, float]]:
    """Metrics of all objects, and of those that KITTI's benchmarks count."""
    return {name: track_metrics(logs[0]), f"{name} from {KITTI_HEIGHT:.0f} px": track_metrics(logs[1])}


def track_metrics(log: TrackLog) -> dict[str, float]:
    """HOTA and id switches over the drive; errors of range (up to MAX_RANGE) and velocity."""
    hota, clear = _trackeval(log)
    ranges = np.array(log.ranges).reshape(-1, 3)
    near = ranges[ranges[:, 0] < MAX_RANGE]
    object_seconds = sum(len(ids) for ids in log.true_ids) / max(len(log.true_ids), 1) * log.seconds
    return {
        "hota": float(np.mean(hota["HOTA"])),
        "detection_a": float(np.mean(hota["DetA"])),
        "association_a": float(np.mean(hota["AssA"])),
        "id_switches_per_100_object_seconds": 100 * float(clear["IDSW"]) / max(object_seconds, 1e-9),
        "object_seconds": float(object_seconds),
        "range_error_median_percent": _median_percent(near),
        "range_error_5_to_15_m_median_percent": _median_percent(ranges[(5 <= ranges[:, 0]) & (ranges[:, 0] < 15)]),
        "range_inside_1_sigma_percent": percent_within(near[:, 2], 1),
        **_velocity_metrics(np.array(log.velocities or [np.full((2, 2), np.nan)])),
    }


def _median_percent(ranges: np.ndarray) -> float:
    return 100 * median(np.abs(ranges[:, 1]) / ranges[:, 0])


def _velocity_metrics(errors: np.ndarray) -> dict[str, float]:
    """errors (N, 2, 2) as in TrackLog."""
    speed_errors = np.hypot(*errors[:, 0].T)
    return {
        "velocity_rmse_m_s": float(np.sqrt(np.mean(np.square(speed_errors)))),
        "velocity_error_median_m_s": float(np.median(speed_errors)),
        **{f"velocity_inside_{n}_sigma_percent": percent_within(errors[:, 1], n) for n in (1, 2)},
    }


def _trackeval(log: TrackLog) -> tuple[dict[str, Any], dict[str, Any]]:
    from trackeval.metrics import CLEAR, HOTA

    data = {
        "gt_ids": _dense(log.true_ids),
        "tracker_ids": _dense(log.track_ids),
        "similarity_scores": log.overlaps,
        "num_timesteps": len(log.overlaps),
        "num_gt_dets": sum(map(len, log.true_ids)),
        "num_tracker_dets": sum(map(len, log.track_ids)),
        "num_gt_ids": len(_unique(log.true_ids)),
        "num_tracker_ids": len(_unique(log.track_ids)),
    }
    with redirect_stdout(StringIO()):  # it prints its settings
        return HOTA().eval_sequence(data), CLEAR().eval_sequence(data)


def _dense(ids: list[np.ndarray]) -> list[np.ndarray]:
    """The same ids, numbered from 0 without gaps."""
    known = _unique(ids)
    return [np.searchsorted(known, frame) for frame in ids]


def _unique(ids: list[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate(ids or [np.zeros(0, int)]))
