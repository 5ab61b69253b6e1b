"""Objects and lanes as RViz markers and paths. Stable ids and a lifetime: nothing blinks, nothing stays."""

from __future__ import annotations

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, PoseStamped, Vector3
from nav_msgs.msg import Path
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from camera_perception.model_spec import ModelSpec
from camera_perception.types import LaneLine, LineColor, Perception

LIFETIME = Duration(sec=0, nanosec=500_000_000)  # over two periods of a 5 Hz camera

LINE_COLORS = {
    LineColor.WHITE: (1.0, 1.0, 1.0),
    LineColor.YELLOW: (1.0, 0.85, 0.1),
    LineColor.BLUE: (0.2, 0.5, 1.0),
    LineColor.RED: (1.0, 0.25, 0.2),
    LineColor.UNKNOWN: (0.6, 0.6, 0.6),
}

# length, width, height in metres, for drawing only
SIZES = {
    "car": (4.4, 1.8, 1.5), "truck": (8.0, 2.5, 3.2), "bus": (11.0, 2.5, 3.2), "train": (20.0, 3.0, 3.8),
    "pedestrian": (0.5, 0.6, 1.75), "rider": (0.6, 0.6, 1.75),
    "bicycle": (1.7, 0.6, 1.1), "motorcycle": (2.1, 0.8, 1.2),
}  # fmt: skip
OTHER_SIZE = (0.6, 0.6, 1.0)


def markers(perception: Perception, header: Header, spec: ModelSpec) -> MarkerArray:
    """Everything with a place on the road; empty without calibration."""
    metric = Header(stamp=header.stamp, frame_id=perception.base_frame)
    found = [] if not perception.base_frame else [*_objects(perception, metric, spec), *_lanes(perception, metric)]
    return MarkerArray(markers=found)


def _marker(header: Header, namespace: str, number: int, kind: int, color: tuple[float, float, float]) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=Marker.ADD, lifetime=LIFETIME)
    marker.color = ColorRGBA(r=color[0], g=color[1], b=color[2], a=0.85)
    marker.pose.orientation.w = 1.0
    return marker


def _objects(perception: Perception, header: Header, spec: ModelSpec) -> list[Marker]:
    found, objects = [], perception.objects
    for row in range(len(objects)):
        x, y, _ = objects.positions[row].tolist()
        if x != x:  # no place on the road
            continue
        number = int(objects.track_ids[row]) % 2**31 or -1 - row
        name = spec.classes[objects.classes[row]]
        length, width, height = SIZES.get(name, OTHER_SIZE)
        box = _marker(header, "objects", number, Marker.CUBE, (0.0, 0.62, 0.45))
        # The contact point is the side towards us: the body lies behind it.
        box.pose.position = Point(x=x + length / 2, y=y, z=height / 2)
        box.scale = Vector3(x=length, y=width, z=height)
        found += [box, _label(header, number, f"{name} {objects.scores[row]:.2f}", box.pose.position, height)]
    return found


def _label(header: Header, number: int, text: str, at: Point, height: float) -> Marker:
    label = _marker(header, "labels", number, Marker.TEXT_VIEW_FACING, (1.0, 1.0, 1.0))
    label.pose.position = Point(x=at.x, y=at.y, z=height + 0.6)
    label.scale.z = 0.7
    label.text = text
    return label


def _lanes(perception: Perception, header: Header) -> list[Marker]:
    found = []
    for index, lane in enumerate(perception.lanes):
        if lane.ground is None:
            continue
        line = _marker(
            header, "lanes", lane.lane_id % 2**31 or -1 - index, Marker.LINE_STRIP, LINE_COLORS[LineColor(lane.color)]
        )
        line.scale.x = 0.15
        line.points = [Point(x=float(x), y=float(y), z=0.0) for x, y in lane.ground.points]
        found.append(line)
    return [line for line in found if len(line.points) > 1]


def lane_path(perception: Perception, header: Header, position: int) -> Path | None:
    """The own lane's left (-1) or right (1) line as a path in base_link; empty when it is not seen."""
    path = Path(header=Header(stamp=header.stamp, frame_id=perception.base_frame))
    lane = next((lane for lane in perception.lanes if lane.position == position and lane.ground is not None), None)
    if lane is not None and perception.base_frame:
        path.poses = _poses(lane, path.header)
    return path


def _poses(lane: LaneLine, header: Header) -> list[PoseStamped]:
    poses = []
    for x, y in lane.ground.points if lane.ground is not None else ():
        pose = PoseStamped(header=header)
        pose.pose.position = Point(x=float(x), y=float(y), z=0.0)
        pose.pose.orientation.w = 1.0
        poses.append(pose)
    return poses
