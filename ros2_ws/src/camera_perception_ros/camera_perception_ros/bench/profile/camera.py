"""One camera on the node's real path, from the bytes of an image message to those of the published answer."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from time import perf_counter_ns
from typing import Any

from rclpy.node import Node
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from camera_perception.engines.serving.model import Model, ModelRequest
from camera_perception.tools.bench import street, synthetic_inputs
from camera_perception.tools.bench.played_engine import PlayedEngine
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.bench.endpoints.images import camera_info, message
from camera_perception_ros.bench.profile.steps import Costs
from camera_perception_ros.camera.calibration import Calibration
from camera_perception_ros.camera.processor import Answer, FrameProcessor
from camera_perception_ros.conversions.image_bytes import ImageBytes, image_from_bytes
from camera_perception_ros.conversions.messages import time_from_ns
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.settings import Settings
from camera_perception_ros.runtime.worker import Taken

FRAMES = 80  # of the street, which then begins again
P, L = "camera_perception_ros.camera.processor", "camera_perception.pipeline"
STEPS = [
    ("image message", __name__, "read"),
    ("pixels", P, "frame_from_message"),
    ("look-ups", "camera_perception_ros.camera.calibration", "Calibration.at"),
    ("look-ups", "camera_perception.geometry.odometry", "Odometry.between"),
    ("letterbox", L, "Pipeline._fill"),
    ("engine", "camera_perception.tools.bench.played_engine", "PlayedEngine.submit"),
    ("engine", "camera_perception.tools.bench.played_engine", "PlayedEngine.wait"),
    ("image health", "camera_perception.image.health", "HealthMonitor.update"),
    ("decode", L, "decode_all"),
    ("pose check", L, "Pipeline._metric_camera"),
    ("locate", L, "locate_objects"),
    ("lanes", L, "ground_lines"),
    ("lanes", "camera_perception.lanes.tracker", "LaneTracker.update"),
    ("lanes", L, "ego_lane"),
    ("road", L, "Pipeline._road"),
    ("road", L, "locate_road"),
    ("track", "camera_perception.objects.tracker.tracker", "ObjectTracker.update"),
    ("sides and lights", L, "near_sides"),
    ("sides and lights", L, "light_relevances"),
    ("fill", P, "perception_fields"),
    ("serialise", P, "serialize"),
    ("publish", __name__, "publish"),
]
POST = ("decode", "pose check", "locate", "lanes", "road", "track", "sides and lights", "fill", "serialise")


def read(data: bytes) -> ImageBytes | Image:
    """What the callback begins with; before it the middleware copies the bytes."""
    return image_from_bytes(data)


def publish(publisher: Any, data: bytes) -> None:
    publisher.publish(data)


class ProfiledCamera:
    """A frame processor with a played engine; `frame` does the work of one image.

    objects       on the street
    milliseconds  of the engine
    threshold     of objects
    size          (height, width) of the images
    around_ms     received to published of each frame, without the engine
    """

    def __init__(self, node: Node, objects: int, milliseconds: float, threshold: float, size: tuple[int, int]) -> None:
        params = CameraParams(model="street", camera_pose=list(synthetic_inputs.POSE))
        calibration = Calibration(node, params)
        calibration.on_info(camera_info())
        self._processor = FrameProcessor(
            calibration, node.get_clock(), "front", params, Settings({}), node.get_logger()
        )
        spec = street.spec()
        engine: Any = PlayedEngine(spec, list(street.outputs(FRAMES, objects)), milliseconds)
        request = ModelRequest("street")
        self._processor.serve(self._processor.tried(Model(spec, engine, request)))
        assert self._processor.serving is not None
        self._processor.serving.pipeline.tune({"objects": threshold})
        self._publisher = node.create_publisher(PerceptionFrame, "profile/perception", 5)
        images = [message(synthetic_inputs.image(size, number)) for number in range(4)]
        self._images, self._number = cycle(images), 0
        self._engine_ms = milliseconds
        self.around_ms: list[float] = []

    def next_bytes(self) -> bytes:
        """The message of the next image; not part of what is measured."""
        self._number += 1
        image = next(self._images)
        at = self._number * street.PERIOD_NS
        image.header.stamp = time_from_ns(at)
        self._processor.odometry.add(at, 0.4 * self._number, 0.0, 0.0)
        data: bytes = serialize_message(image)
        return data

    def frame(self, data: bytes) -> None:
        started = perf_counter_ns()
        self._processor.process(Taken(read(data), self._number, 0), self._publish)
        self.around_ms.append((perf_counter_ns() - started) / 1e6 - self._engine_ms)

    def _publish(self, answer: Answer) -> None:
        publish(self._publisher, answer.data)

    def run(self, costs: Costs, frames: int) -> None:
        for _ in range(frames):
            data = self.next_bytes()
            costs.frame(partial(self.frame, data))
