"""Calibration boards and their points in an image: chessboard, ChArUco, AprilGrid.

ChArUco and AprilGrid need OpenCV's module aruco and work from OpenCV 4.5.4, whose names differ from today's. Parts of
such boards are enough, chessboards have to be visible as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.documents.parsing import read_yaml
from camera_perception.core.errors import CalibrationError

CHESSBOARD, CHARUCO, APRILGRID = "chessboard", "charuco", "aprilgrid"
KINDS = (CHESSBOARD, CHARUCO, APRILGRID)
DICTIONARY = "4X4_50"  # of ChArUco boards
APRIL_TAGS = "APRILTAG_36h11"
LEAST_CORNERS = 12  # of a board with markers
MOST_MISFIT = 0.15  # of a tag's side, between its corners and those of a plane
MOST_MOVED = 0.05  # of a tag's side, by the refinement of its corners
SUB_PIXEL = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 40, 1e-4)
Sighting = tuple[np.ndarray, np.ndarray]  # points on the board (N, 3) float32, pixels (N, 2) float32


@dataclass(frozen=True)
class Board:
    """A flat calibration board. Lengths do not matter for a lens, only their ratios.

    kind        chessboard, charuco or aprilgrid
    columns     inner corners across, of an AprilGrid tags; rows: down
    marker      side of a ChArUco marker, as a fraction of a square
    spacing     gap between tags of an AprilGrid, as a fraction of a tag ("tagSpacing")
    dictionary  of ChArUco's markers, as OpenCV names it without "DICT_"
    """

    kind: str = CHESSBOARD
    columns: int = 9
    rows: int = 6
    marker: float = 0.75
    spacing: float = 0.3
    dictionary: str = DICTIONARY

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise CalibrationError(f"board '{self.kind}' is unknown: expected {', '.join(KINDS)} or Kalibr's YAML file")
        if not 0 < self.marker < 1 or self.spacing <= 0 or min(self.columns, self.rows) < 1:
            raise CalibrationError("the board's marker has to be between 0 and 1, its spacing and counts above 0")

    @property
    def text(self) -> str:
        """For messages: "all 9x6 inner corners of the board"."""
        if self.kind == CHESSBOARD:
            return f"all {self.columns}x{self.rows} inner corners of the board"
        return f"at least {LEAST_CORNERS} corners of the {self.kind}"


def board_from_yaml(path: Path) -> Board:
    """The target file of Kalibr: an AprilGrid or a chessboard."""
    try:
        content = read_yaml(path)
        kind = content["target_type"]
        if kind == "aprilgrid":
            return Board(
                APRILGRID, int(content["tagCols"]), int(content["tagRows"]), spacing=float(content["tagSpacing"])
            )
        if kind in ("checkerboard", "chessboard"):
            return Board(CHESSBOARD, int(content["targetCols"]), int(content["targetRows"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(f"{path} is not a target of Kalibr ({error!r}): give its aprilgrid.yaml") from error
    raise CalibrationError(f"{path} has the target_type '{kind}': expected aprilgrid or checkerboard")


def find_board(image: np.ndarray, board: Board) -> Sighting | None:
    """Points of a board in a BGR or grey image; None when too few are visible."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if board.kind == CHESSBOARD:
        corners = _chessboard(grey, (board.columns, board.rows))
        return None if corners is None else (_grid_points(board.columns, board.rows), corners)
    found = _charuco(grey, board) if board.kind == CHARUCO else _aprilgrid(grey, board)
    return found if found is not None and len(found[0]) >= LEAST_CORNERS and _is_plane(found) else None


def _grid_points(columns: int, rows: int) -> np.ndarray:
    points = np.zeros((columns * rows, 3), np.float32)
    points[:, :2] = np.mgrid[:columns, :rows].T.reshape(-1, 2)
    return points


def _chessboard(grey: np.ndarray, inner: tuple[int, int]) -> np.ndarray | None:
    flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_FAST_CHECK
    found, corners = cv2.findChessboardCorners(grey, inner, flags=flags)
    if not found:
        return None
    steps = np.linalg.norm(np.diff(corners.reshape(-1, 2), axis=0), axis=1)
    return _refined(grey, corners, float(np.median(steps)))


def _refined(grey: np.ndarray, corners: np.ndarray, step: float) -> np.ndarray:
    """Corners to fractions of a pixel; step: pixels between neighbours."""
    half = int(np.clip(step / 3, 2, 11))
    start = np.ascontiguousarray(corners, np.float32).reshape(-1, 1, 2)
    refined: np.ndarray = cv2.cornerSubPix(grey, start, (half, half), (-1, -1), SUB_PIXEL).reshape(-1, 2)
    return refined


def _aruco() -> Any:
    if not hasattr(cv2, "aruco"):
        raise CalibrationError(
            f"OpenCV {cv2.__version__} was built without its module aruco: pip install opencv-contrib-python, or use a "
            "chessboard"
        )
    return cv2.aruco


def _dictionary(name: str) -> Any:
    aruco = _aruco()
    number = getattr(aruco, f"DICT_{name}", None)
    if number is None:
        known = ", ".join(sorted(key[5:] for key in dir(aruco) if key.startswith("DICT_")))
        raise CalibrationError(f"OpenCV has no dictionary '{name}': expected one of {known}")
    get = aruco.getPredefinedDictionary if hasattr(aruco, "getPredefinedDictionary") else aruco.Dictionary_get
    return get(number)


