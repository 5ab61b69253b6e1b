"""States of traffic lights over time: scores with a memory, and a state that does not flicker."""

from __future__ import annotations

import numpy as np

from camera_perception.core.types import Objects
from camera_perception.objects.tracker.tracks import Tracks

MEMORY = 0.25  # seconds
MARGIN = 0.15  # lead in smoothed score that changes the state shown


def correct_lights(tracks: Tracks, rows: np.ndarray, seen: Objects, stamp_ns: int) -> None:
    """Tracks at rows after objects (same order) were seen; the state held changes only when another leads clearly."""
    if not tracks.lights.shape[1] or seen.light_states.shape[1] != tracks.lights.shape[1] or not len(rows):
        return
    seconds = np.maximum((stamp_ns - tracks.seen[rows]) / 1e9, 1e-3)
    share = 1 - np.exp(-seconds / MEMORY)[:, None]
    fresh = np.where(np.isfinite(seen.light_states), seen.light_states, tracks.lights[rows])
    tracks.lights[rows] = (1 - share) * tracks.lights[rows] + share * fresh
    best, held = tracks.lights[rows].argmax(axis=1), tracks.held[rows]
    lead = tracks.lights[rows, best] - np.where(held >= 0, tracks.lights[rows, held], -1.0)
    shines = tracks.lights[rows, best] > 0  # only traffic lights have scores at all
    tracks.held[rows] = np.where((lead > MARGIN) & shines, best, held)


def shown_lights(tracks: Tracks) -> np.ndarray:
    """(T, S) smoothed scores in which the state held is the largest."""
    shown, rows = tracks.lights.copy(), np.flatnonzero(tracks.held >= 0)
    if not len(rows):
        return shown
    shown[rows, tracks.held[rows]] = shown[rows].max(axis=1) + 1e-3
    return np.minimum(shown, 1.0)
