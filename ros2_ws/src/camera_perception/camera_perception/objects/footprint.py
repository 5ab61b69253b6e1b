"""How much of the road a thing covers, and where: from its class, its contact with the road and where it heads.

From the wheels, which are the lowest that a camera sees of a vehicle, to the side of its body that is nearest.

Boxes end where tyres touch the road. Bumpers hang over beyond that, and are what one must not run into: taken as they
are, places of cars are a metre too far, those of buses three.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.core.class_table import ClassTable
from camera_perception.core.types import Objects, PositionMethod
from camera_perception.geometry.camera import Camera

MOVING = 1.0  # m/s, from where on the direction of motion is the direction of the object

# length, width, height in metres of usual ones; measured sizes are not known from one camera
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


def heading_of(velocity: np.ndarray) -> float:
    """Radians to the left of x that a thing with velocity (2,) m/s points to; 0 for what stands or is not known."""
    vx, vy = float(velocity[0]), float(velocity[1])
    return float(np.arctan2(vy, vx)) if np.hypot(vx, vy) > MOVING else 0.0


def covered(position: np.ndarray, name: str, velocity: np.ndarray) -> np.ndarray:
    """(4, 2) corners in metres of the road that a thing covers which touches the road at position on our side."""
    size, heading = SIZES.get(name, CAR)[:2], heading_of(velocity)
    return rectangle(behind_contact(position, size, heading), size, heading)


def behind_contact(position: np.ndarray, size: tuple[float, ...], heading: float) -> np.ndarray:
    """Middle of an object (length, width) that touches the road at position on the side towards us."""
    sight = float(np.arctan2(position[1], position[0]))
    across, along = abs(np.sin(sight - heading)), abs(np.cos(sight - heading))
    depth = min(size[0] / max(along, 1e-6), size[1] / max(across, 1e-6)) / 2
    return position + depth * np.array([np.cos(sight), np.sin(sight)])


def rectangle(middle: np.ndarray, size: tuple[float, ...], heading: float) -> np.ndarray:
    """(4, 2) corners in metres of a rectangle (length, width) around a middle, turned from x towards y."""
    forward = np.array([np.cos(heading), np.sin(heading)])
    left = np.array([-forward[1], forward[0]])
    signs = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) / 2
    return middle + signs[:, :1] * size[0] * forward + signs[:, 1:] * size[1] * left


def ellipse(middle: np.ndarray, cov: np.ndarray, deviations: float, count: int = 49) -> np.ndarray:
    """(count, 2) points that lie that many standard deviations from the middle of a normal distribution."""
    values, vectors = np.linalg.eigh(cov)
    angles = np.linspace(0, 2 * np.pi, count)
    circle = np.column_stack((np.cos(angles), np.sin(angles)))
    return middle + deviations * (circle * np.sqrt(np.maximum(values, 0))) @ vectors.T


# Metres from the tyres to the bumper at either end, height of the bumper's lower edge, and width over height of the box
# from which on it shows a side, where bodies end with the wheels; from half of that on it shows more and more of it.
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
    length, clearance, side = OVERHANGS.lookup(objects.classes, classes).T
    width, height = (objects.boxes[:, 2:] - objects.boxes[:, :2]).T
    focal, above = camera.pixel_from_camera[0, 0], camera.pose[2, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.clip(2 - 2 * width / (height * side), 0, 1)
        # From near by the bumper hides the tyres: its lower edge is what is seen against the road behind it.
        overhang = np.minimum(length, reach * clearance / above) * ends
        seen = overhang * focal * above / np.square(reach)
        return overhang * np.clip((seen - HARDLY) / (WHOLLY - HARDLY), 0, 1)
