"""The road from above: everything that has metres, in base_link."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from camera_perception.draw.colors import GREEN, GREY, LIGHT, SHADOW, WHITE, Color, class_color
from camera_perception.draw.ink import dashed, polygons, polyline, polylines, text_mask, write
from camera_perception.draw.marking import marking
from camera_perception.model_spec import ModelSpec
from camera_perception.types import Objects, Perception, Road

GROUND, GRID_INK, ROAD_INK = (38, 33, 30), (62, 55, 50), (74, 80, 52)
LINE_METRES = 0.28  # drawn wider than the 0.12 m of real paint, to be seen
MOVING = 1.0  # m/s, from where on the direction of motion is the direction of the object

# length and width in metres, for drawing
FOOTPRINTS = {
    "truck": (8.0, 2.5),
    "bus": (11.0, 2.6),
    "train": (20.0, 3.0),
    "pedestrian": (0.6, 0.6),
    "person": (0.6, 0.6),
}
FOOTPRINTS |= {"bicycle": (1.8, 0.6), "motorcycle": (2.0, 0.8), "rider": (1.8, 0.7)}
FOOTPRINTS |= {"traffic light": (0.5, 0.5), "traffic sign": (0.5, 0.5)}
CAR = (4.5, 1.85)


@dataclass(frozen=True, slots=True)
class View:
    """A canvas (H, W) on which base_link's x points up.

    scale  pixels per metre
    behind metres shown behind the car
    """

    size: tuple[int, int]
    scale: float
    behind: float = 6.0

    @staticmethod
    def ahead(size: tuple[int, int], reach: float) -> View:
        """A view that reaches that many metres ahead."""
        return View(size, size[0] / (reach + 6.0))

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(P, 2+) metres x forward, y left -> (P, 2) pixels."""
        points = np.asarray(points, float)
        u = self.size[1] / 2 - points[:, 1] * self.scale
        v = self.size[0] - (points[:, 0] + self.behind) * self.scale
        return np.column_stack((u, v))

    @property
    def text(self) -> int:
        return max(round(self.size[0] / 75), 8)


