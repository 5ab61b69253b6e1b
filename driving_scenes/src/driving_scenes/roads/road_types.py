"""Cross-sections of every kind of road."""

from __future__ import annotations

import numpy as np

from driving_scenes.roads.cross_section import Layout
from driving_scenes.roads.highways import highway, rural, tunnel
from driving_scenes.roads.streets import city, parking_lot, residential

SECTIONS = {
    "highway": highway,
    "rural": rural,
    "city": city,
    "residential": residential,
    "tunnel": tunnel,
    "parking": parking_lot,
}


def cross_section(rng: np.random.Generator, kind: str, s: np.ndarray) -> Layout:
    """A random layout of one kind of road, already turned to the side that its country drives on."""
    layout = SECTIONS[kind](rng, s)
    layout.plan["left_hand"] = bool(rng.random() < 0.2)
    return layout.mirrored() if layout.plan["left_hand"] else layout
