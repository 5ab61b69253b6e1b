"""Calibration recovers known lenses and mountings, and the published lens from real images of a board."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from camera_perception.core.errors import CalibrationError
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.tools.calibrate import calibrate_lens, camera_from_yaml, camera_info_yaml, find_corners, mounting

K = np.array([[800.0, 0, 330], [0, 790, 235], [0, 0, 1]])
LENS = np.array([-0.2, 0.05, 0.001, -0.0005, 0.0])
SIZE = (640, 480)
SQUARE = 40  # pixels of the drawn board


def drawn_board() -> np.ndarray:
    """Ten by seven squares with a white rim."""
    rows, columns = np.indices((7 * SQUARE, 10 * SQUARE)) // SQUARE
    board = np.where((rows + columns) % 2, 255, 20).astype(np.uint8)
    return cv2.copyMakeBorder(board, SQUARE, SQUARE, SQUARE, SQUARE, cv2.BORDER_CONSTANT, value=255)


def views(count: int = 10):
    """The board seen by the camera K, LENS: drawn by mapping each pixel's ray onto the board."""
    board, rng = drawn_board(), np.random.default_rng(3)
    grid = np.stack(np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1])), -1).reshape(-1, 1, 2).astype(np.float64)
    rays = cv2.undistortPoints(grid, K, LENS).reshape(-1, 2)
    rays = np.c_[rays, np.ones(len(rays))]
    for number in range(count):
        turn = cv2.Rodrigues(rng.uniform(-0.45, 0.45, 3))[0]
        shift = np.array([rng.uniform(-1.5, 1.5), rng.uniform(-1, 1), rng.uniform(16, 21)])
        origin, along = -turn.T @ shift, rays @ turn
        hit = origin[:2] - origin[2] / along[:, 2:] * along[:, :2]  # in squares, 0 0 the board's middle
        pixels = ((hit + (6, 4.5)) * SQUARE - 0.5).astype(np.float32).reshape(SIZE[1], SIZE[0], 2)
        image = cv2.remap(board, pixels[..., 0], pixels[..., 1], cv2.INTER_AREA, borderValue=128)
        yield f"{number}.png", cv2.GaussianBlur(image, (3, 3), 0)


def test_a_known_lens_is_recovered(tmp_path):
    lens = calibrate_lens(views())
    assert lens.rms < 0.15
    np.testing.assert_allclose(lens.matrix[[0, 1], [0, 1]], (800, 790), rtol=0.01)
    np.testing.assert_allclose(lens.matrix[:2, 2], (330, 235), atol=5)
    assert lens.distortion[0] == pytest.approx(-0.2, abs=0.03)
    (tmp_path / "camera.yaml").write_text(camera_info_yaml(lens, "front"))
    camera = camera_from_yaml(tmp_path / "camera.yaml")
    np.testing.assert_allclose(camera.pixel_from_camera[:2, 2], lens.matrix[:2, 2] + 0.5, atol=1e-5)
    assert (camera.width, camera.height) == SIZE


def test_an_image_without_a_board_is_named_and_too_few_are_refused():
    empty = np.full((480, 640, 3), 90, np.uint8)
    assert find_corners(empty, (9, 6)) is None
    with pytest.raises(CalibrationError, match="0 images show all 9x6"):
        calibrate_lens([("a.png", empty)])
    lens = calibrate_lens([*views(7), ("empty.png", empty)])
    assert lens.unused == {"empty.png": "the whole board is not visible"}


def test_an_unknown_model_is_refused():
    with pytest.raises(CalibrationError, match="'pinhole' is unknown"):
        calibrate_lens(views(6), model="pinhole")


@pytest.mark.parametrize("text", ["", "image_width: 3", "]["])
def test_a_file_that_is_not_a_calibration_is_refused(tmp_path, text):
    (tmp_path / "camera.yaml").write_text(text)
    with pytest.raises(CalibrationError, match="not a camera calibration"):
        camera_from_yaml(tmp_path / "camera.yaml")


def test_real_images_of_a_board(shared_data):
    """RMS of the corners below 1.1 pixels, the lens near what its owners published."""
    folder = shared_data / "video/camera_cal"
    files = [folder / f"calibration{number}.jpg" for number in (8, 9, 11, 12, 13, 16, 17, 19)]
    lens = calibrate_lens((file.name, cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)) for file in files)
    assert lens.rms <= 1.1
    np.testing.assert_allclose(lens.matrix[[0, 1], [0, 1]], (1156, 1151), rtol=0.03)
    assert -0.4 < lens.distortion[0] < -0.2


def test_the_mounting_is_estimated_from_lane_lines():
    rng, true = np.random.default_rng(1), (0.0, 0.06, -0.03)
    k = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
    camera = Camera(1280, 720, k, np.zeros(0), base_from_camera=optical_from_rpy((1.5, 0.1, 1.4), true))
    x = np.linspace(8, 50, 30)
    pairs = []
    for _ in range(60):
        nod = camera.pitched(rng.normal(0, 0.004))
        slope, shift = rng.normal(0, 0.01), rng.normal(0, 0.2)
        pairs.append(tuple(nod.pixels_from_base(np.c_[x, slope * x + shift + y, 0 * x]) for y in (1.75, -1.75)))
    pose, spread = mounting(pairs, camera, (1.5, 0.1, 1.4))
    np.testing.assert_allclose(pose, (1.5, 0.1, 1.4, *true), atol=4e-3)
    assert 0.002 < spread[0] < 0.007
    with pytest.raises(CalibrationError, match="straight, marked road"):
        mounting(pairs[:3], camera, (1.5, 0.1, 1.4))
