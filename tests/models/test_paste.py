"""Cut-outs of real objects stand where and as tall as the ground says, and every label knows about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception_models.config import SettingsError
from perception_models.data.augment.blend import relit
from perception_models.data.augment.cutouts import Cutout, CutoutStore, Part, write_index
from perception_models.data.augment.furniture import draw_furniture
from perception_models.data.augment.ground import CAMERA_HEIGHT, HEIGHTS, Ground, ground_of, surfaces_of
from perception_models.data.augment.hiding import hide
from perception_models.data.augment.paste import PasteConfig, Paster
from perception_models.data.files import DataError
from perception_models.data.labels import IGNORE, OBJECTS, SEMANTIC
from perception_models.data.sample import Boxes, Lane, Lanes, Sample
from perception_models.training.config import DataConfig
from perception_models.training.loader import augmentation

SIZE = (192, 320)
HORIZON, FOCAL, CAMERA = 80, 200.0, 1.5
RED = (20, 20, 220)
LEVEL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, CAMERA], [0, 0, 0, 1.0]])  # camera looks along x of base
PEDESTRIAN, CAR, LIGHT = (OBJECTS.index(name) for name in ("pedestrian", "car", "traffic light"))
ROAD, PAVEMENT, POLE, VEHICLE = (SEMANTIC.index(name) for name in ("road", "sidewalk", "pole", "vehicle"))


def cutout(folder: Path, categories=("pedestrian",), size=(40, 100), truncated=()) -> Cutout:
    """A red rectangle; the parts lie one above the other."""
    name = f"{len(list(folder.glob('*.png')))}.png"
    rgba = np.full((size[1], size[0], 4), (*RED, 255), np.uint8)
    cv2.imwrite(str(folder / name), rgba)
    step = size[1] / len(categories)
    parts = [Part(c, (0.0, n * step, float(size[0]), (n + 1) * step)) for n, c in enumerate(categories)]
    return Cutout(name, size, tuple(parts), float(size[1]), tuple(truncated), (100.0,) * 3, 120.0, "polygon", "a.jpg")


def paster(folder: Path, *cutouts: Cutout, **options) -> Paster:
    write_index(folder, cutouts)
    return Paster(PasteConfig(str(folder), **{"fraction": 1.0, "count": (3, 3), **options}))


def street(calibrated=True, semantic=True) -> Sample:
    """Flat road between two pavements, seen by a level camera; a far car; one line."""
    image = np.full((*SIZE, 3), 100, np.uint8)
    kinds = np.full(SIZE, SEMANTIC.index("building"), np.uint8)
    kinds[HORIZON + 2 :] = PAVEMENT
    kinds[HORIZON + 2 :, 60:260] = ROAD
    drivable = (kinds == ROAD).astype(np.uint8)
    kinds[HORIZON - 6 : HORIZON + 6, 150:166] = VEHICLE
    intrinsics = np.array([[FOCAL, 0, 160], [0, FOCAL, HORIZON], [0, 0, 1]])
    sample = Sample(
        "a.jpg", image, Boxes([[150, 74, 166, 86]], [CAR], [False], [-1]), Lanes([Lane([[100, 190], [150, 90]], -1)])
    )
    sample = replace(sample, drivable=drivable, semantic=kinds if semantic else None)
    return replace(sample, intrinsics=intrinsics, base_from_camera=LEVEL) if calibrated else sample


def pasted(sample: Sample, before: Sample) -> np.ndarray:
    """(H, W) bool of the pixels that have become red."""
    image = sample.image.astype(int)
    return (image[..., 2] > image[..., 0] + 40) & (sample.image != before.image).any(2)


@pytest.mark.parametrize(("distance", "row", "scale"), [(3, 180, 200 / 3), (10, 110, 20), (40, 87.5, 5)])
def test_a_level_camera_1_5_m_high_sees_distances_in_these_rows_at_these_pixels_per_metre(distance, row, scale):
    ground = ground_of(street())
    assert ground.row(160, distance) == pytest.approx(row, abs=1e-6)
    assert ground.scale(160, row) == pytest.approx(scale)


def test_a_rolled_camera_has_a_leaning_horizon():
    angle = np.radians(5)
    roll = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    pose = LEVEL.copy()
    pose[:3, :3] = LEVEL[:3, :3] @ roll
    ground = ground_of(replace(street(), base_from_camera=pose))
    assert abs(ground.horizon[1]) == pytest.approx(np.tan(angle), abs=0.01)


@pytest.mark.parametrize("rows", [(110, 150), (90, 130, 170)])
def test_without_calibration_the_horizon_follows_from_the_heights_of_boxes(rows):
    boxes = []
    for row in rows:
        tall = (row - HORIZON) / CAMERA_HEIGHT * HEIGHTS["car"]
        boxes.append([100, row - tall, 160, row])
    sample = replace(
        street(calibrated=False), boxes=Boxes(boxes, [CAR] * len(rows), [False] * len(rows), [-1] * len(rows))
    )
    assert ground_of(sample).horizon == pytest.approx((HORIZON, 0), abs=1e-3)


def test_without_calibration_and_boxes_the_road_ends_below_the_horizon():
    sample = replace(street(calibrated=False), boxes=Boxes.empty())
    assert ground_of(sample).horizon[0] == pytest.approx(HORIZON, abs=3)


@pytest.mark.parametrize("category", ["pedestrian", "car", "bus"])
def test_an_object_is_as_tall_as_its_row_says_and_stands_on_its_surface(tmp_path, category):
    paste = paster(
        tmp_path,
        cutout(tmp_path, (category,), (60, 100)),
        count=(1, 1),
        distance=(4, 12),
        people=1.0 * (category == "pedestrian"),
        riders=0,
    )
    before, heights = street(), []
    for seed in range(20):
        after = paste(before, np.random.default_rng(seed))
        for x0, y0, x1, y1 in after.boxes.boxes[1:]:
            if y0 > 2 and y1 < SIZE[0] - 1:
                heights.append((y1 - y0) * CAMERA / (y1 - HORIZON))
                ground = before.semantic[int(y1), int((x0 + x1) / 2)]
                assert ground == ROAD or (category == "pedestrian" and ground == PAVEMENT)
    assert len(heights) >= 5
    assert np.mean(heights) == pytest.approx(HEIGHTS[category], rel=0.12)


@pytest.mark.parametrize("semantic", [True, False])
def test_image_boxes_and_masks_agree(tmp_path, semantic):
    before = street(semantic=semantic)
    kept = before.image.copy(), before.drivable.copy()
    after = paster(tmp_path, cutout(tmp_path), people=1.0, riders=0.0)(before, np.random.default_rng(3))
    red = pasted(after, before)
    assert red.sum() > 50
    assert (after.drivable[red] == 0).all()
    new = after.boxes[after.boxes.classes == PEDESTRIAN]
    assert len(new) >= 1
    inside = np.zeros(SIZE, bool)
    for x0, y0, x1, y1 in np.rint(new.boxes).astype(int):
        inside[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = True
        assert red[y0:y1, x0:x1].mean() > 0.4
    assert inside[red].all()
    if semantic:
        assert (after.semantic[red] == SEMANTIC.index("pedestrian")).mean() > 0.97
        assert (after.semantic[~inside] == before.semantic[~inside]).all()
    assert after.lanes is before.lanes
    assert (before.image == kept[0]).all()
    assert (before.drivable == kept[1]).all()


def test_a_rider_brings_the_box_of_the_bicycle(tmp_path):
    paste = paster(
        tmp_path, cutout(tmp_path, ("rider", "bicycle")), people=0.0, riders=1.0, count=(1, 1), distance=(4, 6)
    )
    samples = [paste(street(), np.random.default_rng(seed)) for seed in range(10)]
    found = [s.boxes for s in samples if len(s.boxes) == 3]
    assert found
    for boxes in found:
        assert [OBJECTS[c] for c in boxes.classes[1:]] == ["rider", "bicycle"]
        assert boxes.boxes[1, 3] == pytest.approx(boxes.boxes[2, 1], abs=2)


@pytest.mark.parametrize(("side", "edge"), [("left", 0), ("right", 320)])
def test_an_object_cut_by_a_side_of_its_image_stays_at_that_side(tmp_path, side, edge):
    paste = paster(tmp_path, cutout(tmp_path, ("car",), (80, 60), (side,)), people=0.0, riders=0.0, distance=(2.5, 8))
    wide = street()
    wide.semantic[HORIZON + 8 :] = ROAD
    samples = [paste(wide, np.random.default_rng(seed)) for seed in range(30)]
    boxes = [box for sample in samples for box in sample.boxes.boxes[1:]]
    assert len(boxes) > 3
    assert all(edge in (box[0], box[2]) for box in boxes)


@pytest.mark.parametrize("own_car", [IGNORE, VEHICLE])
def test_nearer_things_and_the_own_car_hide_what_is_pasted(tmp_path, own_car):
    before = street()
    before.semantic[20:188, 90:230] = POLE  # a very near and wide post
    before.semantic[188:] = own_car
    paste = paster(
        tmp_path, cutout(tmp_path, ("car",), (60, 40)), people=0.0, riders=0.0, count=(6, 6), distance=(4, 20)
    )
    for seed in range(8):
        after = paste(before, np.random.default_rng(seed))
        red = pasted(after, before)
        assert not red[:188, 92:228].any()
        assert not red[190:].any()
        assert ((after.boxes.boxes[1:, 2] <= 91) | (after.boxes.boxes[1:, 0] >= 229)).all()


@pytest.mark.parametrize(
    ("cover", "box", "ignored"),
    [
        ((0, 0, 0, 0), [20, 20, 60, 40], False),
        ((10, 10, 30, 50), [30, 20, 60, 40], False),  # a quarter at the left
        ((10, 30, 70, 50), [20, 20, 60, 30], False),  # the lower half
        ((30, 10, 50, 50), [20, 20, 60, 40], False),  # the middle: the extent stays
        ((10, 10, 52, 50), [52, 20, 60, 40], True),  # four fifths
        ((10, 10, 60, 50), None, None),  # all
    ],
)
@pytest.mark.parametrize("semantic", [True, False])
def test_covered_boxes_shrink_are_ignored_or_go(cover, box, ignored, semantic):
    mask = np.zeros((60, 80), bool)
    mask[cover[1] : cover[3], cover[0] : cover[2]] = True
    kinds = np.zeros((60, 80), np.uint8)
    kinds[20:40, 20:60] = VEHICLE
    boxes = hide(Boxes([[20, 20, 60, 40]], [CAR], [False], [-1]), mask, kinds if semantic else None)
    assert boxes.boxes.tolist() == ([] if box is None else [box])
    assert boxes.ignored.tolist() == ([] if box is None else [ignored])


def test_the_map_tells_the_visible_part_of_a_covered_box():
    kinds = np.zeros((60, 80), np.uint8)
    kinds[20:40, 20:30] = VEHICLE  # only the left quarter of the box is the car
    cover = np.zeros((60, 80), bool)
    cover[15:45, 18:31] = True
    boxes = Boxes([[20, 20, 60, 40]], [CAR], [False], [-1])
    assert len(hide(boxes, cover, kinds)) == 0
    assert len(hide(boxes, cover, None)) == 1


def test_light_states_and_ignored_flags_of_other_boxes_stay():
    boxes = Boxes([[0, 0, 8, 20], [30, 10, 50, 30]], [LIGHT, CAR], [False, True], [2, -1])
    cover = np.zeros((60, 80), bool)
    cover[10:20, 30:50] = True
    out = hide(boxes, cover, None)
    assert out.light_states.tolist() == [2, -1]
    assert out.ignored.tolist() == [False, True]


def test_the_same_seed_pastes_the_same_and_another_one_does_not(tmp_path):
    paste = paster(tmp_path, cutout(tmp_path), cutout(tmp_path, ("car",), (80, 50)))
    first, again, other = (paste(street(), np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert (first.image == again.image).all()
    assert first.boxes.boxes.tolist() == again.boxes.boxes.tolist()
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize(
    "changes",
    [{"boxes": None}, {"semantic": None, "drivable": None}, {"known_classes": frozenset({CAR})}],
    ids=["no boxes", "no masks", "class not labelled"],
)
def test_samples_that_cannot_take_an_object_stay_as_they_are(tmp_path, changes):
    sample = replace(street(), **changes)
    assert paster(tmp_path, cutout(tmp_path), people=1.0, riders=0.0)(sample, np.random.default_rng(0)) is sample


def test_a_bright_cutout_becomes_dark_in_a_dark_place_and_keeps_its_contrast():
    colours = np.full((20, 10, 3), 180, np.uint8)
    alpha = np.full((20, 10), 255, np.uint8)
    lit = [
        relit(colours, alpha, np.full(3, 120.0), np.full(3, level), np.random.default_rng(0)).mean()
        for level in (20.0, 120.0)
    ]
    assert lit[0] == pytest.approx(180 / 6, rel=0.45)
    assert lit[1] == pytest.approx(180, rel=0.35)


def test_without_the_index_or_with_an_empty_one_it_is_an_error(tmp_path):
    with pytest.raises(DataError, match="perception-models cutouts"):
        CutoutStore.open(tmp_path)
    write_index(tmp_path, [])
    with pytest.raises(DataError, match="holds no cut-outs"):
        CutoutStore.open(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"path": "x", "fracton": 1}, "fracton"),
        ({"fraction": 1}, "path"),
        ({"path": "x", "fraction": 2}, "0..1"),
        ({"path": "x", "people": 0.8, "riders": 0.4}, "at most 1"),
        ({"path": "x", "count": [4, 2]}, "ascend"),
        ({"path": "x", "distance": [9, 3]}, "ascend"),
    ],
)
def test_wrong_settings_are_named(values, message):
    with pytest.raises((SettingsError, DataError), match=message):
        augmentation(DataConfig(augment={"paste": values}))


def test_settings_reach_the_augmentation():
    config = augmentation(DataConfig(augment={"flip": 0.1, "paste": {"path": "x", "count": [2, 3]}}))
    assert config.paste == PasteConfig("x", count=(2, 3))
    assert config.flip == 0.1


def test_scaled_copies_keep_colour_and_size(tmp_path):
    write_index(tmp_path, [cutout(tmp_path, size=(50, 200))])
    store = CutoutStore.open(tmp_path)
    for scale in (1.2, 1.0, 0.31, 0.1):
        pixels = store.pixels(store.cutouts[0], scale)
        assert pixels.shape == (round(200 * scale), round(50 * scale), 4)
        assert (pixels == (*RED, 255)).all()


def test_ground_and_things_on_it_are_told_apart():
    surfaces = surfaces_of(street(), Ground((HORIZON, 0.0), CAMERA, FOCAL))
    assert surfaces.road[120, 160]
    assert surfaces.pavement[120, 20]
    assert not surfaces.pavement[120, 160]
    assert surfaces.base[HORIZON, 155] == HORIZON + 6  # the far car meets the road there
    assert (surfaces.base[120] == -1).all()
    assert (surfaces.lowest == SIZE[0] - 1).all()


def test_drawn_furniture_is_the_same_for_a_seed_and_fills_its_image():
    first, again, other = draw_furniture(28), draw_furniture(28), draw_furniture(28, seed=1)
    for name, (drawn, image) in first.items():
        assert image.shape[1::-1] == drawn.size
        assert np.array_equal(image, again[name][1])
        solid = image[..., 3] > 127
        assert solid.mean() > 0.25
        assert solid[-4:].any()  # stands on its lower edge
        assert 0.4 < drawn.metres < 2.6
    assert any(not np.array_equal(first[n][1], other[n][1]) for n in first)


def test_furniture_covers_without_becoming_an_object(tmp_path):
    before = street()
    paste = paster(tmp_path, cutout(tmp_path), people=0, riders=0, furniture=1, distance=(3, 12), count=(4, 4))
    after = paste(before, np.random.default_rng(0))
    assert (after.semantic == POLE).sum() > 50
    assert not np.array_equal(after.image, before.image)
    assert set(after.boxes.classes.tolist()) <= {CAR}
    assert (after.drivable[after.semantic == POLE] == 0).all()
    with pytest.raises(DataError, match="the last three at most 1"):
        PasteConfig("x", people=0.6, riders=0.2, furniture=0.4)
