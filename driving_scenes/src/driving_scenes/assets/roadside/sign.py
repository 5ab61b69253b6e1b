"""Traffic signs: plates with painted pictograms on posts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from driving_scenes.assets.roadside.sign_pictures import SignPictures, sign_pictures
from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of
from driving_scenes.base.mesh import TILES, Material, Mesh, join
from driving_scenes.base.semantic_ids import SIGN
from driving_scenes.base.shapes import Values, disc, join_flat, rods, rotated

_SEGMENTS = {  # of a seven-segment digit: x, y, width, height in a cell 1 wide and 2 high
    "a": (0, 0.9, 0.8, 0.2), "b": (0.4, 0.45, 0.2, 0.9), "c": (0.4, -0.45, 0.2, 0.9), "d": (0, -0.9, 0.8, 0.2),
    "e": (-0.4, -0.45, 0.2, 0.9), "f": (-0.4, 0.45, 0.2, 0.9), "g": (0, 0, 0.8, 0.2),
}  # fmt: skip
_DIGITS = {
    "0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc", "5": "afgcd",
    "6": "afgedc", "7": "abc", "8": "abcdefg", "9": "abcdfg",
    "P": "abgfe", "S": "afgcd", "T": "a", "O": "abcdef", "H": "fegbc",
}  # fmt: skip
_BLACK = colors.BLACK


class Board:
    """Convex shapes on a plate, later ones in front; u to the driver's right and v up, metres."""

    def __init__(self) -> None:
        self.outlines: list[np.ndarray] = []
        self.paints: list[np.ndarray] = []
        self.picture: tuple[int, np.ndarray] | None = None  # tile of the sign atlas, and where the plate lies in it

    def add(self, outline: Values, color: Values) -> None:
        self.outlines.append(np.asarray(outline, float))
        self.paints.append(np.asarray(color, np.float32))

    def bar(self, u: float, v: float, width: float, height: float, color: Values, turn: float = 0.0) -> None:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
        c, s = np.cos(turn), np.sin(turn)
        self.add(corners @ np.array([[c, s], [-s, c]]) + (u, v), color)

    def arrow(self, u: float, v: float, size: float, color: Values, turn: float = 0.0) -> None:
        """An arrow that points up, turned counter-clockwise."""
        c, s = np.cos(turn), np.sin(turn)
        rotate = np.array([[c, s], [-s, c]])
        self.add(np.array([[-0.45, 0.05], [0.45, 0.05], [0, 0.6]]) * size @ rotate + (u, v), color)
        self.add(np.array([[-0.13, -0.6], [0.13, -0.6], [0.13, 0.1], [-0.13, 0.1]]) * size @ rotate + (u, v), color)

    def text(self, text: str, u: float, v: float, height: float, color: Values) -> None:
        cell = height * 0.62
        for k, letter in enumerate(text):
            at = u + (k - (len(text) - 1) / 2) * cell
            for name in _DIGITS[letter]:
                x, y, w, h = np.array(_SEGMENTS[name]) * (cell * 0.62, height * 0.45, cell * 0.72, height * 0.45)
                self.bar(at + x, v + y, max(w, height * 0.11), max(h, height * 0.11), color)
            if letter == "T":
                self.bar(at, v, height * 0.11, height, color)

    def fake_text(
        self, rng: np.random.Generator, u: float, v: float, width: float, height: float, color: Values
    ) -> None:
        """A line of illegible text: letters as blocks."""
        at = u - width / 2
        while at < u + width / 2 - height * 0.5:
            w = rng.uniform(0.25, 0.75) * height
            tall = height * rng.choice([0.7, 1.0], p=[0.65, 0.35])
            self.bar(at + w / 2, v + (tall - height) / 2, w * 0.78, tall, color)
            at += w + (height * 0.5 if rng.random() < 0.15 else 0.0)

    def mesh(self, x: float, z: float, back: Values, thick: bool = True) -> Mesh:
        """The upright board, facing -x, its origin at height z; `thick` boards have edges."""
        front = [np.c_[np.full(len(o), x - 0.007 * k), -o[:, 0], o[:, 1] + z] for k, o in enumerate(self.outlines)]
        plate = front[0][::-1] + (0.02, 0, 0)
        edge = [
            np.stack([a, b, d, c])
            for a, b, c, d in zip(
                front[0], plate[::-1], np.roll(front[0], -1, 0), np.roll(plate[::-1], -1, 0), strict=True
            )
        ]
        edge = edge if thick else []
        rear, metal = [plate, *edge], [np.asarray(back, np.float32)] * (1 + len(edge))
        if self.picture is None:
            return join_flat([*front, *rear], [*self.paints, *metal], Material.SIGN)
        return join(
            [
                _pictured(front[0], *self.picture),
                join_flat([*front[1:], *rear], [*self.paints[1:], *metal], Material.SIGN),
            ]
        )


