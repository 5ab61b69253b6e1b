"""Camera handover on the demo drive with exact ground truth: fused objects keep their ids."""

from __future__ import annotations

import pytest

from perception_models.evaluation.drive.camera_handover import Handovers, handover_metrics, handovers, read_rig_drive

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def drive(repository):
    return read_rig_drive(repository / "bags/demo_drive", repository / "bags/rig_demo.yaml")


def test_handovers_are_counted_by_hand():
    """Front camera, then both, then left only with another id; a change after a long gap is no switch."""
    count = Handovers()
    for stamp, cameras, fused_id in ((0, {0}, 5), (1, {0}, 5), (2, {0, 1}, 5), (3, {1}, 9), (30, {1}, 11)):
        count.add(77, fused_id, cameras, stamp * SECOND // 10)
    assert (count.kept, count.lost, count.switches) == (1, 0, 1)
    assert count.seconds == pytest.approx(0.3)


def test_an_id_that_changes_at_the_handover_counts_as_lost():
    count = Handovers()
    count.add(77, 5, {0}, 0)
    count.add(77, 6, {1}, SECOND // 10)
    assert (count.kept, count.lost) == (0, 1)


def test_the_drive_has_two_cameras_with_equal_stamps(drive):
    assert len(drive) == 120
    assert all(front.stamp_ns == left.stamp_ns for front, left in drive)
    assert drive[0][1].camera.pose[1, 3] == pytest.approx(0.6)  # the left one sits 0.6 m to the left


def test_every_object_keeps_its_id_at_the_handover(repository):
    found = handover_metrics(repository / "bags/demo_drive", repository / "bags/rig_demo.yaml")
    assert found["crossings"] >= 10
    assert found["id_kept_percent"] == 100.0
    assert found["id_switches_per_100_object_seconds"] <= 1.0


def test_one_camera_alone_has_no_handovers(drive):
    count = handovers([snapshots[:1] for snapshots in drive[:20]])
    assert (count.kept, count.lost) == (0, 0)
    assert count.seconds > 10
