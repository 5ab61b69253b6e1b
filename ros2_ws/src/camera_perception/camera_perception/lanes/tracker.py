"""Track lane lines: stable ids, smoothed geometry, type and colour by vote. Time comes from stamps only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from camera_perception import core
from camera_perception.core.assignment import match
from camera_perception.core.types import EgoMotion, LaneLine, LineColor, LineType
from camera_perception.lanes.filter import (
    BIAS_FRACTION,
    EFFECTIVE_POINTS,
    REFIT_X,
    TRACK,
    WORDS,
    correct,
    predict,
    process_noise,
)
from camera_perception.lanes.fit import PRIOR_DIAGONAL, GroundLines, powers
from camera_perception.lanes.roles import LANE_WIDTH, roles

MAX_GAP = 1.0  # seconds after which an undetected line is dropped, and between frames of one sequence
MAX_GAP_NS = int(MAX_GAP * 1e9)
PROBE_X = np.array([6.0, 10.0, 15.0, 22.0])  # metres ahead where lines are compared
PROBE_TERMS = powers(PROBE_X).T
GATE = 1.2, 40.0  # metres, pixels: maximum mean distance of matching lines
VOTE_DECAY = 0.93  # of votes per frame
SETTINGS = np.array((EFFECTIVE_POINTS, BIAS_FRACTION, *PRIOR_DIAGONAL, *GATE, VOTE_DECAY))  # of the compiled twin
TYPES, COLORS = tuple(LineType), tuple(LineColor)
NO_POINTS = np.zeros((0, 2), np.float32)


class Seen(NamedTuple):
    """The L lines of one frame.

    numbers  (L, 5) float64: type, colour, their scores, the score of the line
    grounds  on the road
    shapes   points of each in the image, (P, 2) from near to far
    """

    numbers: np.ndarray
    grounds: GroundLines
    shapes: list[np.ndarray]


class Followed(NamedTuple):
    """What tracks make of the L lines of a frame.

    ids      (L,) int64 of tracks
    grounds  smoothed
    labels   (L, 2) int64 type and colour, scores (L, 2) float64
    """

    ids: np.ndarray
    grounds: GroundLines
    labels: np.ndarray
    scores: np.ndarray


class LaneTracker:
    """Tracks the lines of one camera. lane_width is the smoothed width of the ego lane, metres."""

    def __init__(self) -> None:
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Drop all tracks; ids are not reused."""
        self._drop()
        self._stamp_ns: int | None = None
        self.lane_width = LANE_WIDTH

    def _drop(self) -> None:
        self._tracks = np.zeros((0, WORDS))  # rows are of TRACK; (T, WORDS) as compiled functions read them
        self._shapes: list[np.ndarray] = []  # of the tracks when last seen, as of Seen

    def update(
        self,
        lanes: Sequence[LaneLine],
        stamp_ns: int,
        motion: EgoMotion | None = None,
        grounds: GroundLines | None = None,
    ) -> tuple[LaneLine, ...]:
        """The lines of this frame with ids, positions and smoothed geometry.

        motion   of the car since the previous frame
        grounds  of the lines on the road; None: those that they have
        """
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        if not 0 <= seconds <= MAX_GAP:
            self._drop()
        self._stamp_ns = stamp_ns
        if not lanes and not len(self._tracks):
            return ()
        numbers = [(line.line_type, line.color, line.type_score, line.color_score, line.score) for line in lanes]
        seen = Seen(
            np.array(numbers, float).reshape(-1, 5),
            GroundLines.of(lanes) if grounds is None else grounds,
            [line.points for line in lanes],
        )
        follow = self._follow if core.kernels is None else self._follow_compiled
        found = follow(seen, seconds, stamp_ns, motion)
        return self._lines(lanes, found)

    def _lines(self, lanes: Sequence[LaneLine], found: Followed) -> tuple[LaneLine, ...]:
        """The lines of this frame with what their tracks know."""
        ids, grounds = found.ids.tolist(), found.grounds.each()
        self._next_id = max([self._next_id - 1, *ids]) + 1
        positions = roles(found.grounds.polys, found.grounds.ends, [line.position for line in lanes], self.lane_width)
        self._update_width(positions, found.grounds)
        columns = zip(lanes, positions, ids, grounds, found.labels.tolist(), found.scores.tolist())
        return tuple(
            [
                LaneLine(
                    line.points, line.score, position, TYPES[label], score, COLORS[color], color_score, lane_id, ground
                )
                for line, position, lane_id, ground, (label, color), (score, color_score) in columns
            ]
        )  # fmt: skip

    def _update_width(self, positions: Sequence[int], grounds: GroundLines) -> None:
        lateral = zip(positions, grounds.polys[:, 0].tolist(), grounds.counts.tolist())
        c0 = {position: y for position, y, count in lateral if count}
        if -1 in c0 and 1 in c0 and 2.2 < c0[-1] - c0[1] < 5.0:
            self.lane_width += 0.05 * (c0[-1] - c0[1] - self.lane_width)

    def _follow(self, seen: Seen, seconds: float, stamp_ns: int, motion: EgoMotion | None) -> Followed:
        """Predict the tracks, match the lines to them, and update them."""
        tracks = self._tracks.view(TRACK)[:, 0]
        predict(tracks, seconds, motion)
        tracks, rows = self._match(tracks, seen)
        for row, shape in zip(rows.tolist(), seen.shapes):
            self._shapes[row] = shape
        tracks["seen_ns"][rows] = stamp_ns
        labels, scores = _vote(tracks, rows, seen.numbers)
        grounds, ids = correct(tracks, rows, seen.grounds), tracks["id"][rows]
        kept = stamp_ns - tracks["seen_ns"] <= MAX_GAP_NS
        self._tracks = tracks[kept].view(float).reshape(-1, WORDS)
        self._shapes = [shape for shape, stays in zip(self._shapes, kept.tolist()) if stays]
        return Followed(ids, grounds, labels, scores)

    def _match(self, tracks: np.ndarray, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Tracks, with new ones at their end, and (L,) the row of that of each line."""
        cost = _distances(tracks, self._shapes, seen)
        rows, columns = match(cost)
        good = cost[rows, columns] < 1.0
        row_of = np.full(len(cost), -1)
        row_of[rows[good]] = columns[good]
        new = np.zeros(np.count_nonzero(row_of < 0), TRACK)
        new["id"], new["mean"] = self._next_id + np.arange(len(new)), np.nan
        row_of[row_of < 0] = len(tracks) + np.arange(len(new))
        self._shapes += [NO_POINTS] * len(new)
        return np.concatenate((tracks, new)), row_of

    def _follow_compiled(self, seen: Seen, seconds: float, stamp_ns: int, motion: EgoMotion | None) -> Followed:
        shapes, count = [*self._shapes, *seen.shapes], len(seen.shapes)
        moved = None
        if motion is not None:
            moved = np.array((motion.x, motion.y, math.cos(motion.yaw), math.sin(motion.yaw)))
        room, sources = np.empty((len(shapes), WORDS)), np.empty(len(shapes), np.int64)
        smooth = seen.grounds._replace(
            points=np.empty_like(seen.grounds.points),
            y_std=np.empty_like(seen.grounds.y_std),
            polys=np.empty((count, 4), np.float32),
        )
        found = Followed(np.empty(count, np.int64), smooth, np.empty((count, 2), np.int64), np.empty((count, 2)))
        kept = core.kernels.follow_lines(
            self._tracks, room, process_noise(seconds, motion), moved, REFIT_X, PROBE_X,
            np.array((stamp_ns, stamp_ns - MAX_GAP_NS, self._next_id)), seen.numbers, seen.grounds,
            *_joined(seen.shapes), *_joined(self._shapes), SETTINGS,
            found.ids, sources, smooth.points, smooth.y_std, smooth.polys, found.labels, found.scores,
        )  # fmt: skip
        self._tracks, self._shapes = room[:kept], [shapes[source] for source in sources[:kept].tolist()]
        return found


def _joined(shapes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 2) float32 of polylines one after the other, and how many each has."""
    points = np.concatenate(shapes).astype(np.float32, copy=False) if shapes else NO_POINTS
    return points, np.array([len(shape) for shape in shapes], np.int64)


def _distances(tracks: np.ndarray, shapes: Sequence[np.ndarray], seen: Seen) -> np.ndarray:
    """(L, T) mean distances in units of GATE; above 1 where lines do not match."""
    distances = _distances_on_road(tracks["mean"], seen.grounds.polys.astype(float), seen.grounds.ends)
    for row, column in zip(*[each.tolist() for each in np.isnan(distances).nonzero()]):
        distances[row, column] = _distance_in_image(shapes[column], seen.shapes[row])
    return distances


def _distances_on_road(means: np.ndarray, polys: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(L, T) mean distances of cubics (T, 4) and (L, 4) from first to last x (L, 2); nan where there are none."""
    apart = np.abs((means[None] - polys[:, None]) @ PROBE_TERMS)  # L T probe
    near, far = ends.T[:, :, None]
    observed = ((near - 4 <= PROBE_X) & (PROBE_X <= far + 4)).astype(float)[:, None]
    count = observed.sum(axis=2)
    distances = (apart * observed).sum(axis=2) / np.maximum(count, 1e-9) / GATE[0]
    return np.where(count == 0, np.nan, distances)


def _distance_in_image(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of polylines (P, 2), near to far, in common rows. Plain Python takes a fifth of numpy's time."""
    if not len(a) or not len(b):
        return 1e3
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


def _vote(tracks: np.ndarray, rows: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Votes of lines for the type and colour of their tracks, whose rows are (L,): the winners (L, 2) and their scores.

    numbers  of Seen
    """
    given, own = numbers[:, :2].astype(np.int64), numbers[:, 2:4]
    votes, labels = tracks["votes"][rows] * VOTE_DECAY, tracks["labels"][rows]
    line, kind = given.nonzero()  # UNKNOWN is 0, and no vote
    label = given[line, kind]
    slot = ((labels[line, kind] == label[:, None]) | (labels[line, kind] == 0)).argmax(axis=1)
    labels[line, kind, slot] = label
    votes[line, kind, slot] += np.where(own == 0, numbers[:, 4:], own)[line, kind]
    tracks["votes"][rows], tracks["labels"][rows] = votes, labels
    best = np.where(labels == 0, -np.inf, votes).argmax(axis=2)[..., None]
    total = np.cumsum(votes, axis=2)[..., -1]  # in the order of the votes
    share = np.take_along_axis(votes, best, 2)[..., 0] / np.where(total > 1e-9, total, 1e-9)
    winners = np.take_along_axis(labels, best, 2)[..., 0]
    confidence = share * np.where((own <= 0) | (own > 1), 1.0, own)
    return winners, np.where(winners == 0, own, confidence)
