"""The fused view of the live page: two cameras that see the same car are one car from above."""

from __future__ import annotations

import json

import pytest
from live_frames import NS, START, found, frame, still

from camera_perception.core.types import EgoMotion
from camera_perception.io.perception_frame import header_fields
from camera_perception.tools.live.fused import LiveFusion, view_from_fields
from camera_perception.tools.live.protocol import LiveFrame


def fused(*frames, cameras=("front", "left"), motion=still):
    """What the last of these frames makes the page show."""
    fusion = LiveFusion(cameras, motion)
    return [fusion.update(each) for each in frames][-1]


def test_one_car_in_two_cameras_is_one_object_that_names_both():
    message = json.loads(fused(frame("front", found(20, 2, 7)), frame("left", found(20.3, 2.1, 9))))
    (car,) = message["perception"]["objects"]
    assert (message["type"], message["names"]) == ("fused", ["front", "left"])
    assert (car["cameras"], car["camera_track_ids"]) == ([0, 1], [7, 9])
    assert 20 <= car["position"]["x"] <= 20.3
    assert len(car["footprint"]) == 4
    assert message["perception"]["road"]["free_distance_ahead"] == 30.0


@pytest.mark.parametrize(
    "frames",
    [
        [frame("front", found(20, 2, 7))],
        [frame("front", found(20, 2, 7)), frame("left", found(20, 2, 9), base_frame="")],
        [frame("front", found(20, 2, 7)), frame("left", found(20, 2, 9), status=2)],
        [frame("front", found(20, 2, 7)), frame("left", found(20, 2, 9), stamp_ns=START + NS)],
    ],
    ids=["one", "no metres", "invalid", "too old"],
)
def test_fewer_than_two_usable_cameras_are_not_fused(frames):
    assert fused(*frames) is None


def test_a_single_camera_is_never_fused_and_a_broken_image_changes_nothing():
    assert fused(frame("front", found(20, 2, 7)), cameras=("front",)) is None
    fields = {"header": header_fields(START, ""), "road": {"ground": [], "has_ground": False}, "status": 2}
    broken = LiveFrame("left", fields, b"", "", 0.0)
    assert fused(frame("front", found(20, 2, 7)), broken) is None


def test_the_motion_of_the_car_moves_what_was_seen_earlier():
    def forwards(from_ns, to_ns):
        return EgoMotion(10.0 * (to_ns - from_ns) / NS, 0.0, 0.0)

    earlier, now = frame("front", found(20, 2, 7)), frame("left", found(18, 2, 9), stamp_ns=START + NS // 5)
    (car,) = json.loads(fused(earlier, now, motion=forwards))["perception"]["objects"]
    assert car["position"]["x"] == pytest.approx(18.0, abs=0.3)
    road = json.loads(fused(earlier, now, motion=forwards))["perception"]["road"]
    assert min(point["x"] for point in road["ground"]) == pytest.approx(0.0, abs=0.6)
    assert road["free_distance_ahead"] == 28.0


def test_after_a_seek_nothing_of_before_is_left():
    fusion = LiveFusion(("front", "left"), still)
    fusion.update(frame("front", found(20, 2, 7)))
    fusion.reset()
    assert fusion.update(frame("left", found(20, 2, 9))) is None


def test_an_object_without_position_is_not_above_the_road():
    item = {**found(0, 0, 1), "has_position": False}
    assert view_from_fields(frame("front", item).fields).names == ()
