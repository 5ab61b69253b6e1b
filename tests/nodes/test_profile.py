"""The profile of a frame: what a step costs is not counted under another one, and nothing stays replaced."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from camera_perception.tools.bench import street
from camera_perception.tools.bench.played_engine import PlayedEngine
from camera_perception_ros.bench.profile import camera
from camera_perception_ros.bench.profile.run import ORDER, profile_table
from camera_perception_ros.bench.profile.steps import REST, measured

MS = 1_000_000


@pytest.fixture
def steps(monkeypatch):
    """A module whose `outer` takes 2 ms and calls `inner`, which takes 5; a frame takes 1 ms more."""
    module = ModuleType("profiled")
    module.now = 0

    def spend(milliseconds):
        module.now += milliseconds * MS

    def inner():
        spend(5)

    def outer():
        spend(2)
        module.inner()

    module.spend, module.inner, module.outer = spend, inner, outer
    monkeypatch.setitem(sys.modules, "profiled", module)
    return module


def test_a_step_inside_a_step_is_counted_once(steps):
    inner = steps.inner
    with measured([("outer", "profiled", "outer"), ("inner", "profiled", "inner")]) as costs:
        costs.clock = lambda: steps.now
        costs.frame(lambda: (steps.outer(), steps.spend(1)))
        costs.frame(lambda: steps.spend(3))
    assert dict(costs.milliseconds) == {"outer": [2.0], "inner": [5.0], REST: [1.0, 3.0]}
    assert steps.inner is inner


def test_calls_are_counted_under_their_step(steps):
    with measured([("inner", "profiled", "inner")]) as costs, costs.counted():
        costs.frame(lambda: [steps.outer() for _ in range(3)])
    assert costs.calls["inner"] == 3 * 2  # inner and spend


def test_every_step_of_the_profile_exists_and_is_a_row():
    with measured(camera.STEPS):
        pass
    assert set(camera.POST) < set(ORDER)
    results = {
        "metadata": {"config": {"objects": 20, "threshold": 0.4, "size": "1280x720", "cores": 1, "frames": 9}},
        "engines": {
            "5": {"cpu_ms": {"decode": 1.0, "track": 2.0, "engine": 9.0}, "around_p50": 4.0, "around_p99": 5.0}
        },
        "once": {"calls": {"decode": 10.0}, "kilobytes": {"decode": 3.0}},
    }
    rows = {row[0]: row[1] for row in profile_table(results).rows}
    assert rows["post-processing: decode to serialise, without the rest"] == rows["all but the engine"] == 3.0


def test_a_played_engine_plays_in_turn():
    outputs = list(street.outputs(2))
    engine = PlayedEngine(street.spec(), outputs)
    for wanted in (*outputs, outputs[0]):
        slot = engine.acquire()
        engine.submit(slot)
        engine.wait(slot)
        assert all(np.array_equal(slot.outputs[name][0], array) for name, array in wanted.items())
        engine.release(slot)
