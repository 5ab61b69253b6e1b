"""Lane lines against truth: how far off at 20 m, how the own lane is judged, whether roles are right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from camera_perception.core.types import EgoLane, LaneLine
from camera_perception.lanes.fit import locate_lanes
from camera_perception.lanes.roles import ego_lane, y_at
from camera_perception.lanes.tracker import LaneTracker
from perception_models.evaluation.drive.ground_truth import Snapshot

AHEAD = 20.0  # metres
OWN = {"ego_left": -1, "ego_right": 1}

See = Callable[[Snapshot], tuple[tuple[LaneLine, ...], "EgoLane | None"]]


@dataclass
class LaneLog:
    lateral: list[float] = field(default_factory=list)  # metres at AHEAD
    heading: list[float] = field(default_factory=list)  # degrees
    offset: list[float] = field(default_factory=list)  # metres
    roles: list[bool] = field(default_factory=list)  # per frame: both own lines under their roles
    missing: int = 0
    frames: int = 0


def see_truth(pixels: float = 1.5, seed: int = 0) -> See:
    """The true own lines through the camera, off by some pixels, without roles: what geometry alone makes of them."""
    rng, tracker = np.random.default_rng(seed), LaneTracker()

    def see(snapshot: Snapshot) -> tuple[tuple[LaneLine, ...], EgoLane | None]:
        lines = [_projected(snapshot, points, pixels, rng) for role, points in snapshot.lanes if role != "other"]
        lanes = tracker.update(locate_lanes(tuple(line for line in lines if line), snapshot.camera), snapshot.stamp_ns)
        return lanes, ego_lane(lanes, tracker.lane_width)

    return see


def _projected(snapshot: Snapshot, points: np.ndarray, sigma: float, rng: np.random.Generator) -> LaneLine | None:
    ahead = points[(points[:, 0] > 3) & (points[:, 0] < 60)]
    if len(ahead) < 4:
        return None
    x = np.geomspace(ahead[0, 0], ahead[-1, 0], 40)
    dense = np.column_stack([x] + [np.interp(x, ahead[:, 0], ahead[:, axis]) for axis in (1, 2)])
    pixels = snapshot.camera.pixels_from_base(dense)
    inside = (pixels >= 0).all(axis=1) & (pixels <= (snapshot.camera.width, snapshot.camera.height)).all(axis=1)
    pixels = (
        pixels[inside]
        + (sigma * rng.normal(), 0)
        + np.c_[sigma * rng.normal(size=inside.sum()), np.zeros(inside.sum())]
    )
    return LaneLine(pixels.astype(np.float32), 0.9) if len(pixels) >= 8 else None


def lane_log(snapshots: Iterable[Snapshot], see: See) -> LaneLog:
    log = LaneLog()
    for snapshot in snapshots:
        lanes, own = see(snapshot)
        truth = {OWN[role]: points for role, points in snapshot.lanes if role in OWN}
        if truth and not snapshot.sequence.startswith("plain"):
            _note(log, lanes, own, truth)
    return log


def _note(log: LaneLog, lanes: tuple[LaneLine, ...], own: EgoLane | None, truth: dict[int, np.ndarray]) -> None:
    log.frames += 1
    found = {line.position: line for line in lanes if line.ground is not None and line.ground.x_max > 0.75 * AHEAD}
    right = []
    for position, points in truth.items():
        y, slope = _at(points, AHEAD)
        if not np.isfinite(y):
            continue
        distances = {place: abs(y_at(line, AHEAD) - y) for place, line in found.items()}
        nearest = min(distances, key=distances.__getitem__, default=None)
        if nearest is None or distances[nearest] > 1.5:
            log.missing += 1
            continue
        log.lateral.append(distances[nearest])
        right.append(nearest == position)
    if right:
        log.roles.append(all(right))
    if own is not None and len(truth) == 2:
        _note_own(log, own, truth)


def _note_own(log: LaneLog, own: EgoLane, truth: dict[int, np.ndarray]) -> None:
    (left, left_slope), (right, right_slope) = (_at(truth[side], 0.0) for side in (-1, 1))
    if np.isfinite((left, right)).all():
        log.offset.append(abs(own.offset + (left + right) / 2))
        log.heading.append(abs(np.degrees(own.heading + np.arctan((left_slope + right_slope) / 2))))


def _at(points: np.ndarray, x: float) -> tuple[float, float]:
    """y and slope of a polyline at x; nan where it does not run."""
    near = points[np.argsort(points[:, 0])]
    if not near[0, 0] - 3 <= x <= near[-1, 0]:
        return float("nan"), float("nan")
    y, before, after = (np.interp(each, near[:, 0], near[:, 1]) for each in (x, x - 2, x + 2))
    return float(y), float((after - before) / 4)


def lane_figures(log: LaneLog) -> dict[str, float]:
    def median(values: list[float]) -> float:
        return float(np.median(values)) if values else float("nan")

    lines = len(log.lateral) + log.missing
    return {
        "frames": float(log.frames),
        "found_percent": 100 * len(log.lateral) / max(lines, 1),
        "lateral_error_20_m_median_m": median(log.lateral),
        "heading_error_median_deg": median(log.heading),
        "offset_error_median_m": median(log.offset),
        "ego_roles_right_percent": 100 * float(np.mean(log.roles)) if log.roles else float("nan"),
    }
