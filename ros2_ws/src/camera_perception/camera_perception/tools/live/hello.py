"""The first message to a viewer: what is shown, and what may be changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from camera_perception.core.model_spec import HeadSpec, ModelSpec
from camera_perception.decode.scores import minimum_scores
from camera_perception.geometry.camera import Camera
from camera_perception.tools.live.protocol import VERSION, palette, to_json, vocabulary

HELLO = " hello"  # key in the hub; no camera's name starts with a space


@dataclass(frozen=True)
class Hello:
    """seconds is the length of a recording, None for a camera; heads are those whose threshold may be changed."""

    source: str
    model: str
    engine: str
    cameras: list[dict[str, object]]
    classes: tuple[str, ...]
    seconds: float | None = None
    heads: list[dict[str, object]] = field(default_factory=list)
    anonymized: bool = False

    def text(self) -> str:
        more = {"type": "hello", "version": VERSION, "palette": palette(self.classes), "words": vocabulary()}
        return to_json({**asdict(self), **more})


def camera_entries(cameras: Iterable[tuple[str, Camera | None]]) -> list[dict[str, object]]:
    """Name of each camera, and why it has no metres."""
    return [{"name": name, "no_metres": why_no_metres(camera)} for name, camera in cameras]


def why_no_metres(camera: Camera | None) -> str:
    if camera is None:
        return "Not calibrated: no metres"
    return "" if camera.metric else "Mounting unknown: give --mount or TF"


def tunable(spec: ModelSpec) -> list[dict[str, object]]:
    """The heads with a minimum score: those that decide between finding something and nothing.

    least  class -> its own minimum, which the threshold scales; empty where all classes have the threshold
    """
    return [
        {"name": head.head, "threshold": head.threshold, "least": own_minimums(head)}
        for head in spec.heads
        if head.head in ("objects", "lanes", "drivable", "scene")
    ]


def own_minimums(head: HeadSpec) -> dict[str, float]:
    if head.head != "objects" or not head.options.get("thresholds"):
        return {}
    return dict(zip(head.classes, minimum_scores(head, head.threshold).tolist()))
