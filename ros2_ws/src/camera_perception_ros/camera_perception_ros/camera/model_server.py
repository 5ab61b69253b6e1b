"""The model of a camera node: opened at configure, built in the background, replaced by service, published as info."""

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
from camera_perception.engines.build.build import build_best, build_engine, chosen_variants
from camera_perception.engines.serving.model import Model, ModelRequest
from camera_perception_msgs.msg import ModelInfo
from camera_perception_msgs.srv import LoadModel
from camera_perception_ros.camera.model_info import model_info
from camera_perception_ros.camera.processor import FrameProcessor
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.runtime.process import Stop, in_background, when_done

BUSY_RETRY = 0.5  # seconds between two attempts while another process builds the same engine
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

OpenModel = Callable[[ModelRequest], Model]


def built_model(request: ModelRequest, open_model: OpenModel, progress: Callable[[str, float], bool]) -> Model:
    """Build the missing engine of a request, then open it. Cameras that want the same engine wait for the first one."""
    package, _, precision = request.backend.partition(":")
    tried = chosen_variants(load_spec(request.folder), precision or "auto")
    while True:
        try:
            built = build_best(tried, lambda spec: build_engine(spec, progress=progress, package=package))
            break
        except EngineBusy:
            if not progress("another process is building it", 0.0):
                raise EngineError("the build was cancelled; nothing was changed") from None
            time.sleep(BUSY_RETRY)
    return open_model(replace(request, backend=f"{package}:{built.manifest.key.precision}"))


class ModelServer:
    """Gives a processor its models, from configure to cleanup.

    open_model  makes a Model of a ModelRequest
    name        of the camera in messages
    keep        called with the folder of a model that a service has changed to, for the next configure
    describe    called with the ModelInfo of every model that is used
    """

    def __init__(
        self,
        node: LifecycleNode,
        params: CameraParams,
        processor: FrameProcessor,
        open_model: OpenModel,
        name: str,
        keep: Callable[[str], None],
        describe: Callable[[ModelInfo], None] = lambda info: None,
    ) -> None:
        self._node, self._params, self._processor, self._open_model = node, params, processor, open_model
        self._name, self._keep, self._describe = name, keep, describe
        self._build: BackgroundBuild | None = None
        self._info = node.create_publisher(ModelInfo, "~/model_info", LATCHED)
        # A callback group of its own: images are received while a model is loaded.
        self._service = node.create_service(
            LoadModel, "~/load_model", self._on_load, callback_group=MutuallyExclusiveCallbackGroup()
        )

    @property
    def build(self) -> BuildState | None:
        """Progress or outcome of the background build; None without one."""
        return self._build.state if self._build is not None else None

    def open(self, stop: Stop | None) -> None:
        """Open the model of the parameters; PerceptionError says why that failed, Stopped ends the process."""
        request = self._params.model_request
        try:
            self._serve(in_background(lambda: self._open_model(request), stop))
        except EngineMissing as error:
            if self._params.build_engine != "background":
                raise
            self._node.get_logger().warning(f"{error}. Building it now, in the background")
            if backend := self._params.fallback_engine:
                fallback = ModelRequest(request.folder, backend, request.threads)
                self._serve(in_background(lambda: self._open_model(fallback), stop), fallback=True)
            self._start_build(request)

    def _start_build(self, request: ModelRequest) -> None:
        def finished(model: Model) -> None:
            self._serve(model)
            self._node.get_logger().info(f"engine built and in use: {model.name}")

        self._build = BackgroundBuild(lambda progress: built_model(request, self._open_model, progress), finished)

    def _serve(self, model: Model, fallback: bool = False) -> None:
        self._processor.serve(model, fallback)
        info = model_info(model, self._name, self._node.get_clock().now().to_msg())
        self._info.publish(info)
        self._describe(info)

    async def _on_load(self, request: Any, response: Any) -> Any:
        wanted = replace(self._params.model_request, folder=request.path)
        done: Future = when_done(lambda: self._change(wanted))
        response.success, response.message = await done
        if response.success:
            self._keep(request.path)
        if response.success:  # two lines: rclpy wants one severity for each place in the code
            self._node.get_logger().info(f"load_model: {response.message}")
        else:
            self._node.get_logger().error(f"load_model: {response.message}")
        return response

    def _change(self, request: ModelRequest) -> tuple[bool, str]:
        """Success, and what was loaded or why the current model stays. Runs in a thread."""
        try:
            model = self._open_model(request)
            if self._build is not None:
                self._build.cancel()
            self._serve(model)
        except PerceptionError as error:
            return False, f"keeping the current model: {error}"
        except Exception as error:
            return False, f"keeping the current model: loading failed ({error!r}); check the folder"
        return True, f"{model.spec.name} {model.spec.version} on {model.name}"

    def close(self) -> None:
        if self._build is not None:
            self._build.cancel()
        self._processor.close()
        self._node.destroy_service(self._service)
        self._node.destroy_publisher(self._info)
