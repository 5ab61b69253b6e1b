"""Replay in lockstep: every image of a drive through the pipeline, the same result each time; needs no ROS.

Writes perception.mcap (PerceptionFrame messages), overlay.mp4 and report.html.

Pictures of a replay: a film of all, and a few samples for the report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from camera_perception.core.errors import BadImage, BagError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Perception, Status
from camera_perception.draw import bird_eye, overlay, side_by_side
from camera_perception.draw.scene import surroundings_of
from camera_perception.engines import Engine
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.message import failed_fields, perception_fields
from camera_perception.io.ros_types import PERCEPTION_FRAME
from camera_perception.pipeline import Pipeline
from camera_perception.tools.replay.report import write_report
from camera_perception.tools.replay.source import Arrival, Source

SAMPLES = 9  # pictures in the report


class Rate:
    """Images per second by their stamps."""

    def __init__(self) -> None:
        self.stamps: list[int] = []

    def add(self, stamp_ns: int) -> None:
        if len(self.stamps) < 20:
            self.stamps.append(stamp_ns)

    @property
    def hz(self) -> float:
        gaps = np.diff(self.stamps)
        gap = float(np.median(gaps)) if len(gaps) else 0.0
        return min(120.0, max(1.0, 1e9 / gap)) if gap > 0 else 10.0


class Film:
    """overlay.mp4; begins when the rate is known, and keeps the size of its first image."""

    def __init__(self, path: Path, wanted: bool) -> None:
        self._path, self._wanted = path, wanted
        self._waiting: list[np.ndarray] = []
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def add(self, picture: np.ndarray, rate: Rate) -> None:
        if not self._wanted:
            return
        self._waiting.append(picture)
        if self._writer is None and len(self._waiting) < 3:
            return
        self._write_waiting(rate.hz)

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        if self._waiting:
            self._write_waiting(10.0)
        if self._writer is not None:
            self._writer.release()

    def _write_waiting(self, hz: float) -> None:
        if self._writer is None:
            self._size = self._waiting[0].shape[1], self._waiting[0].shape[0]
            self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), hz, self._size)
            if not self._writer.isOpened():
                raise BagError(f"{self._path} cannot be written: OpenCV has no mp4 encoder, or the disk is full")
        for picture in self._waiting:
            fits = (picture.shape[1], picture.shape[0]) == self._size
            self._writer.write(picture if fits else cv2.resize(picture, self._size))
        self._waiting.clear()


class Samples:
    """A few pictures, evenly spaced when the number of images is known, else the first ones."""

    def __init__(self, total: int) -> None:
        spaced = np.linspace(0, max(total - 1, 0), SAMPLES).round().astype(int).tolist()
        self._wanted = set(spaced) if total else set(range(SAMPLES))
        self.pictures: list[tuple[int, np.ndarray]] = []

    def wants(self, index: int) -> bool:
        return index in self._wanted

    def add(self, index: int, picture: np.ndarray) -> None:
        if self.wants(index):
            self.pictures.append((index, picture.copy()))


OUTPUTS = ("perception.mcap", "overlay.mp4", "report.html")


@dataclass
class Result:
    """What a replay left behind; `frames` are the fields of every PerceptionFrame in order."""

    folder: Path
    frames: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def recording(self) -> Path:
        return self.folder / "perception.mcap"


def replay(
    source: Source,
    spec: ModelSpec,
    engine: Engine,
    out: Path | str,
    *,
    limit: int = 0,
    video: bool = True,
    progress: bool = True,
) -> Result:
    """Run every image (or the first `limit`) of the source and write the results into the folder `out`.

    BagError when `out` already holds a replay or cannot be written, EngineError when the engine fails.
    """
    result = Result(Path(out))
    rate = Rate()
    started = perf_counter_ns()
    total = min(source.length, limit) if limit and source.length else (limit or source.length)
    samples = Samples(total)
    with BagWriter(result.recording, compress=True) as writer, Film(result.folder / "overlay.mp4", video) as film:
        steps = run(source, spec, engine, limit)
        for fields, perception in tqdm(steps, total=total or None, unit="img", disable=not progress):
            stamp_ns = _stamp_ns(fields)
            writer.write_fields(f"/{source.camera}/perception", PERCEPTION_FRAME, stamp_ns, fields)
            result.frames.append(fields)
            rate.add(stamp_ns)
            if perception is not None and (video or samples.wants(len(result.frames) - 1)):
                picture = drawn(perception, spec, from_above=source.calibration is not None)
                film.add(picture, rate)
                samples.add(len(result.frames) - 1, picture)
    result.seconds = (perf_counter_ns() - started) / 1e9
    if not result.frames:
        raise BagError(f"{source.name} holds no images: record again or choose another topic")
    facts = facts_of(source, spec, engine, result)
    write_report(result.folder / "report.html", result.frames, facts=facts, samples=samples.pictures, spec=spec)
    return result


def drawn(perception: Perception, spec: ModelSpec, from_above: bool) -> np.ndarray:
    """The overlay, with the scene from above beside it where the camera is calibrated."""
    picture = overlay(perception.frame.image, perception, spec)
    if not from_above:
        return picture
    height = len(picture)
    return side_by_side(picture, bird_eye(surroundings_of(perception, spec), (height, height * 2 // 3)))


def run(
    source: Source, spec: ModelSpec, engine: Engine, limit: int = 0
) -> Iterator[tuple[dict[str, Any], Perception | None]]:
    """(fields of the PerceptionFrame, perception) of each image; None for an image that cannot be decoded."""
    pipeline = Pipeline(spec, engine, source.calibration)
    for seq, arrival in enumerate(islice(source.arrivals, limit or None)):
        try:
            perception = perceive(pipeline, arrival)
        except BadImage as error:
            flag = Status.WRONG_ENCODING if "encoding" in str(error) else Status.BAD_IMAGE
            name = source.camera
            yield failed_fields(arrival.stamp_ns, arrival.frame_id, flag, camera_name=name, frame_seq=seq), None
            continue
        engine_id = engine.info.engine_id
        fields = perception_fields(perception, spec, camera_name=source.camera, engine_id=engine_id, frame_seq=seq)
        yield fields, perception


def perceive(pipeline: Pipeline, arrival: Arrival) -> Perception:
    """One image from its file or message to meaning, decoding timed. BadImage when it cannot be decoded."""
    started = perf_counter_ns()
    frame = arrival.frame()
    decode_ms = (perf_counter_ns() - started) / 1e6
    perception = pipeline.run(frame)
    return replace(perception, timing=replace(perception.timing, decode_ms=decode_ms))


def facts_of(source: Source, spec: ModelSpec, engine: Engine, result: Result) -> dict[str, str]:
    """What a reader of the report wants to know first."""
    rate = len(result.frames) / max(result.seconds, 1e-9)
    return {
        "Source": source.name,
        "Model": f"{spec.name} {spec.version} ({spec.input.width}x{spec.input.height}, {spec.license})",
        "Engine": f"{engine.info.name} ({engine.info.engine_id})",
        "Camera": _camera_text(source),
        "Replayed in": f"{result.seconds:.1f} s, {rate:.1f} images/s all told",
    }


def _camera_text(source: Source) -> str:
    if source.calibration is None:
        return f"{source.camera}, no calibration: pixels only"
    metric = "" if source.calibration.metric else ", mounting not given (--mount): pixels only"
    return f"{source.camera}, {source.calibration.width}x{source.calibration.height}, calibrated{metric}"


def _stamp_ns(fields: dict[str, Any]) -> int:
    stamp = fields["header"]["stamp"]
    return stamp["sec"] * 10**9 + stamp["nanosec"]
