"""Which detection goes on with which track.

Two stages as in ByteTrack (Zhang et al. 2022): sure detections first, then doubtful ones for the tracks that are left.
"""

from __future__ import annotations

import numpy as np

from camera_perception.assignment import NEVER, mahalanobis, match, near_in_image
from camera_perception.overlap import iou_matrix
from camera_perception.track_rules import TrackRules
from camera_perception.tracks import YOUNG, Tracks
from camera_perception.types import Edge, Objects

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
