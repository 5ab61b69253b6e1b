"""Cars of all ages and body types.

The body is one lattice: columns run around the plan from the nose along the left side to the tail and back along the right,
rows run from under the sill up to the shoulder and on across bonnet and boot to the middle line. The cabin is a second one.
Lamps, seams, grille and windows are cells of these lattices, so the lines are where the feature edges are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception_models.render.assets import colors
from perception_models.render.assets.asset import VEHICLE, Asset, asset_of
from perception_models.render.assets.shapes import box, boxes, lattice
from perception_models.render.assets.wheel import wheels
from perception_models.render.mesh import Material, Mesh, join


@dataclass(frozen=True, slots=True)
class Body:
    """Proportions of a car: metres, heights as share of `height`, x as share of `length` from the tail."""

    kind: str
    share: float  # of the cars on the road
    length: float
    width: float
    height: float
    wheelbase: float  # share of length
    overhang: float  # front, share of length
    wheel: float  # radius
    clearance: float
    bonnet: float  # height of its front edge
    cowl: float  # height under the windscreen
    belt: float  # height of the shoulder at the tail
    screen: tuple[float, float]  # x of the windscreen's foot and top
    rear: tuple[float, float]  # x of the rear window's foot and top
    pillars: tuple[float, ...] = (0.44,)  # x of the posts between side windows
    windows: bool = True  # at the sides behind the first post
    roundness: float = 0.34


BODIES = (
    Body("sedan", 0.22, 4.70, 1.84, 1.45, 0.595, 0.19, 0.33, 0.19, 0.50, 0.655, 0.70, (0.71, 0.555), (0.135, 0.28), (0.44, 0.27)),
    Body("compact sedan", 0.06, 4.35, 1.74, 1.46, 0.60, 0.195, 0.31, 0.19, 0.51, 0.655, 0.69, (0.725, 0.565), (0.13, 0.27), (0.44, 0.27)),
    Body("hatchback", 0.17, 4.15, 1.77, 1.48, 0.62, 0.20, 0.315, 0.18, 0.52, 0.65, 0.67, (0.745, 0.585), (0.035, 0.15), (0.45, 0.22)),
    Body("city car", 0.06, 3.50, 1.62, 1.51, 0.66, 0.19, 0.28, 0.17, 0.53, 0.65, 0.66, (0.80, 0.64), (0.03, 0.11), (0.42,)),
    Body("estate", 0.08, 4.75, 1.83, 1.47, 0.595, 0.19, 0.33, 0.19, 0.50, 0.655, 0.675, (0.71, 0.56), (0.025, 0.11), (0.46, 0.27)),
    Body("suv", 0.17, 4.55, 1.87, 1.67, 0.585, 0.20, 0.355, 0.24, 0.57, 0.665, 0.685, (0.735, 0.585), (0.03, 0.12), (0.46, 0.25)),
    Body("large suv", 0.06, 5.05, 2.00, 1.86, 0.585, 0.19, 0.39, 0.27, 0.60, 0.665, 0.68, (0.72, 0.61), (0.02, 0.07), (0.47, 0.27)),
    Body("minivan", 0.05, 4.85, 1.90, 1.76, 0.60, 0.20, 0.34, 0.20, 0.51, 0.60, 0.62, (0.82, 0.63), (0.02, 0.09), (0.52, 0.28)),
    Body("pickup", 0.06, 5.55, 2.00, 1.86, 0.615, 0.175, 0.39, 0.32, 0.62, 0.67, 0.66, (0.715, 0.61), (0.385, 0.41), (0.52,), True, 0.2),
    Body("van", 0.05, 5.30, 2.00, 2.15, 0.62, 0.18, 0.34, 0.22, 0.47, 0.55, 0.56, (0.90, 0.75), (0.012, 0.03), (0.64, 0.36), False, 0.22),
    Body("box van", 0.03, 5.90, 2.05, 2.65, 0.62, 0.17, 0.35, 0.24, 0.42, 0.47, 0.48, (0.90, 0.79), (0.01, 0.02), (0.68, 0.40), False, 0.2),
    Body("sports", 0.025, 4.40, 1.86, 1.28, 0.58, 0.20, 0.335, 0.14, 0.50, 0.67, 0.74, (0.68, 0.51), (0.10, 0.32), (0.36,)),
    Body("classic", 0.03, 4.45, 1.68, 1.42, 0.57, 0.18, 0.31, 0.20, 0.56, 0.645, 0.65, (0.68, 0.605), (0.20, 0.26), (0.45,), True, 0.16),
    Body("classic estate", 0.015, 4.60, 1.72, 1.46, 0.57, 0.18, 0.31, 0.20, 0.56, 0.64, 0.64, (0.69, 0.61), (0.03, 0.08), (0.46, 0.27), True, 0.16),
    Body("classic van", 0.015, 4.50, 1.75, 1.95, 0.54, 0.15, 0.32, 0.2, 0.55, 0.57, 0.58, (0.985, 0.91), (0.015, 0.06), (0.74, 0.5, 0.26), True, 0.3),
)

# Rows of the side: share of the height from sill to shoulder, share of the half width, push of tail and nose in metres.
_ROWS = np.array(
    [
        (0.00, 0.930, 0.07, -0.09),
        (0.10, 0.985, 0.02, -0.03),
        (0.30, 1.000, 0.00, 0.00),
        (0.46, 0.997, 0.00, -0.005),
        (0.62, 0.988, 0.015, -0.03),
        (0.86, 0.962, 0.03, -0.09),
        (0.95, 0.940, 0.045, -0.13),
        (1.00, 0.905, 0.07, -0.18),
    ]
)
_FAR_ROWS = _ROWS[[0, 4, 5, 7]]


def car(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A passenger car, pickup or delivery van that looks along x."""
    body = _drawn(rng)
    service = rng.choice(["", "taxi", "police"], p=[0.955, 0.03, 0.015]) if body.share > 0.05 else ""
    paint = {"taxi": _taxi_color(rng), "police": colors.linear("f0f0f0")[0]}.get(service, colors.car_color(rng))
    if not body.windows and rng.random() < 0.6:
        paint = colors.linear("eeeeec")[0]
    look = Look.drawn(rng, body, paint)
    meshes = [_shell(body, look, detail), _cabin(body, look, detail), _wheels(body, look, detail), _floor(body)]
    meshes += _trim(rng, body, look, service) if detail else _far_trim(body, look)
    mesh = join(meshes)
    if rng.random() < 0.15:
        mesh = _dirtied(mesh, rng.uniform(0.2, 0.6))
    return asset_of(mesh, "car", VEHICLE)


