"""The pipeline: one frame from image to perception. The only place that defines the order of the steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from time import perf_counter_ns

import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import (
    ClassMap,
    EgoMotion,
    Frame,
    Objects,
    Observations,
    Perception,
    Road,
    Status,
    Timing,
)
from camera_perception.decode.heads import check_all, decode_all
from camera_perception.decode.scores import minimum_scores
from camera_perception.engines import Engine, Slot
from camera_perception.engines.serving.fitting import fitted
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.camera_views import resized
from camera_perception.geometry.ground import GroundNoise, RoadPitch
from camera_perception.image.health import HealthMonitor
from camera_perception.image.letterbox import Letterbox, Preprocessor
from camera_perception.lanes.fit import ground_lines
from camera_perception.lanes.free_road import locate_road
from camera_perception.lanes.ignored_region import IgnoredRegion, without_ignored
from camera_perception.lanes.image_lines import road_from_drivable
from camera_perception.lanes.learned_region import LearnedRegion
from camera_perception.lanes.online_calibration import OnlineCalibration
from camera_perception.lanes.roles import ego_lane
from camera_perception.lanes.tracker import LaneTracker
from camera_perception.objects.config import LocalizationConfig
from camera_perception.objects.footprint import near_sides
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.range_fusion import RangeSource, with_ranges
from camera_perception.objects.relevance import light_relevances
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.tracker import ObjectTracker
from camera_perception.objects.visibility import without_positions

# Plain numbers: operations of IntFlag take ten times as long.
RESTARTS, RESIZED = int(Status.CLOCK_JUMP | Status.RESOLUTION_CHANGED), int(Status.INTRINSICS_RESIZED)
UNCALIBRATED, FROZEN = int(Status.UNCALIBRATED), int(Status.IMAGE_FROZEN)


class Pipeline:
    """The state of one camera between frames: tracks, input health, calibration.

    One pipeline per camera and thread; several may share an engine when they run in the same thread.

    tracker, localization  settings; those of the model folder when None
    ignored                part of the image in which nothing is reported
    """

    def __init__(
        self,
        spec: ModelSpec,
        engine: Engine,
        camera: Camera | None = None,
        base_frame: str = "base_link",
        tracker: TrackerConfig | None = None,
        localization: LocalizationConfig | None = None,
        ignored: IgnoredRegion | LearnedRegion | None = None,
    ) -> None:
        check_all(spec, {name: tensor.shape for name, tensor in engine.outputs.items()})
        self.spec = spec
        self._classes, self._light_class = spec.classes, spec.light_class
        self.engine = engine
        self.camera = camera
        self.base_frame = base_frame
        self.ignored = ignored
        self._region: IgnoredRegion | None = None
        self.thresholds: dict[str, float] = {}
        self.tracker_config = tracker or TrackerConfig(**spec.tracker)
        self.localization_config = localization or LocalizationConfig(**spec.localization)
        self._preprocess = Preprocessor(spec.input)
        self._health = HealthMonitor()
        self._object_tracker = ObjectTracker(self._classes, self.tracker_config, self.localization_config)
        self._lane_tracker = LaneTracker()
        self.calibration = OnlineCalibration()
        self._pitch = RoadPitch()
        self.tune({})
        # Called with the network's raw outputs of each image, by name, valid during the call; for data mining.
        self.on_outputs: Callable[[Mapping[str, np.ndarray], Letterbox], None] | None = None

    def run(self, frame: Frame, motion: EgoMotion | None = None, ranges: RangeSource | None = None) -> Perception:
        """Process one frame. EngineError when the network cannot run; unusual images only set status flags.

        motion  of the car since the previous frame; velocities are over the ground with it, else relative to the car
        ranges  called once the network is done, for the depth image and point cloud near the frame's time
        """
        start = perf_counter_ns()
        observations, flags, preprocess_ms, inference_ms = self._infer(frame)
        if flags & RESTARTS:
            self.reset()

        def timing() -> Timing:
            total_ms = (perf_counter_ns() - start) / 1e6
            return Timing(0.0, preprocess_ms, inference_ms, total_ms - preprocess_ms - inference_ms)

        return self._interpret(frame, observations, flags, motion, ranges, timing)

    def tune(self, thresholds: Mapping[str, float]) -> None:
        """Set the minimum scores of heads; heads that are not named use the model's own."""
        own = {head.head: head.threshold for head in self.spec.heads}
        self.thresholds = own | {head: value for head, value in thresholds.items() if head in own}
        objects, head = self.thresholds.get("objects", 1.0), self.spec.head("objects")
        self._high_score = minimum_scores(head, objects) if head and head.classes else objects
        # Objects below their minimum score start no track, but continue one.
        self._decode_thresholds = {**self.thresholds, "objects": self.tracker_config.low_score_ratio * objects}

    def flag_identical_images(self, on: bool) -> None:
        """Whether repetitions of one image set IMAGE_FROZEN; off for simulators without noise, which repeat images."""
        self._health.flag_identical = on

    def continue_from(self, previous: Pipeline) -> None:
        """Take over the state of a pipeline of the same camera with another model.

        Tracks continue when both models have the same classes and light states; else new tracks get unused ids.
        """
        self._health, self._lane_tracker = previous._health, previous._lane_tracker
        self.calibration, self._pitch = previous.calibration, previous._pitch
        if _labels(self.spec) == _labels(previous.spec):
            self._object_tracker = previous._object_tracker
        else:
            self._object_tracker.skip_ids_of(previous._object_tracker)

    def reset(self) -> None:
        """Drop all state: after a clock jump, a bag loop, a new resolution."""
        self._object_tracker.reset()
        self._lane_tracker.reset()
        self.calibration.reset()
        self._pitch.reset()

    def _infer(self, frame: Frame) -> tuple[Observations, int, float, float]:
        """The observations of the network, the health of the image, milliseconds of preprocessing and of inference."""
        self._preprocess = fitted(self._preprocess, self.engine, frame.image.shape[:2])
        slot = self.engine.acquire()
        try:
            started = perf_counter_ns()
            letterbox = self._fill(slot, frame.image)
            submitted = perf_counter_ns()
            self.engine.submit(slot)
            health = self._health.update(frame)  # while the network computes
            self._region = self._ignored_in(frame)
            self._object_tracker.set_high_score(self._high_score)
            self.engine.wait(slot)
            done = perf_counter_ns()
            outputs = {name: array[0] for name, array in slot.outputs.items()}  # the first image of the batch
            if self.on_outputs is not None:
                self.on_outputs(outputs, letterbox)
            observations = decode_all(outputs, self.spec, letterbox, self._decode_thresholds)
            if self._region is not None:
                observations = without_ignored(observations, self._region, letterbox.image_size)
        finally:
            self.engine.release(slot)
        return observations, int(health.flags) | frame.flags, (submitted - started) / 1e6, (done - submitted) / 1e6

    def _fill(self, slot: Slot, image: np.ndarray) -> Letterbox:
        """Write the image to the network's input, on the device where it can."""
        return slot.load_image(image) or self._preprocess(image, slot.images[0])

    def _interpret(
        self,
        frame: Frame,
        observations: Observations,
        flags: int,
        motion: EgoMotion | None,
        ranges: RangeSource | None,
        timing: Callable[[], Timing],
    ) -> Perception:
        """Geometry and tracking: from the observations of one image to its perception; timing is asked at the end."""
        mounted, size = self._usable_camera(frame), frame.image.shape[:2]
        if mounted is not None and mounted is not self.camera:
            flags |= RESIZED
        camera, flags = self._metric_camera(mounted, observations, flags, frame.stamp_ns)
        noise = GroundNoise(pitch=self._pitch.sigma)
        objects = Objects.of(observations.detections, read_only=True)
        objects = locate_objects(objects, camera, self._classes, size, noise, self.localization_config)
        if ranges is not None and camera is not None and mounted is not None:
            objects = with_ranges(objects, ranges(frame, mounted), camera, self._classes, self.localization_config)
        road = self._road(observations.drivable, size) if observations.drivable else None
        grounds = ground_lines(observations.lanes, camera, noise)
        lanes = self._lane_tracker.update(observations.lanes, frame.stamp_ns, motion, grounds)
        objects = self._object_tracker.update(objects, frame.stamp_ns, motion, size, camera)
        objects = near_sides(objects, camera, self._classes, self.localization_config)
        relevances = light_relevances(objects, self._light_class, lanes, camera, self.localization_config)
        perception = Perception(
            frame=frame,
            tasks=observations.tasks,
            objects=objects.with_columns(relevances=relevances),
            lanes=lanes,
            road=locate_road(road, camera, size, noise) if road else None,
            drivable=observations.drivable,
            semantic=observations.semantic,
            scene=observations.scene,
            status_flags=flags,
            base_frame=self.base_frame if camera else "",
            ego_lane=ego_lane(lanes, self._lane_tracker.lane_width),
            timing=timing(),
            velocity_over_ground=motion is not None,
        )
        return perception if camera is not None else image_plane_only(perception)

    def _ignored_in(self, frame: Frame) -> IgnoredRegion | None:
        if isinstance(self.ignored, LearnedRegion):
            return self.ignored.update(frame.image, frame.stamp_ns)
        return self.ignored

    def _road(self, drivable: ClassMap, size: tuple[int, int]) -> Road:
        rows, columns = drivable.ids.shape
        ignored = self._region.cells((rows, columns)) if self._region is not None else None
        return road_from_drivable(drivable, size, ignored=ignored)

    def _usable_camera(self, frame: Frame) -> Camera | None:
        """The calibrated camera, if its pose is known and it has the frame's aspect ratio; scaled to its size."""
        if self.camera is None or not self.camera.metric:
            return None
        return resized(self.camera, frame.image.shape[1], frame.image.shape[0])

    def _metric_camera(
        self, mounted: Camera | None, observations: Observations, flags: int, stamp_ns: int
    ) -> tuple[Camera | None, int]:
        """The camera relative to the road in this frame, None when metres cannot be trusted; and all flags."""
        camera = mounted
        if camera is not None:
            estimate = self.calibration.update(observations.lanes, camera, stamp_ns)
            flags |= int(estimate.flags)
            camera = self._pitched_camera(camera, stamp_ns) if estimate.metric else None
        if camera is None:
            flags |= UNCALIBRATED
        frozen = flags & FROZEN  # it shows where objects were, not where they are
        return None if frozen else camera, flags

    def _pitched_camera(self, camera: Camera, stamp_ns: int) -> Camera:
        """The camera relative to the road of this frame: the car pitches, and the road has slopes."""
        measurement = self.calibration.measurement
        self._pitch.update(measurement.pitch if measurement else None, stamp_ns)
        return camera.pitched(self._pitch.angle)


def image_plane_only(perception: Perception) -> Perception:
    """The perception without everything in metres.

    Trackers keep metric state after calibration is lost, and it must not be published.
    """
    return replace(
        perception,
        objects=without_positions(perception.objects),
        lanes=tuple(replace(line, ground=None) for line in perception.lanes),
        ego_lane=None,
        base_frame="",
    )


def _labels(spec: ModelSpec) -> tuple[object, ...]:
    """The labels that tracks depend on."""
    return spec.classes, spec.light_class, spec.light_states
