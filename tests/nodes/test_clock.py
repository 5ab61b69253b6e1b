"""Stamps that are ahead of the clock are flagged and explained; no age is negative."""

from __future__ import annotations

import math

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driving import Listener, image_message

from camera_perception.core.types import Status
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.conversions.clock import age_ms, ahead_problem, ahead_s
from camera_perception_ros.fusion.camera_state import CameraState

NOW = 1_790_000_000_000_000_000


@pytest.mark.parametrize(
    ("ahead", "flagged", "age"),
    [(-0.2, 0.0, 200.0), (0.0, 0.0, 0.0), (0.05, 0.0, 0.0), (0.2, 0.2, math.nan), (37.0, 37.0, math.nan)],
)
def test_an_age_is_never_negative(ahead, flagged, age):
    stamp = NOW + round(ahead * 1e9)
    assert ahead_s(NOW, stamp) == pytest.approx(flagged)
    assert age_ms(NOW, stamp) == pytest.approx(age, nan_ok=True)
    frame = PerceptionFrame()
    frame.header.stamp = Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
    assert CameraState("front", frame).age_ms(NOW) == pytest.approx(age, nan_ok=True)


@pytest.mark.parametrize(
    ("seconds", "now_ns", "words"), [(37.0, NOW, "TAI"), (3600.0, NOW, "PTP or NTP"), (1e9, 0, "publishes /clock")]
)
def test_the_cause_to_look_at_is_named(seconds, now_ns, words):
    assert words in ahead_problem(seconds, now_ns)


@pytest.mark.parametrize(("sim_time", "words"), [(False, "check PTP"), (True, "nothing publishes /clock")])
def test_an_image_ahead_of_the_clock_is_flagged_and_explained(make_camera, sim_time, words):
    camera = make_camera(use_sim_time=sim_time)
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    camera.activate()
    image = image_message(0)
    image.header.stamp = camera.outside.get_clock().now().to_msg()
    image.header.stamp.sec += 37
    camera.send(image)
    (answer,) = camera.answers(1)
    assert answer.status_flags & Status.STAMP_AHEAD
    assert math.isnan(answer.age_ms)

    def explained() -> bool:
        found = [status for message in diagnostics.messages for status in message.status if words in status.message]
        return bool(found) and found[0].level == DiagnosticStatus.ERROR

    camera.spin_until(explained, what="the explanation")
