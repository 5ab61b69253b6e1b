"""Lane lines of several cameras as one set: what two cameras see of one line becomes one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from camera_perception.fuse import Motion
from camera_perception.fused_types import CameraView
from camera_perception.kalman import rotation
from camera_perception.lane_fit import fit_cubic, powers
from camera_perception.lane_roles import with_roles
from camera_perception.types import EgoMotion, GroundLine, LaneLine

SAME = 0.9  # metres
GAP = 15.0  # metres between the ends of two pieces of one line
TURN = 0.02  # radians, up to which a line keeps its shape: a centimetre at 50 m in a bend
KEEP_NS = 1_000_000_000


class LaneFuser:
    """The lines around the car. One per rig."""

    def __init__(self) -> None:
        self._next_id = 1
        self._ids: dict[tuple[int, int], tuple[int, int]] = {}  # (camera, its lane id): (our id, when)

    def update(
        self, views: Mapping[int, CameraView], stamp_ns: int, motion: Motion | None = None
    ) -> tuple[LaneLine, ...]:
        """All lines at stamp_ns, left to right."""
        groups: list[list[tuple[int, LaneLine]]] = []
        for camera, view in sorted(views.items()):
            moved = motion(view.stamp_ns, stamp_ns) if motion else None
            for line in view.lanes:
                if line.ground is not None and len(line.ground.points) > 1:
                    _sort_in(groups, camera, replace(line, ground=_moved(line.ground, moved)))
        self._ids = {key: value for key, value in self._ids.items() if 0 <= stamp_ns - value[1] <= KEEP_NS}
        lines = [replace(_joined([line for _, line in group]), lane_id=self._id(group, stamp_ns)) for group in groups]
        return tuple(sorted(with_roles(lines), key=_leftness))

    def _id(self, group: list[tuple[int, LaneLine]], stamp_ns: int) -> int:
        keys = [(camera, line.lane_id) for camera, line in group]
        known = [self._ids[key][0] for key in keys if key in self._ids and key[1]]
        number = min(known) if known else self._next_id
        self._next_id += not known
        self._ids.update(dict.fromkeys(keys, (number, stamp_ns)))
        return number


def _leftness(line: LaneLine) -> float:
    return -float(line.ground.poly[0]) if line.ground is not None else 0.0


def _sort_in(groups: list[list[tuple[int, LaneLine]]], camera: int, line: LaneLine) -> None:
    for group in groups:
        if all(other != camera and _apart(line, known) < SAME for other, known in group):
            group.append((camera, line))
            return
    groups.append([(camera, line)])


def _apart(a: LaneLine, b: LaneLine) -> float:
    """Metres between two lines where both run, or halfway between their ends."""
    if a.ground is None or b.ground is None:
        return float("inf")
    start, end = max(a.ground.x_min, b.ground.x_min), min(a.ground.x_max, b.ground.x_max)
    if start - end > GAP:
        return float("inf")
    x = np.linspace(start, end, 5) if end > start else np.array([(start + end) / 2])
    return float(np.abs(powers(x) @ (a.ground.poly - b.ground.poly)).mean())


def _moved(ground: GroundLine, motion: EgoMotion | None) -> GroundLine:
    if motion is None:
        return ground
    points = (ground.points - (motion.x, motion.y)) @ rotation(-motion.yaw).T
    if abs(motion.yaw) > TURN:
        return _fitted(points, ground.y_std)
    poly = _shifted(ground.poly.astype(float), motion)
    ends = float(points[0, 0]), float(points[-1, 0])
    return GroundLine(points.astype(np.float32), ground.y_std, poly.astype(np.float32), *ends)


def _shifted(poly: np.ndarray, motion: EgoMotion) -> np.ndarray:
    """The cubic after a motion that hardly turns: its Taylor series there, less the turn. A fit costs much more."""
    c0, c1, c2, c3 = poly.tolist()
    x = motion.x
    value, slope = c0 + x * (c1 + x * (c2 + x * c3)), c1 + x * (2 * c2 + x * 3 * c3)
    return np.array((value - motion.y, slope - motion.yaw, c2 + 3 * c3 * x, c3))


def _fitted(points: np.ndarray, y_std: np.ndarray) -> GroundLine:
    order = np.argsort(points[:, 0], kind="stable")
    points, y_std = points[order], np.maximum(y_std[order], 0.02)
    poly, _ = fit_cubic(points[:, 0], points[:, 1], y_std)
    return GroundLine(
        points.astype(np.float32),
        y_std.astype(np.float32),
        poly.astype(np.float32),
        float(points[0, 0]),
        float(points[-1, 0]),
    )


def _joined(lines: list[LaneLine]) -> LaneLine:
    """One line through the points of all; kind, colour and role are those of the surest."""
    best = max(lines, key=lambda line: line.score)
    grounds = [line.ground for line in lines if line.ground is not None]
    if len(grounds) < 2:
        return best
    points = np.concatenate([ground.points for ground in grounds])
    return replace(best, ground=_fitted(points, np.concatenate([ground.y_std for ground in grounds])))
