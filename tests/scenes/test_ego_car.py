"""The ego car in its own pictures: never drivable, a vehicle, different from picture to picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from driving_scenes.base.camera import Camera, random_camera
from driving_scenes.base.semantic_ids import VEHICLE
from driving_scenes.labels.objects import Labels
from driving_scenes.output import shot
from driving_scenes.renderer.camera_effects import random_lens
from driving_scenes.renderer.ego_car import random_ego_car
from driving_scenes.renderer.ego_hood import random_hood
from driving_scenes.renderer.windscreen import add_drops, add_reflection
from driving_scenes.scene.drive import random_drive

SIZE = 160, 96
DRAWS = 300


def front(rng: np.random.Generator) -> Camera:
    """A front camera without lens distortion."""
    return replace(random_camera(rng, *SIZE), distortion=(0.0,) * 5)


def pixels(mesh, camera: Camera) -> np.ndarray:
    return mesh.vertices[:, :2] / mesh.vertices[:, 2:] * camera.intrinsics[:2] + camera.intrinsics[2:]


def labelled(engine, number: int, hood: bool) -> Labels:
    rng = np.random.default_rng(number)
    drive = random_drive(np.random.default_rng(5), shot._world(0, 0, "city"))
    camera, lens = front(rng), random_lens(rng, drive.conditions)
    snapshot = replace(drive.snapshot(), ego_car=random_hood(rng, camera) if hood else None)
    return shot.shoot(snapshot, camera, lens, rng).labels


@pytest.mark.parametrize("number", range(4))
def test_a_hood_is_a_vehicle_and_no_road(engine, number):
    with_hood, without = (labelled(engine, number, hood) for hood in (True, False))
    hood = (with_hood.semantic == VEHICLE) & (without.semantic != VEHICLE)
    assert hood.mean() > 0.003
    assert hood[-1].mean() > 0.6
    assert (with_hood.drivable[hood] == 0).all()
    assert (without.drivable[hood] == 1).any()
    assert (with_hood.drivable[~hood] == without.drivable[~hood]).mean() > 0.999


def test_front_views_show_a_part_of_the_car_in_about_half_of_the_pictures():
    draws = [random_ego_car(rng, front(rng)) for rng in map(np.random.default_rng, range(DRAWS))]
    assert 0.42 < np.mean([mesh is not None for mesh in draws]) < 0.62


def test_hoods_are_2_to_32_percent_high_and_below_the_horizon():
    heights, colors, materials = [], set(), set()
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        camera = front(rng)
        hood = random_hood(rng, camera)
        top = pixels(hood, camera)[:, 1].min()
        heights.append(1 - top / camera.height)
        colors.add(tuple(np.round(hood.colors[0], 3)))
        materials.add(int(hood.materials[0]))
        pitch = np.arcsin(-camera.base_from_camera[2, 2])
        assert top > camera.intrinsics[3] - np.tan(pitch) * camera.intrinsics[1] + 0.04 * camera.height
    assert min(heights) > 0.0
    assert max(heights) < 0.4
    assert np.mean(np.array(heights) > 0.15) > 0.2
    assert np.mean(np.array(heights) < 0.08) > 0.1
    assert len(colors) > 100
    assert len(materials) == 4


@pytest.mark.parametrize("around", [False, True])
def test_the_same_seed_gives_the_same_picture(engine, around):
    for index in (0, 3):
        a, b = (shot.random_shot(7, index, SIZE, None, around) for _ in range(2))
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.labels.drivable, b.labels.drivable)


def test_side_cameras_see_the_flank_on_the_side_of_the_car():
    """A camera that looks left and ahead has the car's front on its right, one that looks back on its left."""
    seen = 0
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        camera = replace(random_camera(rng, *SIZE, around=True), distortion=(0.0,) * 5)
        mesh = random_ego_car(rng, camera, around=True)
        forward = camera.base_from_camera[:3, 2]
        yaw = np.degrees(np.arctan2(forward[1], forward[0]))
        if mesh is None or abs(yaw) > 150:
            continue
        middle = pixels(mesh, camera)[:, 0].mean()
        assert (middle > camera.width / 2) == ((yaw > 0) == (abs(yaw) < 90))
        seen += 1
    assert seen > 50


def test_parts_of_the_car_are_nearer_than_the_road():
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        camera = front(rng)
        mesh = random_ego_car(rng, camera)
        if mesh is not None:
            base = mesh.vertices @ camera.base_from_camera[:3, :3].T + camera.base_from_camera[:3, 3]
            inside = pixels(mesh, camera)[:, 1] < camera.height
            assert base[inside, 2].min() > 0.05
            assert mesh.vertices[:, 2].min() >= 0.29


def test_a_reflection_brightens_and_drops_keep_the_mean():
    image = np.random.default_rng(0).random((96, 160, 3), np.float32) * 0.1 + 0.4
    reflected = add_reflection(np.random.default_rng(1), image, 0.5)
    assert (reflected >= image - 1e-5).all()
    assert (reflected[-10:] > image[-10:] + 0.02).any()
    np.testing.assert_allclose(reflected[:20], image[:20], atol=0.02)
    wet = add_drops(np.random.default_rng(1), image, 40)
    assert np.abs(wet - image).max() > 0.02
    assert abs(wet.mean() / image.mean() - 1) < 0.1
