"""Prediction and measurement updates of tracks, in the image and on the road.

The height of an object is part of the state. Its class gives a usual height, by which the box height tells the range;
how much one object differs from that is constant. Taken for a change of range, it would look like a velocity as soon as
the weights of ground plane and size change on the way. As a state, it is corrected together with the velocity.
"""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from camera_perception import core
from camera_perception.core.types import EgoMotion, Objects, PositionMethod
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.kalman import (
    compensate_ego_motion,
    inverse,
    predict_ground,
    predict_scalars,
    update_ground,
    update_range,
    update_scalars,
)
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.light_states import update_lights
from camera_perception.objects.tracker.tracks import Tracks, center_and_size

UNINFORMATIVE = 1e4  # square metres along the line of sight where the ground plane gives no range
GROUND, SIZE = int(PositionMethod.GROUND_PLANE), int(PositionMethod.SIZE_PRIOR)


# Prediction


def predict(
    tracks: Tracks,
    seconds: float,
    pedestrian: np.ndarray,
    stamp_ns: int,
    motion: EgoMotion | None,
    camera: Camera | None,
    config: TrackerConfig,
) -> None:
    """Move tracks to the time stamp_ns, `seconds` after the previous frame; pedestrian (C,) bool, of each class."""
    seen_from = camera if motion is not None and seconds > 0 else None
    if core.kernels is not None:
        _predict_compiled(tracks, seconds, pedestrian, stamp_ns, motion, seen_from, config)
        return
    before, accel_std = tracks.state[:, :2], _accel_std(tracks, pedestrian, motion is not None, config)
    if motion is not None:
        tracks.state, tracks.state_cov = compensate_ego_motion(tracks.state, tracks.state_cov, motion)
    tracks.state, tracks.state_cov = predict_ground(tracks.state, tracks.state_cov, seconds, accel_std)
    tracks.ages = tracks.ages + (seconds > 0)
    if seen_from is not None:
        _follow_ground(tracks, before, stamp_ns, seen_from, seconds, config)
    # one process noise for all four numbers of a box
    box_accel_std = config.box_accel_std * (tracks.box[:, 2, 0] + tracks.box[:, 3, 0]) / 2
    tracks.box, tracks.box_cov = predict_scalars(tracks.box, tracks.box_cov, seconds, box_accel_std[:, None])


# What the compiled twin of the prediction reads, in this order.
MOTION = (
    "accel_std", "pedestrian_accel_std", "relative_accel_std", "full_accel_speed", "min_accel_factor", "min_depth",
    "image_motion_hits",
)  # fmt: skip
_moving_columns = attrgetter("box", "state", "state_cov", "ages", "votes", "hits", "last_update_ns")


def _predict_compiled(
    tracks: Tracks,
    seconds: float,
    pedestrian: np.ndarray,
    stamp_ns: int,
    motion: EgoMotion | None,
    seen_from: Camera | None,
    config: TrackerConfig,
) -> None:
    x, y, yaw = (motion.x, motion.y, motion.yaw) if motion is not None else (0.0, 0.0, 0.0)
    distorted = seen_from if seen_from is not None and seen_from.has_distortion else None
    straight = seen_from if distorted is None else None
    before = tracks.state[:, :2].copy() if distorted is not None else None
    core.kernels.predict_ground(
        _moving_columns(tracks), pedestrian, core.settings(config, *MOTION), seconds, x, y, yaw, motion is not None,
        stamp_ns, straight and straight.base_from_camera, straight and straight.pixel_from_camera,
    )  # fmt: skip
    if distorted is not None and before is not None:
        _follow_ground(tracks, before, stamp_ns, distorted, seconds, config)
    core.kernels.predict_boxes(tracks.box, tracks.box_cov, seconds, config.box_accel_std)


def _accel_std(tracks: Tracks, pedestrian: np.ndarray, over_ground: bool, config: TrackerConfig) -> np.ndarray:
    """(T,) process noise. Stationary objects tend to stay stationary."""
    speed = np.hypot(*tracks.state[:, 2:4].T)
    accel_std = np.where(pedestrian[tracks.classes], config.pedestrian_accel_std, config.accel_std)
    accel_std *= np.minimum(np.maximum(speed / config.full_accel_speed, config.min_accel_factor), 1.0)
    return accel_std if over_ground else np.hypot(accel_std, config.relative_accel_std)


