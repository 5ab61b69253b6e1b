"""How tracks are judged: by all things, and by those that KITTI's benchmarks would ask for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camera_perception.core.types import EgoMotion, Objects
from perception_models.evaluation.drive.geometry import as_objects
from perception_models.evaluation.drive.ground_truth import SceneObject, Snapshot, plain_drive
from perception_models.evaluation.drive.tracking import KITTI_HEIGHT, parts_of, track_logs

pytest.importorskip("trackeval")


@pytest.fixture(scope="module")
def drive() -> list[Snapshot]:
    snapshots = plain_drive(3, seconds=1.0, rate=10.0)
    return [replace(snapshot, things=[lowered(thing) for thing in snapshot.things]) for snapshot in snapshots]


def lowered(thing: SceneObject) -> SceneObject:
    """Every second one is 20 px high."""
    box = thing.box.copy()
    box[3] = box[1] + 20 if thing.track_id % 2 else box[3]
    return replace(thing, box=box)


def told(snapshot: Snapshot, motion: EgoMotion | None) -> Objects:
    """Everything under its own id."""
    objects = as_objects(np.array([thing.box for thing in snapshot.things]), snapshot.things)
    objects.track_ids[:] = [thing.track_id + 1 for thing in snapshot.things]
    return objects


def low_ones_mixed_up(snapshot: Snapshot, motion: EgoMotion | None) -> Objects:
    objects = told(snapshot, motion)
    low = objects.boxes[:, 3] - objects.boxes[:, 1] < KITTI_HEIGHT
    objects.track_ids[low] += 1000 + snapshot.stamp_ns % 7
    return objects


def test_who_knows_everything_is_right(drive):
    for figures in parts_of("told", track_logs(drive, told)).values():
        assert figures["hota"] == pytest.approx(1.0)
        assert figures["id_switches_per_100_object_seconds"] == 0.0


def test_low_things_count_for_all_and_not_for_kitti(drive):
    everything, large = parts_of("mixed", track_logs(drive, low_ones_mixed_up)).values()
    assert everything["hota"] < 0.95
    assert large["hota"] == pytest.approx(1.0)
    assert 0 < large["object_seconds"] < everything["object_seconds"]


@pytest.mark.parametrize(("name", "value"), [("visible", 0.2), ("low", 5.0), ("narrow", 2.0)])
def test_what_no_label_asks_for_is_neither_target_nor_mistake(drive, name, value):
    snapshots = [
        replace(snapshot, things=[less(thing, name, value) for thing in snapshot.things]) for snapshot in drive
    ]
    everything, _ = parts_of("told", track_logs(snapshots, told)).values()
    assert everything["hota"] == pytest.approx(1.0)
    whole, _ = parts_of("told", track_logs(drive, told)).values()
    assert 0 < everything["object_seconds"] < whole["object_seconds"]


def less(thing: SceneObject, name: str, value: float) -> SceneObject:
    """Every third one is less than the labels ask for."""
    if thing.track_id % 3:
        return thing
    if name == "visible":
        return replace(thing, visible=value)
    box = thing.box.copy()
    edge = 3 if name == "low" else 2
    box[edge] = box[edge - 2] + value
    return replace(thing, box=box)
