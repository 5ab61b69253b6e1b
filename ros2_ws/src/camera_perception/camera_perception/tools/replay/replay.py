"""Replay in lockstep: every image of a drive through the pipeline, with the same result each time. Needs no ROS.

Writes perception.mcap (PerceptionFrame messages), a film, report.html and, if wanted, tables and annotated pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
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
from camera_perception.draw import bird_eye, legend_entries, legend_strip, overlay, side_by_side
from camera_perception.draw.image import header_strip
from camera_perception.draw.primitives import text_size
from camera_perception.draw.scene import surroundings_of
from camera_perception.engines import Engine
from camera_perception.geometry.camera import Camera
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.perception_frame import failed_fields, perception_fields
from camera_perception.io.ros_types import PERCEPTION_FRAME
from camera_perception.io.video_file import SUFFIXES, browser_suffix
from camera_perception.lanes.ignored_region import IgnoredRegion
from camera_perception.lanes.learned_region import LearnedRegion
from camera_perception.pipeline import Pipeline
from camera_perception.tools.replay.export import PICTURES, WRITERS, write_picture, write_tables
from camera_perception.tools.replay.metrics import stamp_ns_of
from camera_perception.tools.replay.report import write_report
from camera_perception.tools.replay.source import Arrival, Source
from camera_perception.tools.replay.video import FrameRate, Samples, VideoWriter

FILMS = tuple(f"overlay{suffix}" for suffix in SUFFIXES)
OUTPUTS = ("perception.mcap", *FILMS, "report.html", *(file for file, _ in WRITERS.values()))
Ignored = IgnoredRegion | LearnedRegion
ANNOTATED = "annotated"  # folder of pictures
LEAST_WIDTH = 960  # pixels; smaller images are enlarged in the film, so that its text is legible and small


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one image.

    fields      of its PerceptionFrame
    perception  None when the image could not be decoded
    error       why, "" when it could
    name        of its file, "" for other sources
    """

    fields: dict[str, Any]
    perception: Perception | None
    error: str
    name: str