def _follow_ground(
    tracks: Tracks, before: np.ndarray, stamp_ns: int, camera: Camera, seconds: float, config: TrackerConfig
) -> None:
    """Let the boxes of young and lost tracks move as their positions on the road do; before (T, 2) positions."""
    young, lost = tracks.hits <= config.image_motion_hits, stamp_ns - tracks.last_update_ns > 1.5e9 * seconds
    rows = np.flatnonzero((young | lost) & np.isfinite(tracks.state[:, 0]))
    if len(rows):
        _predict_boxes_from_ground(tracks, rows, before[rows], camera, seconds, config.min_depth)


def _predict_boxes_from_ground(
    tracks: Tracks, rows: np.ndarray, before: np.ndarray, camera: Camera, seconds: float, min_depth: float
) -> None:
    """Let the boxes at rows move as their positions on the road do.

    before  (R, 2) positions of these tracks in the previous frame, in base_link of that time
    """
    motion = _image_motion(tracks, rows, before, camera, min_depth)
    known = np.isfinite(motion).all(axis=1)
    tracks.box[rows[known], :, 1] = motion[known] / seconds


def _image_motion(tracks: Tracks, rows: np.ndarray, before: np.ndarray, camera: Camera, min_depth: float) -> np.ndarray:
    """(R, 4) change of centre u v, width and height; nan where a position is not in front of the camera."""
    after = tracks.state[rows, :2]
    contacts = np.concatenate((before, after))
    old, new = np.split(camera.pixels_from_base(np.column_stack((contacts, np.zeros(len(contacts))))), 2)
    optical_axis, origin = camera.pose[:2, 2], camera.pose[:2, 3]
    depth_before, depth_after = (before - origin) @ optical_axis, (after - origin) @ optical_axis
    in_front = (depth_before > min_depth) & (depth_after > min_depth)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(in_front, depth_before / depth_after, np.nan)
    size = tracks.box[rows, 2:, 0]
    growth = (scale[:, None] - 1) * size
    center = new - old - np.column_stack((np.zeros(len(rows)), growth[:, 1] / 2))  # the lower edge stays on the road
    return np.concatenate((center, growth), axis=1)


# Measurement updates

# What the compiled twin of the updates reads, in this order.
BEFORE_VOTES = "last_update_ns", "last_position_ns", "hits", "votes", "scores", "light_scores", "stable_state"
FILTERS = "last_box", "box", "box_cov", "state", "state_cov", "speed_prior_std", "height_prior", "bias", "box_noise"
COPIED = "position_noise", "position_methods", "truncated", "ground_widths"
SETTINGS = (
    "box_std_pixels", "box_std_ratio", "noise_learning_rate", "box_noise_min", "box_noise_max", "position_noise_min",
    "position_noise_max", "reacquire_gap", "reacquire_velocity_std", "bias_fraction", "outlier_nis",
    "outlier_velocity_std", "truncated_variance_factor", "height_variance_factor", "height_gate", "class_vote_decay",
    "light_time_constant", "light_switch_margin",
)  # fmt: skip
# Two of them: CPython 3.11 keeps up to 2,000 freed tuples of exactly 20 items and never uses one again, 0.4 MB.
_filter_columns, _copied_columns = attrgetter(*BEFORE_VOTES, *FILTERS), attrgetter(*COPIED)
_measured_columns = attrgetter(
    "boxes", "scores", "classes", "light_states", "positions", "position_covs", "position_methods", "truncated", "cues",
    "ground_widths",
)  # fmt: skip


def update_tracks(
    tracks: Tracks,
    row_of: np.ndarray,
    objects: Objects,
    stamp_ns: int,
    camera: Camera | None,
    config: TrackerConfig,
) -> None:
    """Update tracks with the objects that belong to them; row_of (N,) of the track of each, of none beyond all rows."""
    if core.kernels is not None:
        _update_compiled(tracks, row_of, objects, stamp_ns, camera, config, False)
        return
    columns = ((row_of >= 0) & (row_of < len(tracks))).nonzero()[0]
    if not len(columns):
        return
    rows = row_of[columns]
    objects = objects[columns]
    update_boxes(tracks, rows, objects, config)
    _update_positions(tracks, rows, objects, stamp_ns, _position(camera), config)
    update_lights(tracks, rows, objects, stamp_ns, config)
    tracks.votes[rows] *= config.class_vote_decay
    tracks.votes[rows, _known_classes(tracks, objects)] += objects.scores
    tracks.last_update_ns[rows], tracks.scores[rows] = stamp_ns, objects.scores
    tracks.truncated[rows], tracks.ground_widths[rows] = objects.truncated, objects.ground_widths
    tracks.hits[rows] += 1


