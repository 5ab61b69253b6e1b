"""Bird's-eye view of everything with metric positions, in base_link."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from camera_perception.draw.colors import GREEN, GREY, LIGHT, NIGHT, WHITE, Color, class_color
from camera_perception.draw.lanes import draw_marking
from camera_perception.draw.placement import Placement
from camera_perception.draw.primitives import dashed, draw_text, polygons, polyline, polylines, text_mask
from camera_perception.draw.scene import Surroundings
from camera_perception.objects.footprint import CAR, MOVING, ellipse, rectangle

GROUND, GRID_COLOR, ROAD_COLOR = (38, 33, 30), (62, 55, 50), (74, 80, 52)
# The ego car; by convention base_link is on the road below the centre of its rear axle.
EGO = rectangle(np.array([1.4, 0.0]), CAR, 0.0)
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
    scene: Surroundings,
    size: tuple[int, int] = (720, 480),
    ahead: float = 64.0,
    behind: float = 6.0,
    caption: str = "",
) -> np.ndarray:
    """Draw the scene from above.

    size          (H, W) of the image
    ahead, behind metres shown ahead of base_link and behind it
    caption       text of a bar above the scene; without one there is no bar
    returns       (H, W, 3) uint8 BGR with a grid of 10 m and the car at the bottom
    """
    bar = caption_height(size[0]) if caption else 0
    view = View.between((size[0] - bar, size[1]), ahead, behind)
    canvas = _draw_scene(scene, view, ahead)
    return np.vstack((_caption(caption, (bar, size[1]), view.text), canvas)) if caption else canvas


def caption_height(height: int) -> int:
    """Rows of the caption's bar in a view of this height."""
    return max(round(height / 75), 8) * 2 + 6


def _caption(text: str, size: tuple[int, int], text_size: int) -> np.ndarray:
    bar = np.full((*size, 3), NIGHT, np.uint8)
    draw_text(bar, text, text_size, (size[0] - round(text_size * 1.5)) // 2, text_size, LIGHT)
    return bar


def _draw_scene(scene: Surroundings, view: View, ahead: float) -> np.ndarray:
    canvas = np.full((*view.size, 3), GROUND, np.uint8)
    outlines = [view.pixels(outline) for outline in scene.footprints()]
    placement = Placement(canvas.shape, _bounds([*outlines, view.pixels(EGO)]))
    _draw_road(canvas, view, scene, placement)
    _draw_grid(canvas, view, ahead, placement)
    for line in scene.lanes:
        if line.ground is not None:
            points = view.pixels(line.ground.points)
            draw_marking(canvas, line, points, np.full(len(points), LINE_WIDTH * view.scale), rim=0.6)
    _draw_car(canvas, view)
    for row, outline in enumerate(outlines):
        _draw_object(canvas, view, scene, row, outline)
    for row, outline in enumerate(outlines):
        _draw_number(canvas, view, int(scene.track_ids[row]), outline, placement)
    if scene.why_empty and not (outlines or scene.lanes or scene.roads):
        left = (view.size[1] - text_mask(scene.why_empty, view.text).shape[1]) // 2
        draw_text(canvas, scene.why_empty, left, view.size[0] // 2, view.text, LIGHT)
    return canvas


def _bounds(outlines: list[np.ndarray]) -> np.ndarray:
    """(N, 4) x0 y0 x1 y1 around each outline (P, 2)."""
    return np.array([(*outline.min(axis=0), *outline.max(axis=0)) for outline in outlines])


def _draw_number(canvas: np.ndarray, view: View, track_id: int, outline: np.ndarray, placement: Placement) -> None:
    """The track id beside its object, where no object is."""
    if not track_id:
        return
    text = f"#{track_id}"
    height, width = text_mask(text, view.text).shape
    (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
    middle = (y0 + y1 - height) / 2
    corners = ((x1 + 3, middle), (x0 - width - 3, middle), ((x0 + x1 - width) / 2, y0 - height), (x0, y1 + 2))
    if corner := placement.place((width, height), corners):
        draw_text(canvas, text, *corner, view.text, LIGHT)


def _draw_grid(canvas: np.ndarray, view: View, ahead: float, placement: Placement) -> None:
    side = view.size[1] / view.scale / 2
    for y in np.arange(-10 * (side // 10), side, 10):
        polyline(canvas, view.pixels(np.array([(-view.behind, y), (ahead, y)])), GRID_COLOR, 1)
    for x in range(-10 * int(view.behind // 10), int(np.ceil(ahead)), 10):
        ends = view.pixels(np.array([(x, side), (x, -side)]))
        polyline(canvas, ends, GRID_COLOR, 1)
        height, width = text_mask(f"{x} m", view.text).shape
        if corner := placement.place((width, height), [(view.text * 0.5, ends[0, 1] - view.text * 1.6)]):
            draw_text(canvas, f"{x} m", *corner, view.text, GREY)


def _draw_road(canvas: np.ndarray, view: View, scene: Surroundings, placement: Placement) -> None:
    for polygon in scene.roads:
        points = view.pixels(polygon)
        polygons(canvas, [points], ROAD_COLOR)
        polyline(canvas, points, GREEN, 1, closed=True)
    end = scene.free_distance
    if np.isfinite(end):
        polyline(canvas, view.pixels(np.array([(end, 1.5), (end, -1.5)])), GREEN, 3)
        text = f"free {end:.0f} m"
        height, width = text_mask(text, view.text).shape
        (right, v), (left, _) = view.pixels(np.array([(end, -1.8), (end, 1.8)]))
        if corner := placement.place((width, height), [(right, v - view.text), (left - width, v - view.text)]):
            draw_text(canvas, text, *corner, view.text, GREEN)


def _draw_car(canvas: np.ndarray, view: View) -> None:
    """The ego car."""
    polygons(canvas, [view.pixels(EGO)], LIGHT)
    glass = rectangle(np.array([1.7, 0.0]), (1.9, 1.5), 0.0)
    polygons(canvas, [view.pixels(glass)], (92, 84, 78))
    polyline(canvas, view.pixels(EGO), WHITE, 1, closed=True)


def _draw_object(canvas: np.ndarray, view: View, scene: Surroundings, row: int, outline: np.ndarray) -> None:
    """Filled when detected, an outline when coasted."""
    color, coasted = class_color(scene.names[row]), bool(scene.coasted[row])
    _draw_uncertainty(canvas, view, scene.positions[row], scene.position_covs[row], color)
    if not coasted:
        polygons(canvas, [outline], color)
    polyline(canvas, outline, color if coasted else WHITE, 1, closed=True)
    _draw_velocity(canvas, view, scene.positions[row], scene.velocities[row], color)


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
