"""From pixels to metres: objects on the ground plane. Lane lines are in lane_fit.py, the road in free_road.py.

An object's position is its contact with the road on the side that the camera sees, in the middle of what it sees; after
tracking, overhang.py goes on from the tyres of vehicles to their bumper. A wrong place is worse than none: without a
sound way there is no position.

How far away something is, from how large it looks and how large such things are.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np

from camera_perception.core.class_table import ClassTable
from camera_perception.core.types import Objects, PositionMethod
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.ground import DEFAULT_NOISE, GroundNoise, combine_estimates, ground_with_covariance
from camera_perception.objects.contact import (
    BOTTOM,
    ENDS,
    HANGING,
    SIDES,
    bottom_hidden,
    edges_touched,
    mounted,
    sound_boxes,
    strips,
)
from camera_perception.objects.visibility import visible_widths

# Height in metres and its standard deviation. Classes whose size says little are not listed.
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
ANY_HEIGHT = 3.0, 2.0


def heights_of(classes: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """(N,) class indices -> (N, 2) height and standard deviation, metres; nan for classes without a prior."""
    return HEIGHTS.lookup(classes, names)


def usual_heights(classes: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """The same, with a wide guess for classes without a prior: their height can be learned."""
    heights = heights_of(classes, names)
    return np.where(np.isnan(heights), ANY_HEIGHT, heights)


def range_per_height(boxes: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) boxes -> (N,) metres of range for each metre that an upright thing is tall, (N, 2) its direction."""
    count = len(boxes)
    ends = np.empty((2, count, 2))  # the middles of the upper and of the lower edge
    ends[..., 0], ends[..., 1] = (boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 1::2].T
    rays = camera.rays_from_pixels(ends.reshape(-1, 2)) @ camera.pose[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = np.hypot(rays[:, 0], rays[:, 1])
        slopes = rays[:, 2] / flat  # tangents of elevation
        rise = slopes[:count] - slopes[count:]
        return 1 / np.where(rise > 1e-6, rise, np.nan), rays[count:, :2] / flat[count:, None]


def located_by_height(
    boxes: np.ndarray, heights: np.ndarray, sigmas: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where upright things of known height stand.

    boxes   (N, 4) x0 y0 x1 y1 pixels
    heights (N, 2) height and its standard deviation, metres
    sigmas  (N, 2) standard deviation of the box's width and height, pixels
    returns (N, 2) metres in base_link, and (N, 2, 2) covariances; nan where the height is not known. And (N, 2) range
            for each metre of height with its relative standard deviation, which know of the box alone
    """
    per_metre, along = range_per_height(boxes, camera)
    by_box = sigmas[:, 1] / np.maximum(boxes[:, 3] - boxes[:, 1], 1e-6)
    reach, share = heights[:, 0] * per_metre, np.hypot(heights[:, 1] / heights[:, 0], by_box)
    spread = np.empty((2, len(boxes), 2))  # one standard deviation along the line of sight, and across it
    np.multiply(along, (reach * share)[:, None], out=spread[0])
    np.multiply(along[:, ::-1] * (-1.0, 1.0), (reach * sigmas[:, 0])[:, None], out=spread[1])
    spread[1] /= camera.pixel_from_camera[0, 0]
    places = camera.pose[:2, 3] + along * reach[:, None]
    return places, np.einsum("kni,knj->nij", spread, spread), np.column_stack((per_metre, by_box))


# The lowest edge of a box is the nearest corner of a body, not always the middle of its near side: metres, one sigma.
CONTACT = ClassTable({"car": 0.4, "truck": 0.6, "bus": 0.6, "train": 0.8}, 0.1)
HIDDEN_SHARE = 0.2  # of range: one sigma where something nearer hides the wheels, and only a part has been boxed
CUT_DOUBT = 1.0  # metres, one sigma, where the edge of the image cuts a side off: what is seen is not the middle
MAX_RANGE = 150.0  # metres
ROOT_2 = sqrt(2.0)
MAX_SHARE = 0.35  # standard deviation as share of range, above which a position says nothing
DISAGREE = 8.0  # squared Mahalanobis distance, from which on ground plane and size do not speak of the same thing
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
) -> Objects:
    """The objects with a sound box; those that stand on the road with contact point in base_link and covariance.

    image_size  (height, width)
    """
    sound = sound_boxes(objects.boxes)
    objects = objects if sound.all() else objects[sound]
    objects = replace(objects, truncated=edges_touched(objects.boxes, image_size))
    if camera is None or not len(objects):
        return objects
    standing = mounted(objects, classes)
    ground, ground_cov = _by_ground(standing, camera, noise)
    ground_cov = ground_cov + np.square(CONTACT.lookup(objects.classes, classes))[:, None, None] * np.eye(2)
    size, size_cov, per_height = _by_size(objects, camera, classes, noise)
    hidden = bottom_hidden(standing.boxes)
    if hidden.any():
        ground_cov[hidden] += _along_sight(ground[hidden] - camera.pose[:2, 3], HIDDEN_SHARE)
        size[hidden], size_cov[hidden], per_height[hidden] = np.nan, np.nan, np.nan
    planar = _useful(ground, ground_cov, camera)
    position, cov, method = _best(ground, ground_cov, size, size_cov, planar)
    cov[(objects.truncated & SIDES) != 0] += CUT_DOUBT**2 * np.eye(2)
    off = HANGING.lookup(objects.classes, classes) | ~_useful(position, cov, camera) | strips(objects, image_size[1])
    position[off], cov[off], method[off] = np.nan, np.nan, NONE
    return replace(
        objects,
        positions=_with_height(position),
        position_covs=cov.astype(np.float32),
        position_methods=method,
        ground_widths=visible_widths(objects, position, camera),
        cues=_cues(ground - camera.pose[:2, 3], ground_cov, per_height, planar),
    )


def _cues(sight: np.ndarray, ground_cov: np.ndarray, per_height: np.ndarray, planar: np.ndarray) -> np.ndarray:
    """(N, 4) as in Objects; sight (N, 2) from the camera to the place on the ground plane, where that is one."""
    cues = np.empty((len(sight), 4), np.float32)
    with np.errstate(invalid="ignore"):
        cues[:, 0] = _length(sight)
        cues[:, 1] = np.sqrt(np.einsum("ni,nij,nj->n", sight, ground_cov, sight)) / cues[:, 0]
    cues[~planar, :2] = np.nan
    cues[:, 2:] = per_height
    return cues


def _with_height(position: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N, 3) float32 on the road, nan where nan."""
    places = np.zeros((len(position), 3), np.float32)
    places[:, :2] = position
    places[np.isnan(position[:, 0]), 2] = np.nan
    return places


def _sigmas(boxes: np.ndarray, noise: GroundNoise) -> np.ndarray:
    """(N, 2) standard deviation of the edges of boxes in u and v, pixels."""
    return noise.pixel + noise.box * (boxes[:, 2:] - boxes[:, :2])


def _by_ground(objects: Objects, camera: Camera, noise: GroundNoise) -> tuple[np.ndarray, np.ndarray]:
    boxes = objects.boxes.astype(float)
    contact = boxes[:, 2:].copy()
    contact[:, 0] = (boxes[:, 0] + boxes[:, 2]) / 2
    contact[(objects.truncated & BOTTOM) != 0] = np.nan
    return ground_with_covariance(contact, _sigmas(boxes, noise), camera, noise)


def _along_sight(directions: np.ndarray, share: float) -> np.ndarray:
    """(N, 2, 2) covariances of a doubt of so much of the range, in the line of sight only."""
    spread = share * directions
    return spread[:, :, None] * spread[:, None, :]


def _by_size(
    objects: Objects, camera: Camera, classes: tuple[str, ...], noise: GroundNoise
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, cut = objects.boxes.astype(float), (objects.truncated & ENDS) != 0
    heights = heights_of(objects.classes, classes)
    heights[cut] = np.nan
    size, size_cov, per_height = located_by_height(boxes, heights, ROOT_2 * _sigmas(boxes, noise), camera)
    per_height[cut] = np.nan
    return size, size_cov, per_height


def _best(
    ground: np.ndarray, ground_cov: np.ndarray, size: np.ndarray, size_cov: np.ndarray, planar: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground plane and size together where they agree; the ground plane where not; size where there is no ground."""
    position, cov = np.where(planar[:, None], ground, size), np.where(planar[:, None, None], ground_cov, size_cov)
    both = planar & np.isfinite(size_cov).all(axis=(1, 2))
    rows = both.nonzero()[0]
    rows = rows[_squared(ground[rows] - size[rows], ground_cov[rows] + size_cov[rows]) < DISAGREE]
    position[rows], cov[rows] = combine_estimates(ground[rows], ground_cov[rows], size[rows], size_cov[rows])
    method = np.where(planar, GROUND, SIZE)
    return position, cov, method


def _squared(apart: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """(N,) squared Mahalanobis distances of (N, 2) with (N, 2, 2)."""
    (x, y), ((xx, xy), (_, yy)) = apart.T, cov.T
    return (yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy)


def _useful(position: np.ndarray, cov: np.ndarray, camera: Camera) -> np.ndarray:
    """(N,) bool: near enough, sure enough."""
    with np.errstate(invalid="ignore"):
        reach = _length(position - camera.pose[:2, 3])
        return (reach < MAX_RANGE) & (cov[:, 0, 0] + cov[:, 1, 1] < (MAX_SHARE * reach) ** 2)


def _length(vectors: np.ndarray) -> np.ndarray:
    """(N,) of (N, 2)."""
    x, y = vectors.T
    return np.sqrt(x * x + y * y)
