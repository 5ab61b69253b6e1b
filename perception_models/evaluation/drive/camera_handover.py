"""Accuracy of camera handover: whether fused objects keep their id when they move into the view of another camera."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.documents.parsing import read_yaml
from camera_perception.core.types import Frame, Objects, Perception, Task
from camera_perception.fusion.objects import ObjectFuser
from camera_perception.fusion.types import FusedObjects, camera_view
from camera_perception.geometry.odometry import Odometry
from perception_models.evaluation.drive.ground_truth import CLASSES, Snapshot, boxes_of, motion_between, snapshot_of
from perception_models.evaluation.drive.tracking import track_truth

MIN_IOU = 0.5
MEMORY_NS = 1_000_000_000  # an object unobserved for longer counts as new: the fusion forgets it then


def handover_metrics(bag: Path, rig: Path) -> dict[str, float]:
    """Percentage of handovers between cameras that kept the id, and id switches of fused objects."""
    count = handovers(read_rig_drive(bag, rig))
    total = count.kept + count.lost
    return {
        "crossings": float(total),
        "id_kept_percent": 100 * count.kept / total if total else float("nan"),
        "id_switches_per_100_object_seconds": 100 * count.switches / max(count.seconds, 1e-9),
        "object_seconds": count.seconds,
    }


def read_rig_drive(bag: Path, rig: Path) -> list[list[Snapshot]]:
    """The ground truth beside a demo recording, frame by frame: one Snapshot per camera of the rig."""
    cameras = read_yaml(rig)["cameras"]
    drives = []
    for name, camera in cameras.items():
        lines = (bag / f"truth_{name}.jsonl").read_text("utf-8").splitlines()
        drives.append([snapshot_of(json.loads(line), tuple(camera["size"])) for line in lines])
    return [list(snapshots) for snapshots in zip(*drives)]


@dataclass
class Handovers:
    """Counts over a drive.

    kept, lost  first observations by a camera of an object that another one observes: with the same id, with another
    switches    id changes of any object
    seconds     of all objects together
    """

    kept: int = 0
    lost: int = 0
    switches: int = 0
    seconds: float = 0.0
    _last: dict[int, tuple[int, int]] = field(default_factory=dict)  # true id: fused id, stamp
    _observers: dict[int, set[int]] = field(default_factory=dict)  # true id: cameras so far

    def add(self, true_id: int, fused_id: int, cameras: set[int], stamp_ns: int) -> None:
        """These cameras observe an object now, under this fused id."""
        last_id, last_ns = self._last.get(true_id, (0, 0))
        observers = self._observers.setdefault(true_id, set())
        if last_id and stamp_ns - last_ns <= MEMORY_NS:
            self.seconds += (stamp_ns - last_ns) / 1e9
            self.switches += last_id != fused_id
            if cameras - observers:
                self.kept, self.lost = self.kept + (last_id == fused_id), self.lost + (last_id != fused_id)
        observers |= cameras
        self._last[true_id] = fused_id, stamp_ns


def handovers(drive: Sequence[Sequence[Snapshot]]) -> Handovers:
    """Run a drive of several cameras through one tracker per camera and the fusion, with true boxes."""
    count, trackers = Handovers(), [track_truth() for _ in drive[0]]
    fuser, odometry, last = ObjectFuser(len(drive[0])), Odometry(), None
    for snapshots in drive:
        pose, stamp_ns = snapshots[0].world_from_base, snapshots[0].stamp_ns
        odometry.add(stamp_ns, pose[0, 3], pose[1, 3], float(np.arctan2(pose[1, 0], pose[0, 0])))
        motion = motion_between(last[0], snapshots[0]) if last else None
        tracks = [track(snapshot, motion) for track, snapshot in zip(trackers, snapshots)]
        views = {number: camera_view(_perception(each, stamp_ns), CLASSES) for number, each in enumerate(tracks)}
        fused = fuser.update(views, stamp_ns, odometry.between)
        for true_id, fused_id, cameras in _observations(fused, tracks, snapshots):
            count.add(true_id, fused_id, cameras, stamp_ns)
        last = snapshots
    return count


def _perception(objects: Objects, stamp_ns: int) -> Perception:
    frame = Frame(np.zeros((1, 1, 3), np.uint8), stamp_ns)
    return Perception(frame, Task.OBJECTS, objects, (), None, None, None, (), velocity_over_ground=True)


def _observations(
    fused: FusedObjects, tracks: Sequence[Objects], snapshots: Sequence[Snapshot]
) -> Iterator[tuple[int, int, set[int]]]:
    """True id, fused id and observing cameras of each object in view."""
    truth = [_true_ids(each, snapshot) for each, snapshot in zip(tracks, snapshots)]
    for row in range(len(fused)):
        ids = {camera: truth[camera][line] for camera, line in enumerate(fused.rows[row]) if line >= 0}
        for true_id in set(ids.values()) - {-1}:
            yield true_id, int(fused.track_ids[row]), {camera for camera, each in ids.items() if each == true_id}


def _true_ids(tracks: Objects, snapshot: Snapshot) -> np.ndarray:
    """(N,) true id of each track; -1 if it coasts or matches no actor."""
    ids = np.full(len(tracks), -1)
    if not len(tracks) or not snapshot.actors:
        return ids
    overlap = iou_matrix(tracks.boxes.astype(float), boxes_of(snapshot.actors))
    matched = (overlap.max(axis=1) >= MIN_IOU) & ~tracks.coasted
    true_ids = np.array([actor.track_id for actor in snapshot.actors])
    ids[matched] = true_ids[overlap.argmax(axis=1)[matched]]
    return ids
