"""Cross-section generators by road type."""

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


def cross_section(rng: np.random.Generator, road_type: str, s: np.ndarray) -> Layout:
    """A random layout of one road type; one in five keeps left."""
    layout = SECTIONS[road_type](rng, s)
    layout.left_hand = bool(rng.random() < 0.2)
    return layout.mirrored() if layout.left_hand else layout
