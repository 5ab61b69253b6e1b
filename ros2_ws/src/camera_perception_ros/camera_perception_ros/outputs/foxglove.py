"""Boxes, labels and lane lines as Foxglove image annotations; imported only where foxglove_msgs is installed."""

from __future__ import annotations

from foxglove_msgs.msg import Color, ImageAnnotations, Point2, PointsAnnotation, TextAnnotation
from std_msgs.msg import Header

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Perception
from camera_perception.draw.colors import Color as Bgr
from camera_perception.draw.colors import class_color, line_color
from camera_perception.draw.scene import class_name
from camera_perception_ros.outputs.publishers import Output


def image_annotations(perception: Perception, header: Header, spec: ModelSpec) -> ImageAnnotations:
    """The content of the overlay, as vectors on the original image."""
    objects = perception.objects
    names = [class_name(spec.classes, int(index)) for index in objects.classes]
    boxes = [_box(box.tolist(), header, class_color(name)) for name, box in zip(names, objects.boxes)]
    texts = [
        _text(f"{name} {score:.2f}", box.tolist(), header, class_color(name))
        for name, score, box in zip(names, objects.scores, objects.boxes)
    ]
    lines = [_line(lane.points.tolist(), line_color(lane.line_type, lane.color), header) for lane in perception.lanes]
    return ImageAnnotations(points=boxes + lines, texts=texts)


def _color(bgr: Bgr) -> Color:
    return Color(r=bgr[2] / 255, g=bgr[1] / 255, b=bgr[0] / 255, a=1.0)


def _box(box: list[float], header: Header, color: Bgr) -> PointsAnnotation:
    x0, y0, x1, y1 = box
    corners = [Point2(x=x, y=y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    return PointsAnnotation(
        timestamp=header.stamp,
        type=PointsAnnotation.LINE_LOOP,
        points=corners,
        outline_color=_color(color),
        thickness=2.0,
    )


def _text(text: str, box: list[float], header: Header, color: Bgr) -> TextAnnotation:
    return TextAnnotation(
        timestamp=header.stamp, position=Point2(x=box[0], y=box[1]), text=text, font_size=14.0, text_color=_color(color)
    )


def _line(points: list[list[float]], color: Bgr, header: Header) -> PointsAnnotation:
    return PointsAnnotation(
        timestamp=header.stamp,
        type=PointsAnnotation.LINE_STRIP,
        points=[Point2(x=u, y=v) for u, v in points],
        outline_color=_color(color),
        thickness=3.0,
    )


OUTPUTS = [Output("~/annotations", ImageAnnotations, image_annotations)]
