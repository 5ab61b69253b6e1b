"""Buses: city, coach, double-decker, school."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.assets.vehicles.hull import Canvas, every, hull, on_post
from driving_scenes.assets.vehicles.wheel import wheels
from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import VEHICLE
from driving_scenes.base.shapes import box, boxes

_LIVERIES = colors.linear(
    "f0f0ec", "c81e1e", "1e4f9c", "e8b21a", "2f7a4a", "d8dce0", "6a1f3a", "f08020", "2aa0b8", "b8bcc0"
)


POST = 0.1  # width of the posts between windows, metres


@dataclass(frozen=True, slots=True)
class _Bus:
    """Dimensions in metres and colours of one bus."""

    bus_type: str
    length: float
    height: float
    main: np.ndarray
    second: np.ndarray
    door_side: int  # 1 left, -1 right

    @property
    def end(self) -> float:
        return self.length / 2

    @property
    def double(self) -> bool:
        return self.bus_type == "double"

    @property
    def low(self) -> float:
        """Lower edge of the windows."""
        return 1.5 if self.bus_type == "coach" else 1.15

    @property
    def top(self) -> float:
        """Upper edge of the windows, of the lower deck in a double-decker."""
        return 2.05 if self.double else self.height - 0.62

    @property
    def door_x(self) -> tuple[float, float]:
        return self.end - 1.15, -0.2 if self.bus_type != "coach" else -1.5


@dataclass(frozen=True, slots=True)
class _Livery:
    dark_posts: bool
    stripe: float  # 0..1, selects where the second colour goes
    tall_lamps: bool


def bus(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A bus facing +x; its doors are on the right, or on the left for left-hand traffic."""
    bus_type = str(rng.choice(["city", "coach", "double", "school"], p=[0.5, 0.25, 0.12, 0.13]))
    length = {
        "city": rng.uniform(9.5, 12.2),
        "coach": rng.uniform(11, 13),
        "double": rng.uniform(10, 11.2),
        "school": rng.uniform(9, 11),
    }[bus_type]
    height = {"city": 3.0, "coach": 3.55, "double": 4.35, "school": 3.1}[bus_type] * rng.uniform(0.97, 1.03)
    main = colors.linear("e0a010")[0] if bus_type == "school" else colors.one_of(rng, _LIVERIES)
    second = colors.BLACK if bus_type == "school" else colors.one_of(rng, _LIVERIES)
    doors = rng.choice([-1, -1, 1])
    meshes = [_body(rng, _Bus(bus_type, length, height, main, second, doors), detail)]
    rim = colors.STEEL if rng.random() < 0.7 else colors.DARK
    axles = _axles(length)
    meshes.append(wheels([(x, s * 1.24) for x in axles for s in (1, -1)], 0.48, 0.3, rim, 5, detail))
    meshes.append(box((0, 0, 0.6), (length * 0.92, 1.8, 0.5), colors.BLACK))
    if detail:
        meshes += _trim(rng, bus_type, length, height, main)
    return asset_of(join(meshes), "bus", VEHICLE)


def _axles(length: float) -> tuple[float, float]:
    return length / 2 - 2.6, -length / 2 + 3.0


def _rows(bus: _Bus) -> np.ndarray:
    """Rows of the hull, see `hull`."""
    low, height = bus.low, bus.height
    upper = [2.45, 2.6, height - 0.5, height - 0.18, height] if bus.double else [height - 0.35, height - 0.12, height]
    z = np.array([0.3, 0.48, 0.72, 0.98, low, bus.top, *upper])
    width = np.interp(z, [0.3, 0.5, low, height - 0.15, height], [0.97, 1, 1, 0.97, 0.9])
    push = np.interp(z, [0.3, 0.6, low, height], [-0.02, 0.0, -0.03, -0.22 if bus.bus_type != "city" else -0.1])
    return np.stack([z, width, push, push * 0.3], 1)


def _body(rng: np.random.Generator, bus: _Bus, detail: int) -> Mesh:
    end, pitch = bus.end, 1.5 if detail else 6.0
    livery = _Livery(bool(rng.random() < 0.7), float(rng.uniform(0, 1)), bool(rng.random() < 0.5))
    door_lines = (
        np.concatenate([np.array([x - 0.6, x - 0.03, x + 0.03, x + 0.6]) for x in bus.door_x])
        if detail
        else np.zeros(0)
    )
    marks = np.concatenate([every(-end + 0.9, end - 0.9, pitch, POST), door_lines])
    lines = ([0, 0.04, 0.75, 0.85], [0, 0.6, 0.93]) if detail else ([0, 0.8], [0, 0.93])

    def paint(c: Canvas) -> None:
        window = c.between(bus.low, bus.top) | (c.between(2.6, bus.height - 0.5) if bus.double else False)
        _paint_sides(c, bus, livery, window, pitch)
        _paint_nose(c, bus, window)
        _paint_doors(c, bus)
        _paint_tail(c, bus, livery, window)

    return hull(
        (-end, end),
        2.52,
        _rows(bus),
        marks,
        lines,
        bus.main,
        paint,
        corner=0.22,
        axles=_axles(bus.length) if detail else (),
        wheel=0.48,
        detail=detail,
    )


