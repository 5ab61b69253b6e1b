"""The nearest side of a vehicle, against the geometry of bodies with wheels and bumpers."""

from __future__ import annotations

import numpy as np
import pytest

from camera_perception.core.types import Detections, Objects, PositionMethod
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.objects.footprint import OVERHANGS, near_sides

CLASSES = (*OVERHANGS.values, "pedestrian")
CAMERA_X, HEIGHT, FOCAL = 1.5, 1.4, 1500.0
CAMERA = Camera(
    1920, 1080, np.array([[FOCAL, 0, 960.0], [0, FOCAL, 300], [0, 0, 1]]), np.zeros(0),
    base_from_camera=optical_from_rpy((CAMERA_X, 0.0, HEIGHT), (0, 0, 0)),
)  # fmt: skip


def detected_at(
    distance: float, class_name: str, method: PositionMethod = PositionMethod.GROUND_PLANE, aspect: float = 1.0
):
    """An object whose lowest point is `distance` from the camera; aspect is the width of its box over the height."""
    box = np.array([[900, 400, 900 + 100 * aspect, 500]], np.float32)
    objects = Objects.of(
        Detections(box, np.ones(1, np.float32), np.array([CLASSES.index(class_name)]), np.zeros((1, 0)))
    )
    objects.positions[:], objects.position_methods[:] = (CAMERA_X + distance, 0, 0), method
    return objects


def range_of(objects: Objects) -> float:
    return float(near_sides(objects, CAMERA, CLASSES).positions[0, 0]) - CAMERA_X


@pytest.mark.parametrize("class_name", ["car", "truck", "bus"])
@pytest.mark.parametrize("bumper", [2.0, 4.0, 8.0, 14.0])
def test_the_position_of_a_vehicle_is_its_bumper(class_name, bumper):
    """The lowest visible point, tyre or lower edge of the bumper, is too far when taken for a point on the road."""
    length, clearance, _ = OVERHANGS.values[class_name]
    lowest = max(HEIGHT / (bumper + length), (HEIGHT - clearance) / bumper)  # tangents below the horizon
    assert HEIGHT / lowest - bumper > 0.4
    assert range_of(detected_at(HEIGHT / lowest, class_name)) == pytest.approx(bumper, abs=0.02)


@pytest.mark.parametrize(
    ("objects", "shift"),
    [
        (detected_at(12.0, "pedestrian"), 0.0),
        (detected_at(12.0, "car"), 0.95),
        (detected_at(12.0, "car", aspect=3.0), 0.0),  # seen from the side
        (detected_at(12.0, "car", aspect=2.1), 0.475),  # half from the side
        (detected_at(12.0, "car", PositionMethod.LIDAR), 0.0),  # a lidar measures the bumper itself
        (detected_at(60.0, "car"), 0.0),  # 0.55 pixels: invisible
        (detected_at(28.0, "car"), 0.95 * (0.95 * FOCAL * HEIGHT / 28.0**2 - 1) / 3),  # 2.5 pixels
    ],
)
def test_positions_move_by_the_visible_overhang(objects, shift):
    distance = objects.positions[0, 0] - CAMERA_X
    assert range_of(objects) == pytest.approx(distance - shift, abs=1e-4)


def test_without_a_position_or_a_camera_nothing_moves():
    objects = detected_at(12.0, "car")
    assert near_sides(objects, None, CLASSES) is objects
    objects.positions[:] = np.nan
    assert np.isnan(near_sides(objects, CAMERA, CLASSES).positions).all()
    assert len(near_sides(objects[:0], CAMERA, CLASSES)) == 0
