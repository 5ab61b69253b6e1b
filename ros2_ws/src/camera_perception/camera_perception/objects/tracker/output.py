"""From tracks to published objects: tracked detections, and coasted objects that this frame does not show."""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from camera_perception import core
from camera_perception.core.types import Detections, Objects
from camera_perception.geometry.kalman import inverse
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.light_states import published_light_scores
from camera_perception.objects.tracker.tracks import Tracks, corners


def published_objects(
    objects: Objects,
    row_of: np.ndarray,
    tracks: Tracks,
    coasting: np.ndarray,
    count: int,
    stamp_ns: int,
    config: TrackerConfig,
    over_ground: bool,
) -> Objects:
    """The objects that have a track, with its state, then the tracks that coast; `count` in total.

    row_of      (N,) of tracks, of each object; -1 without
    coasting    (T,) bool
    over_ground whether velocities are over the ground, where many objects are stationary, or relative to the car
    """
    if core.kernels is not None:
        return _published_compiled(objects, row_of, tracks, coasting, count, stamp_ns, config, over_ground)
    tracked, coasting_rows = (row_of >= 0).nonzero()[0], coasting.nonzero()[0]
    found = objects if len(tracked) == len(objects) else objects[tracked]
    if len(coasting_rows):
        found = Objects.concatenate((found, coasted_objects(tracks, coasting_rows, stamp_ns, config)))
    rows = np.concatenate((row_of[tracked], coasting_rows))
    return with_track_state(found, rows, tracks, stamp_ns, config, over_ground)


# What the compiled twin reads: settings, columns of objects, columns of tracks, each in this order.
SETTINGS = "max_coast", "bias_time_constant", "max_velocity_std", "min_velocity_hits", "stationary_prior"
_detected = attrgetter(
    "boxes", "scores", "positions", "position_covs", "velocities", "velocity_covs", "ground_widths", "cues",
    "truncated", "position_methods", "relevances",
)  # fmt: skip
_of_tracks = attrgetter(
    "ids", "ages", "votes", "last_position_ns", "state", "state_cov", "bias", "position_methods", "hits",
    "speed_prior_std", "box", "truncated", "ground_widths", "last_update_ns", "scores", "light_scores", "stable_state",
)  # fmt: skip


def _published_compiled(
    objects: Objects,
    row_of: np.ndarray,
    tracks: Tracks,
    coasting: np.ndarray,
    count: int,
    stamp_ns: int,
    config: TrackerConfig,
    over_ground: bool,
) -> Objects:
    published = _unwritten(count, tracks.light_scores.shape[1])
    core.kernels.publish(
        row_of, coasting, _detected(objects), _of_tracks(tracks), stamp_ns, core.settings(config, *SETTINGS),
        over_ground, published._columns(published),
    )  # fmt: skip
    return published


def _unwritten(n: int, states: int) -> Objects:
    """n objects of undefined values. Columns of one kind share their memory: half as many allocations."""
    boxes, cues = np.empty((2, n, 4), np.float32)
    position_covs, velocity_covs = np.empty((2, n, 2, 2), np.float32)
    scores, ground_widths = np.empty((2, n), np.float32)
    classes, ages = np.empty((2, n), np.int32)
    truncated, position_methods, relevances = np.empty((3, n), np.uint8)
    return Objects(
        boxes, scores, classes, np.empty((n, states), np.float32), np.empty(n, np.int64), ages, np.empty(n, bool),
        truncated, np.empty((n, 3), np.float32), position_covs, position_methods, np.empty((n, 2), np.float32),
        velocity_covs, ground_widths, cues, relevances,
    )  # fmt: skip


def _faded(tracks: Tracks, rows: np.ndarray, stamp_ns: int, config: TrackerConfig) -> np.ndarray:
    """(R,) float32 scores that fade while nothing shows the objects of tracks at these rows."""
    age = (stamp_ns - tracks.last_update_ns[rows]) / 1e9
    faded: np.ndarray = (tracks.scores[rows] * np.exp(-age / config.max_coast)).astype(np.float32)
    return faded


