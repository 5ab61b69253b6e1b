"""When a track begins, goes on and ends."""

from __future__ import annotations

from dataclasses import dataclass

BEGIN = 1.2  # times the score that is sure: the score that begins a track
WALKERS = frozenset({"pedestrian", "person", "rider", "bicycle"})


@dataclass(frozen=True, slots=True)
class TrackRules:
    """Scores, overlaps, seconds; everything that decides which detections are one object."""

    sure: float = 0.4  # score from which on a detection is matched first
    begin: float = BEGIN * 0.4  # score from which on a detection begins a track; what is left below it is dropped
    overlap: float = 0.2  # IoU that two boxes need, unless they are near on the road
    doubtful_overlap: float = 0.4  # the same for doubtful detections
    show: float = 0.5  # seconds that a track which is not seen is still published
    keep: float = 1.5  # seconds after which it is forgotten
    remember: float = 4.0  # the same where its place on the road and the car's motion are known
    proven: int = 3  # times seen before a track outlives a long gap and is shown in it
    unproven: float = 0.25  # seconds that the others are kept
    gap: float = 5.0  # seconds without a frame after which everything is new
    vehicle: float = 1.0  # m/s per square root of a second: how fast velocities change, one standard deviation
    walker: float = 0.5
    speed_doubt: float = 1.2  # m/s, one standard deviation, above which a velocity is not published
