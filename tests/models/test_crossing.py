"""Things that cross from camera to camera of the demo drive keep their ids, by exact truth."""

from __future__ import annotations

import pytest

from perception_models.evaluation.drive.camera_handover import Crossings, crossing_figures, crossings, read_rig_drive

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def drive(repository):
    return read_rig_drive(repository / "bags/demo_drive", repository / "bags/rig_demo.yaml")


def test_crossings_are_counted_by_hand():
    """Front sees it, then both, then left only with another id; after a long gap it is nobody's switch."""
    count = Crossings()
    for stamp, cameras, fused_id in ((0, {0}, 5), (1, {0}, 5), (2, {0, 1}, 5), (3, {1}, 9), (30, {1}, 11)):
        count.note(77, fused_id, cameras, stamp * SECOND // 10)
    assert (count.kept, count.lost, count.switches) == (1, 0, 1)
    assert count.seconds == pytest.approx(0.3)


def test_an_id_that_changes_on_the_way_is_a_lost_crossing():
    count = Crossings()
    count.note(77, 5, {0}, 0)
    count.note(77, 6, {1}, SECOND // 10)
    assert (count.kept, count.lost) == (0, 1)


def test_the_drive_is_two_cameras_at_the_same_moments(drive):
    assert len(drive) == 120
    assert all(front.stamp_ns == left.stamp_ns for front, left in drive)
    assert drive[0][1].camera.pose[1, 3] == pytest.approx(0.6)  # the left one sits 0.6 m to the left


def test_everything_that_crosses_keeps_its_id(repository):
    found = crossing_figures(repository / "bags/demo_drive", repository / "bags/rig_demo.yaml")
    assert found["crossings"] >= 10
    assert found["id_kept_percent"] == 100.0
    assert found["id_switches_per_100_object_seconds"] <= 1.0


def test_one_camera_alone_has_nothing_to_cross_to(drive):
    count = crossings([snapshots[:1] for snapshots in drive[:20]])
    assert (count.kept, count.lost) == (0, 0)
    assert count.seconds > 10