def _taxi_color(rng: np.random.Generator) -> np.ndarray:
    """Taxi yellow, ivory or black."""
    return colors.linear("e8b21a", "e6d7b0", "15161a")[rng.integers(3)]


def _drawn(rng: np.random.Generator) -> Body:
    shares = np.array([b.share for b in BODIES])
    body = BODIES[rng.choice(len(BODIES), p=shares / shares.sum())]
    length, width, height, wheel = rng.normal(1, [0.03, 0.02, 0.02, 0.03]).clip(0.94, 1.06) * (body.length, body.width, body.height, body.wheel)
    lift = rng.normal(0, 0.012, 3)
    return replace(
        body,
        length=length,
        width=width,
        height=height,
        wheel=wheel,
        bonnet=body.bonnet + lift[0],
        belt=body.belt + lift[1],
        cowl=body.cowl + lift[2] / 2,
        roundness=body.roundness * rng.uniform(0.8, 1.25),
    )


@dataclass(frozen=True, slots=True)
class Look:
    """What differs between two cars of one body."""

    paint: np.ndarray
    trim: np.ndarray  # sills, arches and lower bumpers
    roof: np.ndarray
    rim: np.ndarray
    spokes: int
    lamp_inner: float  # share of the half width where head lamps begin
    tail_inner: float
    tail_rows: tuple[int, ...]  # rows of cells that the tail lamps fill
    amber: bool
    light_bar: bool
    tall_tail: bool  # lamps climb beside the rear window
    grille: float  # share of the half width
    grille_color: np.ndarray
    classic: bool
    plate: np.ndarray
    plate_row: int

    @staticmethod
    def drawn(rng: np.random.Generator, body: Body, paint: np.ndarray) -> Look:
        classic = body.kind.startswith("classic")
        steep = body.rear[0] < 0.06 and not classic
        cladding = body.kind in ("suv", "large suv", "van", "box van", "pickup", "city car") and rng.random() < 0.6
        tails = [(4,), (3, 4), (4, 5), (4,)] if not classic else [(3,), (4,), (3, 4)]
        rims = [colors.STEEL * 0.9, colors.CHROME, colors.DARK * 1.6, np.full(3, 0.22)]
        return Look(
            paint=paint,
            trim=colors.PLASTIC if cladding else paint,
            roof=colors.BLACK if rng.random() < 0.1 and body.windows else paint,
            rim=rims[rng.integers(4)].astype(np.float32),
            spokes=int(rng.choice([5, 6, 7, 10])),
            lamp_inner=rng.uniform(0.5, 0.68),
            tail_inner=rng.uniform(0.48, 0.8) if body.windows else 0.86,
            tail_rows=tails[rng.integers(len(tails))] if body.windows else (2, 3, 4),
            amber=bool(rng.random() < (0.5 if classic else 0.12)),
            light_bar=not classic and rng.random() < 0.12,
            tall_tail=bool(steep and rng.random() < (0.35 if body.windows else 0.1)),
            grille=rng.uniform(0.3, 0.48),
            grille_color=colors.CHROME * 0.8 if rng.random() < 0.15 or classic else colors.BLACK,
            classic=classic,
            plate=colors.linear("f2f2ee", "f2f2ee", "e9c53a", "dfe6ee", "23252b")[rng.choice(5, p=[0.4, 0.2, 0.12, 0.24, 0.04])],
            plate_row=int(rng.choice([2, 3], p=[0.3, 0.7])),
        )


