"""Fences along streets, and cyclists ahead: where they may be, and what the labels say between the bars."""

from __future__ import annotations

import numpy as np
import pytest

from driving_scenes.base.semantic_ids import BUILDING, FENCE, PEDESTRIAN, ROAD
from driving_scenes.labels.objects import _between_bars
from driving_scenes.scene import world as worlds
from driving_scenes.scene.asset_pool import size
from driving_scenes.scene.drive import random_drive
from driving_scenes.scene.object import SceneObject
from driving_scenes.scene.seats import clear
from driving_scenes.scene.street_fences import with_street_fences
from driving_scenes.scene.world import World, build_world

SEEDS = range(30)
FENCES = ("railing", "fence", "low_wall")


def city(seed: int, monkeypatch: pytest.MonkeyPatch | None = None) -> World:
    """A world; with `monkeypatch` without street fences."""
    if monkeypatch:
        monkeypatch.setattr(worlds, "with_street_fences", lambda rng, street, objects: objects)
    return build_world((7, seed), "city")


def described(obj: SceneObject) -> tuple[object, ...]:
    return obj.key, obj.world_from_object.tobytes()


def place(world: World, obj: SceneObject) -> tuple[float, float]:
    """s and t of an object."""
    road, xy = world.road, obj.world_from_object[:2, 3]
    index = int(road.nearest(xy[None])[0][0])
    left = [-np.sin(road.heading[index]), np.cos(road.heading[index])]
    return float(road.s[index]), float((xy - road.xyz[index, :2]) @ left)


def test_fences_stand_beside_the_road_and_away_from_junctions():
    count = 0
    for world in map(city, SEEDS):
        for obj in world.objects:
            if obj.key.asset_type == "railing":
                s, t = place(world, obj)
                left, right = world.layout.paved
                assert t > left + 0.15 or t < right - 0.15
                assert all(abs(s - at) > half + 4 for at, half in world.layout.junctions)
                count += 1
    assert count > 40


def test_fences_are_clear_of_other_objects():
    count = 0
    for world in map(city, range(12)):
        fences = [x for x in world.objects if x.key.asset_type == "railing"]
        others = [x for x in world.objects if x.key.asset_type not in FENCES]
        assert all(clear(fence, others, 0.0) for fence in fences)
        count += len(fences)
    assert count > 10


def test_a_seed_keeps_its_other_objects_but_for_houses_that_make_way(monkeypatch):
    gone = 0
    for seed in SEEDS:
        fenced = {described(x) for x in city(seed).objects}
        with monkeypatch.context() as patch:
            missing = [x for x in city(seed, patch).objects if described(x) not in fenced]
        assert {x.key.asset_type for x in missing} <= {"building"}
        gone += len(missing)
    assert gone > 5


def test_highways_have_no_street_fences():
    world = build_world((7, 1), "highway")
    objects = with_street_fences(np.random.default_rng(0), world.roads[0], world.objects)
    assert objects is world.objects


@pytest.mark.parametrize("behind", [0, BUILDING, ROAD])
def test_background_between_bars_is_fence(behind):
    semantic = np.full((100, 320), behind, np.uint8)
    semantic[40:60, 100:200:8] = FENCE
    between = _between_bars(semantic)
    assert between[42:58, 102:190].mean() > 0.85
    assert not between[:30].any()
    assert not between[:, 220:].any()


def test_a_person_behind_bars_stays_a_person():
    semantic = np.zeros((100, 320), np.uint8)
    semantic[30:70, 150:160] = PEDESTRIAN
    semantic[40:60, 100:200:8] = FENCE
    assert not _between_bars(semantic)[semantic == PEDESTRIAN].any()


def test_cyclists_ride_ahead_in_their_lanes_and_clear_of_others():
    count = 0
    for seed in range(30):
        drive = random_drive(np.random.default_rng(seed), city(seed % 4))
        riders = [x for x in drive.actors if x.key.asset_type == "rider" and x.lane.lane_type == "travel"]
        ahead = [x for x in riders if 5 <= x.s - drive.ego.s <= 30 and 2 <= x.speed <= 6]
        for rider in ahead:
            assert abs(rider.shift) + size(rider.key)[1] / 2 < rider.lane.width / 2 + 0.3
        count += len(ahead)
    assert count > 12


def test_drives_with_a_duration_have_no_extra_cyclists(monkeypatch):
    monkeypatch.setattr("driving_scenes.scene.drive.with_cyclists", lambda *given: pytest.fail("called"))
    random_drive(np.random.default_rng(1), city(1), seconds=5.0)
