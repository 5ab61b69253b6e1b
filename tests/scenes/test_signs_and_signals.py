"""Sign boards with pictures, and the housings of traffic lights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from driving_scenes.assets.roadside import sign, sign_pictures
from driving_scenes.assets.roadside.sign_pictures import TILE
from driving_scenes.assets.roadside.signal import traffic_light
from driving_scenes.base.camera import Camera, camera_pose
from driving_scenes.base.mesh import TILES, Material
from driving_scenes.output import shot
from driving_scenes.renderer.camera_effects import random_lens
from driving_scenes.renderer.gpu import packed
from driving_scenes.scene.asset_pool import AssetKey, asset
from driving_scenes.scene.drive import random_drive
from driving_scenes.scene.object import SceneObject
from driving_scenes.scene.world import build_world


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder of pictures in place of the real one."""
    out = tmp_path / "roadsigns_public_domain/png128"
    out.mkdir(parents=True)
    monkeypatch.setattr(sign_pictures, "FOLDER", tmp_path)
    sign_pictures.sign_pictures.cache_clear()
    yield out
    sign_pictures.sign_pictures.cache_clear()


def disc_and_cross() -> list[np.ndarray]:
    """(128, 128, 4) BGRA: a red disc, which is a plate, and a cross, which is none."""
    disc, cross = np.zeros((2, 128, 128, 4), np.uint8)
    cv2.circle(disc, (64, 64), 62, (0, 0, 255, 255), -1)
    cv2.line(cross, (10, 10), (118, 118), (0, 0, 255, 255), 9)
    cv2.line(cross, (118, 10), (10, 118), (0, 0, 255, 255), 9)
    return [disc, cross]


def test_without_pictures_boards_are_painted(folder):
    assert sign_pictures.sign_pictures() is None
    for seed in range(20):
        assert Material.PICTURE not in sign.traffic_sign(np.random.default_rng(seed)).whole().materials


def test_a_picture_that_announces_gigabytes_is_not_decoded(folder):
    disc, _ = disc_and_cross()
    cv2.imwrite(str(folder / "0.png"), disc)
    cv2.imwrite(str(folder / "1.png"), np.zeros((1025, 1024, 1), np.uint8))
    assert sign_pictures._picture(folder / "0.png").shape == (128, 128, 4)
    assert sign_pictures._picture(folder / "1.png") is None
    assert len(sign_pictures.sign_pictures()) == 1


def test_a_picture_becomes_a_tile_with_the_outline_of_its_plate(folder):
    for number, picture in enumerate(disc_and_cross()):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    pictures = sign_pictures.sign_pictures()
    assert len(pictures) == 1  # the cross is not convex
    assert cv2.contourArea(pictures.outlines[0].astype(np.float32)) == pytest.approx(np.pi / 4, rel=0.09)
    assert (pictures.atlas[:TILE, :TILE] == (255, 0, 0)).all()  # the corners, too: no dark rim when seen from afar
    board = sign.picture_board(np.random.default_rng(0), pictures).mesh(-0.09, 2.0, (0.3, 0.3, 0.3))
    picture = board.vertices[board.materials == Material.PICTURE]
    assert 0.5 < np.ptp(picture[:, 1]) < 1.2
    assert np.ptp(picture[:, 1]) == pytest.approx(np.ptp(picture[:, 2]), rel=0.05)


@pytest.mark.parametrize("tile", [0, 255, 256, 895])
def test_the_vertices_of_a_picture_keep_their_tile(tile):
    corners = np.array([[0, 0, 0], [0, -1, 0], [0, -1, 1.0], [0, 0, 1]])
    vertices = packed(sign._pictured(corners, tile, np.array([[0, 1], [1, 1], [1, 0], [0, 0.0]])))
    assert (vertices["c"][:, 2] + vertices["n"][:, 3].astype(int) * 256 == tile).all()
    np.testing.assert_array_equal(vertices["c"][:, :2], [[0, 255], [255, 255], [255, 0], [0, 0]])
    assert tile < TILES


