"""From tracks to published objects: tracked detections, and coasted objects that this frame does not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.core.types import Detections, Objects
from camera_perception.geometry.kalman import inverse
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.light_states import published_light_scores
from camera_perception.objects.tracker.tracks import Tracks


def with_track_state(
    objects: Objects, rows: np.ndarray, tracks: Tracks, stamp_ns: int, config: TrackerConfig, over_ground: bool
) -> Objects:
    """The objects with ids, positions and velocities of their tracks; rows (N,) of tracks.

    over_ground  whether velocities are over the ground, where many objects are stationary, or relative to the car
    """
    age_ns = stamp_ns - tracks.last_position_ns[rows]
    known = np.isfinite(tracks.state[rows, 0]) & (age_ns <= 1e9 * config.max_coast)
    at, row = np.flatnonzero(known), rows[known]
    objects = objects.with_rows(
        slice(None),
        track_ids=tracks.ids[rows],
        ages=tracks.ages[rows],
        classes=tracks.classes[rows],
        light_states=published_light_scores(tracks)[rows],
    )
    objects = objects.with_rows(
        at,
        positions=np.column_stack((tracks.state[row, :2], np.zeros(len(row)))),
        position_covs=tracks.position_covs[row],
        position_methods=tracks.position_methods[row],
    )
    velocities, covs = tracks.state[row, 2:4], tracks.velocity_covs(config.bias_time_constant)[row]
    precise = np.trace(covs, axis1=1, axis2=2) < 2 * config.max_velocity_std**2
    valid = (tracks.hits[row] >= config.min_velocity_hits) & precise
    if over_ground:
        prior_std = tracks.speed_prior_std[row]
        velocities, covs = shrink_stationary_velocities(velocities, covs, prior_std, config.stationary_prior)
    return objects.with_rows(at[valid], velocities=velocities[valid], velocity_covs=covs[valid])


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


def coasted_objects(tracks: Tracks, stamp_ns: int, config: TrackerConfig) -> Objects:
    """Predicted boxes of lost tracks as objects, with fading scores; with_track_state adds ids and positions."""
    faded = tracks.scores * np.exp(-(stamp_ns - tracks.last_update_ns) / 1e9 / config.max_coast)
    predicted = Detections(
        tracks.boxes.astype(np.float32),
        faded.astype(np.float32),
        tracks.classes.astype(np.int32),
        tracks.light_scores.astype(np.float32),
    )
    coasted, widths = np.ones(len(tracks), bool), tracks.ground_widths
    return replace(Objects.of(predicted), coasted=coasted, truncated=tracks.truncated, ground_widths=widths)
