"""From pixels to metres: objects, lane lines and the road border on the ground plane."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from camera_perception.camera import Camera
from camera_perception.types import Edge, GroundLine, LaneLine, Objects, PositionMethod, Road


def edges_touched(boxes: np.ndarray, image_size: tuple[int, int], margin: float = 2.0) -> np.ndarray:
    """(N, 4) boxes in a (height, width) image -> (N,) uint8 Edge bits."""
    height, width = image_size
    touched = np.zeros(len(boxes), np.uint8)
    for edge, hit in (
        (Edge.LEFT, boxes[:, 0] <= margin),
        (Edge.TOP, boxes[:, 1] <= margin),
        (Edge.RIGHT, boxes[:, 2] >= width - margin),
        (Edge.BOTTOM, boxes[:, 3] >= height - margin),
    ):
        touched |= np.where(hit, np.uint8(edge), np.uint8(0))
    return touched


def locate_objects(objects: Objects, camera: Camera | None, classes: tuple[str, ...], image_size: tuple[int, int]) -> Objects:
    """Give each object that stands on the road its contact point in base_link."""
    truncated = edges_touched(objects.boxes, image_size)
    if camera is None or not len(objects):
        return replace(objects, truncated=truncated)
    contact = np.c_[(objects.boxes[:, 0] + objects.boxes[:, 2]) / 2, objects.boxes[:, 3]]
    ground = camera.ground_from_pixels(contact)
    hidden = (truncated & Edge.BOTTOM) != 0
    ground[hidden] = np.nan
    positions = np.c_[ground, np.zeros(len(ground))].astype(np.float32)
    methods = np.where(np.isfinite(ground[:, 0]), PositionMethod.GROUND_PLANE, PositionMethod.NONE).astype(np.uint8)
    return replace(objects, truncated=truncated, positions=positions, position_methods=methods)


def locate_lanes(lanes: tuple[LaneLine, ...], camera: Camera | None) -> tuple[LaneLine, ...]:
    """Lane lines with their course on the road where the camera is calibrated."""
    return lanes if camera is None else tuple(replace(lane, ground=ground_line(lane.points, camera)) for lane in lanes)


def ground_line(points: np.ndarray, camera: Camera) -> GroundLine | None:
    """The cubic course of an image polyline on the road; None when fewer than four points lie within 80 m."""
    ground = camera.ground_from_pixels(points)
    ground = ground[np.isfinite(ground[:, 0]) & (ground[:, 0] < 80.0)]
    if len(ground) < 4:
        return None
    poly = np.polynomial.polynomial.polyfit(ground[:, 0], ground[:, 1], 3 if len(ground) > 8 else 1)
    poly = np.pad(poly, (0, 4 - len(poly))).astype(np.float32)
    y_std = (0.02 + 0.002 * ground[:, 0]).astype(np.float32)
    return GroundLine(ground.astype(np.float32), y_std, poly, float(ground[:, 0].min()), float(ground[:, 0].max()))


def locate_road(road: Road, camera: Camera | None) -> Road:
    """The drivable boundary on the ground, and how far the own path is free."""
    if camera is None or not len(road.boundary):
        return road
    ground = camera.ground_from_pixels(road.boundary)
    ground = ground[np.isfinite(ground).all(axis=1) & (ground[:, 0] < 120.0)]
    ahead = ground[np.abs(ground[:, 1]) < 1.0]
    free = float(ahead[:, 0].min()) if len(ahead) else float("nan")
    return replace(road, polygon=ground.astype(np.float32), free_distance_ahead=free)
