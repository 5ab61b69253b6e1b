"""How lines are painted: widths, dashes, and which line types are how common."""

from __future__ import annotations

import numpy as np

DASHES = [
    (3.0, 12.0),
    (3.0, 9.0),
    (6.0, 18.0),
    (2.0, 6.0),
    (4.0, 12.0),
    (6.0, 12.0),
    (3.0, 6.0),
    (1.0, 2.5),
    (9.0, 15.0),
]


def line_paint(rng: np.random.Generator) -> dict:
    dash, period = DASHES[rng.integers(len(DASHES))]
    return {
        "width": float(rng.choice([0.1, 0.12, 0.15, 0.2])),
        "dash": dash,
        "period": period,
        "gap": float(rng.uniform(0.08, 0.2)),
        "phase": float(rng.uniform(0, 18)),
    }


def lane_style(rng: np.random.Generator) -> str:
    styles = ["dashed", "botts_dots", "double_dashed", "solid", "double_solid", "solid_dashed", "dashed_solid"]
    return str(rng.choice(styles, p=[0.72, 0.08, 0.04, 0.05, 0.03, 0.04, 0.04]))


def center_style(rng: np.random.Generator) -> tuple[str, str]:
    styles = ["dashed", "double_solid", "solid", "solid_dashed", "dashed_solid", "double_dashed", "botts_dots"]
    style = str(rng.choice(styles, p=[0.36, 0.28, 0.12, 0.09, 0.09, 0.03, 0.03]))
    return style, str(rng.choice(["yellow", "white"], p=[0.55, 0.45]))