def _axles(body: Body) -> np.ndarray:
    front = body.length * (0.5 - body.overhang)
    return np.array([front, front - body.wheelbase * body.length])


def _x(body: Body, share: float | np.ndarray) -> float | np.ndarray:
    return (np.asarray(share) - 0.5) * body.length


def _shoulder(body: Body, x: np.ndarray) -> np.ndarray:
    """Height of the shoulder line along the car."""
    boot = body.belt - (0.025 if body.rear[0] > 0.08 else 0.0)
    at = np.array([0, body.rear[0] * 0.9 + 0.01, body.rear[1] + 0.05, body.screen[0] - 0.02, 0.95, 1.0])
    z = np.array([boot, body.belt, body.belt, body.cowl, body.bonnet + 0.015, body.bonnet])
    return np.interp(x / body.length + 0.5, at, z) * body.height


def _plan(body: Body, look: Look, detail: int) -> np.ndarray:
    """(C, 2) outline of the left half from the middle of the nose to the middle of the tail, lines at every feature."""
    half, end, corner = body.width / 2, body.length / 2, body.roundness
    turn = np.radians([78, 55, 30, 8] if detail else [45])
    corner_y = corner * 0.75
    arc = np.stack([end - corner + corner * np.sin(turn), half - corner_y + corner_y * np.cos(turn)], 1)
    sides = [np.array([end - corner * 1.02])]
    reach = body.wheel * 1.13 + 0.015
    angles = np.radians([0, 9, 32, 58, 90, 122, 148, 171, 180] if detail else [10, 60, 120, 170])
    sides += [axle + reach * np.cos(angles) for axle in _axles(body)]
    if detail:
        sides += [_x(body, s) + np.array([0.007, -0.007]) for s in _seams(body)]
    sides.append(np.array([-end + corner * 1.02]))
    x = np.unique(np.concatenate(sides).round(4))[::-1]
    x = x[(x <= end - corner) & (x >= -end + corner)]
    side = np.stack([x, np.full(len(x), half)], 1)
    nose_y = np.array([0, look.grille * 0.5, look.grille, look.lamp_inner]) if detail else np.array([0, look.lamp_inner])
    tail_y = np.array([0, 0.3, look.tail_inner]) if detail else np.array([0, look.tail_inner])
    nose_y, tail_y = np.minimum(nose_y * half, half - corner_y - 0.02), np.minimum(tail_y * half, half - corner_y * 0.6)
    bulge = 0.1 if not look.classic else 0.02
    nose = np.stack([end - bulge * (nose_y / half) ** 2, nose_y], 1)
    tail = np.stack([-end + 0.06 * (tail_y / half) ** 2, tail_y], 1)
    front, back = arc, arc * (-1, 1)
    front = front - np.stack([bulge * np.clip(1 - (end - front[:, 0]) / corner, 0, 1) * 0.8, 0 * front[:, 1]], 1)
    back = back + np.stack([0.05 * np.clip(1 - (end + back[:, 0]) / corner, 0, 1), 0 * back[:, 1]], 1)
    return np.concatenate([nose, front, side, back[::-1], tail[::-1]])


