"""Track lane lines: stable ids, smoothed geometry, type and colour by vote. Time comes from stamps only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from camera_perception import core
from camera_perception.core.assignment import match
from camera_perception.core.types import EgoMotion, GroundLine, LaneLine, LineColor, LineType
from camera_perception.lanes.filter import Track, correct, predict
from camera_perception.lanes.fit import powers
from camera_perception.lanes.roles import LANE_WIDTH, with_roles

MAX_GAP = 1.0  # seconds after which an undetected line is dropped, and between frames of one sequence
PROBE_X = np.array([6.0, 10.0, 15.0, 22.0])  # metres ahead where lines are compared
PROBE_TERMS = powers(PROBE_X).T
GATE = 1.2, 40.0  # metres, pixels: maximum mean distance of matching lines
NO_CUBIC = np.full(4, np.nan)
VOTE_DECAY = 0.93  # of votes per frame


class LaneTracker:
    """Tracks the lines of one camera. lane_width is the smoothed width of the ego lane, metres."""

    def __init__(self) -> None:
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Drop all tracks; ids are not reused."""
        self._tracks: list[Track] = []
        self._stamp_ns: int | None = None
        self.lane_width = LANE_WIDTH

    def update(self, lanes: Sequence[LaneLine], stamp_ns: int, motion: EgoMotion | None = None) -> tuple[LaneLine, ...]:
        """The lines of this frame with ids, positions and smoothed geometry.

        motion  of the car since the previous frame
        """
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        if not 0 <= seconds <= MAX_GAP:
            self._tracks = []
        self._stamp_ns = stamp_ns
        predict([track for track in self._tracks if track.mean is not None], seconds, motion)
        tracks = self._match(lanes)
        for track, line in zip(tracks, lanes):
            _record(track, line, stamp_ns)
        grounds = correct([track for track in tracks if track.line.ground is not None])
        self._tracks = [track for track in self._tracks if stamp_ns - track.last_seen_ns <= MAX_GAP * 1e9]
        smoothed = [_smoothed_line(track, next(grounds) if track.line.ground is not None else None) for track in tracks]
        found = with_roles(smoothed, self.lane_width)
        self._update_width(found)
        return found

    def _match(self, lanes: Sequence[LaneLine]) -> list[Track]:
        """One track per line: the matching one, or a new one."""
        cost = _distances(self._tracks, lanes)
        pairs = {
            row: column for row, column in zip(*[each.tolist() for each in match(cost)]) if cost[row, column] < 1.0
        }
        return [self._tracks[pairs[row]] if row in pairs else self._create(line) for row, line in enumerate(lanes)]

    def _create(self, line: LaneLine) -> Track:
        track = Track(self._next_id, line, self._stamp_ns or 0)
        self._next_id += 1
        self._tracks.append(track)
        return track

    def _update_width(self, lines: Sequence[LaneLine]) -> None:
        c0 = {line.position: float(line.ground.poly[0]) for line in lines if line.ground is not None}
        if -1 in c0 and 1 in c0 and 2.2 < c0[-1] - c0[1] < 5.0:
            self.lane_width += 0.05 * (c0[-1] - c0[1] - self.lane_width)


def _distances(tracks: Sequence[Track], lanes: Sequence[LaneLine]) -> np.ndarray:
    """(L, T) mean distances in units of GATE; above 1 where lines do not match."""
    means = np.array([NO_CUBIC if track.mean is None else track.mean for track in tracks], float).reshape(-1, 4)
    polys = np.array([NO_CUBIC if line.ground is None else line.ground.poly for line in lanes], float).reshape(-1, 4)
    ends = [(0.0, 0.0) if line.ground is None else (line.ground.x_min - 4, line.ground.x_max + 4) for line in lanes]
    distances = _distances_on_road(means, polys, np.array(ends, float).reshape(-1, 2))
    for row, column in zip(*[each.tolist() for each in np.isnan(distances).nonzero()]):
        distances[row, column] = _distance_in_image(tracks[column].line.points, lanes[row].points)
    return distances


def _distances_on_road(means: np.ndarray, polys: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(L, T) mean distances of cubics (T, 4) and (L, 4) from first to last x (L, 2); nan where there are none."""
    if core.kernels is not None:
        found = np.empty((len(polys), len(means)))
        core.kernels.lane_distances(means, polys, ends, PROBE_X, GATE[0], found)
        return found
    apart = np.abs((means[None] - polys[:, None]) @ PROBE_TERMS)  # L T probe
    near, far = ends.T[:, :, None]
    observed = ((near <= PROBE_X) & (PROBE_X <= far)).astype(float)[:, None]
    count = observed.sum(axis=2)
    distances = (apart * observed).sum(axis=2) / np.maximum(count, 1e-9) / GATE[0]
    return np.where(count == 0, np.nan, distances)


def _distance_in_image(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of polylines (P, 2), near to far, in common rows. Plain Python takes a fifth of numpy's time."""
    (u_a, v_a), (u_b, v_b) = (points[::-1].T.tolist() for points in (a, b))
    top, bottom = max(v_a[0], v_b[0]), min(v_a[-1], v_b[-1])
    if bottom <= top:
        return 1e3
    rows = [top + step * (bottom - top) / 5 for step in range(6)]
    pairs = zip(_crossings(v_a, u_a, rows), _crossings(v_b, u_b, rows))
    return sum([abs(here - there) for here, there in pairs]) / 6 / GATE[1]


def _crossings(v: list[float], u: list[float], rows: list[float]) -> list[float]:
    """u where a polyline crosses rows within its extent; v and rows increase."""
    after, last, found = 1, len(v) - 1, []
    for row in rows:
        while after < last and v[after] <= row:
            after += 1
        fraction = (row - v[after - 1]) / ((v[after] - v[after - 1]) or 1.0)
        found.append(u[after - 1] + fraction * (u[after] - u[after - 1]))
    return found


def _record(track: Track, line: LaneLine, stamp_ns: int) -> None:
    track.last_seen_ns = stamp_ns
    _vote(track.types, line.line_type, LineType.UNKNOWN, line.type_score or line.score)
    _vote(track.colors, line.color, LineColor.UNKNOWN, line.color_score or line.score)
    track.line = line


def _vote(
    votes: dict[Any, float], label: LineType | LineColor, incomparable: LineType | LineColor, score: float
) -> None:
    for key in votes:
        votes[key] *= VOTE_DECAY
    if label != incomparable:
        votes[label] = votes.get(label, 0.0) + score


def _smoothed_line(track: Track, ground: GroundLine | None) -> LaneLine:
    """The line of this frame with the smoothed properties of its track."""
    line = track.line
    line_type = max(track.types, key=track.types.__getitem__, default=None)
    color = max(track.colors, key=track.colors.__getitem__, default=None)
    return LaneLine(
        line.points,
        line.score,
        line.position,
        line.line_type if line_type is None else line_type,
        line.type_score if line_type is None else _agreement(track.types, line_type, line.type_score),
        line.color if color is None else color,
        line.color_score if color is None else _agreement(track.colors, color, line.color_score),
        track.track_id,
        ground,
    )


def _agreement(votes: dict[Any, float], winner: LineType | LineColor, score: float) -> float:
    """Confidence of a vote: the fraction of votes for the winner times the score of the frame."""
    total = sum(votes.values())
    fraction = votes[winner] / (total if total > 1e-9 else 1e-9)
    return fraction * (1.0 if score <= 0.0 or score > 1.0 else score)