def _known_classes(tracks: Tracks, objects: Objects) -> np.ndarray:
    """(N,) class indices within those that tracks vote for."""
    known: np.ndarray = np.minimum(np.maximum(objects.classes, 0), tracks.votes.shape[1] - 1)
    return known


def _update_compiled(
    tracks: Tracks,
    row_of: np.ndarray,
    objects: Objects,
    stamp_ns: int,
    camera: Camera | None,
    config: TrackerConfig,
    only_positions: bool,
) -> None:
    core.kernels.update_tracks(
        row_of, _filter_columns(tracks), _copied_columns(tracks), _measured_columns(objects),
        camera and camera.base_from_camera, core.settings(config, *SETTINGS), stamp_ns, only_positions,
    )  # fmt: skip


def _position(camera: Camera | None) -> np.ndarray | None:
    """(2,) of the camera in base_link."""
    return None if camera is None else camera.pose[:2, 3]


# Measurement updates in the image


def update_boxes(tracks: Tracks, rows: np.ndarray, objects: Objects, config: TrackerConfig) -> None:
    """Update tracks at rows with the boxes of their detections."""
    value, box, cov = center_and_size(objects.boxes), tracks.box[rows], tracks.box_cov[rows]
    var = np.square(config.box_std_pixels + config.box_std_ratio * value[:, [2, 3, 2, 3]])
    nis = np.add.reduce((np.square(value - box[..., 0]) - cov[..., 0, 0]) / var, axis=1) / 4
    bounds = config.box_noise_min, config.box_noise_max
    noise = _learned(tracks.box_noise[rows], nis, config.noise_learning_rate, bounds)
    # A box that grows out of the image border has a large innovation, and is right.
    noise = np.where(objects.truncated == 0, noise, config.box_noise_min)
    tracks.box_noise[rows] = noise
    tracks.box[rows], tracks.box_cov[rows] = update_scalars(box, cov, value, np.sqrt(var * noise[:, None]))
    tracks.last_box[rows] = objects.boxes


def _learned(noise: np.ndarray, nis: np.ndarray, rate: float, bounds: tuple[float, float]) -> np.ndarray:
    """The noise factor after one more normalised innovation squared."""
    return np.asarray(np.minimum(np.maximum(noise + rate * (nis - noise), bounds[0]), bounds[1]))


# Measurement updates on the road


def start_positions(
    tracks: Tracks, objects: Objects, stamp_ns: int, camera: Camera | None, config: TrackerConfig
) -> None:
    """Positions of new tracks, one for each object, from the first measurements."""
    rows = np.arange(len(objects))
    if core.kernels is not None:
        _update_compiled(tracks, rows, objects, stamp_ns, camera, config, True)
    else:
        _update_positions(tracks, rows, objects, stamp_ns, _position(camera), config)


def _update_positions(
    tracks: Tracks,
    rows: np.ndarray,
    objects: Objects,
    stamp_ns: int,
    camera_position: np.ndarray | None,
    config: TrackerConfig,
) -> None:
    """The first position of a track starts its filter, later ones update it.

    rows             (N,) of tracks, in the order of objects
    camera_position  (2,) in base_link; without it, positions are used as they are
    """
    known = np.isfinite(objects.positions[:, 0]) & np.isfinite(objects.position_covs).all(axis=(1, 2))
    rows, objects = (rows, objects) if known.all() else (rows[known], objects[known])
    first = ~np.isfinite(tracks.state[rows, 0])
    if not first.any():
        _update(tracks, rows, objects, stamp_ns, camera_position, config)
    else:
        _initialise(tracks, rows[first], objects[first], camera_position, config)
        if not first.all():
            _update(tracks, rows[~first], objects[~first], stamp_ns, camera_position, config)
    tracks.bias[rows] = config.bias_fraction * objects.position_covs
    tracks.last_position_ns[rows], tracks.position_methods[rows] = stamp_ns, objects.position_methods


def _initialise(
    tracks: Tracks, rows: np.ndarray, objects: Objects, camera_position: np.ndarray | None, config: TrackerConfig
) -> None:
    by_height, direction, position, white_cov = _ground_measurements(objects, camera_position, config)
    mean, cov = np.zeros((len(rows), 5)), np.zeros((len(rows), 5, 5))
    mean[:, :2], mean[:, 4] = position, tracks.height_prior[rows, 0]
    cov[:, :2, :2], cov[:, 4, 4] = white_cov, np.square(tracks.height_prior[rows, 1])
    cov[:, 2, 2] = cov[:, 3, 3] = np.square(tracks.speed_prior_std[rows])
    tracks.state[rows], tracks.state_cov[rows] = mean, cov
    rows, cues, direction = rows[by_height], objects.cues[by_height], direction[by_height]
    _update_by_height(tracks, rows, cues, direction, camera_position, config.height_variance_factor, config)


