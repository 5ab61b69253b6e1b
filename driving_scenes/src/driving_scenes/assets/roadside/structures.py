"""Structures across a road, from y = -width / 2 to width / 2 at x = 0."""

from __future__ import annotations

import numpy as np

from driving_scenes.assets.roadside.sign import Board, direction_board
from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import BUILDING, SIGN
from driving_scenes.base.shapes import box, boxes, rods


def overpass(rng: np.random.Generator, width: float = 14.0, detail: int = 1) -> Asset:
    """A bridge over a clear opening of the given width and at least 4.8 m."""
    color = colors.CONCRETE * rng.uniform(0.65, 1.3)
    deep, clear, thick = rng.uniform(6, 16), rng.uniform(4.8, 6.2), rng.uniform(0.9, 1.6)
    over = rng.uniform(2.5, 6)
    full = width + 2 * over
    parts = [box((0, 0, clear + thick * 0.75), (deep, full, thick * 0.5), color)]
    beams = int(max(deep / 2.2, 2))
    x = (np.arange(beams) + 0.5) * deep / beams - deep / 2
    steel = rng.random() < 0.3
    girder = colors.linear("4a6a5a", "3a4a5a", "6a3a2a")[rng.integers(3)] if steel else color * 0.9
    parts.append(
        boxes(
            np.stack([x, 0 * x, 0 * x + clear + thick * 0.25], 1),
            (0.5, full, thick * 0.5),
            girder,
            Material.PAINT if steel else Material.MATTE,
        )
    )
    parts.append(
        boxes(
            np.array([(s * deep / 2, 0, clear + thick * 0.8) for s in (1, -1)]),
            (0.35, full, thick * 0.75),
            color * 1.08,
        )
    )
    parts += _railing(rng, deep, full, clear + thick, color, detail)
    parts += _supports(rng, deep, width, over, clear, color)
    return asset_of(join(parts), None, BUILDING)


def _railing(
    rng: np.random.Generator, deep: float, full: float, z: float, color: np.ndarray, detail: int
) -> list[Mesh]:
    if rng.random() < 0.4:
        return [boxes(np.array([(s * deep / 2, 0, z + 0.5) for s in (1, -1)]), (0.25, full, 1.0), color)]
    y = np.linspace(-full / 2, full / 2, int(full / (0.5 if detail else 3.0)))
    low = np.array([(s * deep / 2, v, z) for s in (1, -1) for v in y])
    ends = np.array([(s * deep / 2, -full / 2, z + h) for s in (1, -1) for h in (0.5, 1.1)])
    parts = [rods(low, low + (0, 0, 1.1), 0.025, colors.GALVANISED, Material.METAL, 3)]
    return [*parts, rods(ends, ends * (1, -1, 1), 0.04, colors.GALVANISED, Material.METAL, 4)]


def _supports(
    rng: np.random.Generator, deep: float, width: float, over: float, clear: float, color: np.ndarray
) -> list[Mesh]:
    if rng.random() < 0.5:  # solid abutments
        return [box((0, s * (width / 2 + over / 2), clear / 2), (deep, over, clear), color * 0.92) for s in (1, -1)]
    columns = np.array([(x * deep * 0.35, s * (width / 2 + 0.7), 0) for x in (-1, 0, 1) for s in (1, -1)])
    caps = [box((0, s * (width / 2 + 0.7), clear - 0.3), (deep * 0.95, 1.1, 0.6), color) for s in (1, -1)]
    slope = [box((0, s * (width / 2 + over - 0.4), clear / 2), (deep, 0.8, clear), color * 0.8) for s in (1, -1)]
    return [rods(columns, columns + (0, 0, clear - 0.2), 0.45, color, Material.MATTE, 10), *caps, *slope]


def gantry(rng: np.random.Generator, width: float = 14.0, detail: int = 1) -> Asset:
    """Direction boards over the road; they face -x. The first is the mesh, the others are the parts "sign 2", ..."""
    low, tall = rng.uniform(5.3, 6.0), rng.uniform(1.6, 2.8)
    count = max(int(width / rng.uniform(4.2, 6.5)), 1)
    centers = (np.arange(count) + 0.5) * width / count - width / 2
    boards = []
    matrix = rng.random() < 0.2
    for y in centers[rng.random(count) < 0.85] if count > 1 else centers:
        board = Board()
        wide = min(width / count * rng.uniform(0.7, 0.92), 5.5)
        direction_board(rng, board, wide, tall * rng.uniform(0.75, 1.0))
        if matrix:  # a lane signal instead
            board = Board()
            board.bar(0, 0, 1.6, 1.3, colors.BLACK)
            board.arrow(0, 0, 0.9, colors.SIGN_GREEN * 3, np.pi)
        if not detail:
            del board.outlines[2:], board.paints[2:]
        plate = board.mesh(-0.35, low + tall / 2, colors.GALVANISED * 0.7)
        pose = np.eye(4)
        pose[1, 3] = y
        boards.append(plate.moved(pose))
    if not boards:
        board = Board()
        direction_board(rng, board, min(4.0, width * 0.6), tall)
        boards.append(board.mesh(-0.35, low + tall / 2, colors.GALVANISED * 0.7))
    others = {f"sign {number}": board for number, board in enumerate(boards[1:12], 2)}
    return asset_of(boards[0], "traffic sign", SIGN, {"pole": _truss(rng, width, low + tall * 0.35, detail), **others})


def _truss(rng: np.random.Generator, width: float, z: float, detail: int) -> Mesh:
    steel, high = colors.GALVANISED * rng.uniform(0.7, 1.1), 0.9
    chords = np.array([(x, -width / 2 - 0.5, z + h) for x in (-0.25, 0.25) for h in (0, high)])
    parts = [rods(chords, chords * (1, -1, 1), 0.06, steel, Material.METAL, 5 if detail else 3)]
    posts = np.array([(x, s * (width / 2 + 0.5), 0) for x in (-0.25, 0.25) for s in (1, -1)])
    parts.append(rods(posts, posts + (0, 0, z + high), 0.14, steel, Material.METAL, 7 if detail else 4))
    if detail:
        y = np.linspace(-width / 2 - 0.5, width / 2 + 0.5, max(int(width / 1.2), 3))
        for x in (-0.25, 0.25):
            low = np.stack([0 * y + x, y, 0 * y + z], 1)
            top = low + (0, 0, high)
            zigzag = np.where((np.arange(len(y)) % 2 == 0)[:, None], low, top)
            parts.append(rods(zigzag[:-1], zigzag[1:], 0.03, steel, Material.METAL, 3))
    return join(parts)