def _pictured(corners: np.ndarray, tile: int, outline: np.ndarray) -> Mesh:
    """A plate facing -x with a tile of the sign atlas: corners (K, 3) metres, outline (K, 2) in the tile."""
    k = len(corners)
    fan = np.array([[0, i, i + 1] for i in range(1, k - 1)], np.int32)
    normals, paint = np.tile(np.array([-1, 0, 0], np.float32), (k, 1)), np.c_[outline, np.full(k, tile / TILES)]
    return Mesh(
        corners.astype(np.float32), fan, normals, paint.astype(np.float32), np.full(k, Material.PICTURE, np.uint8)
    )


def _ring(
    board: Board, radius: float, rim: Values, inside: Values, sides: int, fraction: float = 0.8, turn: float = 0.0
) -> None:
    board.add(disc(radius, sides, turn), rim)
    board.add(disc(radius * fraction, sides, turn), inside)


def _speed_ring(rng: np.random.Generator, b: Board) -> None:
    _ring(b, 0.32, colors.SIGN_RED, colors.WHITE, 18, 0.79)
    b.text(str(rng.choice([30, 40, 50, 60, 70, 80, 90, 100, 120])), 0, 0, 0.25, _BLACK)


def _no_entry(rng: np.random.Generator, b: Board) -> None:
    b.add(disc(0.32, 18), colors.SIGN_RED)
    b.bar(0, 0, 0.46, 0.11, colors.WHITE)


def _forbidden(rng: np.random.Generator, b: Board) -> None:
    parking = rng.random() < 0.5
    _ring(b, 0.32, colors.SIGN_RED, colors.SIGN_BLUE if parking else colors.WHITE, 18)
    if not parking:
        b.bar(0.0, -0.04, 0.26, 0.1, _BLACK)
        b.bar(-0.02, 0.05, 0.14, 0.09, _BLACK)
    b.bar(0, 0, 0.5, 0.06, colors.SIGN_RED, -np.pi / 4)


def _command(rng: np.random.Generator, b: Board) -> None:
    _ring(b, 0.31, colors.WHITE, colors.SIGN_BLUE, 18, 0.95)
    b.arrow(0, 0, 0.36, colors.WHITE, rng.choice([0, np.pi / 2, -np.pi / 2, -2.4]))


def _stop(rng: np.random.Generator, b: Board) -> None:
    _ring(b, 0.42, colors.WHITE, colors.SIGN_RED, 8, 0.94, np.pi / 8)
    b.text("STOP", 0, 0, 0.24, colors.WHITE)


def _yield(rng: np.random.Generator, b: Board) -> None:
    inside = colors.SIGN_YELLOW if rng.random() < 0.15 else colors.WHITE
    _ring(b, 0.5, colors.SIGN_RED, inside, 3, 0.68, -np.pi / 2)


def _danger(rng: np.random.Generator, b: Board) -> None:
    _ring(b, 0.5, colors.SIGN_RED, colors.SIGN_YELLOW if rng.random() < 0.15 else colors.WHITE, 3, 0.72, np.pi / 2)
    _symbol(rng, b, 0.0, -0.02, 0.28)


def _diamond(rng: np.random.Generator, b: Board) -> None:
    _ring(b, 0.52, _BLACK, colors.SIGN_ORANGE if rng.random() < 0.25 else colors.SIGN_YELLOW, 4, 0.95)
    _symbol(rng, b, 0.0, 0.0, 0.5)


def _priority(rng: np.random.Generator, b: Board) -> None:
    _ring(b, 0.42, colors.WHITE, colors.SIGN_YELLOW, 4, 0.72)