def _paint_sides(c: Canvas, bus: _Bus, livery: _Livery, window: np.ndarray, pitch: float) -> None:
    end = bus.end
    if bus.bus_type != "school":
        c.put(c.between(0, 0.98) & (livery.stripe < 0.4), bus.second)
        c.put(c.side & (c.x < -end * 0.3) & (livery.stripe > 0.75), bus.second)
    else:
        c.put(c.side & c.between(0.72, 0.98), colors.BLACK)
    c.put(c.between(0, 0.48), colors.PLASTIC, Material.MATTE)
    c.put(c.side & window & (c.x < end), colors.GLASS_TINT, Material.GLASS)
    posts = on_post(c.x, -end + 0.9, end - 0.9, pitch, POST)
    c.put(c.side & window & posts, colors.BLACK if livery.dark_posts else bus.main)


def _paint_nose(c: Canvas, bus: _Bus, window: np.ndarray) -> None:
    c.put(c.nose & (c.between(1.0, bus.top) | window), colors.GLASS_TINT, Material.GLASS)
    sign = c.nose & c.between(bus.top, bus.height - 0.12) & (np.abs(c.y) < 0.85)
    c.put(sign & (not bus.double), colors.BLACK)
    lamps = c.nose & c.between(0.48, 0.72) & (np.abs(c.y) > 0.75) & (np.abs(c.y) < 1.2)
    c.put(lamps, colors.LAMP_WHITE, Material.HEADLAMP)


def _paint_doors(c: Canvas, bus: _Bus) -> None:
    for x in bus.door_x:
        opening = c.side & (c.y * bus.door_side > 0) & (np.abs(c.x - x) < 0.6) & c.between(0.48, bus.top)
        c.put(opening, colors.GLASS_TINT, Material.GLASS)
        c.put(opening & (np.abs(c.x - x) < 0.04), colors.BLACK)


def _paint_tail(c: Canvas, bus: _Bus, livery: _Livery, window: np.ndarray) -> None:
    c.put(c.tail & window & (np.abs(c.y) < 0.95), colors.GLASS_TINT, Material.GLASS)
    c.put(c.tail & c.between(0.72, 0.98) & (np.abs(c.y) < 0.6), colors.DARK, Material.MATTE)
    lamps = c.tail & (np.abs(c.y) > 0.93) & (np.abs(c.y) < 1.25)
    c.put(lamps & c.between(0.72, 0.98 if not livery.tall_lamps else bus.low), colors.LAMP_RED, Material.TAILLAMP)
    c.put(lamps & c.between(0.48, 0.72), colors.LAMP_AMBER, Material.INDICATOR)
    upper = colors.LAMP_RED if bus.bus_type != "school" else colors.LAMP_AMBER
    c.put(lamps & c.between(bus.height - 0.35, bus.height - 0.12), upper, Material.TAILLAMP)


def _trim(rng: np.random.Generator, bus_type: str, length: float, height: float, main: np.ndarray) -> list[Mesh]:
    end = length / 2
    out = [
        boxes(
            np.array([(end + 0.12, s * 1.36, height - 0.9 if bus_type != "double" else 2.2) for s in (1, -1)]),
            (0.16, 0.2, 0.42),
            colors.BLACK,
        )
    ]
    out.append(box((-end - 0.01, 0, 0.58), (0.03, 0.52, 0.12), colors.WHITE, Material.SIGN))
    out.append(box((end + 0.01, 0, 0.58), (0.03, 0.52, 0.12), colors.WHITE, Material.SIGN))
    out.append(box((-end - 0.03, 0, 0.42), (0.1, 2.3, 0.14), colors.PLASTIC))
    if bus_type in ("city", "coach"):
        out.append(box((rng.uniform(-2, 1), 0, height + 0.1), (2.4, 1.6, 0.26), main * 0.9, Material.PAINT, top=0.9))
        out.append(box((-end + 0.01, 0, height - 0.24), (0.05, 0.6, 0.16), colors.LAMP_AMBER * 0.5, Material.SIGN))
    if bus_type == "school":
        out.append(box((end + 0.45, 0, 0.95), (1.1, 1.9, 0.95), main, Material.PAINT, top=(0.9, 0.85)))
        out.append(box((end + 1.0, 0, 0.85), (0.04, 1.2, 0.5), colors.BLACK))
        out.append(
            boxes(
                np.array([(end + 1.0, s * 0.8, 0.85) for s in (1, -1)]),
                (0.05, 0.25, 0.25),
                colors.LAMP_WHITE,
                Material.HEADLAMP,
            )
        )
        out.append(box((-end - 0.02, 0, 1.35), (0.02, 0.75, 1.6), main * 0.8, Material.PAINT))
        out.append(box((-end - 0.03, 0, 1.8), (0.02, 0.6, 0.6), colors.GLASS_TINT, Material.GLASS))
    return out
