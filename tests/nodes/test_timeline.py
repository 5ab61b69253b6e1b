"""Rate, pause and loop of the playback, on a manual clock."""

from __future__ import annotations

import pytest

from camera_perception_ros.bag.timeline import Timeline

SECOND = 1_000_000_000


class ManualClock:
    now = 50 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.mark.parametrize(("rate", "due"), [(1.0, 2 * SECOND), (4.0, SECOND // 2), (0.5, 4 * SECOND)])
def test_a_message_two_seconds_in_is_due_by_the_rate(rate, due):
    clock = ManualClock()
    timeline = Timeline(rate, clock)
    timeline.start(1000 * SECOND)
    assert timeline.due(1002 * SECOND) - clock.now == due


def test_a_pause_moves_everything_by_its_length():
    clock = ManualClock()
    timeline = Timeline(2.0, clock)
    timeline.start(0)
    clock.now += SECOND
    timeline.pause(True)
    clock.now += 10 * SECOND
    assert timeline.bag_now() == 2 * SECOND
    timeline.pause(False)
    assert timeline.bag_now() == 2 * SECOND
    assert timeline.due(4 * SECOND) - clock.now == SECOND


def test_a_loop_starts_the_recording_again():
    clock = ManualClock()
    timeline = Timeline(1.0, clock)
    timeline.start(7 * SECOND)
    clock.now += 3 * SECOND
    timeline.start(7 * SECOND)
    assert timeline.bag_now() == 7 * SECOND


def test_nothing_is_due_while_paused():
    clock = ManualClock()
    timeline = Timeline(1.0, clock)
    timeline.pause(True)
    timeline.start(0)
    assert not timeline.wait_until(0, lambda: False, longest=0.001)
    timeline.pause(False)
    assert timeline.wait_until(0, lambda: False, longest=0.001)
