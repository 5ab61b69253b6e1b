"""One frame from pixels to meaning. The only place that knows the order of the steps.

A perception without its metres: what is left when the camera's place or its picture cannot be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter_ns

import numpy as np

from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import EgoMotion, Frame, Objects, Observations, Perception, Status, Timing
from camera_perception.decode.heads import check_all, decode_all
from camera_perception.engines import Engine, Slot
from camera_perception.geometry.camera import Camera
from camera_perception.geometry.ground import GroundNoise, RoadPitch
from camera_perception.image.health import HealthMonitor
from camera_perception.image.letterbox import Letterbox, Preprocessor
from camera_perception.lanes.fit import locate_lanes
from camera_perception.lanes.free_road import locate_road
from camera_perception.lanes.image_lines import road_from_drivable
from camera_perception.lanes.online_calibration import OnlineCalibration
from camera_perception.lanes.roles import ego_lane
from camera_perception.lanes.tracker import LaneTracker
from camera_perception.objects.footprint import near_sides
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.range_fusion import RangeSource, with_ranges
from camera_perception.objects.relevance import with_relevance
from camera_perception.objects.tracker.tracker import ObjectTracker
from camera_perception.objects.visibility import unplaced


def pixels_only(perception: Perception) -> Perception:
    """The same in pixels. Tracks and lines remember metres longer than they may be told."""
    return replace(
        perception,
        objects=unplaced(perception.objects),
        lanes=tuple(replace(line, ground=None) for line in perception.lanes),
        ego_lane=None,
        base_frame="",
    )


DOUBTFUL = 0.6  # of the threshold of objects: the least score with which a track goes on


class Pipeline:
    """Remembers what one camera needs between frames: tracks, input health, calibration.

    One pipeline per camera and thread; several may share an engine when they run in the same thread.
    """

    def __init__(
        self, spec: ModelSpec, engine: Engine, camera: Camera | None = None, base_frame: str = "base_link"
    ) -> None:
        check_all(spec, {name: tensor.shape for name, tensor in engine.outputs.items()})
        self.spec = spec
        self.engine = engine
        self.camera = camera
        self.base_frame = base_frame
        self.thresholds: dict[str, float] = {head.head: head.threshold for head in spec.heads}
        self._preprocess = Preprocessor(spec.input)
        self._light_class = light_class(spec)
        self._health = HealthMonitor()
        self._objects = ObjectTracker(spec.classes)
        self._lanes = LaneTracker()
        self.calibration = OnlineCalibration()
        self._pitch = RoadPitch()

    def run(self, frame: Frame, motion: EgoMotion | None = None, ranges: RangeSource | None = None) -> Perception:
        """What is on the road in this frame. EngineError when the network cannot run; odd images only set status flags.

        motion  of the car since the frame before; velocities are over the ground with it, else relative to the car
        ranges  asked, when the network is done, for what a depth camera or a lidar saw at the frame's time
        """
        start = perf_counter_ns()
        seen, flags, preprocess_ms, inference_ms = self._infer(frame)
        if flags & (Status.CLOCK_JUMP | Status.RESOLUTION_CHANGED):
            self.reset()
        perception = self._understand(frame, seen, flags, motion, ranges)
        total_ms = (perf_counter_ns() - start) / 1e6
        timing = Timing(0.0, preprocess_ms, inference_ms, total_ms - preprocess_ms - inference_ms)
        return replace(perception, timing=timing)

    def tune(self, thresholds: Mapping[str, float]) -> None:
        """Least scores of heads; those that are not named have the model's own."""
        own = {head.head: head.threshold for head in self.spec.heads}
        self.thresholds = own | {head: value for head, value in thresholds.items() if head in own}

    def go_on_from(self, before: Pipeline) -> None:
        """Take over what a pipeline of the same camera with another model remembers.

        Tracks go on when both models name the same objects and lamps; else they begin anew, with ids never used.
        """
        self._health, self._lanes = before._health, before._lanes
        self.calibration, self._pitch = before.calibration, before._pitch
        if _names(self.spec) == _names(before.spec):
            self._objects = before._objects
        else:
            self._objects.number_after(before._objects)

    def reset(self) -> None:
        """Forget the past: after a clock jump, a bag loop, a new resolution."""
        self._objects.reset()
        self._lanes.reset()
        self.calibration.reset()
        self._pitch.reset()

    def _infer(self, frame: Frame) -> tuple[Observations, Status, float, float]:
        """What the network sees, the health of the image, milliseconds of preprocessing and of the network."""
        slot = self.engine.acquire()
        try:
            started = perf_counter_ns()
            letterbox = self._fill(slot, frame.image)
            submitted = perf_counter_ns()
            self.engine.submit(slot)
            health = self._health.update(frame)  # while the network computes
            self.engine.wait(slot)
            done = perf_counter_ns()
            seen = decode_all(first_of(slot.outputs), self.spec, letterbox, self.decode_thresholds())
        finally:
            self.engine.release(slot)
        return seen, Status(health.flags), (submitted - started) / 1e6, (done - submitted) / 1e6

    def decode_thresholds(self) -> dict[str, float]:
        """Head: least score that is looked at. Objects below their threshold begin no track, but go on with one."""
        objects = self.thresholds.get("objects", 1.0)
        self._objects.begin_at(objects)
        return {**self.thresholds, "objects": DOUBTFUL * objects}

    def _fill(self, slot: Slot, image: np.ndarray) -> Letterbox:
        """The image into the network's input, by the device where it can."""
        return slot.load_image(image) or self._preprocess(image, slot.images[0])

    def _understand(
        self, frame: Frame, seen: Observations, flags: Status, motion: EgoMotion | None, ranges: RangeSource | None
    ) -> Perception:
        mounted, size = self._usable_camera(frame), frame.image.shape[:2]
        camera = mounted
        if camera is not None:
            estimate = self.calibration.update(seen.lanes, camera, frame.stamp_ns)
            flags |= estimate.flags
            camera = self._as_it_looks_now(camera, frame.stamp_ns) if estimate.metric else None
        if camera is None:
            flags |= Status.UNCALIBRATED
        if flags & Status.IMAGE_FROZEN:  # where things were, not where they are
            camera = None
        noise = GroundNoise(pitch=self._pitch.sigma)
        objects = locate_objects(Objects.of(seen.detections), camera, self.spec.classes, size, noise)
        if ranges is not None and camera is not None and mounted is not None:
            objects = with_ranges(objects, ranges(frame, mounted), camera, self.spec.classes)
        road = road_from_drivable(seen.drivable, size) if seen.drivable else None
        lanes = self._lanes.update(locate_lanes(seen.lanes, camera, noise), frame.stamp_ns, motion)
        objects = self._objects.update(objects, frame.stamp_ns, motion, size, camera)
        objects = near_sides(objects, camera, self.spec.classes)
        objects = replace(objects, relevances=with_relevance(objects, self._light_class, lanes, camera))
        perception = Perception(
            frame=frame,
            tasks=seen.tasks,
            objects=objects,
            lanes=lanes,
            road=locate_road(road, camera, size, noise) if road else None,
            drivable=seen.drivable,
            semantic=seen.semantic,
            scene=seen.scene,
            status_flags=int(flags),
            base_frame=self.base_frame if camera else "",
            ego_lane=ego_lane(lanes, self._lanes.lane_width),
            velocity_over_ground=motion is not None,
        )
        return perception if camera is not None else pixels_only(perception)

    def _as_it_looks_now(self, camera: Camera, stamp_ns: int) -> Camera:
        """The camera against the road of this frame: the car nods, the road slopes."""
        measurement = self.calibration.measurement
        self._pitch.update(measurement.pitch if measurement else None, stamp_ns)
        return camera.pitched(self._pitch.angle)

    def _usable_camera(self, frame: Frame) -> Camera | None:
        camera = self.camera
        size = frame.image.shape[1], frame.image.shape[0]
        fits = camera is not None and camera.metric and (camera.width, camera.height) == size
        return camera if fits else None


def _names(spec: ModelSpec) -> tuple[object, ...]:
    """What tracks hold on to."""
    head = spec.head("objects")
    return spec.classes, light_class(spec), tuple(head.options.get("light_states", ())) if head else ()


def light_class(spec: ModelSpec) -> int:
    """Number of the class that is traffic lights; -1 when the model has none."""
    head = spec.head("objects")
    name = head.options.get("light_class", "traffic light") if head else "traffic light"
    return spec.classes.index(name) if name in spec.classes else -1


def first_of(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of the first image of a batch."""
    return {name: array[0] for name, array in outputs.items()}
