"""Bird's-eye view of everything with metric positions, in base_link."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from camera_perception.draw.colors import GREEN, GREY, LIGHT, WHITE, Color, class_color
from camera_perception.draw.lanes import draw_marking
from camera_perception.draw.primitives import dashed, draw_text, polygons, polyline, polylines, text_mask
from camera_perception.draw.scene import Surroundings
from camera_perception.objects.footprint import CAR, MOVING, ellipse, rectangle

GROUND, GRID_COLOR, ROAD_COLOR = (38, 33, 30), (62, 55, 50), (74, 80, 52)
LINE_WIDTH = 0.28  # metres; real paint is 0.12 m wide, too thin to be visible


@dataclass(frozen=True, slots=True)
class View:
    """Maps base_link to a canvas (H, W), x pointing up.

    scale  pixels per metre
    behind metres shown behind the car
    """

    size: tuple[int, int]
    scale: float
    behind: float = 6.0

    @staticmethod
    def between(size: tuple[int, int], ahead: float, behind: float = 6.0) -> View:
        """A view from `behind` to `ahead`, metres."""
        return View(size, size[0] / (ahead + behind), behind)

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
    scene: Surroundings, size: tuple[int, int] = (720, 480), ahead: float = 64.0, behind: float = 6.0
) -> np.ndarray:
    """Draw the scene from above.

    size          (H, W) of the image
    ahead, behind metres shown ahead of base_link and behind it
    returns       (H, W, 3) uint8 BGR with a grid of 10 m and the car at the bottom
    """
    canvas = np.full((*size, 3), GROUND, np.uint8)
    view = View.between(size, ahead, behind)
    _draw_road(canvas, view, scene)
    _draw_grid(canvas, view, ahead)
    for line in scene.lanes:
        if line.ground is not None:
            points = view.pixels(line.ground.points)
            draw_marking(canvas, line, points, np.full(len(points), LINE_WIDTH * view.scale), rim=0.6)
    _draw_car(canvas, view)
    for row, outline in enumerate(scene.footprints()):
        _draw_object(canvas, view, scene, row, view.pixels(outline))
    if scene.why_empty:
        center = (size[1] - text_mask(scene.why_empty, view.text).shape[1]) // 2
        draw_text(canvas, scene.why_empty, center, size[0] // 2, view.text, LIGHT)
    return canvas


def _draw_grid(canvas: np.ndarray, view: View, ahead: float) -> None:
    side = view.size[1] / view.scale / 2
    for y in np.arange(-10 * (side // 10), side, 10):
        polyline(canvas, view.pixels(np.array([(-view.behind, y), (ahead, y)])), GRID_COLOR, 1)
    for x in range(-10 * int(view.behind // 10), int(np.ceil(ahead)), 10):
        ends = view.pixels(np.array([(x, side), (x, -side)]))
        polyline(canvas, ends, GRID_COLOR, 1)
        draw_text(canvas, f"{x} m", round(view.text * 0.5), round(ends[0, 1] - view.text * 1.6), view.text, GREY)


def _draw_road(canvas: np.ndarray, view: View, scene: Surroundings) -> None:
    for polygon in scene.roads:
        points = view.pixels(polygon)
        polygons(canvas, [points], ROAD_COLOR)
        polyline(canvas, points, GREEN, 1, closed=True)
    end = scene.free_distance
    if np.isfinite(end):
        polyline(canvas, view.pixels(np.array([(end, 1.5), (end, -1.5)])), GREEN, 3)
        u, v = view.pixels(np.array([(end, -1.8)]))[0]
        draw_text(canvas, f"free {end:.0f} m", round(u), round(v - view.text), view.text, GREEN)


def _draw_car(canvas: np.ndarray, view: View) -> None:
    """The ego car; by convention base_link is on the road below the centre of its rear axle."""
    body = rectangle(np.array([1.4, 0.0]), CAR, 0.0)
    polygons(canvas, [view.pixels(body)], LIGHT)
    glass = rectangle(np.array([1.7, 0.0]), (1.9, 1.5), 0.0)
    polygons(canvas, [view.pixels(glass)], (92, 84, 78))
    polyline(canvas, view.pixels(body), WHITE, 1, closed=True)


def _draw_object(canvas: np.ndarray, view: View, scene: Surroundings, row: int, outline: np.ndarray) -> None:
    """Filled when detected, an outline when coasted."""
    color, coasted = class_color(scene.names[row]), bool(scene.coasted[row])
    _draw_uncertainty(canvas, view, scene.positions[row], scene.position_covs[row], color)
    if not coasted:
        polygons(canvas, [outline], color)
    polyline(canvas, outline, color if coasted else WHITE, 1, closed=True)
    _draw_velocity(canvas, view, scene.positions[row], scene.velocities[row], color)
    if scene.track_ids[row]:
        u, v = outline[:, 0].max(), outline[:, 1].mean()
        draw_text(canvas, f"#{scene.track_ids[row]}", round(u + 3), round(v - view.text * 0.8), view.text, LIGHT)


def _draw_velocity(canvas: np.ndarray, view: View, position: np.ndarray, velocity: np.ndarray, color: Color) -> None:
    """An arrow to the position in one second."""
    if np.hypot(*velocity) > MOVING:
        ends = np.rint(view.pixels(np.array([position, position + velocity]))).clip(-9999, 9999)
        tail, tip = ends.astype(int).tolist()
        cv2.arrowedLine(canvas, tail, tip, color, max(view.text // 4, 2), cv2.LINE_AA)


def _draw_uncertainty(canvas: np.ndarray, view: View, position: np.ndarray, cov: np.ndarray, color: Color) -> None:
    """The dashed two-sigma ellipse; dashes grow with its size."""
    if np.isfinite(cov).all():
        ring = view.pixels(ellipse(position, cov, 2.0))
        dash = max(4.0, float(np.ptp(ring, axis=0).max()) / 40)
        polylines(canvas, dashed(ring, dash, dash), color, 1)
