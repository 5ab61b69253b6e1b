"""People of MakeHuman bodies: plausible, always the same, on the ground, a seat, a vehicle or at the door of a car."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from driving_scenes.assets import ASSETS
from driving_scenes.assets.people import person_pool
from driving_scenes.assets.people.person_pool import CACHE, SEATS, SHARED, SOURCE, pooled, ride_of, source
from driving_scenes.output import shot
from driving_scenes.scene import drive, getting_out, world
from driving_scenes.scene.asset_pool import asset
from driving_scenes.scene.drive import Drive, random_drive
from driving_scenes.scene.object import SceneObject, clear
from driving_scenes.scene.seats import SITTING_TRACKS
from driving_scenes.scene.world import build_world

DATA = Path(__file__).parents[3] / SHARED
SOME = [0, 1, 2]
needs_data = pytest.mark.skipif(not DATA.is_file(), reason=f"needs {SHARED} beside the repository")


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Real people, kept in one folder for all tests."""
    monkeypatch.setenv(SOURCE, str(DATA))
    monkeypatch.setenv(CACHE, str(tmp_path_factory.getbasetemp() / "people"))
    source.cache_clear()
    yield
    source.cache_clear()


@needs_data
@pytest.mark.parametrize("variant", SOME)
def test_a_person_stands_on_the_ground_with_a_plausible_height(people: None, variant: int) -> None:
    mesh = pooled("pedestrian", variant, 2)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    assert abs(low[2]) < 1e-3
    assert 0.9 < high[2] < 2.2
    assert np.abs((low + high)[:2]).max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=0.02)


@needs_data
@pytest.mark.parametrize("variant", SOME)
def test_far_versions_have_fewer_triangles_in_the_same_place(people: None, variant: int) -> None:
    far, middle, near = (pooled("pedestrian", variant, detail) for detail in range(3))
    assert 4 * len(far.faces) < 2.5 * len(middle.faces) < len(near.faces) < 20_000
    np.testing.assert_allclose(np.ptp(far.vertices, 0), np.ptp(near.vertices, 0), atol=0.12)
    np.testing.assert_allclose(far.colors.mean(0), near.colors.mean(0), atol=0.12)


@needs_data
def test_a_person_is_the_same_whenever_it_is_made(people: None) -> None:
    kept, made = pooled("pedestrian", 0, 1), person_pool.at_levels(person_pool.on_foot(0), grounded=True)[1]
    np.testing.assert_allclose(kept.vertices, made.vertices, atol=1e-6)
    assert (kept.faces == made.faces).all()
    assert len(pooled("pedestrian", 1, 1).vertices) != len(made.vertices)


@needs_data
@pytest.mark.parametrize("vehicle", ["bicycle", "motorcycle"])
def test_a_rider_holds_the_grips_and_stands_on_the_pegs(people: None, vehicle: str) -> None:
    ride, body = ride_of(vehicle, 0), pooled(vehicle, 0, 2).vertices
    for point, within in [*((grip, 0.08) for grip in ride.grips), *((peg, 0.12) for peg in ride.pegs)]:
        assert np.linalg.norm(body - point, axis=1).min() < within
    assert np.linalg.norm(body - ride.seat, axis=1).min() < 0.15


def test_without_the_data_simple_figures_serve(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SOURCE, "nowhere.npz")
    source.cache_clear()
    with caplog.at_level(logging.WARNING):
        made = [ASSETS[name](np.random.default_rng(k)) for k in range(2) for name in ("pedestrian", "rider")]
    source.cache_clear()
    assert all(len(asset.mesh.faces) < 1500 for asset in made)
    assert [SOURCE in record.message for record in caplog.records] == [True]


def assert_sits(vertices: np.ndarray, height: float) -> None:
    """Soles on the ground in front of the seat, the lowest point of the body above the origin at its height."""
    low = vertices[:, 2].min()
    assert -0.01 < low < 0.09  # far versions of simple figures have no shoes
    assert 0.6 < vertices[:, 2].max() - height < 1.15
    above_origin = np.abs(vertices[:, 0]) < 0.09
    assert abs(vertices[above_origin, 2].min() - height) < 0.09
    assert vertices[vertices[:, 2] < low + 0.025, 0].mean() > 0.25


@needs_data
@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize("variant", SOME)
def test_who_sits_has_the_soles_on_the_ground_and_the_hips_on_the_seat(people: None, seat: str, variant: int) -> None:
    assert_sits(pooled(seat, variant, 2).vertices, SEATS[seat])


@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize("detail", [0, 1])
def test_simple_figures_sit_as_well(seat: str, detail: int) -> None:
    for k in SOME:
        made = ASSETS["pedestrian"](np.random.default_rng(k), detail=detail, seat=seat)
        assert (made.category, made.semantic) == ("pedestrian", 9)
        assert_sits(made.mesh.vertices, SEATS[seat])


def drives(seed: int, count: int) -> list[Drive]:
    """Drives through city streets and residential ones by turns."""
    worlds = [build_world((seed, k), ("city", "residential")[k % 2]) for k in range(count)]
    return [random_drive(np.random.default_rng([seed, k, 1]), found) for k, found in enumerate(worlds)]


