"""Boxes, labels and lane lines as Foxglove image annotations; imported only where foxglove_msgs is installed."""

from __future__ import annotations

from foxglove_msgs.msg import Color, ImageAnnotations, Point2, PointsAnnotation, TextAnnotation
from std_msgs.msg import Header

from camera_perception.model_spec import ModelSpec
from camera_perception.types import Perception
from camera_perception_ros.markers import LINE_COLORS
from camera_perception_ros.outputs import Output

GREEN = Color(r=0.0, g=0.62, b=0.45, a=1.0)


def image_annotations(perception: Perception, header: Header, spec: ModelSpec) -> ImageAnnotations:
    """What the overlay shows, as vectors on the original image."""
    objects = perception.objects
    boxes = [_box(box.tolist(), header) for box in objects.boxes]
    names = [f"{spec.classes[kind]} {score:.2f}" for kind, score in zip(objects.classes, objects.scores)]
    texts = [_text(name, box.tolist(), header) for name, box in zip(names, objects.boxes)]
    lines = [_line(lane.points.tolist(), LINE_COLORS[lane.color], header) for lane in perception.lanes]
    return ImageAnnotations(points=boxes + lines, texts=texts)


def _box(box: list[float], header: Header) -> PointsAnnotation:
    x0, y0, x1, y1 = box
    corners = [Point2(x=x, y=y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    return PointsAnnotation(
        timestamp=header.stamp, type=PointsAnnotation.LINE_LOOP, points=corners, outline_color=GREEN, thickness=2.0
    )


def _text(text: str, box: list[float], header: Header) -> TextAnnotation:
    return TextAnnotation(
        timestamp=header.stamp, position=Point2(x=box[0], y=box[1]), text=text, font_size=14.0, text_color=GREEN
    )


def _line(points: list[list[float]], color: tuple[float, float, float], header: Header) -> PointsAnnotation:
    return PointsAnnotation(
        timestamp=header.stamp,
        type=PointsAnnotation.LINE_STRIP,
        points=[Point2(x=u, y=v) for u, v in points],
        outline_color=Color(r=color[0], g=color[1], b=color[2], a=1.0),
        thickness=3.0,
    )


OUTPUTS = [Output("~/annotations", ImageAnnotations, image_annotations)]
