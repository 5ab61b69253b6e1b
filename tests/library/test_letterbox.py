"""Letterbox coordinates and network inputs, against independent computations."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from camera_perception.core.model_spec import InputSpec
from camera_perception.image.letterbox import Letterbox, Preprocessor, halving_sizes

SIZES = [(1, 1), (1, 3000), (3000, 1), (384, 640), (360, 640), (720, 1280), (1080, 1920), (1200, 1920), (479, 643)]
INPUTS = [(384, 640), (640, 640), (416, 416)]
RNG = np.random.default_rng(3)


@pytest.mark.parametrize("align", ["center", "top_left"])
@pytest.mark.parametrize("input_size", INPUTS)
@pytest.mark.parametrize("size", SIZES)
def test_coordinates_survive_the_round_trip(size, input_size, align):
    box = Letterbox.fit(size, input_size, align)
    points = RNG.uniform(0, 1, (50, 2)) * size[::-1]
    np.testing.assert_allclose(box.image_from_input(box.input_from_image(points)), points, atol=1e-6)
    boxes = np.sort(points.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    np.testing.assert_allclose(box.image_from_input_boxes(box.input_from_image_boxes(boxes)), boxes, atol=1e-3)


@pytest.mark.parametrize("align", ["center", "top_left"])
@pytest.mark.parametrize("size", SIZES)
def test_the_image_fills_one_direction_and_stays_inside(size, align):
    box = Letterbox.fit(size, (384, 640), align)
    rows, columns = box.content
    assert 0 <= rows.start < rows.stop <= 384
    assert 0 <= columns.start < columns.stop <= 640
    assert rows.stop - rows.start == 384 or columns.stop - columns.start == 640
    margins = rows.start - (384 - rows.stop), columns.start - (640 - columns.stop)
    assert all(-1 <= margin <= 0 for margin in margins) if align == "center" else (rows.start, columns.start) == (0, 0)


def test_no_boxes_stay_no_boxes():
    box = Letterbox.fit((720, 1280), (384, 640))
    assert box.image_from_input_boxes(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_boxes_are_clipped_to_the_image():
    box = Letterbox.fit((720, 1280), (384, 640))
    np.testing.assert_array_equal(box.image_from_input_boxes(np.array([[-50, -50, 9999, 9999]])), [[0, 0, 1280, 720]])


@pytest.mark.parametrize(
    "size", [(200, 320), (384, 640), (479, 643), (540, 960), (720, 1280), (1200, 1920), (2160, 3840)]
)
def test_a_spot_appears_where_the_letterbox_maps_it(size):
    """The middle of mass of a Gaussian spot in the written input, against the formula."""
    spec = InputSpec("images", 640, 384, pad=0)
    target = np.zeros(spec.shape[1:], np.uint8)
    middle = np.array([0.37 * size[1], 0.61 * size[0]])
    v, u = np.mgrid[: size[0], : size[1]] + 0.5
    sigma = 6 * max(size[0] / 384, size[1] / 640, 1)
    spot = 250 * np.exp(-((u - middle[0]) ** 2 + (v - middle[1]) ** 2) / (2 * sigma**2))
    box = Preprocessor(spec)(np.repeat(spot[:, :, None], 3, axis=2).astype(np.uint8), target)
    weight = target[:, :, 0].astype(float)
    v, u = np.mgrid[:384, :640] + 0.5
    found = np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(found, box.input_from_image(middle), atol=0.1)


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (1200, 1600), (2160, 3840)])
def test_shrinking_averages_instead_of_skipping_pixels(size):
    """Noise averages out as in PIL's area filter; plain bilinear sampling keeps it."""
    image = RNG.integers(0, 256, (*size, 3), np.uint8)
    spec = InputSpec("images", 640, 384)
    target = np.zeros(spec.shape[1:], np.uint8)
    box = Preprocessor(spec)(image, target)
    area = np.asarray(Image.fromarray(image).resize((box.width, box.height), Image.Resampling.BOX), float)
    assert target[box.content].std() < 1.25 * area.std()


