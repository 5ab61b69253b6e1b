"""The area of road that an object covers, and the nearest side of its body.

Boxes end where the tyres touch the road, and bumpers overhang beyond: the positions of cars would be a metre too far,
those of buses three.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from camera_perception import core
from camera_perception.core.class_table import ClassTable
from camera_perception.core.types import Objects, PositionMethod
from camera_perception.geometry.camera import Camera
from camera_perception.objects.config import DEFAULT_LOCALIZATION, LocalizationConfig

MOVING = 1.0  # m/s, above which the direction of motion is the heading of the object

# Length, width, height in metres of usual objects; one camera does not measure them.
SIZES = {
    "car": (4.5, 1.85, 1.5),
    "truck": (8.0, 2.5, 3.2),
    "bus": (11.0, 2.6, 3.2),
    "train": (20.0, 3.0, 3.8),
    "pedestrian": (0.6, 0.6, 1.75),
    "person": (0.6, 0.6, 1.75),
    "rider": (1.8, 0.7, 1.75),
    "bicycle": (1.8, 0.6, 1.1),
    "motorcycle": (2.0, 0.8, 1.2),
    "traffic light": (0.5, 0.5, 1.0),
    "traffic sign": (0.5, 0.5, 1.0),
}
CAR = SIZES["car"]
Sizes = np.ndarray | tuple[float, ...]


# Metres from the tyres to the bumper at either end, height of the bumper's lower edge, and aspect ratio (width over
# height) above which a box shows only the side, where bodies end with the wheels; half of it shows none of the side.
# A Citaro overhangs by 2.8 and 3.4, an Actros by 1.4, cars by 0.8 to 1.1.
OVERHANGS = ClassTable(
    {
        "car": (0.95, 0.25, 2.8),
        "van": (0.95, 0.25, 2.4),
        "truck": (1.5, 0.5, 2.4),
        "bus": (3.0, 0.3, 3.0),
        "motorcycle": (0.3, 0.3, 1.6),
        "bicycle": (0.3, 0.3, 1.6),
    },
    (0.0, 0.0, 1.0),
)
BY_BOX = np.array([PositionMethod.GROUND_PLANE, PositionMethod.SIZE_PRIOR], np.uint8)


def sizes_of(names: Sequence[str]) -> np.ndarray:
    """(N, 3) usual length, width and height in metres of objects of these classes."""
    return np.array([SIZES.get(name, CAR) for name in names], float).reshape(-1, 3)


def heading_of(velocities: np.ndarray) -> np.ndarray:
    """Radians to the left of x of objects with velocities (..., 2) m/s; 0 when they are stationary or unknown."""
    vx, vy = np.moveaxis(np.asarray(velocities, float), -1, 0)
    return np.where(np.hypot(vx, vy) > MOVING, np.arctan2(vy, vx), 0.0)


def footprint(position: np.ndarray, name: str, velocity: np.ndarray) -> np.ndarray:
    """(4, 2) corners in metres of the road covered by an object of a class; position is its contact on our side."""
    corners: np.ndarray = footprints(np.asarray(position)[None], [name], np.asarray(velocity)[None])[0]
    return corners


def footprints(positions: np.ndarray, names: Sequence[str], velocities: np.ndarray) -> np.ndarray:
    """(N, 4, 2) corners in metres of the road covered by objects; positions (N, 2) are their contacts on our side."""
    sizes, headings = sizes_of(names), heading_of(velocities)
    return rectangle(center_from_contact(positions, sizes, headings), sizes, headings)


def center_from_contact(position: np.ndarray, size: Sizes, heading: np.ndarray | float) -> np.ndarray:
    """(..., 2) centres of objects that touch the road at positions (..., 2) on the side towards us.

    size  (..., 2 or more) length, width
    """
    x, y = np.moveaxis(np.asarray(position, float), -1, 0)
    length, width = np.moveaxis(np.asarray(size, float), -1, 0)[:2]
    bearing = np.arctan2(y, x)
    across, along = np.abs(np.sin(bearing - heading)), np.abs(np.cos(bearing - heading))
    depth = np.minimum(length / np.maximum(along, 1e-6), width / np.maximum(across, 1e-6)) / 2
    return np.stack((x + depth * np.cos(bearing), y + depth * np.sin(bearing)), axis=-1)


CORNERS = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) / 2


def rectangle(center: np.ndarray, size: Sizes, heading: np.ndarray | float) -> np.ndarray:
    """(..., 4, 2) corners in metres of rectangles (length, width) around centres, turned from x towards y."""
    forward = np.stack((np.cos(heading), np.sin(heading)), axis=-1)[..., None, :]
    left = np.stack((-forward[..., 1], forward[..., 0]), axis=-1)
    extent = np.asarray(size, float)[..., None, :]
    along, across = (CORNERS[:, axis : axis + 1] * extent[..., axis : axis + 1] for axis in (0, 1))
    return np.asarray(center[..., None, :] + along * forward + across * left)


def ellipse(mean: np.ndarray, cov: np.ndarray, deviations: float, count: int = 49) -> np.ndarray:
    """(..., count, 2) points that many standard deviations from the means (..., 2) of normal distributions."""
    values, vectors = np.linalg.eigh(cov)
    angles = np.linspace(0, 2 * np.pi, count)
    circle = np.column_stack((np.cos(angles), np.sin(angles)))
    scaled = deviations * (circle * np.sqrt(np.maximum(values, 0))[..., None, :])
    return np.asarray(mean[..., None, :] + scaled @ np.swapaxes(vectors, -1, -2))


def near_sides(
    objects: Objects,
    camera: Camera | None,
    classes: tuple[str, ...],
    config: LocalizationConfig = DEFAULT_LOCALIZATION,
) -> Objects:
    """The objects with positions from boxes moved from the tyres to the nearest side of the body."""
    if camera is None or not len(objects):
        return objects
    if core.kernels is not None:
        positions = objects.positions.copy()
        at = (*camera.pose[:3, 3].tolist(), camera.pixel_from_camera[0, 0])
        values = np.array((*at, config.overhang_min_pixels, config.overhang_full_pixels))
        overhangs = OVERHANGS.lookup(objects.classes, classes)
        core.kernels.near_sides(objects.boxes, objects.position_methods, overhangs, values, positions)
        return objects.with_columns(positions=positions)
    from_camera, methods = objects.positions[:, :2] - camera.pose[:2, 3], objects.position_methods
    distance = np.hypot(*from_camera.T)
    overhangs = _visible_overhangs(objects, distance, camera, classes, config)
    shift = np.where((methods == BY_BOX[0]) | (methods == BY_BOX[1]), overhangs, 0.0)
    rows = (shift > 0).nonzero()[0]  # false for nan, where there is no position
    positions = objects.positions.copy()
    positions[rows, :2] -= from_camera[rows] * (shift[rows] / distance[rows])[:, None]
    return objects.with_columns(positions=positions)


def _visible_overhangs(
    objects: Objects, distance: np.ndarray, camera: Camera, classes: tuple[str, ...], config: LocalizationConfig
) -> np.ndarray:
    """(N,) metres by which positions on the road are too far; distance (N,) from the camera to them."""
    length, clearance, side = OVERHANGS.lookup(objects.classes, classes).T
    width, height = (objects.boxes[:, 2:] - objects.boxes[:, :2]).T
    focal, camera_height = camera.pixel_from_camera[0, 0], camera.pose[2, 3]
    least, full = config.overhang_min_pixels, config.overhang_full_pixels
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.clip(2 - 2 * width / (height * side), 0, 1)
        # Close by, the bumper hides the tyres: its lower edge is what the camera sees against the road behind it.
        overhang = np.minimum(length, distance * clearance / camera_height) * ends
        # Far away, tyres, shadow and bumper are one dark line.
        pixels = overhang * focal * camera_height / np.square(distance)
        return np.asarray(overhang * np.clip((pixels - least) / (full - least), 0, 1))
