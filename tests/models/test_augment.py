"""Labels must stay aligned with the image: draw coloured shapes, augment, find them again."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from perception_models.data import AugmentConfig, Boxes, Lane, Lanes, LightCrops, Sample, augment
from perception_models.data.augment import NONE, photometric, weather
from perception_models.data.augment.mosaic import mosaic
from perception_models.data.labels import LIGHT

SIZE = (192, 320)
GEOMETRY = AugmentConfig(
    exposure=0, colour=0, blur=0, noise=0, jpeg=0, coarse=0, fog=0, rain=0, shadow=0, glare=0, mosaic=0, plain=0
)
CHANGES = [photometric.exposure, photometric.colour, photometric.blur, photometric.noise, photometric.jpeg]
CHANGES += [photometric.coarse, photometric.dark, weather.fog, weather.rain, weather.shadow, weather.glare]


def drawn() -> Sample:
    """A green box, a thick red line, a blue road: each also labelled."""
    image = np.zeros((270, 480, 3), np.uint8)
    drivable = np.zeros((270, 480), np.uint8)
    image[200:, :] = (255, 0, 0)
    drivable[200:] = 1
    image[100:160, 200:280] = (0, 255, 0)
    line = np.array([[150, 260], [180, 210], [195, 170]], np.int32)
    cv2.polylines(image, [line], False, (0, 0, 255), 7)
    drivable[(image == (0, 0, 255)).all(2)] = 2
    boxes = Boxes([[200, 100, 280, 160]], [2], [False], [-1])
    return Sample("drawn", image, boxes, Lanes([Lane(line + 0.5, -1, 4, 1)]), drivable, drivable.copy())


@pytest.mark.parametrize("seed", range(12))
def test_box_line_and_mask_move_with_the_image(seed):
    out = augment(drawn(), SIZE, np.random.default_rng(seed), GEOMETRY)
    green = np.argwhere(out.image[..., 1] > 128)[:, ::-1]
    expected = np.r_[green.min(0), green.max(0) + 1]
    assert iou(out.boxes.boxes[0], expected) > 0.85  # a turned box is larger than what it holds
    agree = (out.image[..., 0] > 200) == (out.drivable == 1)
    assert agree[out.drivable != 255].mean() > 0.985  # all but the mixed pixels on borders
    assert red_fraction(out) > 0.95
    side = -1 if out.lanes.lines[0].points[0, 0] < out.lanes.lines[0].points[-1, 0] else 1  # leans inwards
    assert out.lanes.lines[0].position == side
    assert out.lanes.lines[0].line_type == (4 if side < 0 else 5)


def iou(a, b):
    inner = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return inner / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inner)


def red_fraction(sample):
    """Fraction of the densely sampled labelled line whose pixels are red."""
    points = sample.lanes.lines[0].points
    dense = np.concatenate([np.linspace(a, b, 30) for a, b in zip(points[:-1], points[1:])])[2:-2]
    u, v = np.floor(dense).astype(int).T
    inside = (u >= 0) & (u < SIZE[1]) & (v >= 0) & (v < SIZE[0])
    return (sample.image[v[inside], u[inside], 2] > 128).mean() if inside.any() else 1.0


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_photometric_change_affects_values_but_neither_shape_nor_dtype_nor_input(change):
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (96, 160, 3), np.uint8), (0, 0), 1)
    before = image.copy()
    out = [change(image, np.random.default_rng(seed)) for seed in range(6)]
    assert all(o.shape == image.shape and o.dtype == np.uint8 for o in out)
    assert any(np.abs(o.astype(int) - image).mean() > 1 for o in out)
    np.testing.assert_array_equal(image, before)


def test_hue_changes_never_turn_one_light_colour_into_another():
    """A red light must never turn green."""
    red, yellow, green = (np.full((8, 8, 3), c, np.uint8) for c in ((30, 30, 230), (30, 220, 230), (90, 220, 40)))
    for seed in range(50):
        hues = []
        for image in (red, yellow, green):
            rng = np.random.default_rng(seed)
            out = photometric.colour(image, rng)
            hues.append(int(cv2.cvtColor(out, cv2.COLOR_BGR2HSV)[0, 0, 0]))
        assert (hues[0] + 90) % 180 - 90 < 10
        assert 20 < hues[1] < 40
        assert 45 < hues[2] < 90


def test_the_same_seed_gives_the_same_sample_and_leaves_the_source_unchanged():
    source, before = drawn(), drawn()
    first, second = (augment(source, SIZE, np.random.default_rng(5), AugmentConfig()) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.boxes.boxes, second.boxes.boxes)
    np.testing.assert_array_equal(source.image, before.image)
    np.testing.assert_array_equal(source.drivable, before.drivable)


def test_without_augmentation_the_image_is_only_letterboxed():
    out = augment(drawn(), (270, 480), np.random.default_rng(0), NONE)
    np.testing.assert_array_equal(out.image, drawn().image)


@pytest.mark.parametrize("seed", range(4))
def test_a_mosaic_keeps_boxes_on_their_objects_and_drops_lanes(seed):
    out = mosaic([drawn()] * 4, SIZE, np.random.default_rng(seed))
    assert out.lanes is None
    assert out.scene == {}
    for box in out.boxes.boxes[~out.boxes.ignored]:
        x0, y0, x1, y1 = box.round().astype(int)
        red = (out.image[y0:y1, x0:x1, 2] > 128).mean()  # the line may cross the box
        assert (out.image[y0:y1, x0:x1, 1] > 128).mean() + red > 0.85
    labelled = out.drivable != 255
    assert ((out.image[..., 0] > 200) == (out.drivable == 1))[labelled].mean() > 0.97


def test_a_mosaic_with_an_unlabelled_image_has_no_boxes():
    unlabelled = Sample("u", np.zeros((100, 100, 3), np.uint8))
    assert mosaic([drawn(), unlabelled, drawn(), drawn()], SIZE, np.random.default_rng(0)).boxes is None


@pytest.fixture
def crops(tmp_path):
    """Plain housings of one colour each."""
    for state, colour in (("red", (0, 0, 250)), ("yellow", (0, 250, 250)), ("green", (0, 250, 0))):
        (tmp_path / state).mkdir()
        for number in range(12):
            cv2.imwrite(str(tmp_path / state / f"{number}.png"), np.full((60, 24, 3), colour, np.uint8))
    return tmp_path


def test_pasted_lights_have_correct_boxes_and_states(crops):
    lights, seen = LightCrops(crops), set()
    for seed in range(20):
        out = lights.paste(drawn(), np.random.default_rng(seed), count=2)
        for box, state in zip(out.boxes.boxes[1:], out.boxes.light_states[1:]):
            x0, y0, x1, y1 = box.astype(int)
            blue, green, red = out.image[y0:y1, x0:x1].reshape(-1, 3).mean(0)
            assert {0: red > 2 * green, 1: red > 100 and green > 100, 2: green > 2 * red}[int(state)]
            assert (out.drivable[y0:y1, x0:x1] == 0).all()
            assert iou(box, np.array([200, 100, 280, 160])) == 0
            seen.add(int(state))
    assert seen == {0, 1, 2}


def test_plain_crops_are_centred_on_grey(crops):
    lights = LightCrops(crops, canvas=(96, 160))
    out = lights[12]
    assert (len(lights), lights.names[24]) == (36, "yellow/0.png")
    assert out.boxes.classes.tolist() == [LIGHT]
    assert out.boxes.light_states.tolist() == [0]
    x0, y0, x1, y1 = out.boxes.boxes[0].astype(int)
    assert abs((x0 + x1) / 2 - 80) <= 1
    assert (out.image[y0:y1, x0:x1, 2] > 240).all()
    assert (out.image[: y0 - 1] == 114).all()


def test_folds_are_disjoint_and_together_everything(crops):
    train, val = (set(LightCrops(crops, fold=fold).names) for fold in ("train", "val"))
    assert not train & val
    assert len(train | val) == 36


def test_a_darkened_image_has_no_known_time_of_day():
    sample = Sample("day", np.full((96, 160, 3), 128, np.uint8), scene={"timeofday": 0, "weather": 2})
    out = augment(sample, (96, 160), np.random.default_rng(0), replace(NONE, dark=1.0))
    assert out.scene == {"timeofday": -1, "weather": 2}
    assert out.image.mean() < 110


@pytest.mark.parametrize("seed", range(6))
def test_a_dark_street_is_not_black_and_its_sky_stays_brighter(seed: int):
    """A street at a third of the brightness of the sky: exposed as at dusk, whatever the gamma."""
    image = np.full((90, 160, 3), 60, np.uint8)
    image[:30] = 200
    out = photometric.dark(image, np.random.default_rng(seed))
    assert out[30:].mean() > photometric.DARKEST[0] - 2
    assert out[:30].mean() > 2 * out[30:].mean()


def test_darkness_does_not_lighten_an_image():
    image = np.full((90, 160, 3), 4, np.uint8)
    assert photometric.dark(image, np.random.default_rng(1)).mean() < 8
