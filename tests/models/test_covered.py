"""Heads and plates against the truth of the demo drive: right boxes cover all, none cover none, shifted ones few."""

import json

import numpy as np
import pytest

from camera_perception.tools.privacy.regions import Settings, region_of
from perception_models.evaluation.drive.ground_truth import moment_of
from perception_models.evaluation.drive.privacy_recall import HEADS, PLATES, covered

WIDTH, HEIGHT = 960, 540


@pytest.fixture(scope="module")
def moments(repository):
    rows = [
        json.loads(line)
        for camera in ("front", "left")
        for line in (repository / f"bags/demo_drive/truth_{camera}.jsonl").open()
    ]
    return [moment_of(row, (WIDTH, HEIGHT)) for row in rows[::6]]


def regions_of(moment, shift=0.0):
    things = (thing for thing in moment.things if thing.category in HEADS + PLATES)
    found = (region_of(thing.box + shift, thing.category, (HEIGHT, WIDTH), Settings()) for thing in things)
    return [region for region in found if region is not None]


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 1.0, 1.0), (40.0, 0.0, 0.7), (None, 0.0, 0.0)])
def test_what_the_boxes_cover_counts(moments, shift, low, high):
    found = [pair for moment in moments for pair in covered(moment, () if shift is None else regions_of(moment, shift))]
    for kind in ("head", "plate"):
        share = np.mean([good for name, good in found if name == kind])
        assert low <= share <= high, kind
    assert len(found) > 40
