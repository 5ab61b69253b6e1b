"""Accuracy of lane lines: lateral error at 20 m, pose in the ego lane, and roles of its two lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields

import numpy as np

from camera_perception.core.types import EgoLane, LaneLine
from camera_perception.lanes.fit import locate_lanes
from camera_perception.lanes.roles import ego_lane, y_at
from camera_perception.lanes.tracker import LaneTracker
from perception_models.evaluation.drive.errors import median
from perception_models.evaluation.drive.ground_truth import Snapshot

LOOKAHEAD = 20.0  # metres
EGO_POSITIONS = {"ego_left": -1, "ego_right": 1}

DetectLanes = Callable[[Snapshot], tuple[tuple[LaneLine, ...], "EgoLane | None"]]


@dataclass
class LaneLog:
    """Errors of all frames; add() joins the logs of several drives."""

    lateral: list[float] = field(default_factory=list)  # metres at LOOKAHEAD
    heading: list[float] = field(default_factory=list)  # degrees
    offset: list[float] = field(default_factory=list)  # metres
    roles: list[bool] = field(default_factory=list)  # per frame: both ego lines have their roles
    missing: int = 0
    frames: int = 0

    def add(self, other: LaneLog) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


def lane_metrics(log: LaneLog) -> dict[str, float]:
    lines = len(log.lateral) + log.missing
    return {
        "frames": float(log.frames),
        "found_percent": 100 * len(log.lateral) / max(lines, 1),
        "lateral_error_20_m_median_m": median(log.lateral),
        "heading_error_median_deg": median(log.heading),
        "offset_error_median_m": median(log.offset),
        "ego_roles_right_percent": 100 * float(np.mean(log.roles)) if log.roles else float("nan"),
    }


def lane_log(snapshots: Iterable[Snapshot], detect: DetectLanes) -> LaneLog:
    """Compare the detected lanes of every frame that has labelled ego lines."""
    log = LaneLog()
    for snapshot in snapshots:
        lanes, ego = detect(snapshot)
        truth = {EGO_POSITIONS[role]: points for role, points in snapshot.lanes if role in EGO_POSITIONS}
        if truth:
            _log_frame(log, lanes, ego, truth)
    return log


def project_truth(pixels: float = 1.5, seed: int = 0) -> DetectLanes:
    """The true ego lines projected into the image with some pixels of noise, without roles: geometry alone."""
    rng, tracker = np.random.default_rng(seed), LaneTracker()

    def detect(snapshot: Snapshot) -> tuple[tuple[LaneLine, ...], EgoLane | None]:
        lines = [_projected(snapshot, points, pixels, rng) for role, points in snapshot.lanes if role != "other"]
        lanes = tracker.update(locate_lanes(tuple(line for line in lines if line), snapshot.camera), snapshot.stamp_ns)
        return lanes, ego_lane(lanes, tracker.lane_width)

    return detect


def _projected(snapshot: Snapshot, points: np.ndarray, sigma: float, rng: np.random.Generator) -> LaneLine | None:
    ahead = points[(points[:, 0] > 3) & (points[:, 0] < 60)]
    if len(ahead) < 4:
        return None
    x = np.geomspace(ahead[0, 0], ahead[-1, 0], 40)
    dense = np.column_stack([x] + [np.interp(x, ahead[:, 0], ahead[:, axis]) for axis in (1, 2)])
    pixels = snapshot.camera.pixels_from_base(dense)
    inside = (pixels >= 0).all(axis=1) & (pixels <= (snapshot.camera.width, snapshot.camera.height)).all(axis=1)
    line_shift = (sigma * rng.normal(), 0)
    point_noise = np.c_[sigma * rng.normal(size=inside.sum()), np.zeros(inside.sum())]
    pixels = pixels[inside] + line_shift + point_noise
    return LaneLine(pixels.astype(np.float32), 0.9) if len(pixels) >= 8 else None


def _log_frame(log: LaneLog, lanes: tuple[LaneLine, ...], ego: EgoLane | None, truth: dict[int, np.ndarray]) -> None:
    log.frames += 1
    lines = {line.position: line for line in lanes if line.ground is not None and line.ground.x_max > 0.75 * LOOKAHEAD}
    roles = []
    for position, points in truth.items():
        y, _ = _at(points, LOOKAHEAD)
        if not np.isfinite(y):
            continue
        distances = {role: abs(y_at(line, LOOKAHEAD) - y) for role, line in lines.items()}
        nearest = min(distances, key=distances.__getitem__, default=None)
        if nearest is None or distances[nearest] > 1.5:
            log.missing += 1
            continue
        log.lateral.append(distances[nearest])
        roles.append(nearest == position)
    if roles:
        log.roles.append(all(roles))
    if ego is not None and len(truth) == 2:
        _log_ego_lane(log, ego, truth)


def _log_ego_lane(log: LaneLog, ego: EgoLane, truth: dict[int, np.ndarray]) -> None:
    (left, left_slope), (right, right_slope) = (_at(truth[side], 0.0) for side in (-1, 1))
    if np.isfinite((left, right)).all():
        log.offset.append(abs(ego.offset + (left + right) / 2))
        log.heading.append(abs(np.degrees(ego.heading + np.arctan((left_slope + right_slope) / 2))))


def _at(points: np.ndarray, x: float) -> tuple[float, float]:
    """y and slope of a polyline at x; nan outside it."""
    ordered = points[np.argsort(points[:, 0])]
    if not ordered[0, 0] - 3 <= x <= ordered[-1, 0]:
        return float("nan"), float("nan")
    y, before, after = (np.interp(each, ordered[:, 0], ordered[:, 1]) for each in (x, x - 2, x + 2))
    return float(y), float((after - before) / 4)
