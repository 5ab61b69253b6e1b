"""Turned, mirrored and resized cameras: a point on the road stays where it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from camera_perception.core.errors import BadImage, CalibrationError
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.geometry.camera_views import resized, turned
from camera_perception.image.turn import Turn

WIDTH, HEIGHT = 128, 72
POSE = optical_from_rpy((1.5, 0.2, 1.4), (0.01, 0.03, -0.02))
LENSES = [
    ("plumb_bob", []),
    ("plumb_bob", [-0.24, 0.06, 0.011, -0.0055, 0.001]),
    ("rational_polynomial", [0.3, -0.1, 0.0015, -0.0023, 0.01, 0.6, -0.05, 0.01]),
    ("rational_polynomial", [0.3, -0.1, 0.001, -0.003, 0.01, 0.6, -0.05, 0.01, 0.02, -0.01, 0.03, 0.004]),
    ("equidistant", [-0.02, 0.004, -0.001, 0.0001]),
]
TURNS = [(0, False), (90, False), (180, False), (270, False), (0, True), (90, True), (180, True), (270, True)]
K = [100.0, 0, 60.5, 0, 110, 30.5, 0, 0, 1]
ROAD = np.array([[8.0, 0.5, 0], [14, -2, 0], [30, 1, 1], [60, 3, 2]])


def camera(model: str = "plumb_bob", d: tuple[float, ...] = (), **options) -> Camera:
    return Camera.from_camera_info(WIDTH, HEIGHT, K, d, model, base_from_camera=POSE, **options)


def moved(pixels: np.ndarray, degrees: int, mirror: bool) -> np.ndarray:
    """Where pixels u v (corner convention) are in the turned image, by pencil and paper."""
    u, v = pixels.T
    if mirror:
        u = WIDTH - u
    return {
        0: np.c_[u, v],
        90: np.c_[HEIGHT - v, u],
        180: np.c_[WIDTH - u, HEIGHT - v],
        270: np.c_[v, WIDTH - u],
    }[degrees]


@pytest.mark.parametrize(("degrees", "mirror"), TURNS)
def test_pixels_go_where_the_image_goes(degrees, mirror):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[20, 100] = 255
    after = Turn(degrees, mirror)(image)
    (v,), (u,) = np.nonzero(after[:, :, 0])
    np.testing.assert_array_equal(moved(np.array([[100.5, 20.5]]), degrees, mirror), [[u + 0.5, v + 0.5]])


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize(("degrees", "mirror"), [turn for turn in TURNS if not turn[1]])
def test_a_turned_camera_sees_the_same_world_in_turned_pixels(degrees, mirror, lens):
    before = camera(*lens)
    after = turned(before, degrees, mirror)
    pixels = moved(before.pixels_from_base(ROAD), degrees, mirror)
    np.testing.assert_allclose(after.pixels_from_base(ROAD), pixels, atol=1e-6)
    assert (after.width, after.height) == ((HEIGHT, WIDTH) if degrees in (90, 270) else (WIDTH, HEIGHT))
    ground = ROAD[:2, :2]
    np.testing.assert_allclose(after.ground_from_pixels(after.pixels_from_base(ROAD[:2])), ground, atol=1e-3)


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_camera_calibrated_in_mirrored_images_is_the_true_one_after_mirroring(degrees, lens):
    true = camera(*lens)
    in_the_mirror = turned(turned(true, mirror=True), mirror=True)
    np.testing.assert_allclose(in_the_mirror.pixels_from_base(ROAD), true.pixels_from_base(ROAD), atol=1e-9)
    # Mirrored first and then turned is turned first, the other way round, and then mirrored by the axis.
    pixels = moved(true.pixels_from_base(ROAD), degrees, False)
    np.testing.assert_allclose(turned(in_the_mirror, degrees).pixels_from_base(ROAD), pixels, atol=1e-6)


def test_a_mirrored_lens_projects_mirrored_rays():
    k, d = np.array(K).reshape(3, 3), np.array([-0.24, 0.06, 0.011, -0.0055, 0.001])
    k[:2, 2] += 0.5
    after = turned(camera("plumb_bob", d), mirror=True)
    points = np.array([[0.3, 0.2, 1.0], [-0.4, 0.1, 1.0]])
    straight = cv2.projectPoints(points * [-1, 1, 1], np.zeros(3), np.zeros(3), k, d)[0][:, 0]
    pixels = cv2.projectPoints(points, np.zeros(3), np.zeros(3), after.pixel_from_camera, after.distortion)[0][:, 0]
    np.testing.assert_allclose(pixels, moved(straight, 0, True), atol=1e-9)


def test_four_quarter_turns_are_none():
    after = before = camera(*LENSES[1])
    for _ in range(4):
        after = turned(after, 90)
    np.testing.assert_allclose(after.pixel_from_camera, before.pixel_from_camera, atol=1e-9)
    np.testing.assert_allclose(after.distortion, before.distortion, atol=1e-12)
    np.testing.assert_allclose(after.pose, before.pose, atol=1e-12)


def test_what_cannot_be_turned_is_refused():
    with pytest.raises(BadImage, match="by 45 degrees: give 0, 90, 180 or 270"):
        Turn(45)
    tilted = camera("rational_polynomial", [0.3, -0.1, 0, 0, 0.01, 0.6, -0.05, 0.01, 0, 0, 0, 0, 0.01, 0])
    with pytest.raises(CalibrationError, match="tilted sensor"):
        turned(tilted, 90)
    skewed = Camera(WIDTH, HEIGHT, np.array([[100.0, 3, 60], [0, 100, 30], [0, 0, 1]]), np.zeros(0))
    with pytest.raises(CalibrationError, match="skew"):
        turned(skewed, 90)


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("size", [(64, 36), (256, 144), (1280, 720), (43, 24)])
def test_intrinsics_scale_with_the_image(size, lens):
    before = camera(*lens)
    after = resized(before, *size)
    assert (after.width, after.height) == size
    factor = np.array(size) / (WIDTH, HEIGHT)
    np.testing.assert_allclose(after.pixels_from_base(ROAD), before.pixels_from_base(ROAD) * factor, atol=1e-6)


@pytest.mark.parametrize("size", [(128, 80), (640, 480), (72, 128)])
def test_another_aspect_ratio_is_another_camera(size):
    assert resized(camera(), *size) is None


@pytest.mark.parametrize(
    ("name", "model", "count"),
    [
        ("fisheye", "equidistant", 4),
        ("Fisheye", "equidistant", 4),
        ("none", "plumb_bob", 0),
        ("NONE", "plumb_bob", 0),
        ("radtan", "plumb_bob", 4),
        ("brown_conrady", "plumb_bob", 4),
        ("plumb-bob", "plumb_bob", 4),
        ("kannala_brandt4", "equidistant", 4),
    ],
)
def test_names_of_distortion_models_that_drivers_write(name, model, count):
    found = camera(name, (0.1, 0.2, 0.3, 0.4))
    assert (found.model, len(found.distortion)) == (model, count)