@pytest.fixture(scope="module")
def streets() -> list[Drive]:
    return drives(8, 60)


def described(obj: SceneObject) -> tuple[object, ...]:
    return (
        obj.key.asset_type,
        obj.key.variant,
        obj.track,
        obj.world_from_object.tobytes(),
        obj.velocity,
        obj.tint,
        obj.brake,
        obj.blink,
        obj.color,
    )


def test_seats_and_who_sits_there_leave_all_others_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "with_street_fences", lambda rng, street, objects: objects)  # they keep clear of seats
    new = drives(8, 8)
    monkeypatch.setattr(world, "street_seats", lambda *given: [])
    monkeypatch.setattr(drive, "seated_people", lambda *given: [])
    monkeypatch.setattr(drive, "with_people_at_doors", lambda rng, actors, others: actors)
    for before, after in zip(drives(8, 8), new):
        old = [described(x) for x in before.snapshot().objects]
        assert [x for x in map(described, after.snapshot().objects) if x in set(old)] == old
        assert (before.seed, before.ego.s) == (after.seed, after.ego.s)
    assert any(d.seated for d in new)


def test_about_a_third_of_the_seats_are_taken_by_people_who_touch_nobody(streets: list[Drive]) -> None:
    taken = []
    for found in streets:
        at = np.array([x.world_from_object[:, 3] for x in found.seated]).reshape(-1, 4)
        for seat in (x for x in found.world.objects if len(asset(x.key).seats)):
            x, y = (at @ np.linalg.inv(seat.world_from_object).T)[:, :2].T
            taken.append(bool(((np.abs(x) < 2.2) & (np.abs(y) < 0.6)).any()))
        assert all(clear(x, [actor.at(0.0) for actor in found.actors], 0.0) for x in found.seated)
    assert 0.2 < np.mean(taken) < 0.45
    assert 0.2 < np.mean([bool(found.seated) for found in streets]) < 0.7


def test_on_curbs_the_hips_are_behind_the_edge_and_the_feet_on_the_road(streets: list[Drive]) -> None:
    compared = 0
    for found in streets:
        left, right = found.world.layout.paved
        for person in found.seated:
            if "curb" in str(person.key.options):
                hips, feet = (offset(found, person.world_from_object @ [x, 0, 0, 1]) for x in (0.0, 0.45))
                assert hips > left if hips > 0 else hips < right
                assert right < feet < left
                compared += 1
    assert compared > 5


def offset(found: Drive, point: np.ndarray) -> float:
    """Metres of a world point to the left of the road's reference line."""
    return found.world.road.locate(point[:2])[1]


def test_in_the_rain_people_sit_under_roofs_only(streets: list[Drive]) -> None:
    for found in streets:
        roofs = [x.world_from_object[:2, 3] for x in found.world.objects if x.key.asset_type == "bus_stop"]
        for person in found.seated if found.conditions.weather in ("rainy", "snowy") else []:
            assert min(np.linalg.norm(person.world_from_object[:2, 3] - roof) for roof in roofs) < 2


def test_who_gets_out_stands_in_the_gap_of_a_door_that_opens_to_the_road(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getting_out, "SHARE", 0.5)
    monkeypatch.setattr(drive, "with_cyclists", lambda rng, street, ego, actors, own: actors)
    compared = 0
    for found in drives(9, 8):
        opened = [actor for actor in found.actors if "door" in dict(actor.key.options)]
        people = found.actors[len(found.actors) - len(opened) :]
        for car, person in zip(opened, people):
            assert (person.key.asset_type, person.speed, car.lane.lane_type) == ("pedestrian", 0.0, "parking")
            across = [np.interp(x.s, x.road.s, x.lane.t) + x.shift for x in (car, person)]
            assert 1.0 < (across[0] - across[1]) * np.sign(across[0]) < 1.7
            closed = asset(replace(car.key, options=()))
            np.testing.assert_array_equal(asset(car.key).mesh.vertices, closed.mesh.vertices)
            assert asset(car.key).size == closed.size
            compared += 1
        assert len({actor.track for actor in found.actors}) == len(found.actors)
    assert compared > 10


def test_no_door_opens_in_the_way_of_a_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getting_out, "SHARE", 1.0)
    found = random_drive(np.random.default_rng(3), build_world((9, 0), "city"), 0.0, 5.0)
    assert not any("door" in dict(actor.key.options) for actor in found.actors)


def test_who_sits_is_labelled_as_a_pedestrian_on_the_ground(engine: object) -> None:
    labels = shot.random_shot(1, 254, (640, 384)).labels
    numbers = [n for n in np.unique(labels.ids) if n]
    seated = [k for k, box in enumerate(labels.boxes) if 0 <= int(box["id"]) - SITTING_TRACKS < 1000]
    assert seated
    for k in seated:
        box, entry = labels.boxes[k], labels.truth["objects"][k]
        assert box["category"] == entry["category"] == "pedestrian"
        assert (labels.semantic[labels.ids == numbers[k]] == 9).all()
        assert 0.0 < entry["position"][2] < 0.25
        assert 1.1 < entry["size"][2] < 1.6
        assert entry["velocity"] == [0.0, 0.0]