def _symbol(rng: np.random.Generator, b: Board, u: float, v: float, size: float) -> None:
    which = rng.integers(5)
    if which == 0:
        b.bar(u, v + size * 0.12, size * 0.16, size * 0.55, _BLACK)
        b.bar(u, v - size * 0.32, size * 0.17, size * 0.17, _BLACK)
    elif which == 1:
        b.arrow(u, v, size * 0.8, _BLACK, rng.uniform(-0.8, 0.8))
    elif which == 2:  # somebody walking
        b.add(disc(size * 0.1, 8) + (u, v + size * 0.36), _BLACK)
        for x, y, w, h, t in (
            (0, 0.1, 0.16, 0.36, 0.1),
            (-0.1, -0.22, 0.1, 0.38, 0.4),
            (0.12, -0.22, 0.1, 0.38, -0.4),
            (0.14, 0.1, 0.3, 0.08, -0.6),
        ):
            b.bar(u + x * size, v + y * size, w * size, h * size, _BLACK, t)
    elif which == 3:  # crossing roads
        b.bar(u, v, size * 0.14, size * 0.8, _BLACK)
        b.bar(u, v, size * 0.5, size * 0.12, _BLACK)
    else:  # a bend
        b.bar(u - size * 0.08, v - size * 0.2, size * 0.13, size * 0.45, _BLACK)
        b.bar(u + size * 0.06, v + size * 0.14, size * 0.13, size * 0.42, _BLACK, -0.8)


def _rectangle(b: Board, width: float, height: float, rim: Values, inside: Values, edge: float = 0.02) -> None:
    b.bar(0, 0, width, height, rim)
    b.bar(0, 0, width - 2 * edge, height - 2 * edge, inside)


def _speed_limit(rng: np.random.Generator, b: Board) -> None:
    _rectangle(b, 0.61, 0.76, _BLACK, colors.WHITE)
    b.fake_text(rng, 0, 0.26, 0.44, 0.11, _BLACK)
    b.fake_text(rng, 0, 0.12, 0.36, 0.11, _BLACK)
    b.text(str(rng.choice([25, 30, 35, 45, 55, 65, 70])), 0, -0.15, 0.3, _BLACK)


def _blue_square(rng: np.random.Generator, b: Board) -> None:
    _rectangle(b, 0.6, 0.6, colors.WHITE, colors.SIGN_BLUE)
    if rng.random() < 0.5:
        b.text("P", 0, 0, 0.38, colors.WHITE)
    else:
        b.add(np.array([[-0.24, -0.2], [0.24, -0.2], [0, 0.24]]), colors.WHITE)
        b.bar(0, -0.06, 0.06, 0.2, _BLACK)


def _white_plate(rng: np.random.Generator, b: Board) -> None:
    text_color = [_BLACK, colors.SIGN_RED, colors.SIGN_GREEN][rng.integers(3)]
    _rectangle(b, 0.45, 0.6, text_color, colors.WHITE, 0.015)
    for v in (0.18, 0.04, -0.1):
        b.fake_text(rng, 0, v, 0.32, 0.08, text_color)
    b.arrow(0, -0.21, 0.12, text_color, np.pi / 2)


def _chevron(rng: np.random.Generator, b: Board) -> None:
    _rectangle(b, 0.6, 0.7, _BLACK, colors.SIGN_YELLOW if rng.random() < 0.6 else colors.WHITE)
    way = rng.choice([-1, 1])
    for s in (1, -1):
        b.bar(0.0, s * 0.13, 0.42, 0.16, _BLACK, -s * way * 0.9)


def _direction(rng: np.random.Generator, b: Board) -> None:
    width, height = rng.uniform(1.4, 3.4), rng.uniform(0.9, 2.2)
    direction_board(rng, b, width, height)


def direction_board(rng: np.random.Generator, b: Board, width: float, height: float) -> None:
    """A guide board with destinations and an arrow."""
    ground = [
        colors.SIGN_GREEN,
        colors.SIGN_BLUE,
        colors.SIGN_GREEN,
        colors.SIGN_YELLOW,
        colors.WHITE,
        colors.SIGN_BROWN,
    ][rng.choice(6, p=[0.35, 0.3, 0.1, 0.1, 0.1, 0.05])]
    text_color = _BLACK if ground is colors.SIGN_YELLOW or ground is colors.WHITE else colors.WHITE
    _rectangle(b, width, height, text_color, ground, 0.03)
    line = min(0.3, height / 4)
    for k in range(int(height / (line * 1.8))):
        b.fake_text(
            rng, -width * 0.08, height / 2 - line * (1.1 + 1.6 * k), width * rng.uniform(0.4, 0.68), line, text_color
        )
    b.arrow(width * 0.39, 0, min(height, width) * 0.4, text_color, rng.choice([0, np.pi, np.pi / 2, -np.pi / 2, -0.7]))


_SIGNS: tuple[tuple[Callable[[np.random.Generator, Board], None], float], ...] = (
    *(
        (_speed_ring, 0.14),
        (_no_entry, 0.05),
        (_forbidden, 0.07),
        (_command, 0.07),
        (_stop, 0.08),
        (_yield, 0.08),
        (_danger, 0.08),
    ),
    *(
        (_diamond, 0.1),
        (_priority, 0.05),
        (_speed_limit, 0.08),
        (_blue_square, 0.07),
        (_white_plate, 0.05),
        (_chevron, 0.02),
        (_direction, 0.06),
    ),
)


