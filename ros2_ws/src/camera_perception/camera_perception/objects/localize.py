"""Localisation of objects on the ground plane, with covariances.

The position of an object is its contact with the road, in the middle of the side that the camera sees. After tracking,
footprint.py moves the positions of vehicles from the tyres to the bumper. A wrong position is worse than none: without
a reliable measurement there is no position.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from camera_perception import core
from camera_perception.core.class_table import ClassTable
from camera_perception.core.types import Objects, PositionMethod
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.ground import DEFAULT_NOISE, GroundNoise, combine_estimates, ground_with_covariance
from camera_perception.objects.config import DEFAULT_LOCALIZATION, LocalizationConfig
from camera_perception.objects.contact import (
    BOTTOM,
    ENDS,
    OVERHEAD,
    SIDES,
    clipped_slivers,
    edges_touched,
    occluded_bottom,
    riders_on_vehicles,
    valid_boxes,
)
from camera_perception.objects.visibility import visible_widths

# Height in metres and its standard deviation. Classes whose size says little about their range are not listed.
HEIGHTS = ClassTable(
    {
        "car": (1.6, 0.25),
        "truck": (3.4, 0.5),
        "bus": (3.2, 0.35),
        "pedestrian": (1.70, 0.14),
        "person": (1.70, 0.14),
        "rider": (1.6, 0.2),
        "bicycle": (1.05, 0.12),
        "motorcycle": (1.3, 0.15),
    },
    (np.nan, np.nan),
)
# The lowest edge of a box is the nearest corner of a body, not always the middle of its near side: sigma in metres.
CONTACT_STD = ClassTable({"car": 0.4, "truck": 0.6, "bus": 0.6, "train": 0.8}, 0.1)
ROOT_2 = sqrt(2.0)
# Plain numbers: with members of an enum, numpy takes ten times as long.
NONE, GROUND, SIZE = (
    np.uint8(each) for each in (PositionMethod.NONE, PositionMethod.GROUND_PLANE, PositionMethod.SIZE_PRIOR)
)


def locate_objects(
    objects: Objects,
    camera: Camera | None,
    classes: tuple[str, ...],
    image_size: tuple[int, int],
    noise: GroundNoise = DEFAULT_NOISE,
    config: LocalizationConfig = DEFAULT_LOCALIZATION,
) -> Objects:
    """The objects with a valid box; those on the road with their contact point in base_link and its covariance.

    image_size  (height, width)
    """
    objects = _valid_with_edges(objects, image_size, config.edge_margin)
    if camera is None or not len(objects):
        return objects
    standing = riders_on_vehicles(objects, classes)
    if core.kernels is not None:
        return _located_compiled(objects, standing, camera, classes, image_size, noise, config)
    ground, ground_cov = _by_ground(standing, camera, noise)
    ground_cov = ground_cov + np.square(CONTACT_STD.lookup(objects.classes, classes))[:, None, None] * np.eye(2)
    size, size_cov, height_cues = _by_size(objects, camera, classes, noise)
    occluded = occluded_bottom(standing.boxes)
    if occluded.any():
        from_camera = ground[occluded] - camera.pose[:2, 3]
        ground_cov[occluded] += _range_cov(from_camera, config.occluded_range_std_ratio)
        size[occluded], size_cov[occluded], height_cues[occluded] = np.nan, np.nan, np.nan
    planar = _usable(ground, ground_cov, camera, config)
    position, cov, method = _combined(ground, ground_cov, size, size_cov, planar, config.consistency_gate)
    cov[(objects.truncated & SIDES) != 0] += config.truncated_position_std**2 * np.eye(2)
    slivers = clipped_slivers(objects, config.min_clipped_width * image_size[1])
    rejected = OVERHEAD.lookup(objects.classes, classes) | ~_usable(position, cov, camera, config) | slivers
    position[rejected], cov[rejected], method[rejected] = np.nan, np.nan, NONE
    return objects.with_columns(
        positions=_on_road(position),
        position_covs=cov.astype(np.float32),
        position_methods=method,
        ground_widths=visible_widths(objects, position, camera),
        cues=_cues(ground - camera.pose[:2, 3], ground_cov, height_cues, planar),
    )


def _valid_with_edges(objects: Objects, image_size: tuple[int, int], margin: float) -> Objects:
    """The objects with a valid box, and the borders of the image that they touch."""
    if core.kernels is not None:
        edges = np.empty(len(objects), np.uint8)
        if core.kernels.box_edges(objects.boxes, image_size[1], image_size[0], margin, edges):
            return objects.with_columns(truncated=edges)
    valid = valid_boxes(objects.boxes)
    objects = objects if valid.all() else objects[valid]
    return objects.with_columns(truncated=edges_touched(objects.boxes, image_size, margin))


# What the compiled twin reads last, before the least width in pixels.
SETTINGS = (
    "occluded_range_std_ratio", "consistency_gate", "truncated_position_std", "max_range", "max_range_std_ratio",
)  # fmt: skip


def _located_compiled(
    objects: Objects,
    standing: Objects,
    camera: Camera,
    classes: tuple[str, ...],
    image_size: tuple[int, int],
    noise: GroundNoise,
    config: LocalizationConfig,
) -> Objects:
    count, k = len(objects), camera.pixel_from_camera
    positions, covs = np.empty((count, 3), np.float32), np.empty((count, 2, 2), np.float32)
    methods, widths, cues = np.empty(count, np.uint8), np.empty(count, np.float32), np.empty((count, 4), np.float32)
    of_lens = k[0, 0], k[1, 1], k[0, 2], k[1, 2]
    sigmas = noise.pitch, noise.roll, noise.height, *of_lens, noise.pixel, noise.box
    settings = core.settings(config, *SETTINGS).tolist()
    values = np.array((*camera.pose.ravel().tolist(), *sigmas, *settings, config.min_clipped_width * image_size[1]))
    rays, jacobians = _rays(objects, standing, camera) if camera.has_distortion else (None, None)
    core.kernels.locate_objects(
        objects.boxes, standing.boxes, objects.truncated, CONTACT_STD.lookup(objects.classes, classes),
        height_priors(objects.classes, classes), OVERHEAD.lookup(objects.classes, classes), rays, jacobians, values,
        positions, covs, methods, widths, cues,
    )  # fmt: skip
    return objects.with_columns(
        positions=positions, position_covs=covs, position_methods=methods, ground_widths=widths, cues=cues
    )


def _rays(objects: Objects, standing: Objects, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """(5 N, 3) rays and (5 N, 2, 2) Jacobians: where objects stand, middles of upper and lower edges, lower corners."""
    (x0, y0, x1, y1), (left, _, right, low) = objects.boxes.T.astype(float), standing.boxes.T.astype(float)
    u = np.concatenate(((left + right) / 2, (x0 + x1) / 2, (x0 + x1) / 2, x0, x1))
    rays, jacobians = camera.rays_with_jacobians(np.stack((u, np.concatenate((low, y0, y1, y1, y1))), axis=1))
    return rays, np.ascontiguousarray(np.broadcast_to(jacobians, (len(rays), 2, 2)))


def _by_ground(objects: Objects, camera: Camera, noise: GroundNoise) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) positions and (N, 2, 2) covariances where the lower edges of boxes meet the ground plane."""
    boxes = objects.boxes.astype(float)
    contact = boxes[:, 2:].copy()
    contact[:, 0] = (boxes[:, 0] + boxes[:, 2]) / 2
    contact[(objects.truncated & BOTTOM) != 0] = np.nan
    return ground_with_covariance(contact, _sigmas(boxes, noise), camera, noise)


