"""Which detection goes on with which track.

Two stages as in ByteTrack (Zhang et al. 2022): sure detections first, then doubtful ones for the tracks that are left.

Which detection belongs to which track: overlap in the image, distance on the road, class.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from camera_perception.core.boxes import iou_matrix
from camera_perception.core.types import Edge, Objects
from camera_perception.objects.tracker.config import TrackRules
from camera_perception.objects.tracker.tracks import YOUNG, Tracks

NEVER = 1e6
# A network takes these for one another; everything else only for itself.
LIKE = (
    {"car", "truck", "bus", "train", "van"},
    {"pedestrian", "person", "rider"},
    {"bicycle", "motorcycle", "rider"},
)
# A rider and the bicycle under it are two things, a car and the van in its place are not.
DOUBLES = (LIKE[0], LIKE[1], {"bicycle", "motorcycle"})


def alike(names: tuple[str, ...], groups: tuple[set[str], ...] = LIKE) -> np.ndarray:
    """(C, C) bool: classes that may be one object, seen one after the other."""
    pairs = [[a == b or any({a, b} <= group for group in groups) for b in names] for a in names]
    return np.array(pairs, bool).reshape(len(names), len(names))


def mahalanobis(a: np.ndarray, a_cov: np.ndarray, b: np.ndarray, b_cov: np.ndarray) -> np.ndarray:
    """(N, 2), (N, 2, 2) and (M, 2), (M, 2, 2) -> (N, M) squared distances; nan where one is not known."""
    x, y = (a[:, axis, None] - b[None, :, axis] for axis in (0, 1))
    xx, xy, yy = (a_cov[:, i, j, None] + b_cov[None, :, i, j] for i, j in ((0, 0), (0, 1), (1, 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy)


def near_in_image(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) bool: boxes of about one size, whose middles lie less than two sizes apart."""
    a_size, b_size = (np.sqrt(np.maximum((c[:, 2] - c[:, 0]) * (c[:, 3] - c[:, 1]), 1e-6)) for c in (a, b))
    u, v = ((a[:, i] + a[:, j])[:, None] / 2 - (b[:, i] + b[:, j])[None] / 2 for i, j in ((0, 2), (1, 3)))
    small, large = np.minimum(a_size[:, None], b_size[None]), np.maximum(a_size[:, None], b_size[None])
    return (u * u + v * v < 4 * large * large) & (large < 1.7 * small)


def match(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that belong together at least cost; costs of NEVER and above stay alone."""
    if not cost.size:
        return np.zeros(0, int), np.zeros(0, int)
    rows, columns = linear_sum_assignment(np.minimum(cost, NEVER))
    good = cost[rows, columns] < NEVER
    return rows[good], columns[good]


CUT_SHARE = 0.6  # what standing at one height at one edge of the image is worth as overlap
NEAR = 9.2  # squared Mahalanobis distance that 99 % of pairs stay below
FAR = 16.0  # from which on not even a large overlap makes one object of two
OTHER_CLASS = 0.5  # what it costs when the class is another one
UNKNOWN = 4.0  # distance that costs as much as not knowing it


def associate(
    tracks: Tracks, objects: Objects, rules: TrackRules, alike: np.ndarray, size: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of tracks and rows of objects that belong together.

    alike  (C, C) bool, classes that may be one object
    size   (height, width) of the image, when known
    """
    cost, overlap = _cost(tracks, objects, rules, alike, size)
    sure = np.flatnonzero(objects.scores >= rules.sure)
    rows, columns = match(cost[:, sure])
    columns = sure[columns]
    doubtful = np.flatnonzero(objects.scores < rules.sure)
    if not len(doubtful):
        return rows, columns
    free = np.setdiff1d(np.arange(len(tracks)), rows)
    cost[overlap < rules.doubtful_overlap] = NEVER
    more_rows, more_columns = match(cost[np.ix_(free, doubtful)])
    return np.concatenate((rows, free[more_rows])), np.concatenate((columns, doubtful[more_columns]))


def _cost(
    tracks: Tracks, objects: Objects, rules: TrackRules, alike: np.ndarray, size: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    boxes, seen = tracks.boxes, objects.boxes.astype(float)
    overlap = _overlap(boxes, objects, size)
    young = np.flatnonzero(tracks.hits <= YOUNG)  # it may drive along with us, or stand
    if len(young):
        overlap[young] = np.maximum(overlap[young], _overlap(tracks.last[young], objects, size))
    places, covs = objects.positions.astype(float), objects.position_covs.astype(float)
    apart = mahalanobis(tracks.place, tracks.covs, places, covs)
    known = np.isfinite(apart)
    apart = np.where(known, apart, UNKNOWN)
    near = known & (apart < NEAR) & near_in_image(boxes, seen)
    kinds, kind = tracks.classes[:, None], np.clip(objects.classes, 0, len(alike) - 1)[None]
    cost = 1 - overlap + 0.05 * np.minimum(apart, 20.0) + OTHER_CLASS * (kinds != kind)
    possible = (near | (overlap > rules.overlap)) & alike[kinds, kind]
    possible &= (apart < FAR) | (overlap > 0.5)
    return np.where(possible, cost, NEVER), overlap


def _overlap(boxes: np.ndarray, objects: Objects, size: tuple[int, int] | None) -> np.ndarray:
    """(T, N) overlap of boxes and objects, as far as they are inside the image."""
    seen = objects.boxes.astype(float)
    if size is None:
        return iou_matrix(boxes, seen)
    height, width = size
    overlap = iou_matrix(np.clip(boxes, 0, (width, height, width, height)), seen)
    cut = np.flatnonzero(objects.truncated & (Edge.LEFT | Edge.RIGHT))
    if len(cut):
        overlap[:, cut] = np.maximum(overlap[:, cut], _overlap_at_edge(boxes, seen[cut], objects.truncated[cut], width))
    return overlap


def _overlap_at_edge(boxes: np.ndarray, seen: np.ndarray, truncated: np.ndarray, width: int) -> np.ndarray:
    """(T, N) of boxes that enter or leave the image at its left or right: of their heights, whatever their widths."""
    shared = np.minimum(boxes[:, None, 3], seen[None, :, 3]) - np.maximum(boxes[:, None, 1], seen[None, :, 1])
    height = np.minimum((boxes[:, 3] - boxes[:, 1])[:, None], (seen[:, 3] - seen[:, 1])[None])
    worth = np.where((boxes[:, 2] > 0) & (boxes[:, 0] < width), CUT_SHARE, CUT_SHARE / 2)  # less for what has left
    same = _at_side(boxes, width, truncated)
    return np.where(same, worth[:, None] * np.clip(shared / np.maximum(height, 1e-6), 0, 1), 0.0)


def _at_side(boxes: np.ndarray, width: int, truncated: np.ndarray) -> np.ndarray:
    """(T, N) bool: the box is not further than its own width from the side that cuts the other one."""
    reach = boxes[:, 2] - boxes[:, 0]
    left = (boxes[:, 0] < reach) & (boxes[:, 2] > -reach)
    right = (boxes[:, 2] > width - reach) & (boxes[:, 0] < width + reach)
    return (left[:, None] & ((truncated & Edge.LEFT) != 0)) | (right[:, None] & ((truncated & Edge.RIGHT) != 0))
