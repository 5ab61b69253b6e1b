"""Traffic light states over time: smoothed scores, and a stable state that does not flicker."""

from __future__ import annotations

import numpy as np

from camera_perception.core.types import Objects
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.tracks import Tracks


def update_lights(tracks: Tracks, rows: np.ndarray, objects: Objects, stamp_ns: int, config: TrackerConfig) -> None:
    """Update tracks at rows with their detections; the stable state changes only when another one leads clearly."""
    states = tracks.light_scores.shape[1]
    if not states or objects.light_states.shape[1] != states or not len(rows):
        return
    seconds = np.maximum((stamp_ns - tracks.last_update_ns[rows]) / 1e9, 1e-3)
    weight = 1 - np.exp(-seconds / config.light_time_constant)[:, None]
    fresh = np.where(np.isfinite(objects.light_states), objects.light_states, tracks.light_scores[rows])
    tracks.light_scores[rows] = (1 - weight) * tracks.light_scores[rows] + weight * fresh
    best, stable = tracks.light_scores[rows].argmax(axis=1), tracks.stable_state[rows]
    lead = tracks.light_scores[rows, best] - np.where(stable >= 0, tracks.light_scores[rows, stable], -1.0)
    lit = tracks.light_scores[rows, best] > 0  # only traffic lights have scores at all
    tracks.stable_state[rows] = np.where((lead > config.light_switch_margin) & lit, best, stable)


def published_light_scores(tracks: Tracks) -> np.ndarray:
    """(T, S) smoothed scores in which the stable state has the largest."""
    scores, rows = tracks.light_scores.copy(), (tracks.stable_state >= 0).nonzero()[0]
    if len(rows):
        scores[rows, tracks.stable_state[rows]] = scores[rows].max(axis=1) + 1e-3
    return np.asarray(np.minimum(scores, 1.0))
