"""RViz markers of objects, lanes, free road and traffic light, and the lines of the own lane as paths.

Markers have stable ids and a lifetime: they neither flicker nor stay behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, PoseStamped, Vector3
from nav_msgs.msg import Path
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from camera_perception.core.types import LaneLine
from camera_perception.draw.colors import GREEN, LIGHT_COLORS, Color, class_color, line_color
from camera_perception.draw.lanes import strokes_on_road
from camera_perception.draw.scene import Surroundings
from camera_perception.objects.footprint import CAR, MOVING, SIZES, center_from_contact, ellipse, heading_of

LIFETIME = Duration(sec=0, nanosec=500_000_000)  # over two periods of a 5 Hz camera
LINE_WIDTH = 0.2  # metres, wider than the 0.12 m of real paint, to be visible
LAMP = (0.0, 0.0, 3.0)  # metres, of the own lane's light: drawn above the car, its real position is unknown


def markers(surroundings: Surroundings, stamp: Header) -> list[Marker]:
    """Markers of everything with a position, at the time of stamp; none without calibration."""
    if not surroundings.base_frame:
        return []
    header = Header(stamp=stamp.stamp, frame_id=surroundings.base_frame)
    objects = [marker for row in range(len(surroundings)) for marker in _object(surroundings, row, header)]
    lanes = [_lane(line, number, header) for number, line in enumerate(surroundings.lanes)]
    others = [*_road(surroundings, header), *_light(surroundings, header)]
    return [*objects, *(lane for lane in lanes if lane.points), *others]


class MarkerUpdates:
    """Deletes markers as soon as they are gone, before their lifetime ends."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], Marker] = {}

    def message(self, found: Sequence[Marker]) -> MarkerArray:
        """The current markers, with deletions of those of the last message that are gone."""
        current = {(marker.ns, marker.id): marker for marker in found}
        gone = [marker for key, marker in self._last.items() if key not in current]
        self._last = current
        deletes = [Marker(header=old.header, ns=old.ns, id=old.id, action=Marker.DELETE) for old in gone]
        return MarkerArray(markers=[*deletes, *found])


def _marker(header: Header, namespace: str, number: int, type_: int, color: Color, opacity: float = 0.85) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=type_, action=Marker.ADD, lifetime=LIFETIME)
    blue, green, red = (value / 255 for value in color)
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=opacity)
    marker.pose.orientation.w = 1.0
    return marker


def _object(surroundings: Surroundings, row: int, header: Header) -> list[Marker]:
    """Body, label, position uncertainty and velocity; pale while coasted."""
    number = int(surroundings.track_ids[row]) % 2**31 or -1 - row
    name, color = surroundings.names[row], class_color(surroundings.names[row])
    size, heading = SIZES.get(name, CAR), heading_of(surroundings.velocities[row])
    x, y = center_from_contact(surroundings.positions[row], size, heading).tolist()
    box = _marker(header, "objects", number, Marker.CUBE, color, 0.3 if surroundings.coasted[row] else 0.85)
    box.pose.position = Point(x=x, y=y, z=size[2] / 2)
    box.pose.orientation.z, box.pose.orientation.w = math.sin(heading / 2), math.cos(heading / 2)
    box.scale = Vector3(x=size[0], y=size[1], z=size[2])
    label = _text(header, "labels", number, f"{name} {surroundings.scores[row]:.2f}", (x, y, size[2] + 0.6))
    return [
        box,
        label,
        *_uncertainty(surroundings, row, header, number, color),
        *_arrow(surroundings, row, header, number, color),
    ]


def _uncertainty(surroundings: Surroundings, row: int, header: Header, number: int, color: Color) -> list[Marker]:
    """The two-sigma ellipse on the road."""
    if not np.isfinite(surroundings.position_covs[row]).all():
        return []
    ring = _marker(header, "uncertainty", number, Marker.LINE_STRIP, color, 0.7)
    ring.scale.x = 0.06
    ring.points = _points(ellipse(surroundings.positions[row], surroundings.position_covs[row], 2.0, 17))
    return [ring]


def _arrow(surroundings: Surroundings, row: int, header: Header, number: int, color: Color) -> list[Marker]:
    """An arrow from the contact point to its position in one second."""
    position, velocity = surroundings.positions[row], surroundings.velocities[row]
    if not np.hypot(*velocity) > MOVING:
        return []
    arrow = _marker(header, "velocity", number, Marker.ARROW, color)
    arrow.points = _points(np.array([position, position + velocity]), 0.3)
    arrow.scale = Vector3(x=0.2, y=0.5, z=0.8)
    return [arrow]


def _text(header: Header, namespace: str, number: int, text: str, at: tuple[float, float, float]) -> Marker:
    label = _marker(header, namespace, number, Marker.TEXT_VIEW_FACING, (255, 255, 255))
    label.pose.position = Point(x=at[0], y=at[1], z=at[2])
    label.scale.z = 0.7
    label.text = text
    return label


def _lane(line: LaneLine, number: int, header: Header) -> Marker:
    """A lane line with its real colour and pattern."""
    color = line_color(line.line_type, line.color)
    marker = _marker(header, "lanes", line.lane_id % 2**31 or -1 - number, Marker.LINE_LIST, color)
    marker.scale.x = LINE_WIDTH
    for stroke in strokes_on_road(line, LINE_WIDTH):
        points = _points(stroke)
        marker.points += [end for pair in zip(points, points[1:]) for end in pair]
    return marker


def _road(surroundings: Surroundings, header: Header) -> list[Marker]:
    """The border of the free road, and a bar where it ends ahead of the car."""
    borders = []
    for number, polygon in enumerate(surroundings.roads):
        border = _marker(header, "road", number, Marker.LINE_STRIP, GREEN, 0.8)
        border.scale.x = 0.1
        border.points = _points(np.concatenate((polygon, polygon[:1])))
        borders.append(border)
    if not np.isfinite(surroundings.free_distance):
        return borders
    bar = _marker(header, "free", 0, Marker.LINE_STRIP, GREEN)
    bar.scale.x = 0.3
    bar.points = _points(np.array([(surroundings.free_distance, 1.5), (surroundings.free_distance, -1.5)]))
    label = _text(
        header, "free", 1, f"free {surroundings.free_distance:.0f} m", (surroundings.free_distance, -3.5, 0.4)
    )
    return [*borders, bar, label]


def _light(surroundings: Surroundings, header: Header) -> list[Marker]:
    """The state of the light that governs the own lane, as a sphere and a label above the car."""
    if not surroundings.light:
        return []
    lamp = _marker(header, "light", 0, Marker.SPHERE, LIGHT_COLORS.get(surroundings.light, LIGHT_COLORS["none"]), 1.0)
    lamp.pose.position = Point(x=LAMP[0], y=LAMP[1], z=LAMP[2])
    lamp.scale = Vector3(x=1.0, y=1.0, z=1.0)
    return [lamp, _text(header, "light", 1, surroundings.light, (LAMP[0], LAMP[1], LAMP[2] + 1.0))]


def _points(positions: np.ndarray, z: float = 0.02) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y in np.asarray(positions, float).tolist()]


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
