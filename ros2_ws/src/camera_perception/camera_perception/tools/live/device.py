"""A camera without a recording: webcam, network stream or GStreamer pipeline, opened with OpenCV."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from camera_perception.core.errors import PerceptionError
from camera_perception.core.types import EgoMotion
from camera_perception.image.turn import Turn
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.perceive import Perceiver
from camera_perception.tools.live.player import STATE_PERIOD, Show
from camera_perception.tools.live.protocol import Command, packed, to_json
from camera_perception.tools.live.recordings import Picture

RETRY = (1.0, 10.0)  # seconds between attempts to open a stream again: the first, and the longest


def is_device(source: str) -> bool:
    """Whether a source is a webcam's number or path, an address, or a GStreamer pipeline."""
    return source.isdigit() or source.startswith("/dev/video") or "://" in source or "!" in source


def open_video(source: str) -> cv2.VideoCapture | None:
    """None when it cannot be opened now."""
    if "!" in source:
        video = cv2.VideoCapture(source, cv2.CAP_GSTREAMER)
    else:
        video = cv2.VideoCapture(int(source) if source.isdigit() else source)
    return video if video.isOpened() else None


class Device:
    """The newest image of a camera. A thread of its own empties the driver's queue, and opens the stream again."""

    def __init__(
        self, source: str, opened: Callable[[str], cv2.VideoCapture | None] = open_video, turn: Turn | None = None
    ) -> None:
        if "!" in source and "GStreamer:                   YES" not in cv2.getBuildInformation():
            raise PerceptionError(
                "this OpenCV was built without GStreamer: use the system's python3-opencv, or give an rtsp:// address"
            )
        self.name, self._source, self._opened = redacted(source), source, opened
        self._turn = turn or Turn()
        self._video = opened(source)
        if self._video is None:
            raise PerceptionError(
                f"{self.name} cannot be opened: check that it is connected and no other program uses it"
            )
        self.error, self.dropped = "", 0
        self._fresh = threading.Condition()
        self._newest: tuple[int, np.ndarray] | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._read, name="camera", daemon=True).start()

    def picture(self, timeout: float) -> Picture | None:
        """The newest image that was not taken yet; None when none arrives within the time."""
        with self._fresh:
            if not self._fresh.wait_for(lambda: self._newest is not None, timeout) or self._newest is None:
                return None
            stamp_ns, image = self._newest
            self._newest = None
        return Picture("camera", stamp_ns, stamp_ns, "camera", partial(self._turn, image))

    def close(self) -> None:
        self._closed.set()

    def _read(self) -> None:
        pause = RETRY[0]
        while not self._closed.is_set():
            image = self._video.read()[1] if self._video is not None else None
            if image is not None:
                self._put(image)
                self.error, pause = "", RETRY[0]
                continue
            self.error = f"{self.name} has ended or is not reachable; trying again"
            self._closed.wait(pause)
            pause = min(2 * pause, RETRY[1])
            self._video = self._opened(self._source)

    def _put(self, image: np.ndarray) -> None:
        with self._fresh:
            self.dropped += self._newest is not None
            self._newest = time.time_ns(), image
            self._fresh.notify()


def redacted(source: str) -> str:
    """An address without its password."""
    scheme, separator, rest = source.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator else source


class DevicePlayer:
    """Perceives the newest image of a device, over and over; the same interface as Player."""

    def __init__(
        self, device: Device, perceiver: Perceiver, hub: Hub, tuning: bool = True, show: Show = lambda frame: None
    ) -> None:
        self._device, self.perceiver, self._hub = device, perceiver, hub
        self._tuning, self.show = tuning, show
        self._stopped = threading.Event()
        self._changes: dict[str, float] = {}
        self._told, self._count = 0.0, 0

    def control(self, command: Command) -> None:
        if command.action == "tune" and self._tuning:
            self._changes[command.head] = command.value

    def stop(self) -> None:
        self._stopped.set()

    def run(self, wait_for_viewer: bool = True) -> None:
        start_ns = time.time_ns()
        while not self._stopped.is_set():
            while self._changes:
                self.perceiver.tune(*self._changes.popitem())
            picture = self._device.picture(0.2)
            if picture is not None and (not wait_for_viewer or self._hub.wait(0.0)):
                self._publish(picture, start_ns)
            if time.monotonic() - self._told > STATE_PERIOD:
                self._tell()
        self._device.close()

    def _publish(self, picture: Picture, start_ns: int) -> None:
        frame = self.perceiver(picture, start_ns, _unknown_motion, live=True)
        self._count += 1
        self._hub.publish(frame.camera, packed(frame, self._count))
        self.show(frame)

    def _tell(self) -> None:
        self._told = time.monotonic()
        state = {
            "type": "state",
            "thresholds": self.perceiver.thresholds,
            "ignored": self.perceiver.ignored,
            "error": self._device.error,
        }
        self._hub.publish(" state", to_json(state))


def _unknown_motion(from_ns: int, to_ns: int) -> EgoMotion | None:
    return None