def _by_size(
    objects: Objects, camera: Camera, classes: tuple[str, ...], noise: GroundNoise
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As position_from_height, for boxes that are not truncated at the top or bottom."""
    boxes, cut = objects.boxes.astype(float), (objects.truncated & ENDS) != 0
    heights = height_priors(objects.classes, classes)
    heights[cut] = np.nan
    size, size_cov, height_cues = position_from_height(boxes, heights, ROOT_2 * _sigmas(boxes, noise), camera)
    height_cues[cut] = np.nan
    return size, size_cov, height_cues


def _sigmas(boxes: np.ndarray, noise: GroundNoise) -> np.ndarray:
    """(N, 2) standard deviation of the edges of boxes in u and v, pixels."""
    return np.asarray(noise.pixel + noise.box * (boxes[:, 2:] - boxes[:, :2]))


def _range_cov(directions: np.ndarray, ratio: float) -> np.ndarray:
    """(N, 2, 2) covariances of a sigma along the line of sight only, as a fraction of the length of (N, 2)."""
    spread = ratio * directions
    return np.asarray(spread[:, :, None] * spread[:, None, :])


def _combined(
    ground: np.ndarray, ground_cov: np.ndarray, size: np.ndarray, size_cov: np.ndarray, planar: np.ndarray, gate: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground plane and size fused where they are consistent; else the ground plane; size where there is no ground."""
    position, cov = np.where(planar[:, None], ground, size), np.where(planar[:, None, None], ground_cov, size_cov)
    both = planar & np.isfinite(size_cov).all(axis=(1, 2))
    rows = both.nonzero()[0]
    distance = _squared_mahalanobis(ground[rows] - size[rows], ground_cov[rows] + size_cov[rows])
    rows = rows[distance < gate]
    position[rows], cov[rows] = combine_estimates(ground[rows], ground_cov[rows], size[rows], size_cov[rows])
    method = np.where(planar, GROUND, SIZE)
    return position, cov, method


def _squared_mahalanobis(difference: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """(N,) squared Mahalanobis distances of (N, 2) with (N, 2, 2)."""
    (x, y), ((xx, xy), (_, yy)) = difference.T, cov.T
    return np.asarray((yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy))


def _usable(position: np.ndarray, cov: np.ndarray, camera: Camera, config: LocalizationConfig) -> np.ndarray:
    """(N,) bool: near and certain enough."""
    with np.errstate(invalid="ignore"):
        distance = _length(position - camera.pose[:2, 3])
        certain = cov[:, 0, 0] + cov[:, 1, 1] < (config.max_range_std_ratio * distance) ** 2
        return np.asarray((distance < config.max_range) & certain)


def _on_road(position: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N, 3) float32 on the road, nan where nan."""
    positions = np.zeros((len(position), 3), np.float32)
    positions[:, :2] = position
    positions[np.isnan(position[:, 0]), 2] = np.nan
    return positions


def _cues(from_camera: np.ndarray, ground_cov: np.ndarray, height_cues: np.ndarray, planar: np.ndarray) -> np.ndarray:
    """(N, 4) as in Objects; from_camera (N, 2) to the position on the ground plane, where planar."""
    cues = np.empty((len(from_camera), 4), np.float32)
    with np.errstate(invalid="ignore"):
        cues[:, 0] = _length(from_camera)
        cues[:, 1] = np.sqrt(np.einsum("ni,nij,nj->n", from_camera, ground_cov, from_camera)) / cues[:, 0]
    cues[~planar, :2] = np.nan
    cues[:, 2:] = height_cues
    return cues


def _length(vectors: np.ndarray) -> np.ndarray:
    """(N,) of (N, 2)."""
    x, y = vectors.T
    return np.asarray(np.sqrt(x * x + y * y))


# Range from apparent height


def height_priors(classes: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """(N,) class indices -> (N, 2) height and standard deviation, metres; nan for classes without a prior."""
    return HEIGHTS.lookup(classes, names)


def tracking_height_priors(
    classes: np.ndarray, names: tuple[str, ...], config: LocalizationConfig = DEFAULT_LOCALIZATION
) -> np.ndarray:
    """(N, 2) as height_priors, with a wide prior for all other classes: tracking learns their height."""
    heights = height_priors(classes, names)
    return np.where(np.isnan(heights), (config.unknown_height, config.unknown_height_std), heights)


def position_from_height(
    boxes: np.ndarray, heights: np.ndarray, sigmas: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of upright objects of known height.

    boxes   (N, 4) x0 y0 x1 y1 pixels
    heights (N, 2) height and its standard deviation, metres
    sigmas  (N, 2) standard deviation of the box's width and height, pixels
    returns (N, 2) metres in base_link and (N, 2, 2) covariances, nan where the height is unknown; and (N, 2) range per
            metre of height with its relative standard deviation, which depend on the box alone
    """
    per_height, direction = range_per_height(boxes, camera)
    box_std = sigmas[:, 1] / np.maximum(boxes[:, 3] - boxes[:, 1], 1e-6)
    distance, relative_std = heights[:, 0] * per_height, np.hypot(heights[:, 1] / heights[:, 0], box_std)
    spread = np.empty((2, len(boxes), 2))  # one standard deviation along the line of sight, and across it
    np.multiply(direction, (distance * relative_std)[:, None], out=spread[0])
    np.multiply(direction[:, ::-1] * (-1.0, 1.0), (distance * sigmas[:, 0])[:, None], out=spread[1])
    spread[1] /= camera.pixel_from_camera[0, 0]
    positions = camera.pose[:2, 3] + direction * distance[:, None]
    return positions, np.einsum("kni,knj->nij", spread, spread), np.column_stack((per_height, box_std))


def range_per_height(boxes: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) boxes -> (N,) metres of range per metre of height of an upright object, and (N, 2) its direction."""
    count = len(boxes)
    ends = np.empty((2, count, 2))  # the middles of the upper and of the lower edge
    ends[..., 0], ends[..., 1] = (boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 1::2].T
    rays = camera.rays_from_pixels(ends.reshape(-1, 2)) @ camera.pose[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = np.hypot(rays[:, 0], rays[:, 1])
        slopes = rays[:, 2] / flat  # tangents of elevation
        rise = slopes[:count] - slopes[count:]
        return 1 / np.where(rise > 1e-6, rise, np.nan), rays[count:, :2] / flat[count:, None]
