"""Privacy recall on the ground truth of the demo drive: true boxes cover all, shifted ones few, none nothing."""

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
    actors = (actor for actor in snapshot.actors if actor.category in HEADS + PLATES)
    found = (region_of(actor.box + shift, actor.category, (HEIGHT, WIDTH), Settings()) for actor in actors)
    return [region for region in found if region is not None]


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 1.0, 1.0), (40.0, 0.0, 0.7), (None, 0.0, 0.0)])
def test_a_head_or_plate_counts_as_covered_if_regions_hide_it(snapshots, shift, low, high):
    found = [
        pair
        for snapshot in snapshots
        for pair in covered(snapshot, () if shift is None else regions_of(snapshot, shift))
    ]
    for part in ("head", "plate"):
        fraction = np.mean([hit for name, hit in found if name == part])
        assert low <= fraction <= high, part
    assert len(found) > 40