def bird_eye(
    perception: Perception, size: tuple[int, int] = (720, 480), spec: ModelSpec | None = None, reach: float = 64.0
) -> np.ndarray:
    """The scene from above.

    size    (H, W) of the picture
    spec    for the names of classes, which give colour and footprint
    reach   metres ahead
    returns (H, W, 3) uint8 BGR; a grid of 10 m, the car at the bottom
    """
    canvas = np.full((*size, 3), GROUND, np.uint8)
    view = View.ahead(size, reach)
    if perception.road is not None:
        _draw_road(canvas, view, perception.road)
    _draw_grid(canvas, view, reach)
    for line in perception.lanes:
        if line.ground is not None:
            points = view.pixels(line.ground.points)
            marking(canvas, line, points, np.full(len(points), LINE_METRES * view.scale), rim=0.6)
    _draw_car(canvas, view)
    _draw_objects(canvas, view, perception.objects, spec.classes if spec else ())
    if not perception.base_frame:
        text = "no calibration, no metres"
        write(canvas, text, (size[1] - text_mask(text, view.text).shape[1]) // 2, size[0] // 2, view.text, LIGHT)
    return canvas


def side_by_side(left: np.ndarray, right: np.ndarray, gap: int = 4) -> np.ndarray:
    """Two pictures in the height of the left one."""
    height = len(left)
    width = max(round(right.shape[1] * height / len(right)), 1)
    scaled = right if len(right) == height else cv2.resize(right, (width, height), interpolation=cv2.INTER_AREA)
    return np.hstack((left, np.full((height, gap, 3), SHADOW, np.uint8), scaled))


def _draw_grid(canvas: np.ndarray, view: View, reach: float) -> None:
    side = view.size[1] / view.scale / 2
    for y in np.arange(-10 * (side // 10), side, 10):
        polyline(canvas, view.pixels(np.array([(-view.behind, y), (reach, y)])), GRID_INK, 1)
    for x in np.arange(0, reach, 10):
        ends = view.pixels(np.array([(x, side), (x, -side)]))
        polyline(canvas, ends, GRID_INK, 1)
        write(canvas, f"{x:.0f} m", round(view.text * 0.5), round(ends[0, 1] - view.text * 1.6), view.text, GREY)


def _draw_road(canvas: np.ndarray, view: View, road: Road) -> None:
    if len(road.polygon) >= 3:
        points = view.pixels(road.polygon)
        polygons(canvas, [points], ROAD_INK)
        polyline(canvas, points, GREEN, 1, closed=True)
    if np.isfinite(road.free_distance_ahead):
        end = road.free_distance_ahead
        polyline(canvas, view.pixels(np.array([(end, 1.5), (end, -1.5)])), GREEN, 3)
        u, v = view.pixels(np.array([(end, -1.8)]))[0]
        write(canvas, f"free {end:.0f} m", round(u), round(v - view.text), view.text, GREEN)


def _draw_car(canvas: np.ndarray, view: View) -> None:
    """Our car: base_link is under it, on the road, at the middle of its rear axle by convention."""
    body = footprint(np.array([1.4, 0.0]), CAR, 0.0)
    polygons(canvas, [view.pixels(body)], LIGHT)
    glass = footprint(np.array([1.7, 0.0]), (1.9, 1.5), 0.0)
    polygons(canvas, [view.pixels(glass)], (92, 84, 78))
    polyline(canvas, view.pixels(body), WHITE, 1, closed=True)


def _draw_objects(canvas: np.ndarray, view: View, objects: Objects, names: tuple[str, ...]) -> None:
    for row in np.flatnonzero(np.isfinite(objects.positions[:, :2]).all(axis=1)):
        index = int(objects.classes[row])
        color = class_color(names, index)
        position, velocity = objects.positions[row, :2].astype(float), objects.velocities[row].astype(float)
        _draw_uncertainty(canvas, view, position, objects.position_covs[row], color)
        heading = float(np.arctan2(velocity[1], velocity[0])) if np.hypot(*velocity) > MOVING else 0.0
        size = FOOTPRINTS.get(names[index] if index < len(names) else "", CAR)
        outline = view.pixels(footprint(behind_contact(position, size, heading), size, heading))
        if not objects.coasted[row]:
            polygons(canvas, [outline], color)
        polyline(canvas, outline, WHITE if not objects.coasted[row] else color, 1, closed=True)
        if np.hypot(*velocity) > MOVING:
            tail, tip = (
                np.rint(view.pixels(np.array([position, position + velocity]))).clip(-9999, 9999).astype(int).tolist()
            )
            cv2.arrowedLine(canvas, tail, tip, color, max(view.text // 4, 2), cv2.LINE_AA)
        if objects.track_ids[row]:
            u, v = outline[:, 0].max(), outline[:, 1].mean()
            write(canvas, f"#{objects.track_ids[row]}", round(u + 3), round(v - view.text * 0.8), view.text, LIGHT)


def _draw_uncertainty(canvas: np.ndarray, view: View, position: np.ndarray, cov: np.ndarray, color: Color) -> None:
    """The ellipse of two standard deviations, dashed."""
    if np.isfinite(cov).all():
        polylines(canvas, dashed(view.pixels(ellipse(position, cov, 2.0)), 4, 4), color, 1)


def behind_contact(position: np.ndarray, size: tuple[float, float], heading: float) -> np.ndarray:
    """Middle of an object (length, width) that touches the road at position on the side towards us."""
    sight = float(np.arctan2(position[1], position[0]))
    across, along = abs(np.sin(sight - heading)), abs(np.cos(sight - heading))
    depth = min(size[0] / max(along, 1e-6), size[1] / max(across, 1e-6)) / 2
    return position + depth * np.array([np.cos(sight), np.sin(sight)])


def footprint(position: np.ndarray, size: tuple[float, float], heading: float) -> np.ndarray:
    """(4, 2) corners in metres of a rectangle (length, width) whose middle is there, turned from x towards y."""
    forward = np.array([np.cos(heading), np.sin(heading)])
    left = np.array([-forward[1], forward[0]])
    signs = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) / 2
    return position + signs[:, :1] * size[0] * forward + signs[:, 1:] * size[1] * left


def ellipse(middle: np.ndarray, cov: np.ndarray, deviations: float, count: int = 49) -> np.ndarray:
    """(count, 2) points that lie that many standard deviations from the middle of a normal distribution."""
    values, vectors = np.linalg.eigh(cov)
    angles = np.linspace(0, 2 * np.pi, count)
    circle = np.column_stack((np.cos(angles), np.sin(angles)))
    return middle + deviations * (circle * np.sqrt(np.maximum(values, 0))) @ vectors.T
