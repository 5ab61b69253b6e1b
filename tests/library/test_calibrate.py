"""Calibration recovers known lenses and mountings, and the published lens from real images of a board."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from camera_perception.core.errors import CalibrationError
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.tools.calibration.boards import Board, board_from_yaml, find_board
from camera_perception.tools.calibration.calibrate import calibrate_lens, camera_from_yaml, camera_info_yaml, mounting
from camera_perception.tools.cli.machine.calibrate import board_of

K = np.array([[800.0, 0, 330], [0, 790, 235], [0, 0, 1]])
LENS = np.array([-0.2, 0.05, 0.001, -0.0005, 0.0])
SIZE = (640, 480)
needs_aruco = pytest.mark.skipif(
    not hasattr(getattr(cv2, "aruco", None), "generateImageMarker"), reason="draws with the aruco module of OpenCV 4.7"
)
SQUARE = 40  # pixels of the drawn board


def drawn_board() -> np.ndarray:
    """Ten by seven squares with a white rim."""
    rows, columns = np.indices((7 * SQUARE, 10 * SQUARE)) // SQUARE
    board = np.where((rows + columns) % 2, 255, 20).astype(np.uint8)
    return cv2.copyMakeBorder(board, SQUARE, SQUARE, SQUARE, SQUARE, cv2.BORDER_CONSTANT, value=255)


def charuco_board() -> np.ndarray:
    """Ten by seven squares, with markers in the white ones, numbered row by row as OpenCV does."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    board, number = drawn_board(), 0
    for row in range(7):
        for column in range(10):
            if (row + column) % 2:
                marker = cv2.aruco.generateImageMarker(dictionary, number, SQUARE * 3 // 4)
                _put(board, marker, SQUARE * (column + 1) + SQUARE // 8, SQUARE * (row + 1) + SQUARE // 8)
                number += 1
    return board


def aprilgrid_board(border: int) -> np.ndarray:
    """Seven by five tags as Kalibr prints them: number 0 bottom left, black squares in the corners between tags."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    tag, gap = 48, 12  # tagSpacing 0.25
    board = np.full((9 * SQUARE, 12 * SQUARE), 255, np.uint8)
    left, top = (board.shape[1] - 7 * (tag + gap) + gap) // 2, (board.shape[0] - 5 * (tag + gap) + gap) // 2
    for row in range(6):
        for column in range(8):
            x, y = left + column * (tag + gap), top + row * (tag + gap)
            board[y - gap : y, x - gap : x] = 0
            if row < 5 and column < 7:
                marker = cv2.aruco.generateImageMarker(dictionary, (4 - row) * 7 + column, tag, borderBits=border)
                _put(board, marker, x, y)
    return board


def _put(board: np.ndarray, part: np.ndarray, x: int, y: int) -> None:
    board[y : y + len(part), x : x + len(part)] = part


def views(count: int = 10, board: np.ndarray | None = None):
    """The board seen by the camera K, LENS: drawn by mapping each pixel's ray onto the board."""
    board, rng = drawn_board() if board is None else board, np.random.default_rng(3)
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


def boards() -> dict[str, tuple[np.ndarray, Board]]:
    grid = Board("aprilgrid", 7, 5, spacing=0.25)
    return {
        "charuco": (charuco_board(), Board("charuco", 9, 6)),
        "kalibr": (aprilgrid_board(2), grid),
        "one_bit": (aprilgrid_board(1), grid),
        "from_the_top": (aprilgrid_board(2)[::-1, ::-1], grid),  # turned by half a turn
    }


@needs_aruco
@pytest.mark.parametrize("name", ["charuco", "kalibr", "one_bit", "from_the_top"])
def test_a_board_with_markers_recovers_the_lens_from_parts_of_it(name):
    picture, board = boards()[name]
    shown = []
    for file, image in views(12, picture):
        image[:, :180] = 90  # a chessboard would not be found
        shown.append((file, image))
    lens = calibrate_lens(shown, board)
    assert lens.rms < 0.15
    assert len(lens.errors) >= 8
    np.testing.assert_allclose(lens.matrix[[0, 1], [0, 1]], (800, 790), rtol=0.01)
    np.testing.assert_allclose(lens.matrix[:2, 2], (330, 235), atol=5)


@needs_aruco
def test_a_board_of_other_numbers_is_refused():
    with pytest.raises(CalibrationError, match="0 images show at least 12 corners of the charuco"):
        calibrate_lens(views(6, charuco_board()), Board("charuco", 9, 6, dictionary="6X6_250"))
    with pytest.raises(CalibrationError, match="no dictionary '9X9'"):
        find_board(drawn_board(), Board("charuco", dictionary="9X9"))


def test_without_aruco_the_package_that_has_it_is_named(monkeypatch):
    monkeypatch.delattr(cv2, "aruco", raising=False)
    with pytest.raises(CalibrationError, match="pip install opencv-contrib-python"):
        find_board(drawn_board(), Board("charuco"))
    assert find_board(drawn_board(), Board()) is not None


def test_boards_are_described_by_options_or_by_the_file_of_kalibr(tmp_path):
    (tmp_path / "april.yaml").write_text(
        "target_type: 'aprilgrid'\ntagCols: 6\ntagRows: 5\ntagSize: 0.088\ntagSpacing: 0.3\n"
    )
    assert board_from_yaml(tmp_path / "april.yaml") == Board("aprilgrid", 6, 5, spacing=0.3)
    assert board_of(str(tmp_path / "april.yaml"), "9x6", 0.5, 0.1, "") == Board("aprilgrid", 6, 5, spacing=0.3)
    assert board_of("ChArUco", "10x7", 0.8, 0.3, "DICT_5X5_100") == Board("charuco", 10, 7, 0.8, 0.3, "5X5_100")
    for kind, corners, message in (("circles", "9x6", "'circles' is unknown"), ("charuco", "9", "COLUMNSxROWS")):
        with pytest.raises(CalibrationError, match=message):
            board_of(kind, corners, 0.5, 0.3, "4X4_50")
    (tmp_path / "april.yaml").write_text("target_type: circlegrid")
    with pytest.raises(CalibrationError, match="'circlegrid'"):
        board_from_yaml(tmp_path / "april.yaml")


def test_an_image_without_a_board_is_named_and_too_few_are_refused():
    empty = np.full((480, 640, 3), 90, np.uint8)
    assert find_board(empty, Board()) is None
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
