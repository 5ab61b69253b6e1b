"""A camera node in this process, with a publisher of images and a listener, on real topics."""

from __future__ import annotations

from typing import Any

from driving import RELIABLE, Listener, image_message, parameters
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.camera.calibration import Calibration
from camera_perception_ros.camera.processor import FrameProcessor
from camera_perception_ros.nodes.camera_node import CameraNode


class CameraHarness:
    """A camera node, and a node outside that sends images and receives answers."""

    def __init__(self, context: Any, executor: Any, spin_until: Any, **overrides: Any) -> None:
        options = {"context": context, "use_global_arguments": False}
        given = parameters(**{"model_root": "/", **overrides})  # tests load models from folders of their own
        self.node = CameraNode(namespace="/front", parameter_overrides=given, **options)
        self.outside = Node("outside", **options)
        for node in (self.node, self.outside):
            executor.add_node(node)
        self.spin_until = spin_until
        self.raw = self.outside.create_publisher(Image, "/front/image_raw", RELIABLE)
        self.infos = self.outside.create_publisher(CameraInfo, "/front/camera_info", RELIABLE)
        self.perception = Listener(self.outside, PerceptionFrame, "/front/camera/perception")

    def activate(self) -> None:
        self.node.start()
        assert self.state == "active"
        self.spin_until(
            lambda: self.raw.get_subscription_count() and self.infos.get_subscription_count(), what="subscribing"
        )
        self.spin_until(lambda: self.node.configured.publisher.get_subscription_count(), what="a listener")

    @property
    def state(self) -> str:
        return self.node.lifecycle_state

    @property
    def processor(self) -> FrameProcessor:
        return self.node.configured.processor

    @property
    def calibration(self) -> Calibration:
        return self.node.configured.calibration

    def send(self, *messages: Image) -> None:
        for message in messages:
            self.raw.publish(message)

    def answers(self, count: int) -> list[PerceptionFrame]:
        self.spin_until(lambda: len(self.perception.messages) >= count, what=f"{count} answers")
        return self.perception.messages

    def answer_to(self, number: int) -> PerceptionFrame:
        """The answer to one image, also when earlier images are still being processed."""
        image, before = image_message(number), len(self.perception.messages)
        self.send(image)

        def answers() -> list[PerceptionFrame]:
            return [frame for frame in self.perception.messages[before:] if frame.header == image.header]

        self.spin_until(answers, what="an answer")
        return answers()[0]
