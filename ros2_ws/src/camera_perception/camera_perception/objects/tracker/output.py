"""From tracks to published objects: tracked detections, and coasted objects that this frame does not show."""

from __future__ import annotations

import numpy as np

from camera_perception import core
from camera_perception.core.types import Detections, Objects
from camera_perception.geometry.kalman import inverse
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.light_states import published_light_scores
from camera_perception.objects.tracker.tracks import Tracks, corners


def with_track_state(
    objects: Objects, rows: np.ndarray, tracks: Tracks, stamp_ns: int, config: TrackerConfig, over_ground: bool
) -> Objects:
    """The objects with ids, positions and velocities of their tracks; rows (N,) of tracks.

    over_ground  whether velocities are over the ground, where many objects are stationary, or relative to the car
    """
    metric = [getattr(objects, name).copy() for name in METRIC]
    if core.kernels is not None:
        values = core.settings(config, *SETTINGS)
        core.kernels.track_state(
            rows, tracks.last_position_ns, tracks.state, tracks.state_cov, tracks.bias, tracks.position_methods,
            tracks.hits, tracks.speed_prior_std, *metric, np.array([stamp_ns], np.int64), values, over_ground,
        )  # fmt: skip
    else:
        _write_track_state(metric, rows, tracks, stamp_ns, config, over_ground)
    return objects.with_columns(
        track_ids=tracks.ids[rows],
        ages=tracks.ages[rows].astype(np.int32),
        classes=tracks.classes[rows].astype(np.int32),
        light_states=published_light_scores(tracks)[rows].astype(np.float32),
        **dict(zip(METRIC, metric)),
    )


METRIC = "positions", "position_covs", "position_methods", "velocities", "velocity_covs"
# What the compiled twin reads, in this order.
SETTINGS = "max_coast", "bias_time_constant", "max_velocity_std", "min_velocity_hits", "stationary_prior"


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
    faded = tracks.scores[rows] * np.exp(-(stamp_ns - tracks.last_update_ns[rows]) / 1e9 / config.max_coast)
    predicted = Detections(
        corners(tracks.box[rows]).astype(np.float32),
        faded.astype(np.float32),
        np.zeros(len(rows), np.int32),
        np.zeros((len(rows), tracks.light_scores.shape[1]), np.float32),
    )
    coasted, truncated, widths = np.ones(len(rows), bool), tracks.truncated[rows], tracks.ground_widths[rows]
    return Objects.of(predicted).with_columns(coasted=coasted, truncated=truncated, ground_widths=widths)
