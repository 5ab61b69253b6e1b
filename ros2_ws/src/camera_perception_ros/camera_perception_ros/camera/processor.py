"""From an image message to a PerceptionFrame: what the worker thread of a camera does with each image."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from math import isnan
from typing import Any

import numpy as np
from rclpy.clock import Clock
from std_msgs.msg import Header

from camera_perception.core.errors import BadImage, EngineError, ModelError, PerceptionError, UnknownEncoding
from camera_perception.core.types import EgoMotion, Frame, Perception, Status
from camera_perception.engines.serving.loaded import Model
from camera_perception.geometry.odometry import Odometry
from camera_perception.io.message import failed_fields, perception_fields
from camera_perception.objects.range_fusion import RangeSource
from camera_perception.objects.range_memory import RangeMemory
from camera_perception.pipeline import Pipeline
from camera_perception.tools.drift.monitor import DriftMonitor, open_monitor
from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.camera.calibration import Calibration
from camera_perception_ros.camera.diagnostics import Counts
from camera_perception_ros.conversions.cdr import serialized
from camera_perception_ros.conversions.messages import frame_from_message, stamp_ns
from camera_perception_ros.runtime.worker import Taken

# A serialized PerceptionFrame, what it says when the image could be processed, the header of the image.
Publish = Callable[[bytes, Perception | None, Header], None]
STUCK = 20.0  # seconds; opening an engine again takes less, and a GPU that is gone answers never


class Perceiver:
    """One camera's pipeline with its engine; every image taken gets exactly one PerceptionFrame.

    An engine that fails is opened again once; when it fails again, `broken` says why and the node has to stop. Before
    the first `serve` there is no model: images are answered with ENGINE_ERROR.
    extra    flags of every frame, from outside
    ranges   what a depth camera and a lidar say, where there is one
    profile  file of what the network usually says; "" takes the model folder's own, where there is one
    """

    def __init__(self, calibration: Calibration, clock: Clock, camera_name: str, base_frame: str, log: Any) -> None:
        self.model: Model | None = None
        self.pipeline: Pipeline | None = None
        self.counts = Counts()
        self.broken = ""
        self.drift: DriftMonitor | None = None
        self.profile = ""
        self.extra = Status(0)
        self.max_input_age = 0.0
        self._calibration, self._clock, self._name, self._log = calibration, clock, camera_name, log
        self._base_frame, self._thresholds = base_frame, dict[str, float]()
        self._meanwhile = self._restarted = self._closed = False
        self._turn = threading.Lock()  # held for a frame: models change between two of them
        self._busy_since: float | None = None
        self.odometry = Odometry()
        self.ranges: RangeMemory | None = None
        self._last_ns: int | None = None
        self._motion: EgoMotion | None = None

    def tune(self, thresholds: dict[str, float], max_input_age: float) -> None:
        """Thresholds of heads, the others keep the model's own; seconds until an image is stale."""
        self._thresholds, self.max_input_age = thresholds, max_input_age
        if self.pipeline is not None:
            self.pipeline.tune(thresholds)

    def serve(self, model: Model, meanwhile: bool = False) -> None:
        """Use a model from the next image on, and close the one before. From any thread.

        EngineError or ModelError when it fails on a grey picture; it is closed then, and the one before goes on.
        meanwhile  it only stands in until a better one is ready
        """
        try:
            pipeline = tried(model, self._base_frame)
            pipeline.tune(self._thresholds)
            drift = self._watching(model)
            self._take_turn()
        except PerceptionError:
            model.close()
            raise
        try:
            if self._closed:
                before: Model | None = model
            else:
                before, self.model = self.model, model
                if self.pipeline is not None:
                    pipeline.continue_from(self.pipeline)
                self.drift = drift
                self.pipeline, self._meanwhile, self._restarted, self.broken = pipeline, meanwhile, False, ""
        finally:
            self._turn.release()
        if before is not None:
            before.close()

    def _watching(self, model: Model) -> DriftMonitor | None:
        """A camera without a profile that fits sees as well as any; only nobody watches what it says."""
        try:
            return open_monitor(model.spec, self.profile)
        except ModelError as error:
            self._log.warning(f"what the network says is not watched: {error}")
            return None

    def _take_turn(self) -> None:
        if not self._turn.acquire(timeout=STUCK):
            raise EngineError("the engine in use does not come back: deactivate, clean up and configure the node again")

    def close(self) -> None:
        """Give the engine back; a model that arrives later is closed at once."""
        self._closed = True
        if self.model is not None and not self.model.close():
            self._log.error("the engine cannot be closed; it is left behind until the process ends")

    @property
    def stuck(self) -> bool:
        """Whether the frame at hand has taken so long that it will not come back."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > STUCK

    def work(self, taken: Taken[Any], publish: Publish) -> None:
        """Process one image message and publish the answer."""
        with self._turn:
            self._busy_since = time.monotonic()
            try:
                self._work(taken, publish)
            finally:
                self._busy_since = None

    def _work(self, taken: Taken[Any], publish: Publish) -> None:
        header = taken.item.header
        flags = self._flags_of_arrival(taken)
        perception: Perception | None = None
        try:
            perception = self._perceive(taken.item, flags)
        except Exception as error:  # whatever it was: this image gets its answer, and the next one its turn
            flags |= self._explain(error)
        if perception is None:
            self.counts.failed += 1
            at = stamp_ns(header.stamp), header.frame_id, int(flags)
            fields = failed_fields(*at, camera_name=self._name, frame_seq=taken.seq, frames_dropped=taken.replaced)
        else:
            fields = self._fields(perception, taken)
        fields["age_ms"] = self._age_ms(header.stamp)
        publish(serialized(PerceptionFrame, fields), perception, header)
        self._note(fields)
        if self.drift is not None and self.pipeline is not None and perception is not None:
            self.drift.update(perception, self.pipeline.thresholds)

    def _perceive(self, message: Any, flags: Status) -> Perception:
        started = time.perf_counter_ns()
        frame = frame_from_message(message)
        decode_ms = (time.perf_counter_ns() - started) / 1e6
        if self.pipeline is None:
            raise EngineError("no engine yet: see /diagnostics for how far it is built")
        self.pipeline.camera = self._calibration.camera
        self._motion = None if self._last_ns is None else self.odometry.between(self._last_ns, frame.stamp_ns)
        self._last_ns = frame.stamp_ns
        perception = self._run(self.pipeline, frame)
        flags |= Status(perception.status_flags) | self._calibration.flags
        timing = replace(perception.timing, decode_ms=decode_ms)
        return replace(perception, status_flags=int(flags), timing=timing)

    @property
    def _range_source(self) -> RangeSource | None:
        return self.ranges.near if self.ranges is not None else None

    def _run(self, pipeline: Pipeline, frame: Frame) -> Perception:
        try:
            return pipeline.run(frame, self._motion, self._range_source)
        except EngineError as error:
            if self._restarted:
                self.broken = str(error)
                raise
            self._log.error(f"the engine failed and is started again: {error}")
            self._restarted = True
            return self._run_again(pipeline, frame)

    def _run_again(self, pipeline: Pipeline, frame: Frame) -> Perception:
        assert self.model is not None
        try:
            self.model = self.model.reopened()
            pipeline.engine = self.model.engine
            return pipeline.run(frame, self._motion, self._range_source)
        except EngineError as error:
            self.broken = str(error)
            raise

    def _fields(self, perception: Perception, taken: Taken[Any]) -> dict[str, Any]:
        assert self.model is not None
        return perception_fields(
            perception,
            self.model.spec,
            camera_name=self._name,
            engine_id=self.model.engine.engine_id,
            velocity_over_ground=self._motion is not None,
            frame_seq=taken.seq,
            frames_dropped=taken.replaced,
        )

    def _flags_of_arrival(self, taken: Taken[Any]) -> Status:
        flags = self.extra | (Status.DROPPING if taken.replaced else Status(0))
        flags |= Status.CPU_FALLBACK if self._meanwhile else Status(0)
        late = self.max_input_age and self._age_ms(taken.item.header.stamp) > 1e3 * self.max_input_age
        return flags | Status.STALE_INPUT if late else flags

    def _explain(self, error: Exception) -> Status:
        if isinstance(error, BadImage):
            self._log.warning(str(error), throttle_duration_sec=5.0)
            return Status.WRONG_ENCODING if isinstance(error, UnknownEncoding) else Status.BAD_IMAGE
        text = str(error) if isinstance(error, EngineError) else f"a frame could not be processed: {error!r}"
        self._log.error(text, throttle_duration_sec=5.0)
        return Status.ENGINE_ERROR

    def _age_ms(self, stamp: Any) -> float:
        return (self._clock.now().nanoseconds - stamp_ns(stamp)) / 1e6

    def _note(self, fields: dict[str, Any]) -> None:
        self.counts.processed += 1
        self.counts.flags |= Status(fields["status_flags"])
        self.counts.ages_ms.append(fields["age_ms"])
        if not isnan(fields["inference_ms"]):
            self.counts.inference_ms.append(fields["inference_ms"])


def tried(model: Model, base_frame: str) -> Pipeline:
    """A pipeline for a model that has taken a picture through all steps up to the bytes to publish."""
    grey = np.full((*model.spec.input.size, 3), 128, np.uint8)
    perception = Pipeline(model.spec, model.engine, base_frame=base_frame).run(Frame(grey, 0))
    serialized(PerceptionFrame, perception_fields(perception, model.spec))
    return Pipeline(model.spec, model.engine, base_frame=base_frame)