def _seams(body: Body) -> list[float]:
    first = min(body.screen[0] - 0.03, 0.5 + (_axles(body)[0] - body.wheel * 1.25) / body.length)
    last = 0.5 + (_axles(body)[1] + body.wheel * 1.05) / body.length
    return [first, *[p for p in body.pillars if last + 0.06 < p < first], last] if body.windows else [first, body.pillars[0]]


def _shell(body: Body, look: Look, detail: int) -> Mesh:
    """Sides, nose, tail, bonnet and boot."""
    plan = _plan(body, look, detail)
    plan = np.concatenate([plan, (plan * (1, -1))[-2::-1]])
    rows = _ROWS if detail else _FAR_ROWS
    points = _shell_points(body, plan, rows, np.array([0.97, 0.72, 0.4, 0.0]) if detail else np.array([0.0]))
    middle = (points[:-1, :-1] + points[1:, :-1] + points[:-1, 1:] + points[1:, 1:]) / 4
    cell_plan = (plan[:-1] + plan[1:]) / 2
    color, material = _shell_paint(body, look, middle, cell_plan, rows, np.abs(np.diff(plan[:, 0])))
    share = middle[..., 0] / body.length + 0.5
    deck = np.arange(len(middle)) >= len(rows)
    hidden = deck[:, None] & (share > body.rear[0] + 0.04) & (share < body.screen[0] - 0.06)
    return lattice(points, color, material, crease=35, keep=~hidden)


def _shell_points(body: Body, plan: np.ndarray, rows: np.ndarray, deck: np.ndarray) -> np.ndarray:
    x, y = plan.T
    end = body.length / 2
    nose, tail = np.clip((x - end + 0.7) / 0.7, 0, 1) ** 2, np.clip((-x - end + 0.5) / 0.5, 0, 1) ** 2
    low = body.clearance + 0.07 * nose + 0.1 * tail
    high = _shoulder(body, x)
    arch = np.zeros_like(x)
    for axle in _axles(body):
        reach = body.wheel * 1.13 + 0.015
        inside = np.abs(x - axle) < reach * 0.9999
        arch = np.where(inside, body.wheel + np.sqrt(np.clip(reach**2 - (x - axle) ** 2, 0, None)), arch)
    side = np.stack(
        [
            x + rows[:, 2:3] * tail + rows[:, 3:4] * nose,
            y * rows[:, 1:2] * (1 - 0.06 * rows[:, :1] * (nose + tail)),
            np.maximum(low + rows[:, :1] * (high - low), np.minimum(arch, high - 0.05)),
        ],
        -1,
    )
    inner = side[:1] * (0.985, 0.6, 1)
    top = side[-1:] * np.stack([np.ones_like(deck), deck, np.ones_like(deck)], 1)[:, None]
    top[..., 2] += (0.045 * (1 - deck**2))[:, None] - 0.02 * nose
    if body.kind == "pickup":
        top[(deck < 0.9)[:, None] & (x < _x(body, body.rear[0]) - 0.02)[None], 2] -= 0.45
    return np.concatenate([inner, side, top])


