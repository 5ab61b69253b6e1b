"""Proportions and styles of cars, and positions of their parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from driving_scenes.base import colors


@dataclass(frozen=True, slots=True)
class Body:
    """Proportions of a car: metres, heights as fraction of `height`, x as fraction of `length` from the tail."""

    body_type: str
    frequency: float  # of the cars on the road
    length: float
    width: float
    height: float
    wheelbase: float  # fraction of length
    overhang: float  # front, fraction of length
    wheel: float  # radius
    clearance: float
    hood: float  # height of its front edge
    cowl: float  # height under the windscreen
    belt: float  # height of the shoulder at the tail
    screen: tuple[float, float]  # x of the windscreen's foot and top
    rear: tuple[float, float]  # x of the rear window's foot and top
    pillars: tuple[float, ...] = (0.44,)  # x of the posts between side windows
    windows: bool = True  # at the sides behind the first post
    roundness: float = 0.34


# fmt: off
BODIES = (
    Body("sedan", 0.22, 4.70, 1.84, 1.45, 0.595, 0.19, 0.33, 0.19,
         0.50, 0.655, 0.70, (0.71, 0.555), (0.135, 0.28), (0.44, 0.27)),
    Body("compact sedan", 0.06, 4.35, 1.74, 1.46, 0.60, 0.195, 0.31, 0.19,
         0.51, 0.655, 0.69, (0.725, 0.565), (0.13, 0.27), (0.44, 0.27)),
    Body("hatchback", 0.17, 4.15, 1.77, 1.48, 0.62, 0.20, 0.315, 0.18,
         0.52, 0.65, 0.67, (0.745, 0.585), (0.035, 0.15), (0.45, 0.22)),
    Body("city car", 0.06, 3.50, 1.62, 1.51, 0.66, 0.19, 0.28, 0.17,
         0.53, 0.65, 0.66, (0.80, 0.64), (0.03, 0.11), (0.42,)),
    Body("estate", 0.08, 4.75, 1.83, 1.47, 0.595, 0.19, 0.33, 0.19,
         0.50, 0.655, 0.675, (0.71, 0.56), (0.025, 0.11), (0.46, 0.27)),
    Body("suv", 0.17, 4.55, 1.87, 1.67, 0.585, 0.20, 0.355, 0.24,
         0.57, 0.665, 0.685, (0.735, 0.585), (0.03, 0.12), (0.46, 0.25)),
    Body("large suv", 0.06, 5.05, 2.00, 1.86, 0.585, 0.19, 0.39, 0.27,
         0.60, 0.665, 0.68, (0.72, 0.61), (0.02, 0.07), (0.47, 0.27)),
    Body("minivan", 0.05, 4.85, 1.90, 1.76, 0.60, 0.20, 0.34, 0.20,
         0.51, 0.60, 0.62, (0.82, 0.63), (0.02, 0.09), (0.52, 0.28)),
    Body("pickup", 0.06, 5.55, 2.00, 1.86, 0.615, 0.175, 0.39, 0.32,
         0.62, 0.67, 0.66, (0.715, 0.61), (0.385, 0.41), (0.52,), True, 0.2),
    Body("van", 0.05, 5.30, 2.00, 2.15, 0.62, 0.18, 0.34, 0.22,
         0.47, 0.55, 0.56, (0.90, 0.75), (0.012, 0.03), (0.64, 0.36), False, 0.22),
    Body("box van", 0.03, 5.90, 2.05, 2.65, 0.62, 0.17, 0.35, 0.24,
         0.42, 0.47, 0.48, (0.90, 0.79), (0.01, 0.02), (0.68, 0.40), False, 0.2),
    Body("sports", 0.025, 4.40, 1.86, 1.28, 0.58, 0.20, 0.335, 0.14,
         0.50, 0.67, 0.74, (0.68, 0.51), (0.10, 0.32), (0.36,)),
    Body("classic", 0.03, 4.45, 1.68, 1.42, 0.57, 0.18, 0.31, 0.20,
         0.56, 0.645, 0.65, (0.68, 0.605), (0.20, 0.26), (0.45,), True, 0.16),
    Body("classic estate", 0.015, 4.60, 1.72, 1.46, 0.57, 0.18, 0.31, 0.20,
         0.56, 0.64, 0.64, (0.69, 0.61), (0.03, 0.08), (0.46, 0.27), True, 0.16),
    Body("classic van", 0.015, 4.50, 1.75, 1.95, 0.54, 0.15, 0.32, 0.2,
         0.55, 0.57, 0.58, (0.985, 0.91), (0.015, 0.06), (0.74, 0.5, 0.26), True, 0.3),
)
# fmt: on

# Rows of the side: height as fraction from sill to shoulder, fraction of the half width, push of tail and nose in m.
ROWS = np.array(
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
FAR_ROWS = ROWS[[0, 4, 5, 7]]


def random_body(rng: np.random.Generator) -> Body:
    """A body drawn by its frequency on the roads, with varied dimensions."""
    frequencies = np.array([b.frequency for b in BODIES])
    body = BODIES[rng.choice(len(BODIES), p=frequencies / frequencies.sum())]
    length, width, height, wheel = rng.normal(1, [0.03, 0.02, 0.02, 0.03]).clip(0.94, 1.06) * (
        body.length,
        body.width,
        body.height,
        body.wheel,
    )
    lift = rng.normal(0, 0.012, 3)
    return replace(
        body,
        length=length,
        width=width,
        height=height,
        wheel=wheel,
        hood=body.hood + lift[0],
        belt=body.belt + lift[1],
        cowl=body.cowl + lift[2] / 2,
        roundness=body.roundness * rng.uniform(0.8, 1.25),
    )


@dataclass(frozen=True, slots=True)
class CarStyle:
    """What differs between two cars of one body type."""

    paint: np.ndarray
    trim: np.ndarray  # sills, arches and lower bumpers
    roof: np.ndarray
    rim: np.ndarray
    spokes: int
    lamp_inner: float  # fraction of the half width where head lamps begin
    tail_inner: float
    tail_rows: tuple[int, ...]  # rows of cells that the tail lamps fill
    amber: bool
    light_bar: bool
    tall_tail: bool  # lamps climb beside the rear window
    grille: float  # fraction of the half width
    grille_color: np.ndarray
    classic: bool
    plate: np.ndarray
    plate_row: int

    @staticmethod
    def random(rng: np.random.Generator, body: Body, paint: np.ndarray) -> CarStyle:
        classic = body.body_type.startswith("classic")
        steep = body.rear[0] < 0.06 and not classic
        cladding = body.body_type in ("suv", "large suv", "van", "box van", "pickup", "city car") and rng.random() < 0.6
        tails = [(4,), (3, 4), (4, 5), (4,)] if not classic else [(3,), (4,), (3, 4)]
        rims = [colors.STEEL * 0.9, colors.CHROME, colors.DARK * 1.6, np.full(3, 0.22)]
        return CarStyle(
            paint=paint,
            trim=colors.PLASTIC if cladding else paint,
            roof=colors.BLACK if rng.random() < 0.1 and body.windows else paint,
            rim=rims[rng.integers(4)].astype(np.float32),
            spokes=int(rng.choice([5, 6, 7, 10])),
            lamp_inner=rng.uniform(0.5, 0.68),
            tail_inner=rng.uniform(0.48, 0.8) if body.windows else 0.86,
            tail_rows=tails[rng.integers(len(tails))] if body.windows else (2, 3, 4),
            amber=bool(rng.random() < (0.5 if classic else 0.12)),
            light_bar=not classic and rng.random() < 0.06,
            tall_tail=bool(steep and rng.random() < (0.35 if body.windows else 0.1)),
            grille=rng.uniform(0.3, 0.48),
            grille_color=colors.CHROME * 0.8 if rng.random() < 0.15 or classic else colors.BLACK,
            classic=classic,
            plate=colors.linear("f2f2ee", "f2f2ee", "e9c53a", "dfe6ee", "23252b")[
                rng.choice(5, p=[0.4, 0.2, 0.12, 0.24, 0.04])
            ],
            plate_row=int(rng.choice([2, 3], p=[0.3, 0.7])),
        )


def axles(body: Body) -> np.ndarray:
    """x of the front and the rear axle."""
    front = body.length * (0.5 - body.overhang)
    return np.array([front, front - body.wheelbase * body.length])


def x_at(body: Body, frequency: float) -> float:
    """x in metres of a point given as fraction of the length from the tail."""
    return (frequency - 0.5) * body.length


def shoulder(body: Body, x: np.ndarray) -> np.ndarray:
    """Height of the shoulder line along the car."""
    trunk = body.belt - (0.025 if body.rear[0] > 0.08 else 0.0)
    at = np.array([0, body.rear[0] * 0.9 + 0.01, body.rear[1] + 0.05, body.screen[0] - 0.02, 0.95, 1.0])
    z = np.array([trunk, body.belt, body.belt, body.cowl, body.hood + 0.015, body.hood])
    return np.asarray(np.interp(x / body.length + 0.5, at, z) * body.height)


def seams(body: Body) -> list[float]:
    """Door lines as fractions of the length, from front to rear."""
    first = min(body.screen[0] - 0.03, 0.5 + (axles(body)[0] - body.wheel * 1.25) / body.length)
    last = 0.5 + (axles(body)[1] + body.wheel * 1.05) / body.length
    return (
        [first, *[p for p in body.pillars if last + 0.06 < p < first], last]
        if body.windows
        else [first, body.pillars[0]]
    )


def tail_x(body: Body, level: float) -> float:
    """x of the tail at a level between sill (0) and shoulder (1)."""
    return -body.length / 2 + float(np.interp(level, ROWS[:, 0], ROWS[:, 2]))


def level_z(body: Body, level: float, x: float) -> float:
    """Height of a level between sill (0) and shoulder (1) at nose, tail or between."""
    low = body.clearance + (0.07 if x > 0 else 0.1)
    return low + level * (float(shoulder(body, np.array(x))) - low)
