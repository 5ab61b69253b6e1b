"""The service ~/load_model of a camera node. It exists in every state of the node, and every caller gets an answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy

from camera_perception.core.documents.text import shorten
from camera_perception_msgs.srv import LoadModel
from camera_perception_ros.camera.models.model_server import ModelServer
from camera_perception_ros.params.model_access import without_paths
from camera_perception_ros.runtime.background import when_done

# The default keeps ten requests: the others of a burst would be lost without an answer.
MANY_CALLERS = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
LAST_ANSWER = 1.0  # seconds that the end of the process waits for the answer to a running load


class LoadModelService:
    """Loads one model at a time; whoever asks meanwhile is refused at once.

    models  returns the node's models; None while it is not configured
    keep    called with the folder of a model that was loaded, for the next configure
    """

    def __init__(
        self, node: LifecycleNode, models: Callable[[], ModelServer | None], keep: Callable[[str], None]
    ) -> None:
        self._node, self._models, self._keep = node, models, keep
        self._loading = ""
        # A callback group of its own: images are received, and other callers refused, while a model is loaded.
        node.create_service(
            LoadModel,
            "~/load_model",
            self._on_load,
            qos_profile=MANY_CALLERS,
            callback_group=ReentrantCallbackGroup(),
        )

    async def _on_load(self, request: Any, response: Any) -> Any:
        models = self._models()
        if models is None:
            response.message = "no model can be loaded before the node is configured: configure it, then call again"
        elif self._loading:
            response.message = (
                f"keeping the current model: {self._loading} is still being loaded; call again afterwards"
            )
        else:
            await self._load(models, request.path, response)
        response.message = shorten(without_paths(response.message, request.path))
        return response

    async def _load(self, models: ModelServer, path: str, response: Any) -> None:
        self._loading = path
        try:
            response.success, message = await when_done(lambda: models.change(path))
        finally:
            self._loading = ""
        if response.success:
            self._keep(path)
        response.message = message
        if response.success:  # two lines: rclpy wants one severity for each place in the code
            self._node.get_logger().info(f"load_model: {shorten(message)}")
        else:
            self._node.get_logger().error(f"load_model: {shorten(message)}")

    def finish(self) -> None:
        """Send the answer to a load that the end of the process has cut short. Not in a callback."""
        deadline, executor = time.monotonic() + LAST_ANSWER, self._node.executor
        while self._loading and executor is not None and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.05)
