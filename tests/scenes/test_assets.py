"""Every registered asset is a valid mesh of plausible size, determined by its seed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from driving_scenes.assets import ASSETS, PART_LABELS, Asset
from driving_scenes.assets.people.person_pool import SEATS
from driving_scenes.base.mesh import Material, Mesh

SEEDS = range(4)
CATEGORIES = {
    **{name: name for name in ("car", "truck", "bus", "train", "motorcycle", "bicycle", "pedestrian", "rider")},
    "traffic_light": "traffic light",
    "traffic_sign": "traffic sign",
    "gantry": "traffic sign",
}
SIZES = {  # smallest and largest (length, width, height), metres; width of cars with their mirrors
    "car": ((3.0, 1.6, 1.1), (7.2, 2.7, 3.2)),
    "truck": ((5.5, 2.0, 2.2), (18.8, 3.1, 4.6)),
    "bus": ((8.5, 2.4, 2.8), (14.5, 3.1, 4.6)),
    "train": ((12, 2.3, 3.0), (95, 3.2, 5.5)),
    "motorcycle": ((1.5, 0.5, 0.9), (2.5, 1.0, 1.6)),
    "bicycle": ((1.4, 0.3, 0.8), (2.0, 0.8, 1.2)),
    "pedestrian": ((0.15, 0.3, 0.9), (1.3, 1.25, 2.5)),
    "rider": ((1.4, 0.35, 1.3), (2.5, 1.0, 2.2)),
    "traffic_light": ((0.2, 0.2, 2.5), (1.2, 9.5, 8.0)),
    "traffic_sign": ((0.05, 0.3, 1.9), (0.5, 4.8, 5.6)),
    "building": ((6, 6, 2.5), (45, 40, 60)),
    "tree": ((0.8, 0.8, 3), (17, 17, 20)),
    "bush": ((0.5, 0.4, 0.4), (4.5, 4.0, 3.0)),
    "street_lamp": ((0.1, 0.1, 3), (0.6, 7, 12)),
    "pole": ((0.05, 0.05, 0.7), (0.9, 2.4, 11)),
    "fence": ((4, 0.01, 0.8), (4.2, 0.4, 2.3)),
    "guard_rail": ((4, 0.05, 0.6), (4, 0.5, 0.9)),
    "concrete_barrier": ((4, 0.4, 0.7), (4, 0.8, 1.3)),
    "noise_wall": ((4, 0.1, 2), (4.3, 0.6, 6)),
    "overpass": ((5, 16, 5), (18, 32, 9.5)),
    "gantry": ((0.3, 13, 5.5), (1.5, 18, 9)),
    "cone": ((0.2, 0.2, 0.4), (0.8, 0.8, 1.1)),
    "bin": ((0.35, 0.35, 0.7), (1.6, 2.2, 1.5)),
    "parked_clutter": ((0.1, 0.1, 0.2), (4.5, 2.5, 3.0)),
    "bench": ((1.6, 0.4, 0.7), (1.8, 0.6, 0.9)),
    "bus_stop": ((3.9, 1.6, 2.4), (4.1, 1.8, 2.6)),
    "low_wall": ((4, 0.3, 0.43), (4, 0.5, 0.51)),
    "railing": ((4, 0.03, 0.9), (4.1, 0.4, 2.3)),
}
TRIANGLES = {  # most triangles near and far
    "car": (3200, 600), "truck": (4000, 1000), "bus": (3500, 700),
    "train": (8000, 1700), "motorcycle": (800, 500), "bicycle": (650, 250),
    "pedestrian": (700, 140), "rider": (1500, 640), "traffic_light": (350, 160),
    "traffic_sign": (260, 110), "building": (1500, 60),
    "tree": (1500, 110), "bush": (900, 100), "overpass": (1200, 500), "gantry": (1000, 250),
}  # fmt: skip


@cache
def made(name: str, seed: int = 0, detail: int = 1) -> Asset:
    return ASSETS[name](np.random.default_rng(seed), detail=detail)


def meshes(asset: Asset) -> list[Mesh]:
    return [asset.mesh, *asset.parts.values()]


def test_every_asset_has_a_size_range():
    assert set(SIZES) == set(ASSETS)


@pytest.mark.parametrize("detail", [0, 1])
@pytest.mark.parametrize("name", ASSETS)
def test_meshes_are_valid(name, detail):
    for seed in SEEDS:
        for mesh in meshes(made(name, seed, detail)):
            assert len(mesh.faces)
            assert np.isfinite(mesh.vertices).all()
            assert (mesh.vertices.dtype, mesh.faces.dtype, mesh.normals.dtype) == (np.float32, np.int32, np.float32)
            assert (mesh.colors.dtype, mesh.materials.dtype) == (np.float32, np.uint8)
            np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)
            assert 0 <= mesh.colors.min()
            assert mesh.colors.max() <= 1
            assert set(np.unique(mesh.materials)) <= {int(m) for m in Material}


@pytest.mark.parametrize("name", ASSETS)
def test_normals_agree_with_the_winding_of_the_faces(name):
    mesh = made(name).whole()
    corners = mesh.vertices[mesh.faces].astype(float)
    turn = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    solid = (mesh.materials[mesh.faces[:, 0]] != Material.FOLIAGE) & (np.linalg.norm(turn, axis=1) > 1e-6)
    assert ((turn[solid] * mesh.normals[mesh.faces[solid]].mean(1)).sum(1) <= 0).sum() <= 0.001 * len(mesh.faces)


@pytest.mark.parametrize("name", ASSETS)
def test_stands_on_the_ground_with_a_plausible_size(name):
    low, high = SIZES[name]
    for seed in SEEDS:
        asset = made(name, seed)
        vertices = asset.whole().vertices
        assert abs(vertices[:, 2].min()) < 0.02
        np.testing.assert_allclose(np.ptp(vertices, axis=0), asset.size, atol=1e-3)
        assert (np.array(low) <= asset.size).all(), (seed, asset.size)
        assert (np.array(high) >= asset.size).all(), (seed, asset.size)


@pytest.mark.parametrize(
    "name", [n for n in ASSETS if n in CATEGORIES and n not in ("traffic_light", "traffic_sign", "gantry")]
)
def test_road_users_are_centred_on_their_origin(name):
    for seed in SEEDS:
        vertices = made(name, seed).whole().vertices
        middle = (vertices.max(0) + vertices.min(0))[:2] / 2
        assert np.abs(middle).max() < 0.08 * np.ptp(vertices, axis=0)[0] + 0.25


@pytest.mark.parametrize("name", ASSETS)
def test_labels_are_those_of_the_documented_format(name):
    asset = made(name)
    assert asset.category == CATEGORIES.get(name)
    assert asset.semantic in (*range(1, 11), 255)
    assert set(asset.parts) <= set(PART_LABELS)


@pytest.mark.parametrize("name", ASSETS)
def test_the_seed_determines_the_asset(name):
    same, again = made(name, 3).whole(), ASSETS[name](np.random.default_rng(3)).whole()
    for field in ("vertices", "faces", "normals", "colors", "materials"):
        np.testing.assert_array_equal(getattr(same, field), getattr(again, field))
    others = [made(name, seed).whole() for seed in (0, 1, 2)]
    assert all(
        o.vertices.shape != same.vertices.shape
        or not (np.array_equal(o.vertices, same.vertices) and np.array_equal(o.colors, same.colors))
        for o in others
    )


@pytest.mark.parametrize("name", ASSETS)
def test_keeps_the_triangle_budget(name):
    near, far = TRIANGLES.get(name, (500, 200))
    for seed in SEEDS:
        assert len(made(name, seed).whole().faces) <= near
        assert len(made(name, seed, detail=0).whole().faces) <= far


@pytest.mark.parametrize("name", ["car", "truck", "bus", "pedestrian", "tree", "traffic_sign", "building"])
def test_near_and_far_versions_agree_in_size(name):
    for seed in SEEDS:
        near, far = np.array(made(name, seed, 1).size), np.array(made(name, seed, 0).size)
        assert (np.abs(near - far) < 0.3 * near + 0.6).all(), (near, far)


def mean_color(mesh: Mesh) -> np.ndarray:
    corners = mesh.vertices[mesh.faces].astype(float)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return np.average(mesh.colors[mesh.faces].mean(1), axis=0, weights=area)


@pytest.mark.parametrize(
    "name", ["car", "truck", "bus", "train", "pedestrian", "tree", "bush", "building", "noise_wall"]
)
def test_near_and_far_versions_agree_in_colour(name):
    for seed in SEEDS:
        near, far = mean_color(made(name, seed).whole()), mean_color(made(name, seed, detail=0).whole())
        np.testing.assert_allclose(near, far, atol=0.1)


@pytest.mark.parametrize(("state", "lit"), [("red", (1, 0)), ("yellow", (1, 1)), ("green", (0, 1)), ("none", None)])
def test_a_traffic_light_shines_in_its_state(state, lit):
    for seed in SEEDS:
        mesh = ASSETS["traffic_light"](np.random.default_rng(seed), state).mesh
        shining = mesh.materials == Material.SIGNAL_LIT
        if lit is None:
            assert not shining.any()
            continue
        np.testing.assert_array_equal(mesh.colors[shining].mean(0)[:2] > 0.3, lit)
        assert mesh.normals[shining].mean(0)[0] < -0.7  # towards the approaching car


@pytest.mark.parametrize("name", ["bench", "bus_stop", "low_wall"])
def test_places_on_seats_are_apart_on_a_surface_of_the_height_of_a_seat_and_open_to_the_front(name):
    for seed in SEEDS:
        asset = made(name, seed)
        x, y = asset.seats.T
        assert (np.diff(x) > 0.5).all()
        corners = asset.mesh.vertices
        low, high = corners.min(0), corners.max(0)
        assert (low[0] + 0.2 < x).all()
        assert (x < high[0] - 0.2).all()
        tops = corners[(asset.mesh.normals[:, 2] > 0.9) & (corners[:, 2] < 0.55)]
        assert abs(tops[:, 2].max() - SEATS["bench"]) < 0.04
        assert tops[:, 1].min() - 0.02 < y.min()
        assert y.max() < tops[:, 1].max() + 0.02


def test_an_unknown_state_or_vehicle_is_refused():
    with pytest.raises(ValueError, match="choose one of red"):
        ASSETS["traffic_light"](np.random.default_rng(0), "blue")
    with pytest.raises(ValueError, match="choose one of bicycle"):
        ASSETS["rider"](np.random.default_rng(0), "horse")
    with pytest.raises(ValueError, match="choose one of bench"):
        ASSETS["pedestrian"](np.random.default_rng(0), seat="moon")


@pytest.mark.parametrize("vehicle", ["bicycle", "motorcycle"])
def test_a_rider_sits_on_the_vehicle_above_the_road(vehicle):
    for seed in SEEDS:
        asset = ASSETS["rider"](np.random.default_rng(seed), vehicle)
        person, ride = asset.mesh.vertices, asset.parts[vehicle].vertices
        assert person[:, 2].min() > 0.02
        assert person[:, 2].max() > ride[:, 2].max() + 0.1
        assert ride[:, 0].min() < person[:, 0].min()
        assert person[:, 0].max() < ride[:, 0].max()


@pytest.mark.parametrize("name", ["car", "truck", "bus"])
def test_tail_lamps_are_behind_and_head_lamps_in_front(name):
    for seed in SEEDS:
        mesh, half = made(name, seed).mesh, made(name, seed).size[0] / 2
        assert mesh.vertices[mesh.materials == Material.HEADLAMP, 0].min() > 0.5 * half
        tails = mesh.vertices[mesh.materials == Material.TAILLAMP]
        assert tails[:, 0].max() < -0.4 * half
        assert tails[:, 1].min() < -0.4
        assert tails[:, 1].max() > 0.4