def traffic_sign(rng: np.random.Generator, detail: int = 1) -> Asset:
    """One to three boards on a post or posts; they face -x. The mesh is the first board, the others are parts."""
    pictures = sign_pictures()
    real = pictures is not None and rng.random() < 0.75
    low = rng.uniform(1.6, 2.4)
    count = int(rng.choice([1, 2, 3], p=[0.72, 0.22, 0.06]))
    boards: list[Mesh] = []
    top, half = low, 0.0
    for _ in range(count):
        board = picture_board(rng, pictures) if real and pictures is not None else _painted(rng, detail)
        center = top - board.outlines[0][:, 1].min() + 0.03
        boards.append(_hung(rng, board.mesh(-0.09, center, colors.GALVANISED, bool(detail))))
        top, half = center + board.outlines[0][:, 1].max(), max(half, float(np.ptp(board.outlines[0][:, 0])) / 2)
        if half > 0.7:  # a guide board stands alone
            break
    if rng.random() < 0.15 and half < 0.7:
        boards[0] = join([boards[0], _plate_below(rng, half, low, detail)])
    parts = {"pole": _posts(rng, half, top, detail)} | {f"sign {k + 2}": b for k, b in enumerate(boards[1:])}
    return asset_of(boards[0], "traffic sign", SIGN, parts)


def _painted(rng: np.random.Generator, detail: int) -> Board:
    """A board of plain shapes."""
    frequencies = np.array([frequency for _, frequency in _SIGNS])
    draw_pictogram = _SIGNS[rng.choice(len(_SIGNS), p=frequencies / frequencies.sum())][0]
    board = Board()
    draw_pictogram(rng, board)
    if not detail:
        del board.outlines[2:], board.paints[2:]
    size = rng.uniform(0.9, 1.25)
    board.outlines = [o * size for o in board.outlines]
    return board


def picture_board(rng: np.random.Generator, pictures: SignPictures) -> Board:
    """A board with a picture of the atlas, 0.5 to 1.2 m, sometimes with a sticker or a hole in its paint."""
    tile = int(rng.integers(len(pictures)))
    size = rng.uniform(0.55, 0.95) * (1.25 if rng.random() < 0.15 else 1.0)
    outline = pictures.outlines[tile]
    board = Board()
    board.picture = tile, outline
    board.add((outline * (1, -1) + (-0.5, 0.5)) * pictures.shapes[tile] * size, colors.WHITE)
    if rng.random() < 0.12:
        paint = [colors.WHITE, _BLACK, colors.SIGN_BROWN, colors.GALVANISED][rng.integers(4)]
        spot = rng.uniform(-0.16, 0.16, 2) * size
        board.add(disc(rng.uniform(0.03, 0.1, 7) * size, 7) + spot, paint)
    return board


def _hung(rng: np.random.Generator, board: Mesh) -> Mesh:
    """The board turned and tilted a little, as if loose or hit by a lorry in one case of twelve."""
    loose = 4.0 if rng.random() < 0.08 else 1.0
    yaw, pitch, roll = rng.normal(0, 0.03, 3) * loose * (1, 0.6, 0.7)
    center = board.vertices.mean(0)
    away, back = np.eye(4), np.eye(4)
    away[:3, 3], back[:3, 3] = -center, center
    return rotated(board.moved(away), yaw, pitch, roll).moved(back)


def _plate_below(rng: np.random.Generator, half: float, low: float, detail: int) -> Mesh:
    """A smaller plate with a line of text below the first board."""
    plate = Board()
    _rectangle(plate, half * 1.6, 0.28, _BLACK, colors.WHITE, 0.012)
    plate.fake_text(rng, 0, 0, half * 1.2, 0.12, _BLACK)
    if not detail:
        del plate.outlines[2:], plate.paints[2:]
    return plate.mesh(-0.09, low - 0.17, colors.GALVANISED, bool(detail))


def _posts(rng: np.random.Generator, half: float, top: float, detail: int) -> Mesh:
    y = np.array([-0.6, 0.6]) * half if half > 0.75 else np.array([0.0])
    low = np.stack([0 * y, y, 0 * y], 1)
    color = colors.GALVANISED if rng.random() < 0.8 else colors.linear("3a4a40")[0]
    return rods(
        low, low + (0, 0, top + 0.03), 0.035 if half < 0.75 else 0.06, color, Material.METAL, 6 if detail else 3
    )
