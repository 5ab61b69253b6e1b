"""The model of a camera node: opened, built behind its back, changed by service, and told to whoever asks.

A TensorRT engine built while the node runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future

from camera_perception.core.errors import EngineBusy, EngineError, EngineMissing, PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines.build.background import BackgroundBuild, BuildState
from camera_perception.engines.build.build import build_engine, chosen_variant
from camera_perception.engines.serving.model import Model, ModelRequest
from camera_perception_msgs.msg import ModelInfo
from camera_perception_msgs.srv import LoadModel
from camera_perception_ros.camera.model_info import model_info
from camera_perception_ros.camera.processor import Perceiver
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.runtime.process import Stop, in_background, when_done

LOOK = 0.5  # seconds between two tries where somebody else is building


def built_model(
    choice: ModelRequest, open_model: Callable[[ModelRequest], Model], progress: Callable[[str, float], bool]
) -> Model:
    """Build the engine that a choice lacks, then open it. Cameras that want the same engine wait for the first one."""
    spec = chosen_variant(load_spec(choice.folder), choice.backend.partition(":")[2] or "auto")
    while True:
        try:
            build_engine(spec, progress=progress)
            break
        except EngineBusy:
            if not progress("another process builds it", 0.0):
                raise EngineError("the build was cancelled; nothing was changed") from None
            time.sleep(LOOK)
    return open_model(replace(choice, backend=f"tensorrt:{spec.precision}"))


LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class ModelServer:
    """Gives a perceiver its models, from configure to cleanup.

    open_model  makes a Model of a ModelChoice
    name        of the camera in messages
    """

    def __init__(self, node: LifecycleNode, params: CameraParams, perceiver: Perceiver, open_model: Any, name: str):
        self._node, self._params, self._perceiver, self._open_model = node, params, perceiver, open_model
        self._name = name
        self._build: BackgroundBuild | None = None
        self._info = node.create_publisher(ModelInfo, "~/model_info", LATCHED)
        # A group of its own: images are taken in while a model is loaded.
        self._service = node.create_service(
            LoadModel, "~/load_model", self._on_load, callback_group=MutuallyExclusiveCallbackGroup()
        )

    @property
    def build(self) -> BuildState | None:
        """How far the engine is that is being built, or how that ended; None when none was to be built."""
        return self._build.state if self._build is not None else None

    def open(self, stop: Stop | None) -> None:
        """The model of the parameters; PerceptionError says why there is none, Stopped that nobody wants it."""
        choice = self._params.choice
        try:
            self._serve(in_background(lambda: self._open_model(choice), stop))
        except EngineMissing as error:
            if self._params.build_engine != "background":
                raise
            self._node.get_logger().warning(f"{error}. It is built now, in the background")
            if backend := self._params.engine_meanwhile:
                stand_in = ModelRequest(choice.folder, backend, choice.threads)
                self._serve(in_background(lambda: self._open_model(stand_in), stop), meanwhile=True)
            self._begin(choice)

    def _begin(self, choice: ModelRequest) -> None:
        def finished(model: Model) -> None:
            self._serve(model)
            self._node.get_logger().info(f"built and in use: {model.name}")

        self._build = BackgroundBuild(lambda progress: built_model(choice, self._open_model, progress), finished)

    def _serve(self, model: Model, meanwhile: bool = False) -> None:
        self._perceiver.serve(model, meanwhile)
        self._info.publish(model_info(model, self._name, self._node.get_clock().now().to_msg()))

    async def _on_load(self, request: Any, response: Any) -> Any:
        choice = replace(self._params.choice, folder=request.path)
        done: Future = when_done(lambda: self._change(choice))
        response.success, response.message = await done
        if response.success:  # two lines: rclpy wants one severity for each place in the code
            self._node.get_logger().info(f"load_model: {response.message}")
        else:
            self._node.get_logger().error(f"load_model: {response.message}")
        return response

    def _change(self, choice: ModelRequest) -> tuple[bool, str]:
        """In a thread: success, and what was loaded or why the present model goes on."""
        try:
            model = self._open_model(choice)
            if self._build is not None:
                self._build.cancel()
            self._serve(model)
        except PerceptionError as error:
            return False, f"the present model goes on: {error}"
        except Exception as error:
            return False, f"the present model goes on: loading broke off ({error!r}); check the folder"
        return True, f"{model.spec.name} {model.spec.version} on {model.name}"

    def close(self) -> None:
        if self._build is not None:
            self._build.cancel()
        self._perceiver.close()
        self._node.destroy_service(self._service)
        self._node.destroy_publisher(self._info)
