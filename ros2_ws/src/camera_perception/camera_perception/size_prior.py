"""How far away something is, from how large it looks and how large such things are."""

from __future__ import annotations

import numpy as np

from camera_perception.by_class import ByClass
from camera_perception.camera import Camera

# Height in metres and its standard deviation. Classes whose size says little are not listed.
HEIGHTS = ByClass(
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
    return HEIGHTS.of(classes, names)


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
