"""The state of one camera in the fusion: its latest frame, its rate and its counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from camera_perception_msgs.msg import PerceptionFrame
from camera_perception_ros.conversions.clock import age_ms
from camera_perception_ros.conversions.messages import stamp_ns

NAN = float("nan")
MAX_REORDERING = 1.0  # seconds by which a frame may be older than one received before


@dataclass
class CameraState:
    """The latest frame of one camera, and counts since activation.

    rate  Hz, smoothed; nan before the second frame
    """

    name: str
    frame: PerceptionFrame | None = None
    received: int = 0
    dropped: int = 0
    rate: float = NAN
    _stamp_ns: int = field(init=False, repr=False, default=0)  # of the latest frame

    def __post_init__(self) -> None:
        if self.frame is not None:
            self._stamp_ns = stamp_ns(self.frame.header.stamp)

    def take(self, frame: PerceptionFrame) -> None:
        """Keep a frame unless it is older than the latest one; a long step back means that a recording restarted."""
        self.received += 1
        self.dropped += frame.frames_dropped
        stamp = stamp_ns(frame.header.stamp)
        period = NAN if self.frame is None else (stamp - self._stamp_ns) / 1e9  # since the latest frame
        if -MAX_REORDERING < period <= 0:
            return
        self.frame, self._stamp_ns = frame, stamp
        if period <= 0 or period != period:
            self.rate = NAN
        else:
            self.rate = 1 / period if self.rate != self.rate else 0.9 * self.rate + 0.1 / period

    def age_ms(self, now_ns: int) -> float:
        """Of the latest frame: never negative, nan without one or when its stamp is ahead of the clock."""
        return NAN if self.frame is None else age_ms(now_ns, self._stamp_ns)

    def stale(self, now_ns: int, max_age: float) -> bool:
        """Whether the latest frame is too old or from the future (after a clock jump), or missing."""
        return self.frame is None or abs(now_ns - self._stamp_ns) > 1e9 * max_age

    def health(self, now_ns: int, max_age: float) -> dict[str, Any]:
        """The fields of CameraHealth for this camera; max_age in seconds."""
        stale, frame = self.stale(now_ns, max_age), self.frame
        known = {
            "camera_name": self.name,
            "stale": stale,
            "age_ms": self.age_ms(now_ns),
            "rate": self.rate,
            "frames_received": self.received,
            "frames_dropped": self.dropped,
            "status": PerceptionFrame.INVALID,
        }
        if frame is None:
            return known
        header = frame.header
        stamp = header.stamp
        return known | {
            "frame_id": header.frame_id,
            "stamp": {"sec": stamp.sec, "nanosec": stamp.nanosec},
            "status_flags": frame.status_flags,
            "status": PerceptionFrame.INVALID if stale else frame.status,
            "tasks_valid": 0 if stale else frame.tasks_valid,
        }
