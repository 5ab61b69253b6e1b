"""Do things keep their id when they go from the view of one camera into that of another? True boxes, fused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.types import Frame, Objects, Perception, Task
from camera_perception.fusion.objects import ObjectFuser
from camera_perception.fusion.types import FusedObjects, camera_view
from camera_perception.geometry.odometry import Odometry
from perception_models.evaluation.drive.ground_truth import CLASSES, Snapshot, motion_between, snapshot_of
from perception_models.evaluation.drive.tracking import follow_truth

SAME_BOX = 0.5  # intersection over union
REMEMBERED = 1_000_000_000  # ns without a sighting, after which a thing is a new one: as long as the fusion remembers


def read_rig_drive(bag: Path, rig: Path) -> list[list[Snapshot]]:
    """The truth beside a demo recording, moment by moment: one Moment per camera of the rig it was rendered with."""
    cameras = yaml.safe_load(rig.read_text("utf-8"))["cameras"]
    drives = []
    for name, camera in cameras.items():
        lines = (bag / f"truth_{name}.jsonl").read_text("utf-8").splitlines()
        drives.append([snapshot_of(json.loads(line), tuple(camera["size"])) for line in lines])
    return [list(snapshots) for snapshots in zip(*drives)]


@dataclass
class Crossings:
    """What happened to things that more than one camera saw.

    kept, lost  how often a camera saw for the first time what another one was seeing: same id, another id
    switches    changes of id of any thing
    seconds     of all things together
    """

    kept: int = 0
    lost: int = 0
    switches: int = 0
    seconds: float = 0.0
    _last: dict[int, tuple[int, int]] = field(default_factory=dict)  # thing: its fused id, when
    _seen_by: dict[int, set[int]] = field(default_factory=dict)

    def note(self, thing: int, fused_id: int, cameras: set[int], stamp_ns: int) -> None:
        """A thing was seen by these cameras and got that id."""
        known, when = self._last.get(thing, (0, 0))
        before = self._seen_by.setdefault(thing, set())
        if known and stamp_ns - when <= REMEMBERED:
            self.seconds += (stamp_ns - when) / 1e9
            self.switches += known != fused_id
            if cameras - before:
                self.kept, self.lost = self.kept + (known == fused_id), self.lost + (known != fused_id)
        before |= cameras
        self._last[thing] = fused_id, stamp_ns


def crossings(drive: Sequence[Sequence[Snapshot]]) -> Crossings:
    """Run a drive of several cameras through a tracker for each and one fusion."""
    count, follows = Crossings(), [follow_truth() for _ in drive[0]]
    fuser, odometry, last = ObjectFuser(len(drive[0])), Odometry(), None
    for snapshots in drive:
        pose = snapshots[0].world_from_base
        stamp_ns = snapshots[0].stamp_ns
        odometry.add(stamp_ns, pose[0, 3], pose[1, 3], float(np.arctan2(pose[1, 0], pose[0, 0])))
        motion = motion_between(last[0], snapshots[0]) if last else None
        found = [follow(snapshot, motion) for follow, snapshot in zip(follows, snapshots)]
        views = {number: camera_view(_perceived(each, stamp_ns), CLASSES) for number, each in enumerate(found)}
        fused = fuser.update(views, stamp_ns, odometry.between)
        for thing, fused_id, cameras in _sightings(fused, found, snapshots):
            count.note(thing, fused_id, cameras, stamp_ns)
        last = snapshots
    return count


def _perceived(objects: Objects, stamp_ns: int) -> Perception:
    nothing = Frame(np.zeros((1, 1, 3), np.uint8), stamp_ns)
    return Perception(nothing, Task.OBJECTS, objects, (), None, None, None, (), velocity_over_ground=True)


def _sightings(
    fused: FusedObjects, found: Sequence[Objects], snapshots: Sequence[Snapshot]
) -> Iterator[tuple[int, int, set[int]]]:
    """True id, fused id and cameras of each thing that some camera sees now."""
    truth = [_true_ids(each, snapshot) for each, snapshot in zip(found, snapshots)]
    for row in range(len(fused)):
        seen = {camera: truth[camera][line] for camera, line in enumerate(fused.rows[row]) if line >= 0}
        for thing in set(seen.values()) - {-1}:
            yield thing, int(fused.track_ids[row]), {camera for camera, each in seen.items() if each == thing}


def _true_ids(found: Objects, snapshot: Snapshot) -> np.ndarray:
    """(N,) true id of each object; -1 for what is only predicted or is nothing of the truth."""
    ids = np.full(len(found), -1)
    if not len(found) or not snapshot.things:
        return ids
    overlap = iou_matrix(found.boxes.astype(float), np.array([thing.box for thing in snapshot.things]))
    best = overlap.argmax(axis=1)
    sure = (overlap.max(axis=1) >= SAME_BOX) & ~found.coasted
    ids[sure] = np.array([thing.track_id for thing in snapshot.things])[best[sure]]
    return ids


def crossing_figures(bag: Path, rig: Path) -> dict[str, float]:
    """Share of crossings from camera to camera that kept the id, and id switches of fused things."""
    found = crossings(read_rig_drive(bag, rig))
    total = found.kept + found.lost
    return {
        "crossings": float(total),
        "id_kept_percent": 100 * found.kept / total if total else float("nan"),
        "id_switches_per_100_object_seconds": 100 * found.switches / max(found.seconds, 1e-9),
        "object_seconds": found.seconds,
    }
