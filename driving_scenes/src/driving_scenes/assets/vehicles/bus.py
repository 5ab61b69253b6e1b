"""Buses: city, coach, double-decker, school."""

from __future__ import annotations

import numpy as np

from driving_scenes.assets.vehicles.hull import Canvas, every, hull, on_post
from driving_scenes.assets.vehicles.wheel import wheels
from driving_scenes.base import colors
from driving_scenes.base.asset import VEHICLE, Asset, asset_of
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.shapes import box, boxes

_LIVERIES = colors.linear(
    "f0f0ec", "c81e1e", "1e4f9c", "e8b21a", "2f7a4a", "d8dce0", "6a1f3a", "f08020", "2aa0b8", "b8bcc0"
)


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
    meshes = [_body(rng, bus_type, length, height, main, second, doors, detail)]
    rim = colors.STEEL if rng.random() < 0.7 else colors.DARK
    axles = _axles(length)
    meshes.append(wheels([(x, s * 1.24) for x in axles for s in (1, -1)], 0.48, 0.3, rim, 5, detail))
    meshes.append(box((0, 0, 0.6), (length * 0.92, 1.8, 0.5), colors.BLACK))
    if detail:
        meshes += _trim(rng, bus_type, length, height, main)
    return asset_of(join(meshes), "bus", VEHICLE)


def _axles(length: float) -> tuple[float, float]:
    return length / 2 - 2.6, -length / 2 + 3.0


def _body(
    rng: np.random.Generator,
    bus_type: str,
    length: float,
    height: float,
    main: np.ndarray,
    second: np.ndarray,
    doors: int,
    detail: int,
) -> Mesh:
    end = length / 2
    low, top = (1.5 if bus_type == "coach" else 1.15), (2.05 if bus_type == "double" else height - 0.62)
    start, stop, pitch, post = -end + 0.9, end - 0.9, (1.5 if detail else 6.0), 0.1
    door_x = (end - 1.15, -0.2 if bus_type != "coach" else -1.5)
    z = [0.3, 0.48, 0.72, 0.98, low, top]
    z += (
        [2.45, 2.6, height - 0.5, height - 0.18, height]
        if bus_type == "double"
        else [height - 0.35, height - 0.12, height]
    )
    heights = np.array(z)
    push = np.interp(heights, [0.3, 0.6, low, height], [-0.02, 0.0, -0.03, -0.22 if bus_type != "city" else -0.1])
    rows = np.stack(
        [
            heights,
            np.interp(heights, [0.3, 0.5, low, height - 0.15, height], [0.97, 1, 1, 0.97, 0.9]),
            push,
            push * 0.3,
        ],
        1,
    )
    band = bool(rng.random() < 0.7)
    stripe, tall_lamps = float(rng.uniform(0, 1)), bool(rng.random() < 0.5)

    def paint(c: Canvas) -> None:
        if bus_type != "school":
            c.put(c.between(0, 0.98) & (stripe < 0.4), second)
            c.put(c.side & (c.x < -end * 0.3) & (stripe > 0.75), second)
        else:
            c.put(c.side & c.between(0.72, 0.98), colors.BLACK)
        c.put(c.between(0, 0.48), colors.PLASTIC, Material.MATTE)
        window = c.between(low, top) | (c.between(2.6, height - 0.5) if bus_type == "double" else False)
        c.put(c.side & window & (c.x < end), colors.GLASS_TINT, Material.GLASS)
        c.put(c.side & window & on_post(c.x, start, stop, pitch, post), colors.BLACK if band else main)
        c.put(c.nose & (c.between(1.0, top) | window), colors.GLASS_TINT, Material.GLASS)
        c.put(c.nose & c.between(top, height - 0.12) & (np.abs(c.y) < 0.85) & (bus_type != "double"), colors.BLACK)
        c.put(
            c.nose & c.between(0.48, 0.72) & (np.abs(c.y) > 0.75) & (np.abs(c.y) < 1.2),
            colors.LAMP_WHITE,
            Material.HEADLAMP,
        )
        for at in door_x:
            opening = c.side & (c.y * doors > 0) & (np.abs(c.x - at) < 0.6) & c.between(0.48, top)
            c.put(opening, colors.GLASS_TINT, Material.GLASS)
            c.put(opening & (np.abs(c.x - at) < 0.04), colors.BLACK)
        c.put(c.tail & window & (np.abs(c.y) < 0.95), colors.GLASS_TINT, Material.GLASS)
        c.put(c.tail & c.between(0.72, 0.98) & (np.abs(c.y) < 0.6), colors.DARK, Material.MATTE)
        lamps = c.tail & (np.abs(c.y) > 0.93) & (np.abs(c.y) < 1.25)
        c.put(lamps & c.between(0.72, 0.98 if not tall_lamps else low), colors.LAMP_RED, Material.TAILLAMP)
        c.put(lamps & c.between(0.48, 0.72), colors.LAMP_AMBER, Material.INDICATOR)
        c.put(
            lamps & c.between(height - 0.35, height - 0.12),
            colors.LAMP_RED if bus_type != "school" else colors.LAMP_AMBER,
            Material.TAILLAMP,
        )

    door_lines = (
        np.concatenate([np.array([a - 0.6, a - 0.03, a + 0.03, a + 0.6]) for a in door_x]) if detail else np.zeros(0)
    )
    marks = np.concatenate([every(start, stop, pitch, post), door_lines])
    lines = ([0, 0.04, 0.75, 0.85], [0, 0.6, 0.93]) if detail else ([0, 0.8], [0, 0.93])
    return hull(
        (-end, end),
        2.52,
        rows,
        marks,
        lines,
        main,
        paint,
        corner=0.22,
        axles=_axles(length) if detail else (),
        wheel=0.48,
        detail=detail,
    )


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