@dataclass
class Result:
    """Output of a replay; `frames` are the fields of every PerceptionFrame in order.

    names    of the image files, "" for other sources
    bad      why images could not be decoded: reason and number of images
    written  files and folders in `folder`
    ignored  what was learned of the own bonnet, "" when nothing was to be
    """

    folder: Path
    frames: list[dict[str, Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    seconds: float = 0.0
    bad: Counter[str] = field(default_factory=Counter)
    written: list[str] = field(default_factory=list)
    ignored: str = ""

    def add(self, seen: Seen) -> int:
        """Append what became of one image; returns its index."""
        self.frames.append(seen.fields)
        self.names.append(seen.name)
        if seen.perception is None:
            self.bad[seen.error] += 1
        return len(self.frames) - 1

    @property
    def recording(self) -> Path:
        return self.folder / "perception.mcap"

    @property
    def decoded(self) -> int:
        return len(self.frames) - sum(self.bad.values())


def replay(
    source: Source,
    spec: ModelSpec,
    engine: Engine,
    out: Path | str,
    *,
    limit: int = 0,
    video: bool = True,
    formats: Collection[str] = (),
    ignored: Ignored | None = None,
    progress: bool = True,
) -> Result:
    """Run every image (or the first `limit`) of the source and write the results into the folder `out`.

    ignored  part of the image in which nothing is reported
    formats  names of tools.replay.export.WRITERS, and "pictures" for annotated pictures
    A source of separate images gives annotated pictures instead of a film.
    BagError when `out` already holds a replay or cannot be written, EngineError when the engine fails.
    """
    result, started = Result(Path(out)), perf_counter_ns()
    total = min(source.length, limit) if limit and source.length else (limit or source.length)
    samples = Samples(total)
    film, pictures = video and not source.separate, PICTURES in formats or (video and source.separate)
    with (
        BagWriter(result.recording, compress=True) as bag,
        VideoWriter(result.folder / f"overlay{browser_suffix()}", film) as video_file,
    ):
        rate = FrameRate()
        images = run(source, spec, engine, limit, ignored)
        for seen in tqdm(images, total=total or None, unit="img", disable=None if progress else True):
            stamp_ns = stamp_ns_of(seen.fields)
            bag.write_fields(f"/{source.camera}/perception", PERCEPTION_FRAME, stamp_ns, seen.fields)
            rate.add(stamp_ns)
            index = result.add(seen)
            if seen.perception is None:
                continue
            if film or samples.wants(index):
                image = draw_frame(seen.perception, spec, source.calibration)
                video_file.add(image, rate)
                samples.add(index, image)
            if pictures:
                picture = overlay(seen.perception.frame.image, seen.perception, spec, camera=seen.name)
                write_picture(result.folder / ANNOTATED, seen.name, index, picture)
    result.seconds = (perf_counter_ns() - started) / 1e9
    result.ignored = ignored.text if isinstance(ignored, LearnedRegion) else ""
    if not result.frames:
        raise BagError(f"{source.name} holds no images: record again or choose another topic")
    result.written = ["perception.mcap", "report.html"]
    result.written += [video_file.path.name] if video_file.written else []
    result.written += write_tables(result.folder, formats, result.frames, result.names, spec)
    result.written += [f"{ANNOTATED}/"] if pictures and result.decoded else []
    write_report(
        result.folder / "report.html",
        result.frames,
        facts=report_facts(source, spec, engine, result),
        samples=samples.images,
        spec=spec,
        film=video_file.path if video_file.written else None,
    )
    return result


def run(
    source: Source,
    spec: ModelSpec,
    engine: Engine,
    limit: int = 0,
    ignored: Ignored | None = None,
) -> Iterator[Seen]:
    """What becomes of each image, in order."""
    pipeline = Pipeline(spec, engine, source.calibration, ignored=ignored)
    for seq, arrival in enumerate(islice(source.arrivals, limit or None)):
        if source.separate and seq:
            # Nothing is remembered from the last picture.
            pipeline = Pipeline(spec, engine, source.calibration, ignored=ignored)
        try:
            perception = perceive(pipeline, arrival)
        except BadImage as error:
            flag = Status.WRONG_ENCODING if "encoding" in str(error) else Status.BAD_IMAGE
            name = source.camera
            fields = failed_fields(arrival.stamp_ns, arrival.frame_id, flag, camera_name=name, frame_seq=seq)
            yield Seen(fields, None, str(error), arrival.name)
            continue
        perception = untracked(perception) if source.separate else perception
        engine_id = engine.info.engine_id
        fields = perception_fields(perception, spec, camera_name=source.camera, engine_id=engine_id, frame_seq=seq)
        yield Seen(fields, perception, "", arrival.name)


def untracked(perception: Perception) -> Perception:
    """The perception without track ids: an object of one picture is none of another."""
    objects = replace(perception.objects, track_ids=np.zeros_like(perception.objects.track_ids))
    return replace(perception, objects=objects, lanes=tuple(replace(line, lane_id=0) for line in perception.lanes))


def perceive(pipeline: Pipeline, arrival: Arrival) -> Perception:
    """Decode one image, timed, and run the pipeline on it. BadImage when it cannot be decoded."""
    started = perf_counter_ns()
    frame = arrival.frame()
    decode_ms = (perf_counter_ns() - started) / 1e6
    perception = pipeline.run(frame)
    return replace(perception, timing=replace(perception.timing, decode_ms=decode_ms))


def draw_frame(perception: Perception, spec: ModelSpec, camera: Camera | None) -> np.ndarray:
    """The overlay between a header and a legend, with the bird's-eye view beside it where the camera is calibrated."""
    image = perception.frame.image
    if image.shape[1] < LEAST_WIDTH:
        factor = LEAST_WIDTH / image.shape[1]
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    drawn = np.vstack((header_strip(perception, image.shape[1]), overlay(image, perception, spec, header=False)))
    if camera is not None:
        height, scene = len(drawn), surroundings_of(perception, spec)
        scene = scene if camera.metric else replace(scene, why_empty="mounting unknown: give --mount or TF")
        drawn = side_by_side(drawn, bird_eye(scene, (height, height * 2 // 3)))
    entries = legend_entries(spec.classes, spec.head("drivable"))
    return np.vstack((drawn, legend_strip(drawn.shape[1], entries, text_size(drawn))))


def report_facts(source: Source, spec: ModelSpec, engine: Engine, result: Result) -> dict[str, str]:
    """Name and value of each line at the top of the report."""
    rate = len(result.frames) / max(result.seconds, 1e-9)
    ignored = {"Ignored": result.ignored} if result.ignored else {}
    return {
        "Source": source.name,
        "Model": f"{spec.name} {spec.version} ({engine.spec.input.width}x{engine.spec.input.height}, {spec.license})",
        "Engine": f"{engine.info.name} ({engine.info.engine_id})",
        "Camera": _camera_text(source),
        "Images": images_text(result),
        **ignored,
        "Replayed in": f"{result.seconds:.1f} s, {rate:.1f} images/s including drawing and writing",
    }


def images_text(result: Result) -> str:
    """How many images were decoded, and why others were not."""
    text = f"{result.decoded} of {len(result.frames)} decoded"
    return text + "".join(f"; {count} not: {reason}" for reason, count in result.bad.most_common(3))


NOT_CALIBRATED = "not calibrated: give --calibration lens.yaml (`camera-perception calibrate intrinsics`) and --mount"
MOUNTING_UNKNOWN = "mounting unknown: give --mount or TF, or run `camera-perception calibrate extrinsics`"


def _camera_text(source: Source) -> str:
    if source.calibration is None:
        return f"{source.camera}, not calibrated: no metric output"
    missing = "" if source.calibration.metric else f", {MOUNTING_UNKNOWN}: no metric output"
    return f"{source.camera}, {source.calibration.width}x{source.calibration.height}, calibrated{missing}"
