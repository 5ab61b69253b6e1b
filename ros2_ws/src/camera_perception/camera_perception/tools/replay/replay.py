"""Replay in lockstep: every image of a drive through the pipeline, with the same result each time. Needs no ROS.

Writes perception.mcap (PerceptionFrame messages), overlay.mp4 and report.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from tqdm import tqdm

from camera_perception.core.errors import BadImage, BagError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Perception, Status
from camera_perception.draw import bird_eye, overlay, side_by_side
from camera_perception.draw.scene import surroundings_of
from camera_perception.engines import Engine
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.perception_frame import failed_fields, perception_fields
from camera_perception.io.ros_types import PERCEPTION_FRAME
from camera_perception.pipeline import Pipeline
from camera_perception.tools.replay.metrics import stamp_ns_of
from camera_perception.tools.replay.report import write_report
from camera_perception.tools.replay.source import Arrival, Source
from camera_perception.tools.replay.video import FrameRate, Samples, VideoWriter

OUTPUTS = ("perception.mcap", "overlay.mp4", "report.html")


@dataclass
class Result:
    """Output of a replay; `frames` are the fields of every PerceptionFrame in order."""

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
    started = perf_counter_ns()
    total = min(source.length, limit) if limit and source.length else (limit or source.length)
    samples = Samples(total)
    with (
        BagWriter(result.recording, compress=True) as bag,
        VideoWriter(result.folder / "overlay.mp4", video) as video_file,
    ):
        rate = FrameRate()
        for fields, perception in tqdm(
            run(source, spec, engine, limit), total=total or None, unit="img", disable=not progress
        ):
            index, stamp_ns = len(result.frames), stamp_ns_of(fields)
            bag.write_fields(f"/{source.camera}/perception", PERCEPTION_FRAME, stamp_ns, fields)
            result.frames.append(fields)
            rate.add(stamp_ns)
            if perception is not None and (video or samples.wants(index)):
                image = draw_frame(perception, spec, birds_eye=source.calibration is not None)
                video_file.add(image, rate)
                samples.add(index, image)
    result.seconds = (perf_counter_ns() - started) / 1e9
    if not result.frames:
        raise BagError(f"{source.name} holds no images: record again or choose another topic")
    facts = report_facts(source, spec, engine, result)
    write_report(result.folder / "report.html", result.frames, facts=facts, samples=samples.images, spec=spec)
    return result


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
    """Decode one image, timed, and run the pipeline on it. BadImage when it cannot be decoded."""
    started = perf_counter_ns()
    frame = arrival.frame()
    decode_ms = (perf_counter_ns() - started) / 1e6
    perception = pipeline.run(frame)
    return replace(perception, timing=replace(perception.timing, decode_ms=decode_ms))


def draw_frame(perception: Perception, spec: ModelSpec, birds_eye: bool) -> np.ndarray:
    """The overlay, with the bird's-eye view beside it where the camera is calibrated."""
    image = overlay(perception.frame.image, perception, spec)
    if not birds_eye:
        return image
    height = len(image)
    return side_by_side(image, bird_eye(surroundings_of(perception, spec), (height, height * 2 // 3)))


def report_facts(source: Source, spec: ModelSpec, engine: Engine, result: Result) -> dict[str, str]:
    """Name and value of each line at the top of the report."""
    rate = len(result.frames) / max(result.seconds, 1e-9)
    return {
        "Source": source.name,
        "Model": f"{spec.name} {spec.version} ({spec.input.width}x{spec.input.height}, {spec.license})",
        "Engine": f"{engine.info.name} ({engine.info.engine_id})",
        "Camera": _camera_text(source),
        "Replayed in": f"{result.seconds:.1f} s, {rate:.1f} images/s including drawing and writing",
    }


def _camera_text(source: Source) -> str:
    if source.calibration is None:
        return f"{source.camera}, not calibrated: no metric output"
    missing = "" if source.calibration.metric else ", mounting unknown (give --mount): no metric output"
    return f"{source.camera}, {source.calibration.width}x{source.calibration.height}, calibrated{missing}"
