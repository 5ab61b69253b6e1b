"""Heads and plates against the truth of the demo drive: right boxes cover all, none cover none, shifted ones few."""

import json

import numpy as np
import pytest

from camera_perception.tools.privacy.regions import Settings, region_of
from perception_models.evaluation.drive.ground_truth import snapshot_of
from perception_models.evaluation.drive.privacy_recall import HEADS, PLATES, covered

WIDTH, HEIGHT = 960, 540


@pytest.fixture(scope="module")
def snapshots(repository):
    rows = [
        json.loads(line)
        for camera in ("front", "left")
        for line in (repository / f"bags/demo_drive/truth_{camera}.jsonl").open()
    ]
    return [snapshot_of(row, (WIDTH, HEIGHT)) for row in rows[::6]]


def regions_of(snapshot, shift=0.0):
    things = (thing for thing in snapshot.things if thing.category in HEADS + PLATES)
    found = (region_of(thing.box + shift, thing.category, (HEIGHT, WIDTH), Settings()) for thing in things)
    return [region for region in found if region is not None]


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 1.0, 1.0), (40.0, 0.0, 0.7), (None, 0.0, 0.0)])
def test_what_the_boxes_cover_counts(snapshots, shift, low, high):
    found = [
        pair
        for snapshot in snapshots
        for pair in covered(snapshot, () if shift is None else regions_of(snapshot, shift))
    ]
    for kind in ("head", "plate"):
        share = np.mean([good for name, good in found if name == kind])
        assert low <= share <= high, kind
    assert len(found) > 40