@pytest.mark.parametrize("size", [(384, 640), (180, 320), (720, 1280)])
def test_pixels_match_cv2_resize_and_the_rest_is_padding(size):
    image = RNG.integers(0, 256, (*size, 3), np.uint8)
    spec = InputSpec("images", 640, 384, pad=114)
    target = RNG.integers(0, 256, spec.shape[1:], np.uint8)  # what the last frame left in the slot
    box = Preprocessor(spec)(image, target)
    np.testing.assert_array_equal(target[box.content], cv2.resize(image, (box.width, box.height)))
    outside = np.ones((384, 640), bool)
    outside[box.content] = False
    assert (target[outside] == 114).all()


def reference(image, spec):
    """What the spec asks for, one clear line per property."""
    box = Letterbox.fit(image.shape[:2], spec.size, spec.align)
    canvas = np.full((*spec.size, 3), spec.pad, float)
    canvas[box.content] = cv2.resize(image, (box.width, box.height))
    if spec.color == "rgb":
        canvas = canvas[:, :, ::-1]
    if spec.dtype != "uint8":
        canvas = (canvas * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    return canvas.transpose(2, 0, 1) if spec.layout == "nchw" else canvas


IMAGENET = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.mark.parametrize("align", ["center", "top_left"])
@pytest.mark.parametrize("color", ["bgr", "rgb"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_every_input_format_gets_its_values(layout, dtype, color, align):
    spec = InputSpec("images", 64, 48, 1, layout, dtype, color, align=align, **({} if dtype == "uint8" else IMAGENET))
    image = RNG.integers(0, 256, (40, 72, 3), np.uint8)
    image.flags.writeable = False  # a view into a message
    target = np.full(spec.shape[1:], 99, dtype)
    Preprocessor(spec)(image, target)
    close = 1e-3 if dtype == "float16" else 1e-5
    np.testing.assert_allclose(target, reference(image, spec), rtol=close, atol=close)


def test_image_size_may_change_and_rows_may_be_padded():
    spec = InputSpec("images", 64, 48)
    preprocess, target = Preprocessor(spec), np.zeros(spec.shape[1:], np.uint8)
    for height, width in [(48, 64), (96, 200), (200, 90), (48, 64)]:
        image = RNG.integers(0, 256, (height, width + 5, 3), np.uint8)[:, :width]
        assert preprocess(image, target).image_size == (height, width)
        if not halving_sizes(Letterbox.fit((height, width), (48, 64))):
            np.testing.assert_array_equal(target, reference(image, spec))


def test_a_buffer_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="expected a target"):
        Preprocessor(InputSpec("images", 64, 48))(np.zeros((4, 4, 3), np.uint8), np.zeros((64, 48, 3), np.uint8))


@pytest.mark.parametrize("map_size", [(96, 160), (384, 640), (48, 80), (13, 21)])
@pytest.mark.parametrize("size", SIZES)
def test_a_raster_is_cropped_to_exactly_the_image(size, map_size):
    """Each cell carries where its middle is; after the cut it must be there in the image, to half a cell."""
    box = Letterbox.fit(size, (384, 640))
    rows, columns = np.mgrid[: map_size[0], : map_size[1]] + 0.5
    middles = [rows * 384 / map_size[0], columns * 640 / map_size[1]]
    for middle, axis, first, length in zip(middles, (0, 1), (box.top, box.left), (box.height, box.width)):
        cell = (384, 640)[axis] / map_size[axis]
        cut = np.moveaxis(box.crop(middle), axis, 0)
        expected = first + (np.arange(len(cut)) + 0.5) * length / len(cut)
        assert np.abs(cut - expected[:, None]).max() <= cell / 2 + 1e-9
        assert len(cut) == max(round(length / cell), 1)


def test_a_cropped_raster_is_a_copy():
    raster = np.zeros((96, 160))
    assert not np.shares_memory(Letterbox.fit((720, 1280), (384, 640)).crop(raster), raster)