def photographed(key: AssetKey, ahead: float) -> shot.Shot:
    """An object alone on a dry road by day, 1.2 m left of the camera and as many metres ahead."""
    world = build_world((0,), "rural")
    drive = next(
        d
        for d in (random_drive(np.random.default_rng(i), world) for i in range(100))
        if (d.conditions.timeofday, d.conditions.weather) == ("daytime", "overcast")
    )
    snapshot = drive.snapshot()
    pose = world.road.pose(snapshot.ego_s + ahead, snapshot.ego_t + 1.2)
    snapshot = replace(snapshot, objects=[SceneObject(key, pose, 100_000)])
    camera = Camera("front", 320, 240, (320.0, 320.0, 160.0, 120.0), (0, 0, 0, 0, 0), camera_pose(0, 0, 2.2, 0, 0, 0))
    lens = random_lens(np.random.default_rng(0), drive.conditions)
    lens = replace(lens, blur=0, motion=0, dirt=0, drops=0, reflection=0, exposure=0, noise=0, fringe=0)
    return shot.shoot(snapshot, camera, lens, np.random.default_rng(0))


def test_boards_on_one_post_have_a_box_each_that_matches_their_pixels(engine):
    key = next(k for k in (AssetKey("traffic_sign", v) for v in range(99)) if "sign 2" in asset(k).parts)
    labels = photographed(key, 6.0).labels
    signs = [box for box in labels.boxes if box["category"] == "traffic sign"]
    assert len(signs) == 1 + sum(name.startswith("sign") for name in asset(key).parts)
    assert len({box["id"] for box in signs}) == len(signs)
    for number, box in zip(np.unique(labels.ids[labels.ids > 0]), signs):
        v, u = np.nonzero(labels.ids == number)
        assert (u.min(), v.min(), u.max() + 1, v.max() + 1) == tuple(box["box2d"][k] for k in ("x1", "y1", "x2", "y2"))
        assert (labels.semantic[labels.ids == number] == 6).all()


def test_a_near_board_shows_its_picture_upright_and_not_mirrored(engine):
    pictures = sign_pictures.sign_pictures()
    if pictures is None:
        pytest.skip("needs ../shared/data/assets/roadsigns_public_domain")
    likeness = []
    for key in (AssetKey("traffic_sign", variant) for variant in range(60)):
        mesh = asset(key).mesh
        plate = mesh.materials == Material.PICTURE
        if (
            not plate.any()
            or len(asset(key).parts) > 1
            or np.ptp(mesh.vertices, 0)[2] > 1.02 * np.ptp(mesh.vertices[plate], 0)[2]
        ):
            continue  # other boards on the post, or a plate below
        tile = int(round(mesh.colors[plate][0, 2] * TILES))
        taken = photographed(key, 4.2)
        if len(taken.labels.boxes) == 1 and not taken.labels.boxes[0]["attributes"]["truncated"]:
            likeness.append(likeness_of(taken, tile, pictures.atlas))
        if len(likeness) == 6:
            break
    upright, upside_down, mirrored = np.mean(likeness, 0)
    assert upright > 0.9
    assert upright > max(upside_down, mirrored) + 0.1


def likeness_of(taken: shot.Shot, tile: int, atlas: np.ndarray) -> list[float]:
    """Correlation of the only box of an image with a tile as it is, upside down and mirrored."""
    box = {k: int(v) for k, v in taken.labels.boxes[0]["box2d"].items()}
    seen = cv2.resize(taken.image[box["y1"] : box["y2"], box["x1"] : box["x2"]], (TILE, TILE))
    columns = atlas.shape[1] // TILE
    drawn = atlas.reshape(-1, TILE, columns, TILE, 3)[tile // columns, :, tile % columns]
    return [alike(seen, x) for x in (drawn, drawn[::-1], drawn[:, ::-1])]


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two pictures in grey, over the middle of a plate."""
    inside = slice(TILE // 4, -TILE // 4)
    a, b = (cv2.GaussianBlur(x.mean(2).astype(np.float32), (0, 0), 2)[inside, inside].ravel() for x in (a, b))
    return float(np.corrcoef(a, b)[0, 1])


def test_a_third_of_the_traffic_lights_have_yellow_housings():
    yellow, plates = 0, set()
    for variant in range(60):
        mesh = traffic_light(np.random.default_rng(variant)).mesh
        solid = mesh.colors[mesh.materials == Material.MATTE]
        red, green, blue = solid.T
        yellow += bool(((red > 0.35) & (green > 0.2) & (blue < 0.15)).mean() > 0.1)
        plates.add(tuple(np.round(solid[0], 1)))
    assert 0.25 < yellow / 60 < 0.6
    assert len(plates) > 3