def _parameters(border: int = 1) -> Any:
    aruco = _aruco()
    make = getattr(aruco, "DetectorParameters_create", None) or aruco.DetectorParameters
    parameters = make()
    parameters.markerBorderBits = border
    return parameters


def _markers(grey: np.ndarray, dictionary: Any, border: int = 1) -> tuple[list[np.ndarray], np.ndarray]:
    """Corners (4, 2) of each marker, and their numbers."""
    aruco, parameters = _aruco(), _parameters(border)
    if hasattr(aruco, "ArucoDetector"):
        corners, ids, _ = aruco.ArucoDetector(dictionary, parameters).detectMarkers(grey)
    else:
        corners, ids, _ = aruco.detectMarkers(grey, dictionary, parameters=parameters)
    if ids is None:
        return [], np.zeros(0, int)
    return [corner.reshape(4, 2) for corner in corners], np.asarray(ids).ravel()


def _charuco(grey: np.ndarray, board: Board) -> Sighting | None:
    """The better of today's board and that of OpenCV before 4.6, which differ if rows of squares are even."""
    found = [each for each in _charuco_readings(grey, board) if each is not None]
    return max(found, key=lambda each: len(each[0]), default=None)


def _charuco_readings(grey: np.ndarray, board: Board) -> Iterator[Sighting | None]:
    aruco, dictionary = _aruco(), _dictionary(board.dictionary)
    squares = board.columns + 1, board.rows + 1
    if not hasattr(aruco, "CharucoDetector"):
        made = aruco.CharucoBoard_create(*squares, 1.0, board.marker, dictionary)
        corners, ids = _markers(grey, dictionary)
        if corners:
            boxes = [corner.reshape(1, 4, 2) for corner in corners]
            _, pixels, numbers = aruco.interpolateCornersCharuco(boxes, ids.reshape(-1, 1), grey, made)
            yield _numbered(pixels, numbers, board)
        return
    for legacy in (False, True):
        made = aruco.CharucoBoard(squares, 1.0, board.marker, dictionary)
        made.setLegacyPattern(legacy)
        pixels, numbers, _, _ = aruco.CharucoDetector(made).detectBoard(grey)
        yield _numbered(pixels, numbers, board)


def _numbered(pixels: np.ndarray | None, numbers: np.ndarray | None, board: Board) -> Sighting | None:
    if numbers is None or pixels is None or not len(numbers):
        return None
    points = _grid_points(board.columns, board.rows)[np.asarray(numbers).ravel()]
    return points, np.asarray(pixels, np.float32).reshape(-1, 2)


def _aprilgrid(grey: np.ndarray, board: Board) -> Sighting | None:
    """Kalibr prints tags with a border of two bits, others with one."""
    dictionary = _dictionary(APRIL_TAGS)
    tries = (_markers(grey, dictionary, border) for border in (2, 1))
    corners, ids = max(tries, key=lambda found: len(found[0]))
    known = [i for i, number in enumerate(ids) if number < board.columns * board.rows]
    if len(known) < LEAST_CORNERS // 4:
        return None
    pixels = np.stack([corners[i] for i in known])  # tags, 4, 2
    points = _best_arrangement(pixels, ids[known], board)
    step = float(np.median(np.linalg.norm(pixels[:, 0] - pixels[:, 1], axis=1)))
    refined = _refined(grey, pixels, step * min(board.spacing, 0.5))
    kept = np.linalg.norm(refined - pixels.reshape(-1, 2), axis=1) < MOST_MOVED * step  # others: cut by a border
    return points.reshape(-1, 3)[kept], refined[kept]


def _best_arrangement(pixels: np.ndarray, ids: np.ndarray, board: Board) -> np.ndarray:
    """Corners on the board (tags, 4, 3): which corner comes first and where tag 0 is differ between printers."""
    ways = [
        _tag_corners(ids, board, first, upwards, clockwise)
        for first in range(4)
        for upwards in (True, False)
        for clockwise in (True, False)
    ]
    return min(ways, key=lambda points: _misfit(points.reshape(-1, 3), pixels.reshape(-1, 2)))


def _tag_corners(ids: np.ndarray, board: Board, first: int, upwards: bool, clockwise: bool) -> np.ndarray:
    """(tags, 4, 3) float32 in sides of a tag, x right, y down; numbers run row by row."""
    row, column = np.divmod(ids, board.columns)
    row = board.rows - 1 - row if upwards else row
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)
    square = np.roll(square if clockwise else square[::-1], first, axis=0)
    origin = np.column_stack((column, row)) * (1 + board.spacing)
    points = np.zeros((len(ids), 4, 3), np.float32)
    points[..., :2] = origin[:, None] + square
    return points


def _misfit(points: np.ndarray, pixels: np.ndarray) -> float:
    """Median distance of the points from a plane through the pixels, in lengths of the board."""
    homography, _ = cv2.findHomography(pixels.astype(np.float64), points[:, :2].astype(np.float64), cv2.RANSAC, 0.2)
    if homography is None:
        return float("inf")
    mapped = cv2.perspectiveTransform(pixels.astype(np.float64).reshape(-1, 1, 2), homography).reshape(-1, 2)
    return float(np.median(np.linalg.norm(mapped - points[:, :2], axis=1)))


def _is_plane(found: Sighting) -> bool:
    """Whether the points span a plane and lie on it: a line of corners tells nothing, wrong numbers spoil a lens."""
    points, pixels = found
    spread = np.linalg.matrix_rank(points[:, :2] - points[:, :2].mean(axis=0), tol=0.5)
    return bool(spread == 2 and _misfit(points, pixels) < MOST_MISFIT)
