"""Where the nearest side of a vehicle is, against the geometry of bodies with wheels and bumpers."""

from __future__ import annotations

import numpy as np
import pytest

from camera_perception.core.types import Detections, Objects, PositionMethod
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.objects.footprint import OVERHANGS, near_sides

CLASSES = (*OVERHANGS.values, "pedestrian")
EYE, HEIGHT, FOCAL = 1.5, 1.4, 1500.0
CAMERA = Camera(
    1920, 1080, np.array([[FOCAL, 0, 960.0], [0, FOCAL, 300], [0, 0, 1]]), np.zeros(0),
    base_from_camera=optical_from_rpy((EYE, 0.0, HEIGHT), (0, 0, 0)),
)  # fmt: skip


def seen_at(reach: float, kind: str, method: PositionMethod = PositionMethod.GROUND_PLANE, aspect: float = 1.0):
    """One thing whose lowest point is so far from the camera; its box is so many times as wide as high."""
    box = np.array([[900, 400, 900 + 100 * aspect, 500]], np.float32)
    objects = Objects.of(Detections(box, np.ones(1, np.float32), np.array([CLASSES.index(kind)]), np.zeros((1, 0))))
    objects.positions[:], objects.position_methods[:] = (EYE + reach, 0, 0), method
    return objects


def range_of(objects: Objects) -> float:
    return float(near_sides(objects, CAMERA, CLASSES).positions[0, 0]) - EYE


@pytest.mark.parametrize("kind", ["car", "truck", "bus"])
@pytest.mark.parametrize("bumper", [2.0, 4.0, 8.0, 14.0])
def test_a_body_with_wheels_is_where_its_bumper_is(kind, bumper):
    """The lowest that is seen, tyre or lower edge of the bumper, taken for a point on the road, is too far."""
    length, clearance, _ = OVERHANGS.values[kind]
    lowest = max(HEIGHT / (bumper + length), (HEIGHT - clearance) / bumper)  # tangents below the horizon
    assert HEIGHT / lowest - bumper > 0.4
    assert range_of(seen_at(HEIGHT / lowest, kind)) == pytest.approx(bumper, abs=0.02)


@pytest.mark.parametrize(
    ("objects", "shift"),
    [
        (seen_at(12.0, "pedestrian"), 0.0),
        (seen_at(12.0, "car"), 0.95),
        (seen_at(12.0, "car", aspect=3.0), 0.0),  # seen from the side
        (seen_at(12.0, "car", aspect=2.1), 0.475),  # half from the side
        (seen_at(12.0, "car", PositionMethod.LIDAR), 0.0),  # it has measured the bumper itself
        (seen_at(60.0, "car"), 0.0),  # 0.55 pixels: nobody sees that
        (seen_at(28.0, "car"), 0.95 * (0.95 * FOCAL * HEIGHT / 28.0**2 - 1) / 3),  # 2.5 pixels
    ],
)
def test_by_how_much_places_come_nearer(objects, shift):
    reach = objects.positions[0, 0] - EYE
    assert range_of(objects) == pytest.approx(reach - shift, abs=1e-4)


def test_what_has_no_place_gets_none_and_without_a_camera_nothing_moves():
    objects = seen_at(12.0, "car")
    assert near_sides(objects, None, CLASSES) is objects
    objects.positions[:] = np.nan
    assert np.isnan(near_sides(objects, CAMERA, CLASSES).positions).all()
    assert len(near_sides(objects[:0], CAMERA, CLASSES)) == 0
