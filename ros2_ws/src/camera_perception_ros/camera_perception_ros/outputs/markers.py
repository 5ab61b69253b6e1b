"""RViz markers of objects, lanes, free road and traffic light, and the lines of the own lane as paths.

Markers have stable ids and a lifetime: they neither flicker nor stay behind. They are nested fields, which `serialize`
takes: a message object for every marker and point takes ten times as long.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PoseStamped
from nav_msgs.msg import Path
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from camera_perception.core.types import LaneLine
from camera_perception.draw.colors import GREEN, LIGHT_COLORS, Color, class_color, line_color
from camera_perception.draw.lanes import strokes_on_road
from camera_perception.draw.scene import Surroundings
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import MARKER_ARRAY
from camera_perception.objects.footprint import MOVING, center_from_contact, ellipse, heading_of, sizes_of

LIFETIME = {"sec": 0, "nanosec": 500_000_000}  # over two periods of a 5 Hz camera
LINE_WIDTH = 0.2  # metres, wider than the 0.12 m of real paint, to be visible
LAMP = (0.0, 0.0, 3.0)  # metres, of the own lane's light: drawn above the car, its real position is unknown
UPRIGHT = {"w": 1.0}
WHITE = (255, 255, 255)

Fields = dict[str, Any]


def markers(surroundings: Surroundings, stamp: Header) -> list[Fields]:
    """Markers of everything with a position, at the time of stamp; none without calibration."""
    if not surroundings.base_frame:
        return []
    time = {"sec": stamp.stamp.sec, "nanosec": stamp.stamp.nanosec}
    header = {"stamp": time, "frame_id": surroundings.base_frame}
    lanes = [_lane(line, number, header) for number, line in enumerate(surroundings.lanes)]
    others = [*_road(surroundings, header), *_light(surroundings, header)]
    return [*_objects(surroundings, header), *(lane for lane in lanes if len(lane["points"])), *others]


class MarkerUpdates:
    """Deletes markers as soon as they are gone, before their lifetime ends."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], Fields] = {}

    def message(self, found: Sequence[Fields]) -> bytes:
        """A serialised MarkerArray: the current markers, with deletions of those of the last message that are gone."""
        current = {(marker["ns"], marker["id"]): marker for marker in found}
        gone = [marker for key, marker in self._last.items() if key not in current]
        self._last = current
        deletes = [{name: old[name] for name in ("header", "ns", "id")} | DELETED for old in gone]
        return serialize(MARKER_ARRAY, {"markers": [*deletes, *found]})


DELETED = {"action": Marker.DELETE, "pose": {"orientation": UPRIGHT}}


def _marker(header: Fields, namespace: str, number: int, type_: int, color: Color, opacity: float = 0.85) -> Fields:
    blue, green, red = color
    return {
        "header": header,
        "ns": namespace,
        "id": number,
        "type": type_,
        "pose": {"orientation": UPRIGHT},
        "lifetime": LIFETIME,
        "color": {"r": red / 255, "g": green / 255, "b": blue / 255, "a": opacity},
    }


def _objects(surroundings: Surroundings, header: Fields) -> Iterator[Fields]:
    """Body, label, position uncertainty and velocity of each object; pale while coasted."""
    sizes, headings = sizes_of(surroundings.names), heading_of(surroundings.velocities)
    centers = center_from_contact(surroundings.positions, sizes, headings)
    rings, arrows = _uncertainties(surroundings), _arrows(surroundings)
    columns = zip(
        surroundings.names,
        surroundings.scores.tolist(),
        surroundings.track_ids.tolist(),
        surroundings.coasted.tolist(),
        centers.tolist(),
        sizes.tolist(),
        headings.tolist(),
    )
    for row, (name, score, track_id, coasted, (x, y), size, heading) in enumerate(columns):
        number, color = track_id % 2**31 or -1 - row, class_color(name)
        box = _marker(header, "objects", number, Marker.CUBE, color, 0.3 if coasted else 0.85)
        turn = {"z": math.sin(heading / 2), "w": math.cos(heading / 2)}
        box["pose"] = {"position": _xyz(x, y, size[2] / 2), "orientation": turn}
        box["scale"] = _xyz(*size)
        yield box
        yield _text(header, "labels", number, f"{name} {score:.2f}", (x, y, size[2] + 0.6))
        if row in rings:
            ring = _marker(header, "uncertainty", number, Marker.LINE_STRIP, color, 0.7)
            yield {**ring, "scale": {"x": 0.06}, "points": rings[row]}
        if row in arrows:
            arrow = _marker(header, "velocity", number, Marker.ARROW, color)
            yield {**arrow, "points": arrows[row], "scale": _xyz(0.2, 0.5, 0.8)}


