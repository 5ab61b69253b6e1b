"""Tracks against truth: HOTA and id switches by trackeval, range and velocity of what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO

import numpy as np

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.types import EgoMotion, Objects
from camera_perception.objects.footprint import near_sides
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.tracker.tracker import ObjectTracker
from driving_scenes.labels.objects import LEAST_HEIGHT, LEAST_VISIBLE, LEAST_WIDTH
from perception_models.evaluation.drive.geometry import as_objects
from perception_models.evaluation.drive.ground_truth import (
    CLASSES,
    MOVING,
    SceneObject,
    Snapshot,
    contact,
    motion_between,
)

KITTI_HEIGHT = 25.0  # pixels: what is lower is asked of nobody in KITTI's benchmarks
SURE_AFTER = 1_000_000_000  # ns of track until a velocity counts

Follow = Callable[[Snapshot, "EgoMotion | None"], Objects]


@dataclass
class Log:
    """One row per frame: true ids, found ids and their overlap; and the errors of matched objects.

    height  pixels of the lowest things that are asked for; lower ones are neither right nor wrong
    """

    height: float = LEAST_HEIGHT
    true_ids: list[np.ndarray] = field(default_factory=list)
    found_ids: list[np.ndarray] = field(default_factory=list)
    overlaps: list[np.ndarray] = field(default_factory=list)
    ranges: list[tuple[float, float, float]] = field(default_factory=list)  # true, found, sigmas
    speeds: list[np.ndarray] = field(default_factory=list)  # (2, 2) error in m/s and in sigmas, of x and y
    seconds: float = 0.0
    began: dict[int, int] = field(default_factory=dict)
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)

    def number(self, sequence: str, track_id: int) -> int:
        """The same thing in the same drive has the same number; in another drive it is another thing."""
        return self.numbers.setdefault((sequence, track_id), len(self.numbers))


def follow_truth() -> Follow:
    """A tracker that is shown the true boxes: what association alone reaches."""
    tracker = ObjectTracker(CLASSES)

    def follow(snapshot: Snapshot, motion: EgoMotion | None) -> Objects:
        things, boxes, _ = _asked(snapshot, LEAST_HEIGHT)
        size = snapshot.camera.height, snapshot.camera.width
        located = locate_objects(as_objects(boxes, things), snapshot.camera, CLASSES, size)
        found = tracker.update(located, snapshot.stamp_ns, motion, size, snapshot.camera)
        return near_sides(found, snapshot.camera, CLASSES)

    return follow


def track_logs(snapshots: Iterable[Snapshot], follow: Follow, names: tuple[str, ...] = CLASSES) -> tuple[Log, Log]:
    """Run a drive and note what is needed to judge it: all things, and those from KITTI_HEIGHT on."""
    logs, last = (Log(), Log(KITTI_HEIGHT)), None
    for snapshot in snapshots:
        seconds = (snapshot.stamp_ns - last.stamp_ns) / 1e9 if last and last.sequence == snapshot.sequence else 0.0
        found = follow(snapshot, motion_between(last, snapshot) if last else None)
        for log in logs:
            log.seconds += seconds
            _note(log, snapshot, found, names)
        last = snapshot
    return logs


def _note(log: Log, snapshot: Snapshot, found: Objects, names: tuple[str, ...]) -> None:
    moving = np.array([name in MOVING for name in names] or [False])
    found = found[moving[found.classes] & (found.track_ids > 0) & ~found.coasted]
    asked, boxes, free = _asked(snapshot, log.height)
    overlap = (
        iou_matrix(boxes, found.boxes.astype(float))
        if len(boxes) and len(found)
        else np.zeros((len(boxes), len(found)))
    )
    if len(found):  # what nobody asked for is neither right nor wrong
        spare = (iou_matrix(found.boxes.astype(float), free).max(axis=1, initial=0.0) > 0.4) | _low(found, log.height)
        spare &= ~(overlap > 0.4).any(axis=0)
        found, overlap = found[~spare], overlap[:, ~spare]
    log.true_ids.append(np.array([log.number(snapshot.sequence, thing.track_id) for thing in asked], int))
    log.found_ids.append(found.track_ids.astype(int))
    log.overlaps.append(overlap)
    for row, column in zip(*np.nonzero(overlap >= 0.5)):
        _measure(log, snapshot, asked[row], boxes[row], found, int(column))


def _low(found: Objects, height: float) -> np.ndarray:
    return found.boxes[:, 3] - found.boxes[:, 1] < height


def _asked(snapshot: Snapshot, height: float) -> tuple[list[SceneObject], np.ndarray, np.ndarray]:
    """Things that should be found with the boxes the picture shows, and boxes of those that need not."""
    kinds = [thing for thing in snapshot.things if thing.category in MOVING]
    boxes = [thing.box for thing in kinds]
    large = [
        each.visible >= LEAST_VISIBLE and b[2] - b[0] >= LEAST_WIDTH and b[3] - b[1] >= height
        for each, b in zip(kinds, boxes)
    ]
    asked = [thing for thing, keep in zip(kinds, large) if keep]
    free = [box for box, keep in zip(boxes, large) if not keep]
    return asked, np.array([thing.box for thing in asked]).reshape(-1, 4), np.array(free).reshape(-1, 4)


def _whole(box: np.ndarray, snapshot: Snapshot) -> bool:
    """Does no edge of the image cut it at a side or from below? What is left of it may stand anywhere."""
    return bool(2.0 < box[0] and box[2] < snapshot.camera.width - 2.0 and box[3] < snapshot.camera.height - 2.5)


def _measure(log: Log, snapshot: Snapshot, thing: SceneObject, box: np.ndarray, found: Objects, row: int) -> None:
    identity = int(found.track_ids[row])
    began = log.began.setdefault(identity, snapshot.stamp_ns)
    if np.isfinite(found.positions[row, 0]) and _whole(box, snapshot):
        truth = contact(thing, snapshot.camera, box)
        sight = truth - snapshot.camera.pose[:2, 3]
        sight = sight / np.linalg.norm(sight)
        off = (found.positions[row, :2] - truth) @ sight
        sigma = np.sqrt(sight @ found.position_covs[row] @ sight)
        log.ranges.append((float(np.linalg.norm(truth)), float(off), float(off / sigma)))
    if snapshot.stamp_ns - began >= SURE_AFTER and np.isfinite(found.velocities[row]).all():
        wrong = found.velocities[row] - thing.velocity
        log.speeds.append(np.stack((wrong, wrong / np.sqrt(found.velocity_covs[row].diagonal()))))


def track_figures(log: Log, reach: float = 40.0) -> dict[str, float]:
    """HOTA and switches over the drive; errors of range (to `reach` metres) and velocity."""
    hota, clear = _trackeval(log)
    ranges = np.array(log.ranges).reshape(-1, 3)
    near = ranges[ranges[:, 0] < reach]
    seen = sum(len(ids) for ids in log.true_ids) / max(len(log.true_ids), 1) * log.seconds
    return {
        "hota": float(np.mean(hota["HOTA"])),
        "detection_a": float(np.mean(hota["DetA"])),
        "association_a": float(np.mean(hota["AssA"])),
        "id_switches_per_100_object_seconds": 100 * float(clear["IDSW"]) / max(seen, 1e-9),
        "object_seconds": float(seen),
        "range_error_median_percent": _median_share(near),
        "range_error_5_to_15_m_median_percent": _median_share(ranges[(5 <= ranges[:, 0]) & (ranges[:, 0] < 15)]),
        "range_inside_1_sigma_percent": _share_inside(np.abs(near[:, 2]), 1),
        **_speed_figures(np.array(log.speeds or [np.full((2, 2), np.nan)])),
    }


def _median_share(ranges: np.ndarray) -> float:
    """Median error of (N, 3) ranges as in Log, percent; nan of none."""
    return 100 * float(np.median(np.abs(ranges[:, 1]) / ranges[:, 0])) if len(ranges) else float("nan")


def _speed_figures(speeds: np.ndarray) -> dict[str, float]:
    """(N, 2, 2) as in Log."""
    wrong, sigmas = np.hypot(*speeds[:, 0].T), np.abs(speeds[:, 1])
    return {
        "velocity_rmse_m_s": float(np.sqrt(np.mean(np.square(wrong)))),
        "velocity_error_median_m_s": float(np.median(wrong)),
        **{f"velocity_inside_{n}_sigma_percent": _share_inside(sigmas, n) for n in (1, 2)},
    }


def _share_inside(sigmas: np.ndarray, limit: float) -> float:
    """Percent of what is known; nan of nothing."""
    known = sigmas[np.isfinite(sigmas)]
    return 100 * float(np.mean(known < limit)) if len(known) else float("nan")


def parts_of(name: str, logs: tuple[Log, Log]) -> dict[str, dict[str, float]]:
    """Figures by part: all things, and those that KITTI's benchmarks would ask for."""
    return {name: track_figures(logs[0]), f"{name} from {KITTI_HEIGHT:.0f} px": track_figures(logs[1])}


def _trackeval(log: Log) -> tuple[dict, dict]:
    from trackeval.metrics import CLEAR, HOTA

    data = {
        "gt_ids": _dense(log.true_ids),
        "tracker_ids": _dense(log.found_ids),
        "similarity_scores": log.overlaps,
        "num_timesteps": len(log.overlaps),
        "num_gt_dets": sum(map(len, log.true_ids)),
        "num_tracker_dets": sum(map(len, log.found_ids)),
    }
    data["num_gt_ids"] = len(np.unique(np.concatenate(log.true_ids or [np.zeros(0, int)])))
    data["num_tracker_ids"] = len(np.unique(np.concatenate(log.found_ids or [np.zeros(0, int)])))
    with redirect_stdout(StringIO()):  # it prints its settings
        return HOTA().eval_sequence(data), CLEAR().eval_sequence(data)


def _dense(ids: list[np.ndarray]) -> list[np.ndarray]:
    """The same ids counted from 0 without gaps."""
    known = np.unique(np.concatenate(ids or [np.zeros(0, int)]))
    return [np.searchsorted(known, frame) for frame in ids]
