"""Light, weather and near traffic: what the images hold in which share, and what their labels say."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np

from driving_scenes.base.conditions import Conditions, random_conditions
from driving_scenes.labels import objects
from driving_scenes.renderer.camera_effects import random_lens
from driving_scenes.scene.asset_pool import size
from driving_scenes.scene.drive import Drive, random_drive
from driving_scenes.scene.traffic import Actor
from driving_scenes.scene.world import build_world

DRY = ("clear", "partly cloudy", "overcast")


@cache
def conditions() -> list[Conditions]:
    return [random_conditions(np.random.default_rng(seed)) for seed in range(800)]


@cache
def drives() -> list[Drive]:
    return [
        random_drive(np.random.default_rng([5, i]), build_world((11, i // 12), ("highway", "city")[i // 12]))
        for i in range(24)
    ]


def test_about_three_images_in_ten_are_of_dusk_and_most_of_those_are_dark():
    dusk = [c for c in conditions() if c.timeofday == "dawn/dusk"]
    assert 0.25 < len(dusk) / len(conditions()) < 0.33
    exposures = np.array([random_lens(np.random.default_rng(i), c).exposure for i, c in enumerate(dusk)])
    assert 0.4 < (exposures < -0.7).mean() < 0.8


def test_roads_are_wet_in_dry_weather_but_white_only_in_snow():
    wet = Counter(c.weather for c in conditions() if c.wetness > 0)
    assert min(wet[weather] for weather in DRY) > 10
    assert {c.weather for c in conditions() if c.snow > 0} == {"snowy"}


def test_a_wet_road_under_a_bright_sky_is_not_called_rainy():
    snapshot = next(d for d in drives() if d.conditions.wetness > 0 and d.conditions.weather in DRY).snapshot()
    assert objects._attributes(snapshot)["weather"] in (*DRY, "undefined")


def test_every_fifth_drive_has_a_vehicle_beside_or_right_ahead_of_the_camera():
    near = [d for d in drives() if any(gap(d, a) < 4.0 and abs(offset(d, a)) < 5.0 for a in vehicles(d))]
    waiting = [d for d in drives() if any(gap(d, a) < 9.0 and abs(offset(d, a)) < 1.0 for a in vehicles(d))]
    assert len(near) > 0.2 * len(drives())
    assert len(waiting) > 0.05 * len(drives())


def test_no_near_vehicle_stands_in_another_vehicle_or_in_the_ego_car():
    for drive in drives():
        for a in vehicles(drive):
            assert not (abs(offset(drive, a)) < 1.5 and gap(drive, a) < 1.0)
    for drive in drives():
        close = [a for a in vehicles(drive) if gap(drive, a) < 9.0]
        for i, a in enumerate(close):
            for b in close[:i]:
                apart = abs(a.s - b.s) - (size(a.key)[0] + size(b.key)[0]) / 2
                assert apart > -0.01 or abs(offset(drive, a) - offset(drive, b)) > 1.2


def vehicles(drive: Drive) -> list[Actor]:
    return [a for a in drive.actors if a.road is drive.world.road and a.key.asset_type in ("car", "truck", "bus")]


def offset(drive: Drive, actor: Actor) -> float:
    """Metres between the centres of an actor and the ego car, across the road."""
    lanes = (
        np.interp([actor.s, drive.ego.s], drive.world.road.s, actor.lane.t)[0],
        np.interp(drive.ego.s, drive.world.road.s, drive.ego.lane.t),
    )
    return float(lanes[0] + actor.shift - lanes[1] - drive.ego.shift)


def gap(drive: Drive, actor: Actor) -> float:
    """Metres along the road from the origin of the ego car to the nearer bumper; negative beside it."""
    return abs(actor.s - drive.ego.s) - size(actor.key)[0] / 2