def _update(
    tracks: Tracks,
    rows: np.ndarray,
    objects: Objects,
    stamp_ns: int,
    camera_position: np.ndarray | None,
    config: TrackerConfig,
) -> None:
    reacquired = rows[stamp_ns - tracks.last_position_ns[rows] > 1e9 * config.reacquire_gap]
    if len(reacquired):
        tracks.state_cov[reacquired, 2:4, 2:4] += config.reacquire_velocity_std**2 * np.eye(2)
    scale = _outlier_scale(tracks, rows, objects, config)
    by_height, direction, position, white_cov = _ground_measurements(objects, camera_position, config)
    white_cov *= scale[:, None, None]
    tracks.state[rows], tracks.state_cov[rows] = update_ground(
        tracks.state[rows], tracks.state_cov[rows], position, white_cov
    )
    factor = config.height_variance_factor * scale[by_height]
    rows, cues, direction = rows[by_height], objects.cues[by_height], direction[by_height]
    _update_by_height(tracks, rows, cues, direction, camera_position, factor, config)


def _outlier_scale(tracks: Tracks, rows: np.ndarray, objects: Objects, config: TrackerConfig) -> np.ndarray:
    """(N,) factor on the measurement variance. An outlier hardly moves the track, but makes its velocity uncertain."""
    position = objects.positions[:, :2].astype(float)
    white_cov = (1 - config.bias_fraction) * objects.position_covs.astype(float)
    innovation, predicted_cov = position - tracks.state[rows, :2], tracks.state_cov[rows, :2, :2]
    nis = np.einsum("ni,nij,nj->n", innovation, inverse(predicted_cov + white_cov), innovation) / 2
    bounds = config.position_noise_min, config.position_noise_max
    noise = _learned(tracks.position_noise[rows], nis, config.noise_learning_rate, bounds)
    tracks.position_noise[rows] = noise
    outliers = rows[nis > config.outlier_nis * noise]
    if len(outliers):
        tracks.state_cov[outliers, 2:4, 2:4] += config.outlier_velocity_std**2 * np.eye(2)
    scale = np.maximum(noise, nis / config.outlier_nis)
    return np.asarray(np.where(objects.truncated != 0, config.truncated_variance_factor * scale, scale))


def _ground_measurements(
    objects: Objects, camera_position: np.ndarray | None, config: TrackerConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Positions by the ground plane alone: what the object size has contributed is taken out again.

    returns (N,) bool, whether the box height measures the range, too; (N, 2) directions from the camera;
            (N, 2) positions; (N, 2, 2) covariances without the bias
    """
    white = 1 - config.bias_fraction
    position, cov = objects.positions[:, :2].astype(float), objects.position_covs.astype(float)
    by_camera = (objects.position_methods == GROUND) | (objects.position_methods == SIZE)
    by_height = by_camera & (objects.truncated == 0) & np.isfinite(objects.cues[:, 2])
    if camera_position is None or not by_height.any():
        return np.zeros(len(objects), bool), position, position, white * cov
    direction = position - camera_position
    distance = np.sqrt(np.square(direction).sum(axis=1))
    direction /= distance[:, None]
    ground, sigma = objects.cues[:, :2].T.astype(float)
    unknown = np.isnan(ground)
    ground, along = np.where(unknown, distance, ground), np.where(unknown, UNINFORMATIVE, np.square(sigma))
    before = np.einsum("ni,nij,nj->n", direction, cov, direction)
    position[by_height] += ((ground - distance)[:, None] * direction)[by_height]
    cov[by_height] += ((along - before)[:, None, None] * direction[:, :, None] * direction[:, None])[by_height]
    return by_height, direction, position, white * cov


def _update_by_height(
    tracks: Tracks,
    rows: np.ndarray,
    cues: np.ndarray,
    direction: np.ndarray,
    camera_position: np.ndarray | None,
    factor: np.ndarray | float,
    config: TrackerConfig,
) -> None:
    """Update range and height of tracks with the apparent height; factor is on its variance."""
    if camera_position is None or not len(rows):
        return
    range_per_height, relative_std = cues[:, 2:].T.astype(float)
    var = factor * np.square(relative_std * range_per_height * tracks.state[rows, 4])
    tracks.state[rows], tracks.state_cov[rows] = update_range(
        tracks.state[rows],
        tracks.state_cov[rows],
        direction,
        camera_position,
        range_per_height,
        var,
        config.height_gate,
    )
