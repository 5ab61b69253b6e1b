"""The model of a camera node: opened at configure, built in the background, replaced by service, published as info."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from camera_perception.core.errors import EngineBusy, EngineError, EngineMissing, ModelError, PerceptionError
from camera_perception.engines.build.background import BackgroundBuild, BuildState
from camera_perception.engines.build.build import build_best, build_engine, chosen_variants
from camera_perception.engines.serving.model import Model, ModelRequest
from camera_perception.engines.serving.trusted import load_trusted
from camera_perception_msgs.msg import ModelInfo
from camera_perception_ros.camera.models.model_info import model_info
from camera_perception_ros.camera.processor import FrameProcessor, Serving
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.runtime.background import Stoppable, TooLate, in_background
from camera_perception_ros.runtime.process import Stop, Stopped

BUSY_RETRY = 0.5  # seconds between two attempts while another process builds the same engine
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

OpenModel = Callable[[ModelRequest], Model]


def built_model(request: ModelRequest, open_model: OpenModel, progress: Callable[[str, float], bool]) -> Model:
    """Build the missing engine of a request, then open it. Cameras that want the same engine wait for the first one."""
    package, _, precision = request.backend.partition(":")
    tried = chosen_variants(load_trusted(request.folder, request.trusted_keys), precision or "auto")
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
    describe    called with the ModelInfo of every model that is used
    """

    def __init__(
        self,
        node: LifecycleNode,
        params: CameraParams,
        processor: FrameProcessor,
        open_model: OpenModel,
        name: str,
        describe: Callable[[ModelInfo], None] = lambda info: None,
    ) -> None:
        self._node, self._params, self._processor, self._open_model = node, params, processor, open_model
        self._name, self._closing, self._describe = name, Stop(), describe
        self._build: BackgroundBuild | None = None
        self._info = node.create_publisher(ModelInfo, "~/model_info", LATCHED)
        processor.refitted = self._announce

    @property
    def build(self) -> BuildState | None:
        """Progress or outcome of the background build; None without one."""
        return self._build.state if self._build is not None else None

    def open(self, stop: Stop | None) -> None:
        """Open the model of the parameters; PerceptionError says why that failed, Stopped ends the process."""
        request = self._params.model_request
        try:
            self._serve(self._opened(request, stop))
        except EngineMissing as error:
            if self._params.build_engine != "background":
                raise
            self._node.get_logger().warning(f"{error}. Building it now, in the background")
            if backend := self._params.fallback_engine:
                fallback = ModelRequest(request.folder, backend, request.threads, fit=request.fit)
                self._serve(self._opened(fallback, stop, fallback=True))
            self._start_build(request)

    def change(self, folder: str) -> tuple[bool, str]:
        """Success, and what was loaded or why the current model stays. In a thread: it takes as long as the loading.

        A background build goes on until the new model is in use, and is cancelled then.
        """
        try:
            serving = self._opened(replace(self._params.model_request, folder=folder), self._closing)
            used = self._serve(serving, accepted=self._cancel_build)
        except Stopped:
            used = False
        except PerceptionError as error:
            return False, f"keeping the current model: {error}"
        except Exception as error:
            return False, f"keeping the current model: loading failed ({error!r}); check the folder"
        if not used:
            return False, "the node was cleaned up while the model was loaded: configure it, then load the model again"
        return True, f"{serving.model.spec.name} {serving.model.spec.version} on {serving.model.name}"

    def _opened(self, request: ModelRequest, stop: Stoppable | None, fallback: bool = False) -> Serving:
        """The model of a request, tried on a grey image; abandoned after load_timeout seconds, or when stopped."""
        return self._abandonable(
            lambda: self._processor.tried(self._open_model(request), fallback), stop, request.folder
        )

    def _abandonable(self, work: Callable[[], Serving], stop: Stoppable | None, folder: str) -> Serving:
        try:
            return in_background(work, stop, self._params.load_timeout, lambda late: late.model.close())
        except TooLate as error:
            raise ModelError(
                f"{folder} does not open: {error}; check its model.onnx, or raise the parameter load_timeout"
            ) from error

    def _start_build(self, request: ModelRequest) -> None:
        def finished(model: Model, cancelled: Callable[[], bool]) -> None:
            serving = self._abandonable(lambda: self._processor.tried(model), self._closing, request.folder)
            if self._serve(serving, unwanted=cancelled):
                self._node.get_logger().info(f"engine built and in use: {model.name}")

        self._build = BackgroundBuild(lambda progress: built_model(request, self._open_model, progress), finished)

    def _cancel_build(self) -> None:
        build, self._build = self._build, None
        if build is not None:
            build.cancel()

    def _serve(
        self,
        serving: Serving,
        unwanted: Callable[[], bool] = lambda: False,
        accepted: Callable[[], None] = lambda: None,
    ) -> bool:
        """Use a model and publish its info, both in one step; False when it was closed instead."""

        def announce() -> None:
            accepted()
            self._announce(serving.model)

        return self._processor.serve(serving, unwanted, announce)

    def _announce(self, model: Model) -> None:
        info = model_info(model, self._name, self._node.get_clock().now().to_msg())
        self._info.publish(info)
        self._describe(info)

    def close(self) -> None:
        """Answer who waits for a model, cancel the build, and close the engine."""
        self._closing.request()
        if self._build is not None:
            self._build.cancel()
        self._processor.close()
        self._node.destroy_publisher(self._info)