def _uncertainties(surroundings: Surroundings) -> dict[int, np.ndarray]:
    """The two-sigma ellipses on the road of the rows that have one."""
    rows = np.isfinite(surroundings.position_covs).all(axis=(1, 2)).nonzero()[0]
    rings = _points(ellipse(surroundings.positions[rows], surroundings.position_covs[rows], 2.0, 17))
    return dict(zip(rows.tolist(), rings))


def _arrows(surroundings: Surroundings) -> dict[int, np.ndarray]:
    """From the contact points to their positions in one second, of the rows that move."""
    rows = (np.hypot(*surroundings.velocities.T) > MOVING).nonzero()[0]
    positions = surroundings.positions[rows]
    ends = np.stack((positions, positions + surroundings.velocities[rows]), axis=1)
    return dict(zip(rows.tolist(), _points(ends, 0.3)))


def _xyz(x: float, y: float, z: float) -> Fields:
    return {"x": x, "y": y, "z": z}


def _text(header: Fields, namespace: str, number: int, text: str, at: tuple[float, float, float]) -> Fields:
    label = _marker(header, namespace, number, Marker.TEXT_VIEW_FACING, WHITE)
    label["pose"] = {"position": _xyz(*at), "orientation": UPRIGHT}
    return {**label, "scale": {"z": 0.7}, "text": text}


def _lane(line: LaneLine, number: int, header: Fields) -> Fields:
    """A lane line with its real colour and pattern."""
    color = line_color(line.line_type, line.color)
    marker = _marker(header, "lanes", line.lane_id % 2**31 or -1 - number, Marker.LINE_LIST, color)
    pairs = [np.repeat(stroke, 2, axis=0)[1:-1] for stroke in strokes_on_road(line, LINE_WIDTH)]
    return {**marker, "scale": {"x": LINE_WIDTH}, "points": _points(np.concatenate(pairs)) if pairs else ()}


def _road(surroundings: Surroundings, header: Fields) -> Iterator[Fields]:
    """The border of the free road, and a bar where it ends ahead of the car."""
    for number, polygon in enumerate(surroundings.roads):
        border = _marker(header, "road", number, Marker.LINE_STRIP, GREEN, 0.8)
        yield {**border, "scale": {"x": 0.1}, "points": _points(np.concatenate((polygon, polygon[:1])))}
    x = surroundings.free_distance
    if np.isfinite(x):
        bar = _marker(header, "free", 0, Marker.LINE_STRIP, GREEN)
        yield {**bar, "scale": {"x": 0.3}, "points": _points(np.array([(x, 1.5), (x, -1.5)]))}
        yield _text(header, "free", 1, f"free {x:.0f} m", (x, -3.5, 0.4))


def _light(surroundings: Surroundings, header: Fields) -> list[Fields]:
    """The state of the light that governs the own lane, as a sphere and a label above the car."""
    if not surroundings.light:
        return []
    lamp = _marker(header, "light", 0, Marker.SPHERE, LIGHT_COLORS.get(surroundings.light, LIGHT_COLORS["none"]), 1.0)
    lamp["pose"] = {"position": _xyz(*LAMP), "orientation": UPRIGHT}
    lamp["scale"] = _xyz(1.0, 1.0, 1.0)
    return [lamp, _text(header, "light", 1, surroundings.light, (LAMP[0], LAMP[1], LAMP[2] + 1.0))]


def _points(positions: np.ndarray, z: float = 0.02) -> np.ndarray:
    """(..., 2) metres as points (..., 3) at one height."""
    points = np.full((*positions.shape[:-1], 3), z)
    points[..., :2] = positions
    return points


def lane_path(surroundings: Surroundings, stamp: Header, position: int) -> Path:
    """The left (-1) or right (1) line of the own lane as a path in base_link; empty if not detected."""
    path = Path(header=Header(stamp=stamp.stamp, frame_id=surroundings.base_frame))
    own = (line.ground for line in surroundings.lanes if line.position == position and line.ground is not None)
    ground = next(own, None) if surroundings.base_frame else None
    for x, y in ground.points.tolist() if ground is not None else ():
        pose = PoseStamped(header=path.header)
        pose.pose.position, pose.pose.orientation.w = Point(x=x, y=y), 1.0
        path.poses.append(pose)
    return path
