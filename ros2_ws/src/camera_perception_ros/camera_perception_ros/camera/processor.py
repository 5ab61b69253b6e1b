"""From an image message to a PerceptionFrame: the work of a camera's worker thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import numpy as np
from rclpy.clock import Clock
from std_msgs.msg import Header

from camera_perception.core.documents.text import shorten
from camera_perception.core.errors import BadImage, ContextLost, EngineError, ModelError, UnknownEncoding
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import EgoMotion, Frame, Perception, Status, Timing
from camera_perception.engines.serving.model import Model
from camera_perception.geometry.odometry import Odometry
from camera_perception.image.reader import ImageReader
from camera_perception.io.cdr import serialize
from camera_perception.io.perception_frame import failed_fields, perception_fields
from camera_perception.io.ros_types import PERCEPTION_FRAME
from camera_perception.objects.range_memory import RangeMemory
from camera_perception.pipeline import Pipeline
from camera_perception.tools.drift.monitor import DriftMonitor, open_monitor
from camera_perception_ros.camera.calibration import Calibration
from camera_perception_ros.camera.diagnostics import Counts
from camera_perception_ros.conversions.clock import age_ms, ahead_problem, ahead_s
from camera_perception_ros.conversions.cv_bridge import fallback
from camera_perception_ros.conversions.messages import frame_from_message, stamp_ns
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.settings import Settings
from camera_perception_ros.runtime.worker import Taken

# Plain numbers: operations of IntFlag take ten times as long.
THERMAL, DROPPING, CPU_FALLBACK = int(Status.THERMAL), int(Status.DROPPING), int(Status.CPU_FALLBACK)
STAMP_AHEAD, STALE_INPUT = int(Status.STAMP_AHEAD), int(Status.STALE_INPUT)
FRAME_TIMEOUT = 20.0  # seconds; reopening an engine takes less, and a lost GPU never returns


@dataclass(frozen=True)
class Answer:
    """The answer to one image.

    data        serialized PerceptionFrame
    header      of the image
    perception  None when the image could not be processed
    spec        of the model that was used; None when there was none
    """

    data: bytes
    header: Header
    perception: Perception | None
    spec: ModelSpec | None


@dataclass(frozen=True)
class Serving:
    """The model in use; replaced as a whole, between two frames.

    drift     None without a profile
    fallback  the model stands in until a better one is ready
    reopened  the engine has failed and was opened again; a second failure is final
    """

    model: Model
    pipeline: Pipeline
    drift: DriftMonitor | None
    fallback: bool
    reopened: bool = False


class FrameProcessor:
    """One camera's pipeline with its engine; every image gets exactly one PerceptionFrame
    until the engine has failed for good.

    An engine that fails is reopened once; a second failure is final, and the node has to stop. Without a model images
    are answered with ENGINE_ERROR.

    serving   None until the first `serve`
    failure   why the engine is lost for good; empty while it works
    fatal     the failure is one that only a new process can mend
    refitted  called with the model in use after its input size has changed, from the worker's thread
    ranges    depth images and lidar clouds; None without both sensors
    odometry  poses of the car, for its motion between two images
    """

    def __init__(
        self,
        calibration: Calibration,
        clock: Clock,
        camera_name: str,
        params: CameraParams,
        settings: Settings,
        log: Any,
    ) -> None:
        self._calibration, self._clock, self._log = calibration, clock, log
        self._name, self._params, self._settings = camera_name, params, settings
        self.serving: Serving | None = None
        self.failure, self.fatal = "", False
        self.refitted: Callable[[Model], None] = lambda model: None
        self.counts = Counts()
        self._reader = ImageReader(params.turn, params.range16, fallback(), log.warning)
        self._ignored = params.ignored_region
        self.odometry = Odometry()
        self.ranges: RangeMemory | None = None
        if params.depth_topic or params.lidar_topic:
            self.ranges = RangeMemory(params.depth_topic, params.lidar_topic, calibration.base_from, params.turn)
        self._closed = self._hot = False
        self._turn = threading.Lock()  # held for a frame: models change between two of them
        self._swap = threading.Lock()  # held for a moment: no model comes while the processor is closed
        self._busy_since: float | None = None
        self._last_ns: int | None = None
        self._motion: EgoMotion | None = None

    def tune(self, params: CameraParams) -> None:
        """Use changed thresholds and limits from the next image on."""
        self._params = params
        if self.serving is not None:
            self._tune(self.serving.pipeline)

    def _tune(self, pipeline: Pipeline) -> None:
        pipeline.tune(self._params.thresholds)
        pipeline.flag_identical_images(self._params.identical_images == "flag")

    def report_heat(self, hot: bool) -> None:
        """Flag the following frames with THERMAL, or no longer."""
        self._hot = hot

    # Models

    def tried(self, model: Model, fallback: bool = False) -> Serving:
        """A model that has passed a grey image through all steps, ready to `serve`. From any thread.

        EngineError or ModelError when it fails; it is closed then.
        fallback  the model only stands in until a better one is ready
        """
        try:
            pipeline = tested_pipeline(model, self._params.base_frame, self._settings)
            pipeline.ignored = self._ignored
            return Serving(model, pipeline, self._drift_monitor(model), fallback)
        except BaseException:
            model.close()
            raise

    def serve(
        self,
        serving: Serving,
        unwanted: Callable[[], bool] = lambda: False,
        accepted: Callable[[], None] = lambda: None,
    ) -> bool:
        """Use a model from the next image on and close the previous one. From any thread.

        False, and the new one is closed, when the node was cleaned up in the meantime or the model is unwanted by now.
        EngineError, and the new one is closed, while the engine in use is stuck.
        unwanted, accepted  asked and told between two images, in one step with the change
        """
        try:
            self._take_turn()
        except EngineError:
            serving.model.close()
            raise
        try:
            with self._swap:
                used = not self._closed and not unwanted()
                unused = self._replace(serving) if used else serving
                if used:
                    accepted()
        finally:
            self._turn.release()
        if unused is not None:
            unused.model.close()
        return used

    def _replace(self, serving: Serving) -> Serving | None:
        """What was in use before."""
        previous = self.serving
        if previous is not None:
            serving.pipeline.continue_from(previous.pipeline)
        self._tune(serving.pipeline)
        self.serving, self.failure = serving, ""
        return previous

    def _drift_monitor(self, model: Model) -> DriftMonitor | None:
        """None, and a warning, when the profile does not fit: it must not keep the camera from working."""
        try:
            return open_monitor(model.spec, self._params.profile)
        except ModelError as error:
            self._log.warning(f"drift monitoring is off: {error}")
            return None

    def _take_turn(self) -> None:
        if not self._turn.acquire(timeout=FRAME_TIMEOUT):
            raise EngineError("the engine in use is stuck: deactivate, clean up and configure the node again")

    def check_engine(self) -> str:
        """Return `failure`, after setting it if the frame at hand takes longer than FRAME_TIMEOUT."""
        since = self._busy_since
        if since is not None and time.monotonic() - since > FRAME_TIMEOUT:
            self.failure = "the engine is stuck: check dmesg, then restart the node"
        return self.failure

    def close(self) -> None:
        """Close the engine; a model that arrives later is closed at once."""
        with self._swap:
            self._closed, serving = True, self.serving
        if serving is not None and not serving.model.close():
            self._log.error("the engine could not be closed; abandoning it until the process ends")

    # Frames

    def process(self, taken: Taken[Any], publish: Callable[[Answer], None]) -> None:
        """Process one image message and publish the answer."""
        if self.failure:
            return
        with self._turn:
            self._process(taken, publish)

    def _process(self, taken: Taken[Any], publish: Callable[[Answer], None]) -> None:
        header = taken.item.header
        stamp = stamp_ns(header.stamp)
        flags = self._flags_of_arrival(taken, stamp)
        perception: Perception | None = None
        try:
            perception = self._perceive(taken.item, flags)
        except Exception as error:  # of any kind: this image gets its answer, and the next one its turn
            flags |= int(self._explain(error))
        serving = self.serving
        fields = self._fields(taken, flags, perception, serving)
        fields["age_ms"] = age_ms(self._clock.now().nanoseconds, stamp)
        publish(
            Answer(serialize(PERCEPTION_FRAME, fields), header, perception, serving.model.spec if serving else None)
        )
        self._count(fields)
        if serving is not None and serving.drift is not None and perception is not None:
            serving.drift.update(perception, serving.pipeline.thresholds)

    def _perceive(self, message: Any, flags: int) -> Perception:
        started = time.perf_counter_ns()
        frame = frame_from_message(message, self._params.max_megapixels * 1_000_000, self._reader)
        decode_ms = (time.perf_counter_ns() - started) / 1e6
        serving = self.serving
        if serving is None:
            raise EngineError("no engine yet: see /diagnostics for the progress of the build")
        serving.pipeline.camera, calibration_flags = self._calibration.at(frame.stamp_ns, frame.frame_id)
        self._motion = None if self._last_ns is None else self.odometry.between(self._last_ns, frame.stamp_ns)
        self._last_ns = frame.stamp_ns
        size = serving.model.engine.spec.input.size
        self._busy_since = time.monotonic()  # from here on: decoding, however long, says nothing about the engine
        try:
            perception = self._run(serving, frame)
        finally:
            self._busy_since = None
        if self.serving is not None and self.serving.model.engine.spec.input.size != size:
            self.refitted(self.serving.model)
        spent = perception.timing
        timing = Timing(decode_ms, spent.preprocess_ms, spent.inference_ms, spent.postprocess_ms)
        return published(perception, flags | perception.status_flags | int(calibration_flags), timing)

    def _run(self, serving: Serving, frame: Frame) -> Perception:
        """Run the pipeline, once more with a reopened engine if that fails; a second failure is final."""
        ranges = self.ranges.near if self.ranges is not None else None
        try:
            return serving.pipeline.run(frame, self._motion, ranges)
        except EngineError as error:
            if serving.reopened or isinstance(error, ContextLost):
                self._give_up(error)
                raise
            self._log.error(f"the engine failed; reopening it: {error}")
        self.serving = serving = replace(serving, reopened=True)
        try:
            self.serving = serving = self._reopened(serving)
            return serving.pipeline.run(frame, self._motion, ranges)
        except EngineError as error:
            self._give_up(error)
            raise

    def _reopened(self, serving: Serving) -> Serving:
        model = serving.model.reopened()
        with self._swap:
            if not self._closed:
                serving.pipeline.engine = model.engine
                return replace(serving, model=model)
        model.close()
        raise EngineError("the camera was cleaned up while its engine was reopened: configure it again")

    def _give_up(self, error: EngineError) -> None:
        self.failure, self.fatal = str(error), isinstance(error, ContextLost)

    def _fields(
        self, taken: Taken[Any], flags: int, perception: Perception | None, serving: Serving | None
    ) -> dict[str, Any]:
        """The content of the PerceptionFrame."""
        header = taken.item.header
        common: dict[str, Any] = {
            "camera_name": self._name,
            "frame_seq": taken.seq,
            "frames_dropped": taken.replaced,
        }
        if perception is None or serving is None:
            self.counts.failed += 1
            return failed_fields(stamp_ns(header.stamp), header.frame_id, flags, **common)
        return perception_fields(
            perception,
            serving.model.spec,
            engine_id=serving.model.engine.info.engine_id,
            velocity_over_ground=self._motion is not None,
            packed=True,
            **common,
        )

    def _flags_of_arrival(self, taken: Taken[Any], stamp: int) -> int:
        flags = 0
        if self._hot:
            flags |= THERMAL
        if taken.replaced:
            flags |= DROPPING
        if self.serving is not None and self.serving.fallback:
            flags |= CPU_FALLBACK
        max_age = self._params.max_input_age
        now_ns = self._clock.now().nanoseconds
        if ahead := ahead_s(now_ns, stamp):
            flags |= STAMP_AHEAD
            self.counts.clock_problem = ahead_problem(ahead, now_ns)
        late = max_age and now_ns - stamp > 1e9 * max_age
        return flags | STALE_INPUT if late else flags

    def _explain(self, error: Exception) -> Status:
        if isinstance(error, BadImage):
            self._log.warning(str(error), throttle_duration_sec=5.0)
            return Status.WRONG_ENCODING if isinstance(error, UnknownEncoding) else Status.BAD_IMAGE
        text = str(error) if isinstance(error, EngineError) else f"an image could not be processed: {error!r}"
        self._log.error(shorten(text), throttle_duration_sec=5.0)
        return Status.ENGINE_ERROR

    def _count(self, fields: dict[str, Any]) -> None:
        self.counts.processed += 1
        self.counts.flags |= fields["status_flags"]
        if not isnan(fields["age_ms"]):
            self.counts.ages_ms.append(fields["age_ms"])
        if not isnan(fields["inference_ms"]):
            self.counts.inference_ms.append(fields["inference_ms"])


def published(p: Perception, flags: int, timing: Timing) -> Perception:
    """The same with these status flags and times; several times faster than dataclasses.replace."""
    return Perception(
        p.frame, p.tasks, p.objects, p.lanes, p.road, p.drivable, p.semantic, p.scene, flags, p.base_frame, timing,
        p.ego_lane, p.velocity_over_ground,
    )  # fmt: skip


def tested_pipeline(model: Model, base_frame: str, settings: Settings) -> Pipeline:
    """A pipeline for a model that has passed a grey image through all steps up to the bytes to publish."""
    grey = np.full((*model.spec.input.size, 3), 128, np.uint8)
    configs = settings.of(model.spec)
    perception = Pipeline(model.spec, model.engine, base_frame=base_frame, **configs).run(Frame(grey, 0))
    serialize(PERCEPTION_FRAME, perception_fields(perception, model.spec, packed=True))
    return Pipeline(model.spec, model.engine, base_frame=base_frame, **configs)
