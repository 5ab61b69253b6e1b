"""Lane lines keep their ids and get calmer over frames; type and colour by vote. Time comes from stamps only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from camera_perception.lane_fit import fit_cubic, powers
from camera_perception.lane_roles import LANE_WIDTH, with_roles
from camera_perception.types import EgoMotion, GroundLine, LaneLine, LineColor, LineType

GAP = 1.0  # seconds after which a line that is not seen is forgotten, and after which frames do not belong together
PROBES = np.array([6.0, 10.0, 15.0, 22.0])  # metres ahead, where lines are compared
AT_PROBES = powers(PROBES).T
SAME = 1.2, 40.0  # metres, pixels: lines on average further apart than that are two
# Change of c0..c3 per square root of a second, one standard deviation: swerving, bends that begin.
DRIFT = np.array([0.3, 0.02, 1e-3, 8e-6])
DRIFT_KNOWN = np.array([0.15, 0.01, 6e-4, 5e-6])  # with the car's own motion taken out
LIKE_POINTS = 2.0  # so many independent points is a line of any number of neighbouring ones worth
BIAS_SHARE = 0.5  # of the variance of a point, which does not shrink over frames
FADE = 0.93  # of votes per frame


@dataclass
class Track:
    """One line over time; mean (4,) and cov (4, 4) of its cubic are None without ground."""

    number: int
    line: LaneLine
    seen_ns: int
    mean: np.ndarray | None = None
    cov: np.ndarray | None = None
    types: dict[LineType, float] = field(default_factory=dict)
    colors: dict[LineColor, float] = field(default_factory=dict)


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
        for track in self._tracks:
            _predict(track, seconds, motion)
        tracks = self._matched(lanes)
        for track, line in zip(tracks, lanes):
            _correct(track, line, stamp_ns)
        self._tracks = [track for track in self._tracks if stamp_ns - track.seen_ns <= GAP * 1e9]
        found = with_roles([_shown(track) for track in tracks], self.usual_width)
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
    top, bottom = max(a[:, 1].min(), b[:, 1].min()), min(a[:, 1].max(), b[:, 1].max())
    if bottom <= top:
        return 1e3
    rows = np.linspace(top, bottom, 6)
    u = [np.interp(rows, points[::-1, 1], points[::-1, 0]) for points in (a, b)]
    return float(np.abs(u[0] - u[1]).mean() / SAME[1])


def _predict(track: Track, seconds: float, motion: EgoMotion | None) -> None:
    if track.mean is None or track.cov is None:
        return
    if motion is not None:
        track.mean = moved_cubic(track.mean, motion)
    drift = DRIFT if motion is None else DRIFT_KNOWN
    track.cov = track.cov + np.diag(drift**2) * seconds


def moved_cubic(poly: np.ndarray, motion: EgoMotion) -> np.ndarray:
    """The same line y = c0 + c1 x + ... seen from a car that has moved."""
    x = np.linspace(0.0, 60.0, 13)
    points = np.column_stack((x, powers(x) @ poly)) - (motion.x, motion.y)
    c, s = np.cos(motion.yaw), np.sin(motion.yaw)
    turned = points @ np.array([[c, -s], [s, c]])
    return np.asarray(np.polynomial.polynomial.polyfit(turned[:, 0], turned[:, 1], 3))


def _correct(track: Track, line: LaneLine, stamp_ns: int) -> None:
    track.seen_ns = stamp_ns
    _vote(track.types, line.line_type, LineType.UNKNOWN, line.type_score or line.score)
    _vote(track.colors, line.color, LineColor.UNKNOWN, line.color_score or line.score)
    track.line = line
    if line.ground is None:
        return
    ground = line.ground
    if track.mean is None or track.cov is None:
        track.mean, track.cov = fit_cubic(ground.points[:, 0], ground.points[:, 1], _apart(ground))
        return
    # The measurement is the frame's own robust fit, its worth that of a few independent points.
    terms = powers(ground.points[:, 0])
    worth = terms.T / np.square(_apart(ground)) @ terms
    before = np.linalg.inv(track.cov)
    track.cov = np.linalg.inv(before + worth)
    track.mean = track.cov @ (before @ track.mean + worth @ ground.poly)


def _apart(ground: GroundLine) -> np.ndarray:
    """y_std as if the points were independent."""
    return ground.y_std.astype(float) * np.sqrt(max(len(ground.points) / LIKE_POINTS, 1.0))


def _vote(votes: dict, choice: LineType | LineColor, unknown: LineType | LineColor, score: float) -> None:
    for key in votes:
        votes[key] *= FADE
    if choice != unknown:
        votes[choice] = votes.get(choice, 0.0) + score


def _shown(track: Track) -> LaneLine:
    line = replace(track.line, lane_id=track.number)
    if track.types:
        kind = max(track.types, key=track.types.__getitem__)
        line = replace(line, line_type=kind, type_score=_share(track.types, kind, line.type_score))
    if track.colors:
        color = max(track.colors, key=track.colors.__getitem__)
        line = replace(line, color=color, color_score=_share(track.colors, color, line.color_score))
    return replace(line, ground=_calm(track)) if line.ground is not None else line


def _share(votes: dict, winner: LineType | LineColor, score: float) -> float:
    """How unanimous the vote is, at most as sure as the frame's own score where it agrees."""
    share = votes[winner] / max(sum(votes.values()), 1e-9)
    return float(share * min(max(score, 0.0) or 1.0, 1.0))


def _calm(track: Track) -> GroundLine | None:
    ground = track.line.ground
    if ground is None or track.mean is None or track.cov is None:
        return ground
    terms = powers(ground.points[:, 0])
    variance = np.einsum("pi,ij,pj->p", terms, track.cov, terms) + BIAS_SHARE * np.square(ground.y_std)
    points = np.column_stack((ground.points[:, 0], terms @ track.mean)).astype(np.float32)
    return GroundLine(
        points, np.sqrt(variance).astype(np.float32), track.mean.astype(np.float32), ground.x_min, ground.x_max
    )
