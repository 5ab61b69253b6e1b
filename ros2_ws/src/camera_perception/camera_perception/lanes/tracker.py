"""Lane lines keep their ids and get calmer over frames; type and colour by vote. Time comes from stamps only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from camera_perception.core.assignment import linear_sum_assignment
from camera_perception.core.types import EgoMotion, GroundLine, LaneLine, LineColor, LineType
from camera_perception.lanes.filter import Track, corrected, predict
from camera_perception.lanes.fit import powers
from camera_perception.lanes.roles import LANE_WIDTH, with_roles

GAP = 1.0  # seconds after which a line that is not seen is forgotten, and after which frames do not belong together
PROBES = np.array([6.0, 10.0, 15.0, 22.0])  # metres ahead, where lines are compared
AT_PROBES = powers(PROBES).T
SAME = 1.2, 40.0  # metres, pixels: lines on average further apart than that are two
FADE = 0.93  # of votes per frame


class LaneTracker:
    """The lines of one camera. usual_width is that of the own lane in metres, as seen lately."""

    def __init__(self) -> None:
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget every line; ids are not used again."""
        self._tracks: list[Track] = []
        self._stamp_ns: int | None = None
        self.usual_width = LANE_WIDTH

    def update(self, lanes: Sequence[LaneLine], stamp_ns: int, motion: EgoMotion | None = None) -> tuple[LaneLine, ...]:
        """The lines of this frame with ids, roles, and a calmer course.

        motion  of the car since the frame before
        """
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        if not 0 <= seconds <= GAP:
            self._tracks = []
        self._stamp_ns = stamp_ns
        predict([track for track in self._tracks if track.mean is not None], seconds, motion)
        tracks = self._matched(lanes)
        for track, line in zip(tracks, lanes):
            _note(track, line, stamp_ns)
        courses = corrected([track for track in tracks if track.line.ground is not None])
        self._tracks = [track for track in self._tracks if stamp_ns - track.seen_ns <= GAP * 1e9]
        shown = [_shown(track, next(courses) if track.line.ground is not None else None) for track in tracks]
        found = with_roles(shown, self.usual_width)
        self._note_width(found)
        return found

    def _matched(self, lanes: Sequence[LaneLine]) -> list[Track]:
        """One track per line: those it goes on, new ones for the others."""
        cost = _distances(self._tracks, lanes)
        pairs = {}
        if cost.size:
            pairs = {row: column for row, column in zip(*linear_sum_assignment(cost)) if cost[row, column] < 1.0}
        return [self._tracks[pairs[row]] if row in pairs else self._begin(line) for row, line in enumerate(lanes)]

    def _begin(self, line: LaneLine) -> Track:
        track = Track(self._next_id, line, self._stamp_ns or 0)
        self._next_id += 1
        self._tracks.append(track)
        return track

    def _note_width(self, lines: Sequence[LaneLine]) -> None:
        c0 = {line.position: float(line.ground.poly[0]) for line in lines if line.ground is not None}
        if -1 in c0 and 1 in c0 and 2.2 < c0[-1] - c0[1] < 5.0:
            self.usual_width += 0.05 * (c0[-1] - c0[1] - self.usual_width)


def _distances(tracks: Sequence[Track], lanes: Sequence[LaneLine]) -> np.ndarray:
    """(L, T) mean distances in units of SAME; over 1 where they are not the same."""
    none = np.full(4, np.nan)
    means = np.array([none if track.mean is None else track.mean for track in tracks]).reshape(-1, 4)
    polys = np.array([none if line.ground is None else line.ground.poly for line in lanes]).reshape(-1, 4)
    apart = np.abs((means[None] - polys[:, None]) @ AT_PROBES)  # L T probe
    ends = [(0.0, 0.0) if line.ground is None else (line.ground.x_min - 4, line.ground.x_max + 4) for line in lanes]
    near, far = np.array(ends).reshape(-1, 2).T[:, :, None]
    ahead = ((near <= PROBES) & (PROBES <= far)).astype(float)[:, None]
    distances = (apart * ahead).sum(axis=2) / np.maximum(ahead.sum(axis=2), 1e-9) / SAME[0]
    unknown = np.isnan(distances) | (ahead.sum(axis=2) == 0)
    for row, column in np.argwhere(unknown).tolist():
        distances[row, column] = _distance_in_image(tracks[column].line.points, lanes[row].points)
    return distances


def _distance_in_image(a: np.ndarray, b: np.ndarray) -> float:
    """Of two polylines (P, 2) from near to far, in rows that both cross. Plain numbers take a fifth of numpy's time."""
    (u_a, v_a), (u_b, v_b) = (points[::-1].T.tolist() for points in (a, b))
    top, bottom = max(v_a[0], v_b[0]), min(v_a[-1], v_b[-1])
    if bottom <= top:
        return 1e3
    rows = [top + step * (bottom - top) / 5 for step in range(6)]
    pairs = zip(_crossings(v_a, u_a, rows), _crossings(v_b, u_b, rows))
    return sum([abs(here - there) for here, there in pairs]) / 6 / SAME[1]


def _crossings(v: list[float], u: list[float], rows: list[float]) -> list[float]:
    """u where a polyline crosses rows that lie within its own; v and rows rise."""
    after, last, found = 1, len(v) - 1, []
    for row in rows:
        while after < last and v[after] <= row:
            after += 1
        share = (row - v[after - 1]) / ((v[after] - v[after - 1]) or 1.0)
        found.append(u[after - 1] + share * (u[after] - u[after - 1]))
    return found


def _note(track: Track, line: LaneLine, stamp_ns: int) -> None:
    track.seen_ns = stamp_ns
    _vote(track.types, line.line_type, LineType.UNKNOWN, line.type_score or line.score)
    _vote(track.colors, line.color, LineColor.UNKNOWN, line.color_score or line.score)
    track.line = line


def _vote(votes: dict, choice: LineType | LineColor, unknown: LineType | LineColor, score: float) -> None:
    for key in votes:
        votes[key] *= FADE
    if choice != unknown:
        votes[choice] = votes.get(choice, 0.0) + score


def _shown(track: Track, course: GroundLine | None) -> LaneLine:
    """The line of this frame as the track knows it."""
    line = track.line
    kind = max(track.types, key=track.types.__getitem__, default=None)
    color = max(track.colors, key=track.colors.__getitem__, default=None)
    return LaneLine(
        line.points,
        line.score,
        line.position,
        line.line_type if kind is None else kind,
        line.type_score if kind is None else _share(track.types, kind, line.type_score),
        line.color if color is None else color,
        line.color_score if color is None else _share(track.colors, color, line.color_score),
        track.number,
        course,
    )


def _share(votes: dict, winner: LineType | LineColor, score: float) -> float:
    """How unanimous the vote is, at most as sure as the frame's own score where it agrees."""
    share = votes[winner] / max(sum(votes.values()), 1e-9)
    return float(share * min(max(score, 0.0) or 1.0, 1.0))
