"""The state of all tracks: columns, one row per track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camera_perception.core.columns import Columns
from camera_perception.core.types import Objects
from camera_perception.objects.tracker.config import TrackerConfig


@dataclass
class Tracks(Columns):
    """T tracks.

    ids              (T,)   never used again
    last_update_ns   (T,)   stamp of the last detection
    last_position_ns (T,)   stamp of the last measured position; -1 never
    hits             (T,)   number of detections
    ages             (T,)   frames since the first detection
    votes            (T, C) score-weighted votes for each class
    scores           (T,)   of the last detection
    light_scores     (T, S) smoothed scores of traffic light states
    stable_state     (T,)   published traffic light state; -1 none yet
    last_box         (T, 4) box of the last detection, x0 y0 x1 y1
    box              (T, 4, 2), box_cov (T, 4, 2, 2)  centre u v, width, height in pixels, each with its rate
    state            (T, 5), state_cov (T, 5, 5)      x y vx vy in base_link and height, metres; nan without position
    speed_prior_std  (T,)   m/s, sigma of the speed before it is measured
    height_prior     (T, 2) height of the class and its sigma, metres
    bias             (T, 2, 2) the part of the position covariance that does not average out
    box_noise, position_noise (T,)  learned factors on the measurement variance: mean NIS
    position_methods, truncated, ground_widths (T,)   as in Objects
    """

    ids: np.ndarray
    last_update_ns: np.ndarray
    last_position_ns: np.ndarray
    hits: np.ndarray
    ages: np.ndarray
    votes: np.ndarray
    scores: np.ndarray
    light_scores: np.ndarray
    stable_state: np.ndarray
    last_box: np.ndarray
    box: np.ndarray
    box_cov: np.ndarray
    state: np.ndarray
    state_cov: np.ndarray
    speed_prior_std: np.ndarray
    height_prior: np.ndarray
    bias: np.ndarray
    box_noise: np.ndarray
    position_noise: np.ndarray
    position_methods: np.ndarray
    truncated: np.ndarray
    ground_widths: np.ndarray

    @property
    def boxes(self) -> np.ndarray:
        """(T, 4) x0 y0 x1 y1 of the filter."""
        return corners(self.box)

    @property
    def classes(self) -> np.ndarray:
        """(T,) class with the most votes."""
        return np.asarray(self.votes.argmax(axis=1))

    @property
    def position_covs(self) -> np.ndarray:
        """(T, 2, 2) square metres, bias included."""
        return np.asarray(self.state_cov[:, :2, :2] + self.bias)

    def velocity_covs(self, bias_time_constant: float) -> np.ndarray:
        """(T, 2, 2): a position bias that changes over bias_time_constant seconds looks like a velocity."""
        return np.asarray(self.state_cov[:, 2:4, 2:4] + self.bias / bias_time_constant**2)

    @staticmethod
    def create(
        objects: Objects,
        ids: np.ndarray,
        stamp_ns: int,
        classes: int,
        speed_prior_std: np.ndarray,
        height_prior: np.ndarray,
        config: TrackerConfig,
    ) -> Tracks:
        """New tracks of detected objects, without positions yet; `classes` is the number of classes."""
        n = len(objects)
        size = np.maximum(objects.boxes[:, 2:] - objects.boxes[:, :2], 1.0).astype(float)
        return Tracks(
            ids=ids,
            last_update_ns=np.full(n, stamp_ns, np.int64),
            last_position_ns=np.full(n, -1, np.int64),
            hits=np.ones(n, int),
            ages=np.ones(n, int),
            votes=np.eye(classes)[np.clip(objects.classes, 0, classes - 1)] * objects.scores[:, None],
            scores=objects.scores.astype(float),
            light_scores=objects.light_states.astype(float),
            stable_state=np.full(n, -1),
            last_box=objects.boxes.astype(float),
            box=np.stack((center_and_size(objects.boxes), np.zeros((n, 4))), axis=2),
            box_cov=_initial_box_cov(size, config),
            state=np.full((n, 5), np.nan),
            state_cov=np.full((n, 5, 5), np.nan),
            speed_prior_std=speed_prior_std,
            height_prior=height_prior,
            bias=np.full((n, 2, 2), np.nan),
            box_noise=np.ones(n),
            position_noise=np.ones(n),
            position_methods=objects.position_methods.copy(),
            truncated=objects.truncated.copy(),
            ground_widths=objects.ground_widths.copy(),
        )


def _initial_box_cov(size: np.ndarray, config: TrackerConfig) -> np.ndarray:
    """(N, 2) width and height -> (N, 4, 2, 2)."""
    cov = np.zeros((len(size), 4, 2, 2))
    center, growth = config.box_center_speed_std, config.box_size_speed_std
    cov[:, :, 0, 0] = np.tile(config.box_std_ratio * size + config.box_std_pixels, 2) ** 2
    cov[:, :, 1, 1] = (np.array([center, center, growth, growth]) * size.mean(axis=1)[:, None]) ** 2
    return cov


def corners(box: np.ndarray) -> np.ndarray:
    """(N, 4, 2) filters of boxes -> (N, 4) x0 y0 x1 y1."""
    center, half = box[:, :2, 0], np.maximum(box[:, 2:, 0], 1.0) / 2
    return np.concatenate((center - half, center + half), axis=1)


def center_and_size(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) x0 y0 x1 y1 -> centre u v, width, height."""
    boxes = boxes.astype(float)
    return np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), axis=1)
