"""Colours of real surfaces as linear albedo."""

from __future__ import annotations

import numpy as np

BLACK = np.array([0.012, 0.012, 0.013], np.float32)
RUBBER = np.array([0.02, 0.02, 0.021], np.float32)
DARK = np.array([0.03, 0.03, 0.032], np.float32)
PLASTIC = np.array([0.045, 0.045, 0.048], np.float32)
GLASS_TINT = np.array([0.02, 0.024, 0.026], np.float32)
STEEL = np.array([0.42, 0.43, 0.44], np.float32)
CHROME = np.array([0.6, 0.61, 0.62], np.float32)
GALVANISED = np.array([0.36, 0.38, 0.39], np.float32)
CONCRETE = np.array([0.36, 0.35, 0.32], np.float32)
WOOD = np.array([0.17, 0.1, 0.055], np.float32)
WHITE = np.array([0.78, 0.78, 0.77], np.float32)
LAMP_WHITE = np.array([0.75, 0.77, 0.78], np.float32)
LAMP_RED = np.array([0.42, 0.008, 0.012], np.float32)
LAMP_AMBER = np.array([0.6, 0.2, 0.02], np.float32)
SIGN_RED = np.array([0.55, 0.015, 0.02], np.float32)
SIGN_BLUE = np.array([0.012, 0.07, 0.38], np.float32)
SIGN_GREEN = np.array([0.008, 0.16, 0.085], np.float32)
SIGN_YELLOW = np.array([0.72, 0.42, 0.015], np.float32)
SIGN_ORANGE = np.array([0.75, 0.2, 0.01], np.float32)
SIGN_BROWN = np.array([0.14, 0.05, 0.02], np.float32)


def linear(*codes: str) -> np.ndarray:
    """(N, 3) linear albedo of sRGB codes such as '8a2b1f'."""
    srgb = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in codes], np.float32) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def one_of(rng: np.random.Generator, palette: np.ndarray, spread: float = 0.12) -> np.ndarray:
    """A random colour of a palette (N, 3), slightly varied."""
    color = palette[rng.integers(len(palette))] * (1 + rng.normal(0, spread)) * (1 + rng.normal(0, spread / 4, 3))
    return np.asarray(np.clip(color, 0.005, 0.9), np.float32)


_CAR_COLORS = {  # approximate share of new cars in the past decades
    "white": (0.27, linear("f2f2ef", "e9e8e0", "f5f6f7")),
    "black": (0.19, linear("101012", "16171a", "0c0d10")),
    "grey": (0.19, linear("55585c", "3c3f44", "6d7073", "2f3236")),
    "silver": (0.13, linear("b4b7ba", "c4c6c8", "a3a8ac")),
    "blue": (0.09, linear("1c3f7a", "12294f", "3a6ea5", "27506b")),
    "red": (0.06, linear("9c1418", "7a0f14", "b5231c")),
    "brown": (0.025, linear("5a4632", "8c7a5f", "b8a98c")),
    "green": (0.025, linear("1f3b2a", "4b5d43", "27524a")),
    "yellow": (0.01, linear("d9b310", "c9a227")),
    "orange": (0.01, linear("c4591a", "a8441b")),
}


def car_color(rng: np.random.Generator) -> np.ndarray:
    """A car paint drawn by its frequency on real roads."""
    frequencies = np.array([frequency for frequency, _ in _CAR_COLORS.values()])
    palette = list(_CAR_COLORS.values())[rng.choice(len(frequencies), p=frequencies / frequencies.sum())][1]
    return one_of(rng, palette, 0.08)
