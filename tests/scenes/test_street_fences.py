"""Fences along streets, and cyclists ahead: where they may be, and what the labels say between the bars."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from driving_scenes.base.semantic_ids import BARS, BUILDING, PEDESTRIAN, ROAD, VEGETATION
from driving_scenes.labels.objects import _between_bars
from driving_scenes.roads.cross_section import Layout
from driving_scenes.scene import near_traffic
from driving_scenes.scene import world as worlds
from driving_scenes.scene.asset_pool import AssetKey, size
from driving_scenes.scene.drive import OWN_CAR, random_drive
from driving_scenes.scene.near_traffic import with_cyclists
from driving_scenes.scene.object import SceneObject, clear
from driving_scenes.scene.street_fences import FROM_CORNER, PIECE, _run, with_street_fences
from driving_scenes.scene.traffic import Actor
from driving_scenes.scene.world import World, build_world

SEEDS = range(30)


def build(seed: int) -> World:
    return build_world((7, seed), "city")


city = cache(build)


def fences(world: World) -> list[SceneObject]:
    return [x for x in world.objects if x.key.asset_type in ("railing", "fence")]


def described(obj: SceneObject) -> tuple[object, ...]:
    return obj.key, obj.track, obj.world_from_object.tobytes()


def test_fences_stand_beside_the_road_and_away_from_junctions():
    count = 0
    for world in map(city, SEEDS):
        for obj in fences(world):
            s, t = world.road.locate(obj.world_from_object[:2, 3])
            left, right = world.layout.paved
            assert t > left + 0.2 or t < right - 0.2
            assert all(abs(s - at) - PIECE / 2 > half + FROM_CORNER - 0.1 for at, half in world.layout.junctions)
            count += 1
    assert count > 60


def test_an_object_in_the_way_makes_a_gap():
    world = city(0)
    street, s = world.roads[0], 200.0
    post = SceneObject(AssetKey("pole"), world.road.pose(s + 6, -20.0))
    found = _run(street, AssetKey("railing"), world.layout.row(-20.0), (s, s + 20), -1, [post], 0.0)
    assert [round(world.road.locate(x.world_from_object[:2, 3])[0] - s) for x in found] == [2, 10, 14, 18]


def test_a_seed_keeps_its_other_objects_but_for_houses_that_make_way(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worlds, "with_street_fences", lambda rng, street, objects: objects)
    gone = 0
    for seed in SEEDS:
        fenced = {described(x) for x in city(seed).objects}
        assert len(fenced) == len({track for _, track, _ in fenced})
        missing = [x for x in build(seed).objects if described(x) not in fenced]
        assert {x.key.asset_type for x in missing} <= {"building"}
        gone += len(missing)
    assert gone > 5


def test_highways_have_no_street_fences():
    world = build_world((7, 1), "highway")
    assert with_street_fences(np.random.default_rng(0), world.roads[0], world.objects) is world.objects


def fenced(width: int, behind: int, distance: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Semantic map and depth of a fence in the middle of a view: bars 10 m away, the background `distance` m."""
    semantic, bars = np.full((100, width), behind, np.uint8), np.zeros((100, width), bool)
    bars[40:60, 100:200:8] = bars[[40, 59], 100:200] = True
    semantic[bars] = BARS
    return semantic, np.where(bars, 10.0, distance).astype(np.float32)


@pytest.mark.parametrize("width", [320, 640, 1280])
@pytest.mark.parametrize("behind", [0, BUILDING, ROAD])
def test_background_between_bars_is_fence_and_nothing_around(behind: int, width: int):
    between = _between_bars(*fenced(width, behind))
    inside = np.zeros_like(between)
    inside[40:60, 100:200] = True
    assert between[42:58, 102:190].mean() > 0.85
    assert not between[~inside].any()


def test_at_the_edge_of_the_image_it_ends_with_its_bars():
    semantic, depth = np.zeros((100, 640), np.uint8), np.full((100, 640), 20.0, np.float32)
    semantic[40:60, 8:60:8] = BARS
    assert not _between_bars(semantic, depth)[:, :8].any()


@pytest.mark.parametrize(("label", "distance"), [(PEDESTRIAN, 20.0), (VEGETATION, 5.0)])
def test_people_behind_bars_and_trunks_before_them_stay(label: int, distance: float):
    semantic, depth = fenced(640, BUILDING)
    semantic[30:70, 141:143], depth[30:70, 141:143] = label, distance
    assert not _between_bars(semantic, depth)[semantic == label].any()


@pytest.fixture
def ride(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], tuple[World, list[Actor]]]:
    """Makes the cyclists of a seed, in a street without other traffic."""
    monkeypatch.setattr(near_traffic, "CYCLISTS", 1.0)

    def make(seed: int, left_hand: bool) -> tuple[World, list[Actor]]:
        world = next(w for w in map(city, range(seed, 100)) if w.layout.left_hand is left_hand)
        lane = world.layout.travel_lanes(own_direction=True)[0]
        own = SceneObject(OWN_CAR, world.road.pose(0.0, float(lane.t[0])))
        return world, with_cyclists(np.random.default_rng(seed), world.roads[0], (lane, 0.0), [], own)

    return make


def outwards(actor: Actor, layout: Layout) -> float:
    """Metres to the side of the lane where slow traffic rides: right of the direction of travel, or left."""
    return -actor.shift * actor.lane.direction * (-1 if layout.left_hand else 1)


@pytest.mark.parametrize("left_hand", [False, True])
def test_cyclists_ride_ahead_at_the_outer_side_of_their_lanes_and_clear_of_each_other(ride, left_hand: bool):
    count = 0
    for seed in range(12):
        world, found = ride(seed, left_hand)
        objects = [x.at(0.0) for x in found]
        for actor, obj in zip(found, objects):
            assert 5 <= actor.s <= 30
            assert 0.2 < outwards(actor, world.layout) < actor.lane.width / 2 - size(actor.key)[1] / 4
            assert clear(obj, [x for x in objects if x is not obj])
        assert len({actor.track for actor in found}) == len(found)
        count += len(found)
    assert count > 15


def test_drives_with_a_duration_have_no_extra_cyclists(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("driving_scenes.scene.drive.with_cyclists", lambda *given: pytest.fail("called"))
    random_drive(np.random.default_rng(1), city(1), seconds=5.0)
