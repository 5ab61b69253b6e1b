"""The parts of a camera node that exist only while it is active: subscriptions, worker threads, the fusion watchdog."""

from __future__ import annotations

import gc
import time
from typing import Any

from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode

from camera_perception.core.documents.text import shorten
from camera_perception_ros.camera.configured import ConfiguredCamera
from camera_perception_ros.camera.fusion_watchdog import FusionWatchdog
from camera_perception_ros.camera.processor import Answer
from camera_perception_ros.camera.report import InputState
from camera_perception_ros.camera.subscriptions import CameraInput
from camera_perception_ros.conversions.messages import pose_from_odometry
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.runtime.worker import Taken, Worker

# Seconds that a callback sleeps, for the worker to start. The median time to the worker is 81 us with it, 497 without,
# 106 with a sleep of 0 s, and 93 with a lock that the worker frees (two shared AMD cores).
YIELD = 5e-5
STOP_TIMEOUT = 3.0  # seconds for the frame at hand to finish


class ActiveCamera:
    """Takes images in, has them processed in a thread of its own, and publishes the answers."""

    def __init__(self, node: LifecycleNode, configured: ConfiguredCamera, params: CameraParams) -> None:
        self._configured, self._log = configured, node.get_logger()
        self._processor, self._publisher = configured.processor, configured.publisher
        self._last_image, self._silence, self._announced = time.monotonic(), "", False
        # Exclude what exists by now from garbage collection: otherwise a collection takes as long as a frame.
        gc.collect()
        gc.freeze()
        self.fusion = FusionWatchdog(node, params.watched_fusion) if params.watched_fusion else None
        self._input = CameraInput(
            node, params, self._on_image, configured.calibration.on_info, self._on_odometry, self._processor.ranges
        )
        self._worker: Worker[Any] = Worker(self._process, self._on_error, f"{node.get_name()} worker")
        self._drawer: Worker[Answer] = Worker(self._draw, self._on_error, f"{node.get_name()} drawer")

    # Callbacks of the executor: all short

    def _on_image(self, message: Any) -> None:
        self._last_image = time.monotonic()
        self._worker.slot.put(message)
        # Otherwise the worker gets the interpreter only after the executor's next wait set is built: 0.5 ms later.
        time.sleep(YIELD)

    def _on_odometry(self, message: Any) -> None:
        self._processor.odometry.add(*pose_from_odometry(message))

    # The worker threads

    def _process(self, taken: Taken[Any]) -> None:
        self._processor.process(taken, self._publish)

    def _publish(self, answer: Answer) -> None:
        self._publisher.publish(answer.data)
        if not self._announced and answer.perception is not None:
            self._announced = True
            self._log.info(self._announcement(answer))
        if answer.perception is not None and self._configured.outputs.wanted():
            self._drawer.slot.put(answer)

    def _announcement(self, answer: Answer) -> str:
        """The line about the first frame: model, backend, input and size."""
        serving, perception = self._processor.serving, answer.perception
        model = f"{serving.model.spec.name} on {serving.model.name}" if serving is not None else "no model"
        height, width = perception.frame.image.shape[:2] if perception is not None else (0, 0)
        return f"active: {model}, first image {width}x{height} from {self._input.topic}"

    def _draw(self, taken: Taken[Answer]) -> None:
        """In a thread of its own: drawing never delays the next frame, it is skipped instead."""
        answer = taken.item
        self._configured.outputs.publish(answer.perception, answer.header, answer.spec)

    def _on_error(self, error: Exception) -> None:
        self._log.error(shorten(f"a frame was lost: {error!r}"), throttle_duration_sec=5.0)

    # For the node

    def check_silence(self, seconds: float) -> None:
        """Log once why no image has arrived for the given number of seconds."""
        silence = ""
        if time.monotonic() - self._last_image >= seconds:
            silence = self._input.silence_reason()
        if silence and silence != self._silence:
            self._log.warning(silence)
        self._silence = silence

    def input_state(self) -> InputState:
        """The numbers of the report."""
        return InputState(
            transport=self._input.transport or "none",
            received=self._worker.slot.received,
            replaced=self._worker.slot.replaced,
            publishers=self._input.publishers,
            listeners=self._publisher.get_subscription_count(),
            silence=self._silence,
        )

    def close(self) -> None:
        """Finish the frame at hand and let listeners get it."""
        self._input.close()
        if self.fusion is not None:
            self.fusion.close()
        if not self._worker.close(timeout=STOP_TIMEOUT):
            self._log.error(f"the engine did not stop within {STOP_TIMEOUT:g} s; abandoning its thread")
        self._drawer.close(timeout=1.0)
        if self._publisher.get_subscription_count():
            self._publisher.wait_for_all_acked(Duration(seconds=1))
        self._configured.outputs.flush(0.5)
        gc.unfreeze()