def with_track_state(
    objects: Objects, rows: np.ndarray, tracks: Tracks, stamp_ns: int, config: TrackerConfig, over_ground: bool
) -> Objects:
    """The objects with ids, positions and velocities of their tracks; rows (N,) of tracks.

    over_ground  whether velocities are over the ground, where many objects are stationary, or relative to the car
    """
    metric = [getattr(objects, name).copy() for name in METRIC]
    _write_track_state(metric, rows, tracks, stamp_ns, config, over_ground)
    return objects.with_columns(
        track_ids=tracks.ids[rows],
        ages=tracks.ages[rows].astype(np.int32),
        classes=tracks.classes[rows].astype(np.int32),
        light_states=published_light_scores(tracks)[rows].astype(np.float32),
        **dict(zip(METRIC, metric)),
    )


METRIC = "positions", "position_covs", "position_methods", "velocities", "velocity_covs"


def _write_track_state(
    metric: list[np.ndarray], rows: np.ndarray, tracks: Tracks, stamp_ns: int, config: TrackerConfig, over_ground: bool
) -> None:
    """Write positions and velocities of the tracks at rows (N,) into the columns METRIC of objects."""
    positions, position_covs, methods, all_velocities, velocity_covs = metric
    age_ns = stamp_ns - tracks.last_position_ns[rows]
    known = np.isfinite(tracks.state[rows, 0]) & (age_ns <= 1e9 * config.max_coast)
    at, row = known.nonzero()[0], rows[known]
    state, bias = tracks.state[row], tracks.bias[row]
    positions[at, :2], positions[at, 2] = state[:, :2], 0.0
    position_covs[at], methods[at] = tracks.state_cov[row, :2, :2] + bias, tracks.position_methods[row]
    # A position bias that changes over the time constant looks like a velocity.
    velocities, covs = state[:, 2:4], tracks.state_cov[row, 2:4, 2:4] + bias / config.bias_time_constant**2
    precise = covs[:, 0, 0] + covs[:, 1, 1] < 2 * config.max_velocity_std**2
    valid = (tracks.hits[row] >= config.min_velocity_hits) & precise
    if over_ground:
        prior_std = tracks.speed_prior_std[row]
        velocities, covs = shrink_stationary_velocities(velocities, covs, prior_std, config.stationary_prior)
    moving = at[valid]
    all_velocities[moving], velocity_covs[moving] = velocities[valid], covs[valid]


def shrink_stationary_velocities(
    velocities: np.ndarray, covs: np.ndarray, speed_prior_std: np.ndarray, stationary_prior: float
) -> tuple[np.ndarray, np.ndarray]:
    """Shrink velocities over the ground towards zero where the object is probably stationary: parked cars do not creep.

    velocities, covs  (N, 2) m/s and (N, 2, 2), as measured
    speed_prior_std   (N,) m/s, sigma of the speed of moving objects
    stationary_prior  probability that an object is stationary, before any measurement
    returns           mean and covariance of the mixture of both hypotheses; objects that clearly move stay unchanged

    The prior is the "spike and slab" of Mitchell and Beauchamp (1988).
    """
    stationary = stationary_prior * _zero_mean_density(velocities, covs)
    prior_cov = np.square(speed_prior_std)[:, None, None] * np.eye(2)
    moving = (1 - stationary_prior) * _zero_mean_density(velocities, covs + prior_cov)
    weight = (moving / (stationary + moving))[:, None, None]
    outer = velocities[:, :, None] * velocities[:, None]
    return weight[:, :, 0] * velocities, weight * covs + weight * (1 - weight) * outer


def _zero_mean_density(values: np.ndarray, covs: np.ndarray) -> np.ndarray:
    """(N,) zero-mean Gaussian density, up to a common factor."""
    distance = np.einsum("ni,nij,nj->n", values, inverse(covs), values)
    determinant = covs[:, 0, 0] * covs[:, 1, 1] - np.square(covs[:, 0, 1])
    return np.asarray(np.exp(-distance / 2) / np.sqrt(determinant))


def coasted_objects(tracks: Tracks, rows: np.ndarray, stamp_ns: int, config: TrackerConfig) -> Objects:
    """Predicted boxes of lost tracks (R,) as objects, with fading scores; with_track_state adds the rest."""
    predicted = Detections(
        corners(tracks.box[rows]).astype(np.float32),
        _faded(tracks, rows, stamp_ns, config),
        np.zeros(len(rows), np.int32),
        np.zeros((len(rows), tracks.light_scores.shape[1]), np.float32),
    )
    coasted, truncated, widths = np.ones(len(rows), bool), tracks.truncated[rows], tracks.ground_widths[rows]
    return Objects.of(predicted).with_columns(coasted=coasted, truncated=truncated, ground_widths=widths)
