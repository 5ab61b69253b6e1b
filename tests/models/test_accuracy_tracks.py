"""Track metrics: over all objects, and over those that KITTI's benchmarks count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from camera_perception.core.types import EgoMotion, Objects
from perception_models.evaluation.drive.geometry import as_objects
from perception_models.evaluation.drive.ground_truth import Actor, Snapshot, boxes_of, synthetic_drive
from perception_models.evaluation.drive.tracking import KITTI_HEIGHT, metrics_by_part, track_logs

pytest.importorskip("trackeval")


@pytest.fixture(scope="module")
def drive() -> list[Snapshot]:
    snapshots = synthetic_drive(3, seconds=1.0, rate=10.0)
    return [replace(snapshot, actors=[lowered(actor) for actor in snapshot.actors]) for snapshot in snapshots]


def lowered(actor: Actor) -> Actor:
    """Every second one is 20 px high."""
    box = actor.box.copy()
    box[3] = box[1] + 20 if actor.track_id % 2 else box[3]
    return replace(actor, box=box)


def perfect_tracks(snapshot: Snapshot, motion: EgoMotion | None) -> Objects:
    """Every actor under its own id."""
    objects = as_objects(boxes_of(snapshot.actors), snapshot.actors)
    objects.track_ids[:] = [actor.track_id + 1 for actor in snapshot.actors]
    return objects


def tracks_with_mixed_up_low_ones(snapshot: Snapshot, motion: EgoMotion | None) -> Objects:
    objects = perfect_tracks(snapshot, motion)
    low = objects.boxes[:, 3] - objects.boxes[:, 1] < KITTI_HEIGHT
    objects.track_ids[low] += 1000 + snapshot.stamp_ns % 7
    return objects


def test_perfect_tracks_have_perfect_metrics(drive):
    for metrics in metrics_by_part("perfect", track_logs(drive, perfect_tracks)).values():
        assert metrics["hota"] == pytest.approx(1.0)
        assert metrics["id_switches_per_100_object_seconds"] == 0.0


def test_low_objects_count_for_all_and_not_for_kitti(drive):
    everything, large = metrics_by_part("mixed", track_logs(drive, tracks_with_mixed_up_low_ones)).values()
    assert everything["hota"] < 0.95
    assert large["hota"] == pytest.approx(1.0)
    assert 0 < large["object_seconds"] < everything["object_seconds"]


@pytest.mark.parametrize(("name", "value"), [("visible", 0.2), ("low", 5.0), ("narrow", 2.0)])
def test_objects_too_small_or_hidden_to_be_labelled_are_neither_targets_nor_false_positives(drive, name, value):
    snapshots = [
        replace(snapshot, actors=[reduced(actor, name, value) for actor in snapshot.actors]) for snapshot in drive
    ]
    everything, _ = metrics_by_part("perfect", track_logs(snapshots, perfect_tracks)).values()
    assert everything["hota"] == pytest.approx(1.0)
    whole, _ = metrics_by_part("perfect", track_logs(drive, perfect_tracks)).values()
    assert 0 < everything["object_seconds"] < whole["object_seconds"]


def reduced(actor: Actor, name: str, value: float) -> Actor:
    """Every third one is below the minimum of the labels."""
    if actor.track_id % 3:
        return actor
    if name == "visible":
        return replace(actor, visible=value)
    box = actor.box.copy()
    edge = 3 if name == "low" else 2
    box[edge] = box[edge - 2] + value
    return replace(actor, box=box)