def _shell_paint(
    body: Body, look: Look, middle: np.ndarray, plan: np.ndarray, rows: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colour and material of every cell of the shell."""
    cells = middle.shape[:2]
    x, y = np.broadcast_to(plan[:, 0], cells), np.broadcast_to(np.abs(plan[:, 1]), cells) / (body.width / 2)
    mid = np.full(len(middle), 2.0)
    mid[0], mid[1 : len(rows)] = -1, (rows[1:, 0] + rows[:-1, 0]) / 2
    level = np.broadcast_to(mid[:, None], cells)
    end = body.length / 2
    nose, tail = x > end - body.roundness * 0.92, x < -end + body.roundness * 0.75
    color = np.broadcast_to(look.paint, (*cells, 3)).copy()
    material = np.full(cells, Material.PAINT, np.uint8)

    def put(where: np.ndarray, what: np.ndarray, kind: int) -> None:
        color[where], material[where] = what, kind

    side_level = (level > 0) & (level < 1)
    put(side_level & (level < 0.1), look.trim * (0.8 if look.trim is look.paint else 1), Material.PAINT if look.trim is look.paint else Material.MATTE)
    if look.trim is not look.paint:
        put(side_level & (level < 0.3), look.trim, Material.MATTE)
    if body.clearance < 0.3:
        put((nose | tail) & (level > 0) & (level < 0.1), colors.PLASTIC, Material.MATTE)
    seam = (step < 0.02) & (np.abs(plan[:, 0]) < end - body.roundness)
    for axle in _axles(body):
        seam &= np.abs(np.abs(plan[:, 0] - axle) - body.wheel * 1.13) > 0.03
    put(seam[None] & side_level & (level > 0.08), look.paint * 0.12, Material.MATTE)
    lamp = (level > 0.62) & (level < 0.86) if len(rows) > 5 else (level > 0.6) & (level < 0.9)
    put(nose & (y < look.grille) & (level > 0.3) & (level < (0.86 if not look.classic else 0.62)), look.grille_color, Material.METAL if look.classic else Material.MATTE)
    put(nose & (y < look.grille * 1.4) & (level > 0.08) & (level < 0.3) & (not look.classic), colors.BLACK, Material.MATTE)
    put(nose & (y > look.lamp_inner) & lamp & ((y < 0.97) | look.classic), colors.LAMP_WHITE, Material.HEADLAMP)
    put(nose & (y > 0.955) & lamp, colors.LAMP_AMBER if look.classic else colors.LAMP_WHITE * 0.8, Material.INDICATOR)
    lows, highs = np.append(rows[:-1, 0], 9), np.append(rows[1:, 0], 9)
    picked = np.zeros(len(middle), bool)
    for row in look.tail_rows:
        picked[1 : len(rows)] |= (lows[:-1] < _ROWS[row + 1, 0] - 0.01) & (highs[:-1] > _ROWS[row, 0] + 0.01)
    lamps = tail & picked[:, None] & side_level
    put(lamps & (y > look.tail_inner), colors.LAMP_RED, Material.TAILLAMP)
    put(lamps & (y <= look.tail_inner) & look.light_bar & (level > 0.62) & (level < 0.86), colors.LAMP_RED, Material.TAILLAMP)
    if look.amber and len(rows) > 5:
        first = (level > _ROWS[look.tail_rows[0], 0]) & (level < _ROWS[look.tail_rows[0] + 1, 0])
        put(lamps & first & (y > look.tail_inner) & (y < 0.93), colors.LAMP_AMBER * 0.7, Material.INDICATOR)
    put(level < 0, colors.BLACK, Material.MATTE)
    if body.kind == "pickup":
        put((level > 1) & (x < _x(body, body.rear[0])) & (np.abs(middle[..., 1]) < body.width * 0.43), colors.BLACK, Material.MATTE)
    return color, material


def _cabin(body: Body, look: Look, detail: int) -> Mesh:
    """Windows, posts and roof."""
    foot_front, foot_rear = _x(body, body.screen[0]), _x(body, body.rear[0])
    span = foot_front - foot_rear
    wide, narrow = body.width / 2 * 0.895, body.width / 2 * (0.74 if body.windows else 0.84)
    if body.kind.startswith("classic"):
        narrow = body.width / 2 * 0.78
    post = 0.05 if detail else 0.07
    posts = [p for p in body.pillars if detail or p == body.pillars[0]]
    inside = [v for p in posts for v in (_x(body, p) + post / 2, _x(body, p) - post / 2)]
    rear_post = max(0.06 * span, 0.12) if body.rear[0] > 0.08 else 0.16
    along = np.array([foot_front, foot_front - 0.02, foot_front - 0.07, foot_front - 0.16, foot_front - 0.3, *inside])
    across = np.array([0, 0.5, 0.83, 0.95, 1.0, *[1.0] * len(inside)])
    along = np.concatenate([along, foot_rear + np.array([rear_post + 0.14, 0.13, 0.03, 0])])
    across = np.concatenate([across, [1.0, 0.96, 0.80, 0]])
    order = np.r_[0:5, 5 + np.argsort(-along[5:-3]), len(along) - 3 : len(along)]
    along, across = along[order], across[order]
    along, across = np.r_[along, along[-2::-1]], np.r_[across, -across[-2::-1]]
    share = (along - foot_rear) / span
    top = _x(body, body.rear[1]) + share * (_x(body, body.screen[1]) - _x(body, body.rear[1]))
    foot = _shoulder(body, along) - 0.03
    bend = (top - _x(body, 0.5 * (body.screen[1] + body.rear[1]))) / body.length
    roof = body.height * (1 - 0.28 * bend**2 - 0.02) - 0.012
    rise = np.array([0, 0.09, 0.5, 0.87, 1.0] if detail else [0, 0.09, 0.87, 1.0])[:, None]
    swell = 0.03 * np.sin(np.pi * np.clip(rise, 0, 1))
    points = np.stack([along + rise * (top - along), across * (wide + rise * (narrow - wide) + swell), foot + rise * (roof - foot)], -1)
    inward = np.array([0.92, 0.55, 0.0] if detail else [0.0])[:, None]
    lid = np.stack([top + 0 * inward, points[-1, :, 1] * inward, roof + 0.02 + 0.03 * (1 - inward**2)], -1)
    if detail:
        lid[0, :, 2] = roof + 0.018
    color, material = _cabin_paint(body, look, np.concatenate([rise, inward + 2]), along, across, detail)
    return lattice(np.concatenate([points, lid]), color, material, crease=35)


def _cabin_paint(
    body: Body, look: Look, rise: np.ndarray, along: np.ndarray, across: np.ndarray, detail: int
) -> tuple[np.ndarray, np.ndarray]:
    level = (rise[1:] + rise[:-1])[:, 0] / 2
    glass_row = (level > 0.08) & (level < 0.88)
    x, y = (along[1:] + along[:-1]) / 2, np.abs(across[1:] + across[:-1]) / 2
    cells = len(level), len(x)
    step = np.abs(np.diff(along))
    front, back = x > _x(body, body.screen[0]) - 0.1, x < _x(body, body.rear[0]) + 0.1
    ends = (front | back) & (y < 0.84)
    slim = step < 0.075
    side = ~front & ~back & (y > 0.99) & ~slim & (x < _x(body, body.screen[0]) - 0.28)
    if not body.windows:
        side &= x > _x(body, body.pillars[0])
    closed_tail = not body.windows and look.spokes in (5, 7)
    glass = ends & ~(back & closed_tail) | side
    color = np.broadcast_to(look.paint, (*cells, 3)).copy()
    material = np.full(cells, Material.PAINT, np.uint8)
    where = glass_row[:, None] & glass[None]
    color[where], material[where] = colors.GLASS_TINT, Material.GLASS
    dark = glass_row[:, None] & (slim & ~front & ~back & (y > 0.99) & body.windows)[None]
    color[dark], material[dark] = colors.BLACK, Material.PAINT
    color[(level > 1.5) & (level > 0)] = look.roof
    if look.tall_tail and detail:
        lamp = glass_row[:, None] & ((x < _x(body, body.rear[0]) + 0.1) & (y > 0.84) & (y < 0.99))[None]
        color[lamp], material[lamp] = colors.LAMP_RED, Material.TAILLAMP
    return color, material


def _wheels(body: Body, look: Look, detail: int) -> Mesh:
    outside = body.width / 2 * 0.985 - 0.01
    places = [(x, s * outside) for x in _axles(body) for s in (1, -1)]
    return wheels(places, body.wheel, 0.22, look.rim, look.spokes, detail)


def _floor(body: Body) -> Mesh:
    """The dark underside that hides the view through."""
    height = body.height * 0.4 - body.clearance
    return box((0, 0, body.clearance + height / 2), (body.length * 0.9, body.width * 0.58, height), colors.BLACK)


def _rear_x(body: Body, level: float) -> float:
    return -body.length / 2 + float(np.interp(level, _ROWS[:, 0], _ROWS[:, 2]))


def _level_z(body: Body, level: float, x: float) -> float:
    low = body.clearance + (0.07 if x > 0 else 0.1)
    return low + level * (float(_shoulder(body, np.array(x))) - low)


def _far_trim(body: Body, look: Look) -> list[Mesh]:
    level = 0.38 if look.plate_row == 2 else 0.54
    return [box((_rear_x(body, level) - 0.004, 0, _level_z(body, level, -body.length / 2)), (0.02, 0.5, 0.12), look.plate, Material.SIGN)]


def _trim(rng: np.random.Generator, body: Body, look: Look, service: str) -> list[Mesh]:
    """Plates, mirrors, handles, badges, exhausts, rails and roof signs."""
    end, half = body.length / 2, body.width / 2
    level = 0.38 if look.plate_row == 2 else 0.54
    size = (0.014, 0.31, 0.155) if rng.random() < 0.4 else (0.014, 0.52, 0.112)
    rear, z = _rear_x(body, level), _level_z(body, level, -end)
    out = [box((rear - 0.006, 0, z), (0.012, size[1] + 0.08, size[2] + 0.05), look.paint * 0.35 if not look.classic else colors.DARK)]
    out.append(box((rear - 0.014, 0, z), size, look.plate, Material.SIGN))
    front_plate = rng.random() < 0.75
    if front_plate:
        out.append(box((end + 0.002, 0, _level_z(body, 0.3, end)), size, look.plate, Material.SIGN))
    out.append(box((end - 0.035, 0, _level_z(body, 0.75, end)), (0.03, 0.1, 0.08), colors.CHROME, Material.METAL))
    out.append(box((_rear_x(body, 0.75) - 0.004, 0, _level_z(body, 0.76, -end)), (0.012, 0.1, 0.07), colors.CHROME, Material.METAL))
    mirror_x, mirror_z = _x(body, body.screen[0]) - 0.42, float(_shoulder(body, np.array(_x(body, body.screen[0])))) + 0.08
    tall = 2.0 if not body.windows else 1.0
    mirrors = [(mirror_x, s * (half + 0.04), mirror_z + 0.06 * tall) for s in (1, -1)]
    out.append(boxes(np.array(mirrors), (0.11, 0.2, 0.13 * tall), look.paint if rng.random() < 0.7 else colors.BLACK, Material.PAINT))
    handles = [s - 0.035 for s in _seams(body)[1:]]
    spots = [(_x(body, h), s * half * 0.972, _level_z(body, 0.82, 0.0)) for h in handles for s in (1, -1)]
    out.append(boxes(np.array(spots) + (0.3, 0, 0), (0.18, 0.035, 0.03), colors.CHROME if look.classic else look.paint * 0.8, Material.PAINT))
    exhaust = int(rng.choice([0, 1, 2]))
    pipes = [(-end + 0.06, s * half * 0.6, body.clearance + 0.09) for s in (1, -1)[:exhaust]]
    if pipes:
        out.append(boxes(np.array(pipes), (0.12, 0.09, 0.06), colors.CHROME * 0.5, Material.METAL))
    if look.classic or (body.kind in ("pickup", "large suv") and rng.random() < 0.5):
        bars = [(x, 0, _level_z(body, 0.24, x)) for x in (end + 0.02, -end - 0.02)]
        out.append(boxes(np.array(bars), (0.1, body.width * 0.94, 0.13), colors.CHROME, Material.METAL))
    else:
        marks = [(_rear_x(body, 0.2) + 0.03, s * half * 0.66, _level_z(body, 0.2, -end)) for s in (1, -1)]
        out.append(boxes(np.array(marks), (0.05, 0.16, 0.035), colors.LAMP_RED, Material.TAILLAMP))
    out += _rear_details(rng, body, look)
    out += _roof_things(rng, body, service)
    return out


def _rear_details(rng: np.random.Generator, body: Body, look: Look) -> list[Mesh]:
    """The boot or tailgate seam, third brake lamp and wiper."""
    half, end = body.width / 2, body.length / 2
    seam = look.paint * 0.15
    low = 0.3
    out = [box((_rear_x(body, low) - 0.001, 0, _level_z(body, low, -end)), (0.012, body.width * 0.66, 0.012), seam)]
    if not body.windows:
        height = body.height * 0.8
        out.append(box((-end + 0.045, 0, body.clearance + 0.15 + height / 2), (0.086, 0.012, height), seam))
    if body.rear[0] < 0.06:
        x, z = _x(body, body.rear[1]) - 0.05, body.height * 0.955
        out.append(box((x, 0, z), (0.16, half * 1.3, 0.03), look.roof, Material.PAINT))
        out.append(box((x - 0.08, 0, z - 0.005), (0.02, 0.3, 0.02), colors.LAMP_RED, Material.TAILLAMP))
    return out


def _roof_things(rng: np.random.Generator, body: Body, service: str) -> list[Mesh]:
    top, middle = body.height * 0.99, _x(body, (body.screen[1] + body.rear[1]) / 2)
    if service == "taxi":
        return [box((middle, 0, top + 0.06), (0.16, 0.42, 0.14), colors.linear("f5c518")[0], Material.SIGN)]
    if service == "police":
        bar = [box((middle, s * 0.3, top + 0.06), (0.25, 0.5, 0.12), colors.linear("1430a0", "b01018")[(s + 1) // 2], Material.PAINT) for s in (-1, 1)]
        stripe = [box((0.05 * body.length, 0, body.height * 0.42), (body.length * 0.4, body.width * 1.004, 0.16), colors.linear("1a3c8c")[0], Material.PAINT)]
        return bar + stripe
    span = (body.screen[1] - body.rear[1]) * body.length
    rails = body.kind in ("suv", "large suv", "estate", "minivan") and rng.random() < 0.5
    bits = []
    if rails:
        color = colors.STEEL if rng.random() < 0.5 else colors.BLACK
        bits.append(boxes(np.array([(middle, s * body.width * 0.33, top - 0.01) for s in (1, -1)]), (span * 0.85, 0.035, 0.05), color, Material.METAL))
    if rng.random() < 0.03 and body.windows:
        bits.append(box((middle, 0, top + 0.16), (min(span * 0.9, 1.9), 0.75, 0.34), colors.BLACK, Material.PAINT, top=(0.85, 0.8)))
    return bits


def _dirtied(mesh: Mesh, amount: float) -> Mesh:
    """Dust that grows towards the road."""
    dust = np.array([0.16, 0.135, 0.105], np.float32)
    low = np.exp(-mesh.vertices[:, 2:] / 0.45) * amount
    painted = np.isin(mesh.materials, (Material.PAINT, Material.MATTE, Material.METAL))[:, None]
    return replace(mesh, colors=np.where(painted, mesh.colors * (1 - low) + dust * low, mesh.colors).astype(np.float32))
