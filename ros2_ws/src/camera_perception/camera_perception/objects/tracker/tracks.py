"""What a tracker remembers of its objects: columns, one row per track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camera_perception.core.columns import Columns
from camera_perception.core.types import Objects


@dataclass
class Tracks(Columns):
    """T tracks.

    ids          (T,)   never used again
    began        (T,)   ns, first seen
    seen         (T,)   ns, last seen in the image
    placed       (T,)   ns, last seen on the road; -1 never
    hits         (T,)   how often seen
    ages         (T,)   frames since it began
    votes        (T, C) for each class
    scores       (T,)   of the last detection
    lights       (T, S) smoothed scores of light states
    held         (T,)   light state that is shown; -1 none yet
    last         (T, 4) the box that was last seen, x0 y0 x1 y1
    box          (T, 4, 2), box_cov (T, 4, 2, 2)  middle u v, width, height in pixels, each with its speed
    place        (T, 5), place_cov (T, 5, 5)      x y vx vy in base_link and its own height, metres
    haste        (T,)   m/s, how fast it may be as long as that is not known: one standard deviation
    usual        (T, 2) height of its kind and its standard deviation, metres
    bias         (T, 2, 2) the part of the uncertainty of places that does not shrink by looking often
    box_noise, place_noise (T,)  variance of what is seen over what was expected of it, learned from surprises
    methods, truncated, widths (T,) as in Objects
    """

    ids: np.ndarray
    began: np.ndarray
    seen: np.ndarray
    placed: np.ndarray
    hits: np.ndarray
    ages: np.ndarray
    votes: np.ndarray
    scores: np.ndarray
    lights: np.ndarray
    held: np.ndarray
    last: np.ndarray
    box: np.ndarray
    box_cov: np.ndarray
    place: np.ndarray
    place_cov: np.ndarray
    haste: np.ndarray
    usual: np.ndarray
    bias: np.ndarray
    box_noise: np.ndarray
    place_noise: np.ndarray
    methods: np.ndarray
    truncated: np.ndarray
    widths: np.ndarray

    @property
    def boxes(self) -> np.ndarray:
        """(T, 4) x0 y0 x1 y1 as predicted or seen."""
        middle, half = self.box[:, :2, 0], np.maximum(self.box[:, 2:, 0], 1.0) / 2
        return np.concatenate((middle - half, middle + half), axis=1)

    @property
    def classes(self) -> np.ndarray:
        """(T,) what was seen most."""
        return self.votes.argmax(axis=1)

    @property
    def covs(self) -> np.ndarray:
        """(T, 2, 2) of places."""
        return self.place_cov[:, :2, :2] + self.bias

    @property
    def speed_covs(self) -> np.ndarray:
        """(T, 2, 2) of velocities: what biases places changes over BIAS_SECONDS, and that looks like speed."""
        return self.place_cov[:, 2:4, 2:4] + self.bias / BIAS_SECONDS**2

    @staticmethod
    def begun(
        objects: Objects, ids: np.ndarray, stamp_ns: int, classes: int, haste: np.ndarray, usual: np.ndarray
    ) -> Tracks:
        """Tracks of objects seen for the first time, without places yet."""
        n = len(objects)
        box_cov = np.zeros((n, 4, 2, 2))
        size = np.maximum(objects.boxes[:, 2:] - objects.boxes[:, :2], 1.0).astype(float)
        box_cov[:, :, 0, 0] = np.tile(0.05 * size + 1.0, 2) ** 2
        box_cov[:, :, 1, 1] = (BOX_HASTE * size.mean(axis=1)[:, None]) ** 2
        return Tracks(
            ids=ids,
            began=np.full(n, stamp_ns, np.int64),
            seen=np.full(n, stamp_ns, np.int64),
            placed=np.full(n, -1, np.int64),
            hits=np.ones(n, int),
            ages=np.ones(n, int),
            votes=np.eye(classes)[np.clip(objects.classes, 0, classes - 1)] * objects.scores[:, None],
            scores=objects.scores.astype(float),
            lights=objects.light_states.astype(float),
            held=np.full(n, -1),
            last=objects.boxes.astype(float),
            box=np.stack((middle_and_size(objects.boxes), np.zeros((n, 4))), axis=2),
            box_cov=box_cov,
            place=np.full((n, 5), np.nan),
            place_cov=np.full((n, 5, 5), np.nan),
            haste=haste,
            usual=usual,
            bias=np.full((n, 2, 2), np.nan),
            box_noise=np.ones(n),
            place_noise=np.ones(n),
            methods=objects.position_methods,
            truncated=objects.truncated,
            widths=objects.ground_widths,
        )


YOUNG = 2  # sightings up to which a box has no speed of its own worth the name
# Sizes per second, how fast the middle u v of a new box, its width and its height may change: one standard deviation.
BOX_HASTE = np.array([3.0, 3.0, 1.0, 1.0])
BIAS_SECONDS = 2.0
LEARNING = 0.1  # share of a sighting in what is known about the noise
BIAS_SHARE = 0.5  # of a place's variance: mounting, slope and contact point err in one direction for seconds


def middle_and_size(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) x0 y0 x1 y1 -> u v of the middle, width, height."""
    boxes = boxes.astype(float)
    return np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), axis=1)


def learned(noise: np.ndarray, surprise: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Noise after one more surprise: variance of what was seen over what was expected."""
    return np.clip(noise + LEARNING * (surprise - noise), *bounds)
