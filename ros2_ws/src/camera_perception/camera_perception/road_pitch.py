"""How far the camera looks down on the road just now: the car nods on its springs, and roads have slopes.

One angle, pulled back to the calibration in about a second, corrected by lane lines where they are straight.
"""

from __future__ import annotations

import math

MEMORY = 1.0  # seconds
USUAL = math.radians(0.4)  # one standard deviation of nodding and slope together
SEEN = math.radians(0.35)  # one standard deviation of what the lines of one frame say
FLOOR = math.radians(0.12)  # nobody is surer than that
FAR_OFF = 4.0  # standard deviations, from where on a frame is not believed


class RoadPitch:
    """angle: radians to turn the calibrated camera further down; sigma: one standard deviation of that."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Only what is usual is known."""
        self._mean, self._variance = 0.0, USUAL**2
        self._stamp_ns: int | None = None

    @property
    def angle(self) -> float:
        return self._mean

    @property
    def sigma(self) -> float:
        return max(math.sqrt(self._variance), FLOOR)

    def update(self, seen: float | None, stamp_ns: int) -> None:
        """One frame later; seen is what its lane lines say, radians, or None without straight lines."""
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        if seconds < 0:
            self.reset()
        self._stamp_ns = stamp_ns
        keep = math.exp(-max(seconds, 0.0) / MEMORY)
        self._mean, self._variance = keep * self._mean, keep**2 * self._variance + (1 - keep**2) * USUAL**2
        if seen is None or abs(seen - self._mean) > FAR_OFF * math.sqrt(self._variance + SEEN**2):
            return
        gain = self._variance / (self._variance + SEEN**2)
        self._mean, self._variance = self._mean + gain * (seen - self._mean), (1 - gain) * self._variance
