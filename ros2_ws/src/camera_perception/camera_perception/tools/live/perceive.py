"""From an image to what a viewer gets: the pipeline of each camera, and covering before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock

import numpy as np

from camera_perception.core.errors import BadImage
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Frame, Status
from camera_perception.engines import Engine
from camera_perception.geometry.camera import Camera
from camera_perception.io.perception_frame import failed_fields, perception_fields
from camera_perception.lanes.ignored_region import IgnoredRegion
from camera_perception.lanes.learned_region import LearnedRegion
from camera_perception.pipeline import Pipeline
from camera_perception.tools.live.protocol import LiveFrame
from camera_perception.tools.live.recordings import Motion, Picture, jpeg, shown_file
from camera_perception.tools.privacy.cover import cover, planes_of_pixels
from camera_perception.tools.privacy.detector import PrivacyDetector
from camera_perception.tools.privacy.regions import Settings
from camera_perception.tools.privacy.temporal import BoxPredictor, ImageDetections, regions_of

NAN = float("nan")


class Perceiver:
    """The pipelines of all cameras, with one engine; used by one thread.

    anonymize  cover heads and number plates in the images that are sent
    ignored    makes the region of one camera in which nothing is reported; None: there is none
    """

    def __init__(
        self,
        spec: ModelSpec,
        engine: Engine,
        cameras: Mapping[str, Camera | None],
        anonymize: bool = False,
        ignored: Callable[[], IgnoredRegion | LearnedRegion | None] = lambda: None,
    ) -> None:
        self.spec, self.engine, self.cameras = spec, engine, dict(cameras)
        self.thresholds = {head.head: head.threshold for head in spec.heads}
        self.regions = {name: ignored() for name in cameras}
        self._pipelines = self._new_pipelines(spec, engine)
        self._cover = PictureCover(PrivacyDetector(spec, engine)) if anonymize else None
        self._new_models: list[tuple[ModelSpec, Engine]] = []
        self._changing, self._closed = Lock(), False
        self._last_ns: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def _new_pipelines(self, spec: ModelSpec, engine: Engine) -> dict[str, Pipeline]:
        """What was learned of the own bonnet is kept."""
        return {
            name: Pipeline(spec, engine, camera, ignored=self.regions[name]) for name, camera in self.cameras.items()
        }

    @property
    def ignored(self) -> dict[str, dict[str, object]]:
        """Of each camera with one, the region in which nothing is reported now: its outlines, and what was learned."""
        out: dict[str, dict[str, object]] = {}
        for name, region in self.regions.items():
            now = region.region if isinstance(region, LearnedRegion) else region
            if region is not None:
                out[name] = {
                    "outlines": now.outlines() if now else [],
                    "text": region.text if isinstance(region, LearnedRegion) else "",
                }
        return out

    def tune(self, head: str, threshold: float) -> bool:
        """Set the minimum score of one head for all cameras; False when there is no such head or score."""
        if head not in self.thresholds or not 0.0 <= threshold <= 1.0:
            return False
        self.thresholds[head] = threshold
        for pipeline in self._pipelines.values():
            pipeline.tune(self.thresholds)
        return True

    def replace_model(self, spec: ModelSpec, engine: Engine) -> None:
        """Use another model from the next image on, with its own thresholds; may be called from any thread.

        Its engine belongs to this object from here on, and is closed at once where that has been closed.
        """
        with self._changing:
            if not self._closed:
                self._new_models.append((spec, engine))
                return
        engine.close()

    def _take_model(self) -> None:
        """Change to the last model that was given; tracks continue, the engines before it are closed."""
        if not self._new_models:
            return
        *skipped, (spec, engine) = self._waiting()
        for _, unused in skipped:
            unused.close()
        try:
            pipelines = self._new_pipelines(spec, engine)
            cover = PictureCover(PrivacyDetector(spec, engine)) if self._cover is not None else None
        except BaseException:
            engine.close()
            raise
        for name, pipeline in pipelines.items():
            pipeline.continue_from(self._pipelines[name])
        self.engine.close()
        self._pipelines, self._cover, self.spec, self.engine = pipelines, cover, spec, engine
        self.thresholds = {head.head: head.threshold for head in spec.heads}

    def _waiting(self) -> list[tuple[ModelSpec, Engine]]:
        """The models that were given since the last call; they are the caller's now."""
        with self._changing:
            waiting, self._new_models = self._new_models, []
        return waiting

    def close(self) -> None:
        """Close the engine, and those that were given and never used. Closing twice is safe."""
        with self._changing:
            closed, self._closed = self._closed, True
        if not closed:
            for engine in (*(engine for _, engine in self._waiting()), self.engine):
                engine.close()

    def reset(self) -> None:
        """Forget everything, as after a jump in time that viewers asked for: new pipelines flag no CLOCK_JUMP."""
        self._last_ns.clear()
        self._pipelines = self._new_pipelines(self.spec, self.engine)
        for pipeline in self._pipelines.values():
            pipeline.tune(self.thresholds)
        if self._cover is not None:
            self._cover.reset()

    def __call__(self, picture: Picture, start_ns: int, motion: Motion, live: bool = False) -> LiveFrame:
        """Perceive one image.

        start_ns  the zero of the timeline
        live      stamps are times of this machine's clock: the age is known
        """
        self._take_model()
        number = self._counts[picture.camera] = self._counts.get(picture.camera, -1) + 1
        seconds = (picture.time_ns - start_ns) / 1e9
        started = time.perf_counter_ns()
        try:
            image = picture.pixels()
        except BadImage as error:
            flag = Status.WRONG_ENCODING if "encoding" in str(error) else Status.BAD_IMAGE
            fields = failed_fields(
                picture.stamp_ns, picture.frame_id, flag, camera_name=picture.camera, frame_seq=number
            )
            return LiveFrame(picture.camera, fields, b"", "", seconds)
        decode_ms = (time.perf_counter_ns() - started) / 1e6
        fields = self._perceived(picture, image, number, decode_ms, motion, live)
        file, kind = self._shown(picture, image)
        return LiveFrame(picture.camera, fields, file, kind, seconds, picture.turned)

    def _perceived(
        self, picture: Picture, image: np.ndarray, number: int, decode_ms: float, motion: Motion, live: bool
    ) -> dict[str, object]:
        """The fields of the PerceptionFrame."""
        last_ns = self._last_ns.get(picture.camera)
        moved = None if last_ns is None else motion(last_ns, picture.stamp_ns)
        self._last_ns[picture.camera] = picture.stamp_ns
        flags = int(picture.reader.flags) if picture.reader else 0
        frame = Frame(image, picture.stamp_ns, picture.frame_id, flags)
        perception = self._pipelines[picture.camera].run(frame, moved)
        timing = replace(perception.timing, decode_ms=decode_ms)
        return perception_fields(
            replace(perception, timing=timing),
            self.spec,
            camera_name=picture.camera,
            engine_id=self.engine.info.engine_id,
            frame_seq=number,
            age_ms=(time.time_ns() - picture.stamp_ns) / 1e6 if live else NAN,
        )

    def _shown(self, picture: Picture, image: np.ndarray) -> tuple[bytes, str]:
        if self._cover is None:
            return shown_file(picture, image)
        return jpeg(self._cover(picture.camera, picture.stamp_ns, image)), "image/jpeg"


class PictureCover:
    """Covers heads and number plates; used by one thread, with the images of each camera in their order."""

    def __init__(self, detector: PrivacyDetector, settings: Settings | None = None) -> None:
        self._detector, self._settings = detector, settings or Settings()
        self._predictors: dict[str, BoxPredictor] = {}

    def reset(self) -> None:
        """Forget past detections."""
        self._predictors.clear()

    def __call__(self, camera: str, stamp_ns: int, image: np.ndarray) -> np.ndarray:
        """A copy of an image (H, W, 3) uint8 BGR with its regions covered."""
        names, settings = self._detector.names, self._settings
        seen = ImageDetections(stamp_ns, image.shape[:2], self._detector(image))
        predictor = self._predictors.setdefault(camera, BoxPredictor(names, settings.hold))
        covered = image.copy()
        regions = regions_of(seen, [predictor.update(seen)], names, settings)
        cover(planes_of_pixels(covered), regions, settings.how)
        return covered
