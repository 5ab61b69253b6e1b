"""Camera poses from the transforms on /tf_static and /tf, for systems without tf2.

Transforms are passed as plain values, so that this module does not depend on ROS.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from operator import itemgetter

import numpy as np

from camera_perception.core.errors import CalibrationError

MAX_MOVING_TRANSFORMS = 200  # kept per frame
MAX_CHAIN = 100  # frames between two; a longer chain counts as not connected
MAX_FRAMES = 5000  # later ones are ignored: anybody may publish transforms
MAX_NAME = 256  # characters of a frame's name
MAX_TIME_DIFFERENCE_NS = 500_000_000  # largest distance of a moving transform from the requested time


class TfTree:
    """The transforms received so far: each frame has one parent. Static transforms never expire."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._static: dict[str, np.ndarray] = {}
        self._moving: dict[str, deque[tuple[int, np.ndarray]]] = {}

    def add(
        self,
        parent: str,
        child: str,
        xyz: Sequence[float],
        quaternion: Sequence[float],
        stamp_ns: int | None = None,
    ) -> None:
        """Add parent -> child in metres and x y z w; stamp_ns None for /tf_static.

        Invalid ones are ignored, and new frames when there are MAX_FRAMES.
        """
        try:
            pose = pose_from_quaternion(xyz, quaternion)
        except CalibrationError:
            return
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if max(len(parent), len(child)) > MAX_NAME or (len(self._parents) >= MAX_FRAMES and child not in self._parents):
            return
        self._parents[child] = parent
        if stamp_ns is None:
            self._static[child] = pose
            return
        self._static.pop(child, None)
        history = self._moving.setdefault(child, deque(maxlen=MAX_MOVING_TRANSFORMS))
        if history and stamp_ns < history[-1][0]:  # a recording restarted
            history.clear()
        history.append((stamp_ns, pose))

    def base_from(self, base: str, frame: str, stamp_ns: int | None = None) -> np.ndarray | None:
        """(4, 4) pose of frame in base at a time, by default the latest; None while they are not connected."""
        base_chain, frame_chain = self._to_root(base.lstrip("/")), self._to_root(frame.lstrip("/"))
        common = next((name for name in frame_chain if name in base_chain), None)
        if common is None:
            return None
        up, down = self._pose_in(common, frame_chain, stamp_ns), self._pose_in(common, base_chain, stamp_ns)
        return None if up is None or down is None else np.linalg.inv(down) @ up

    def _to_root(self, frame: str) -> list[str]:
        """The frame and its ancestors; stops at a cycle, and after MAX_CHAIN."""
        chain = [frame]
        while len(chain) < MAX_CHAIN and chain[-1] in self._parents and self._parents[chain[-1]] not in chain:
            chain.append(self._parents[chain[-1]])
        return chain

    def _pose_in(self, ancestor: str, chain: list[str], stamp_ns: int | None) -> np.ndarray | None:
        pose = np.eye(4)
        for child in chain[: chain.index(ancestor)]:
            step = self._step(child, stamp_ns)
            if step is None:
                return None
            pose = step @ pose
        return pose

    def _step(self, child: str, stamp_ns: int | None) -> np.ndarray | None:
        if child in self._static:
            return self._static[child]
        history = self._moving[child]
        if stamp_ns is None:
            return history[-1][1]
        after = bisect_left(history, stamp_ns, key=itemgetter(0))
        near = (history[index] for index in (after - 1, after) if 0 <= index < len(history))
        stamp, pose = min(near, key=lambda entry: abs(entry[0] - stamp_ns))
        return pose if abs(stamp - stamp_ns) <= MAX_TIME_DIFFERENCE_NS else None


def pose_from_quaternion(xyz: Sequence[float], quaternion: Sequence[float]) -> np.ndarray:
    """(4, 4) from a translation in metres and a quaternion x y z w, normalised; CalibrationError when invalid."""
    x, y, z, w = quaternion
    length = np.sqrt(x * x + y * y + z * z + w * w)
    if not np.isfinite((length, *xyz)).all() or not 0.5 < length < 2.0:
        raise CalibrationError(f"the rotation {tuple(quaternion)} is not a unit quaternion: check its publisher")
    x, y, z, w = (value / length for value in (x, y, z, w))
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = xyz
    return pose
