"""From the wheels, which are the lowest that a camera sees of a vehicle, to the side of its body that is nearest.

Boxes end where tyres touch the road. Bumpers hang over beyond that, and are what one must not run into: taken as they
are, places of cars are a metre too far, those of buses three.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.by_class import ByClass
from camera_perception.camera import Camera
from camera_perception.types import Objects, PositionMethod

# Metres from the tyres to the bumper at either end, height of the bumper's lower edge, and width over height of the box
# from which on it shows a side, where bodies end with the wheels; from half of that on it shows more and more of it.
# A Citaro overhangs by 2.8 and 3.4, an Actros by 1.4, cars by 0.8 to 1.1.
OVERHANGS = ByClass(
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
# Pixels of the image that an overhang covers, up to which it is not seen at all, and from which on as a whole: tyres,
# shadow and bumper of what is far are one dark line.
HARDLY, WHOLLY = 1.0, 4.0
BY_BOX = np.array([PositionMethod.GROUND_PLANE, PositionMethod.SIZE_PRIOR], np.uint8)


def near_sides(objects: Objects, camera: Camera | None, classes: tuple[str, ...]) -> Objects:
    """The same, where places that were taken from boxes are those of the nearest side."""
    if camera is None or not len(objects):
        return objects
    sight = objects.positions[:, :2] - camera.pose[:2, 3]
    reach = np.hypot(*sight.T)
    shift = np.where(np.isin(objects.position_methods, BY_BOX), _overhangs(objects, reach, camera, classes), 0.0)
    rows = np.flatnonzero(shift > 0)  # nan, where there is no place, is not
    positions = objects.positions.copy()
    positions[rows, :2] -= sight[rows] * (shift[rows] / reach[rows])[:, None]
    return replace(objects, positions=positions)


def _overhangs(objects: Objects, reach: np.ndarray, camera: Camera, classes: tuple[str, ...]) -> np.ndarray:
    """(N,) metres by which places on the road are too far; reach (N,) from the camera to them."""
    length, clearance, side = OVERHANGS.of(objects.classes, classes).T
    width, height = (objects.boxes[:, 2:] - objects.boxes[:, :2]).T
    focal, above = camera.pixel_from_camera[0, 0], camera.pose[2, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.clip(2 - 2 * width / (height * side), 0, 1)
        # From near by the bumper hides the tyres: its lower edge is what is seen against the road behind it.
        overhang = np.minimum(length, reach * clearance / above) * ends
        seen = overhang * focal * above / np.square(reach)
        return overhang * np.clip((seen - HARDLY) / (WHOLLY - HARDLY), 0, 1)
