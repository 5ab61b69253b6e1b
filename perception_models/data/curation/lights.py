"""Colour of a traffic light in an image, where it is unambiguous."""

from __future__ import annotations

import cv2
import numpy as np

from perception_models.data.curation.boxes import Box

LIT = 160  # HSV value of a lit lamp
SATURATED = 110
HUES = {"red": ((0, 9), (168, 180)), "yellow": ((14, 32),), "green": ((45, 100),)}  # of OpenCV, 0..180
THIRDS = ("red", "yellow", "green")  # from the top
MIN_FRACTION = 0.06  # of the pixels of a third
CLEARLY = 3.0  # times the second colour


def lamp_state(image: np.ndarray, box: Box) -> str:
    """The colour, red or green, of the clearly lit lamp of a vertical light; else "".

    Yellow housings look like yellow lamps, so yellow is never read.
    """
    x0, y0, x1, y1 = (round(side) for side in box)
    crop = image[max(y0, 0) : y1, max(x0, 0) : x1]
    if crop.shape[0] < 9 or crop.shape[1] < 3:
        return ""
    hue, saturation, value = cv2.split(cv2.cvtColor(crop, cv2.COLOR_BGR2HSV))
    lit = (value > LIT) & (saturation > SATURATED)
    fractions = {}
    for name, third in zip(THIRDS, np.array_split(np.arange(crop.shape[0]), 3)):
        right = np.logical_or.reduce([(hue >= low) & (hue <= high) for low, high in HUES[name]])
        fractions[name] = float((right & lit)[third].mean())
    best, second, _ = sorted(fractions, key=lambda name: -fractions[name])
    plain = fractions[best] >= MIN_FRACTION and fractions[best] >= CLEARLY * fractions[second]
    return best if plain and best != "yellow" else ""
