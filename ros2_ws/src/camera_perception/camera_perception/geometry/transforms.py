"""Where a camera sits, from the transforms on /tf_static and /tf, for where tf2 is not installed.

Transforms come as plain values; a node only passes on what it hears.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from camera_perception.core.errors import CalibrationError

MEMORY = 200  # moving transforms kept per frame
TOO_FAR_NS = 500_000_000  # a moving transform further than that from the time asked for does not answer


class TfTree:
    """The transforms heard so far: each frame has one parent. Static ones hold for ever."""

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
        """Take over parent -> child: metres, and x y z w; stamp_ns None for /tf_static. Broken ones are left out."""
        try:
            pose = pose_from_quaternion(xyz, quaternion)
        except CalibrationError:
            return
        parent, child = parent.lstrip("/"), child.lstrip("/")
        self._parents[child] = parent
        if stamp_ns is None:
            self._static[child] = pose
            return
        self._static.pop(child, None)
        heard = self._moving.setdefault(child, deque(maxlen=MEMORY))
        if heard and stamp_ns < heard[-1][0]:  # a recording began anew
            heard.clear()
        heard.append((stamp_ns, pose))

    def base_from(self, base: str, frame: str, stamp_ns: int | None = None) -> np.ndarray | None:
        """(4, 4) pose of frame in base, at a time or the latest; None while they are not connected at it."""
        base_chain, frame_chain = self._to_root(base.lstrip("/")), self._to_root(frame.lstrip("/"))
        common = next((name for name in frame_chain if name in base_chain), None)
        if common is None:
            return None
        up, down = self._pose_in(common, frame_chain, stamp_ns), self._pose_in(common, base_chain, stamp_ns)
        return None if up is None or down is None else np.linalg.inv(down) @ up

    def _to_root(self, frame: str) -> list[str]:
        """The frame and its ancestors; a circle ends where it closes."""
        chain = [frame]
        while chain[-1] in self._parents and self._parents[chain[-1]] not in chain:
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
        heard = self._moving[child]
        if stamp_ns is None:
            return heard[-1][1]
        nearest = min(heard, key=lambda entry: abs(entry[0] - stamp_ns))
        return nearest[1] if abs(nearest[0] - stamp_ns) <= TOO_FAR_NS else None


def pose_from_quaternion(xyz: Sequence[float], quaternion: Sequence[float]) -> np.ndarray:
    """(4, 4) of a shift in metres and a rotation x y z w, brought to unit length; CalibrationError when it is none."""
    x, y, z, w = quaternion
    length = np.sqrt(x * x + y * y + z * z + w * w)
    if not np.isfinite((length, *xyz)).all() or not 0.5 < length < 2.0:
        raise CalibrationError(f"the rotation {tuple(quaternion)} is no unit quaternion: check who publishes it")
    x, y, z, w = (value / length for value in (x, y, z, w))
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = xyz
    return pose
