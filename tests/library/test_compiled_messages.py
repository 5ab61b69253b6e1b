"""Compiled serialisation and packing of messages and their twins give the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from test_compiled import CLASSES, both, located, random_objects

from camera_perception import core
from camera_perception.io.cdr import serialize
from camera_perception.io.packed_objects import PackedObjects
from camera_perception.io.ros_types import MARKER_ARRAY, PERCEPTION_FRAME, deserialize

pytestmark = pytest.mark.skipif(core.kernels is None, reason="nothing is compiled: make setup, with a C compiler")


LANE = {"lane_id": 3, "u": np.zeros((4, 2), np.float32)[:, 0], "v": [1.0, 2.0], "poly": np.ones(4, np.float32)}
GROUND = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"camera_name": "Süd", "header": {"stamp": {"sec": -1}, "frame_id": "a"}, "status": np.uint8(2)},
        {"lanes": [LANE, {}, LANE], "scene": [{"name": "weather", "label": "", "score": 1}]},
        {"road": {"u": np.zeros(3), "ground": GROUND}, "camera_name": "ab"},
        {"road": {"ground": [{"x": 1.0, "z": float("nan")}], "has_ground": 1}},
        {"traffic_lights": [{"elements": [{"color": 3, "confidence": float("inf")}]}]},
        {"objects": [{"class_name": "car", "position": {"x": 1.5}, "position_cov": [1.0, 2.0, 3.0, 4.0]}]},
    ],
)
def test_messages_are_the_same(values, monkeypatch):
    compiled, twin = both(lambda: serialize(PERCEPTION_FRAME, values), monkeypatch)
    assert compiled == twin


@pytest.mark.parametrize(
    "values",
    [
        {"what": 1},
        {"road": {"what": 1}},
        {"status": 256},
        {"image_width": -1},
        {"image_width": 1.5},
        {"camera_name": 3},
        {"age_ms": 1e300},
        {"lanes": [{"poly": [1.0]}]},
        {"lanes": 3},
    ],
)
def test_what_is_no_message_is_refused_in_the_same_way(values, monkeypatch):
    def error() -> tuple[type, str]:
        with pytest.raises(Exception) as found:
            serialize(PERCEPTION_FRAME, values)
        return found.type, str(found.value)

    compiled, twin = both(error, monkeypatch)
    assert compiled == twin


@pytest.mark.parametrize("name", ["", "a", "abcd", "abcdefg"])
def test_points_of_float64_are_the_same(name, monkeypatch):
    rows = np.arange(6.0).reshape(2, 3)
    points = [
        rows,
        rows.astype(np.float32),
        rows[:0],
        [],
        [{"x": 0.0, "y": 1.0, "z": 2.0}, {"x": 3.0, "y": 4.0, "z": 5.0}],
    ]
    values = {"markers": [{"ns": name, "points": each} for each in points]}
    compiled, twin = both(lambda: serialize(MARKER_ARRAY, values), monkeypatch)
    assert compiled == twin
    found = [[(each.x, each.y, each.z) for each in marker.points] for marker in deserialize(MARKER_ARRAY, twin).markers]
    assert found == [[*map(tuple, rows.tolist())]] * 2 + [[], [], [*map(tuple, rows.tolist())]]


@pytest.mark.parametrize("before", ["", "a", "ab", "abcdefg"])
def test_objects_are_packed_in_the_same_way(before, monkeypatch):
    rng = np.random.default_rng(0)
    objects = located(rng, random_objects(rng, 20))
    objects = objects.with_columns(track_ids=np.arange(20) + 2**33, ages=np.full(20, 70_000, np.int32))
    velocities = np.where(rng.random((20, 1)) < 0.5, np.nan, objects.velocities + 1).astype(np.float32)
    objects = objects.with_columns(velocities=np.where(velocities != velocities, 2, velocities).astype(np.float32))
    packed = PackedObjects(objects, rng.permutation(20)[:15], (*CLASSES[:4], "Fußgänger"), True)
    compiled, twin = both(lambda: serialize(PERCEPTION_FRAME, {"camera_name": before, "objects": packed}), monkeypatch)
    assert compiled == twin
