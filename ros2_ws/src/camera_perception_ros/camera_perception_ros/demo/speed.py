"""How fast this machine answers the images of a recording, and the playback rate that follows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from camera_perception.core.errors import BadImage
from camera_perception.core.model_spec import ModelSpec
from camera_perception.core.types import Frame
from camera_perception.draw import overlay
from camera_perception.engines import Engine
from camera_perception.engines.select import load_engine
from camera_perception.io.bag_reader import Bag
from camera_perception.pipeline import Pipeline
from camera_perception.tools.replay.source import open_source
from camera_perception_ros.demo.cameras import DemoCamera

SECONDS, IMAGES = 2.0, 8  # measured per camera, and on so many of its images
# Transport, recorder and fusion share the machine with the cameras; what a measurement of seconds cannot foresee, the
# player makes up for by waiting for answers. With 0.75 a machine that slowed down after the measurement answered every
# image, but up to 1.1 s late, which is too late for the fusion.
SHARE = 0.6
SLOWEST = 0.02


@dataclass(frozen=True)
class Pace:
    """A playback rate and why.

    rate      playback speed; 1 is real time
    waits     whether the player waits for the answer to each image
    possible  images per second that the machine answers per camera; nan when not measured
    needed    images per second per camera of the recording; nan when not measured
    """

    rate: float
    waits: bool = False
    possible: float = float("nan")
    needed: float = float("nan")

    def text(self, seconds: float) -> str:
        """One line for the terminal; `seconds` is the length of the recording."""
        if np.isnan(self.possible):
            return f"playing {seconds:.0f} s at {self.rate:g} times real time, as asked for"
        measured = f"this machine answers {self.possible:.1f} images/s per camera of {self.needed:.1f} recorded"
        if self.rate >= 1:
            return f"{measured}: playing {seconds:.0f} s in real time"
        return (
            f"{measured}: playing {seconds:.0f} s at {self.rate:.2f} times real time, "
            f"{seconds / self.rate:.0f} s (--rate 1 forces real time)"
        )


def measured_pace(
    bag: Path, cameras: Sequence[DemoCamera], spec: ModelSpec, backend: str, engine_threads: int, margin: float = SHARE
) -> Pace:
    """Measure all cameras at once, as they will run, and choose a rate at which every image can be answered."""
    engines = [load_engine(spec, backend, threads=engine_threads) for _ in cameras]
    try:
        with ThreadPoolExecutor(len(cameras)) as pool:
            images = list(pool.map(lambda camera: _first_images(bag, camera), cameras))
            speeds = list(pool.map(lambda pair: _speed(spec, *pair), zip(engines, images)))
    finally:
        for engine in engines:
            engine.close()
    return choose_pace(min(speeds), needed_speed(bag, cameras), margin)


def choose_pace(possible: float, needed: float, margin: float = SHARE) -> Pace:
    """Real time where the machine is fast enough, else slower; waiting for answers in both cases. Images per second."""
    rate = margin * possible / needed if needed > 0 else 1.0
    if rate >= 1.0:
        return Pace(1.0, True, possible, needed)
    return Pace(max(round(rate, 3), SLOWEST), True, possible, needed)


def needed_speed(bag: Path, cameras: Sequence[DemoCamera]) -> float:
    """Images per second of the camera with the highest rate; 0 for a recording without duration."""
    with Bag(bag) as recording:
        seconds = (recording.contents.end_ns - recording.contents.start_ns) / 1e9
        most = max(recording.contents.counts[camera.topic] for camera in cameras)
    return most / seconds if seconds > 0 else 0.0


def _first_images(bag: Path, camera: DemoCamera) -> list[np.ndarray]:
    images = []
    for arrival in islice(open_source(bag, camera.topic).arrivals, IMAGES):
        try:
            images.append(arrival.read())
        except BadImage:
            continue
    return images


def _speed(spec: ModelSpec, engine: Engine, images: list[np.ndarray], seconds: float = SECONDS) -> float:
    """Images per second of perception, drawing and JPEG compression."""
    if not images:
        return float("inf")
    pipeline = Pipeline(spec, engine)
    _perceive(pipeline, images[0], 0)  # warm-up
    started, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds or count < 2:
        count += 1
        _perceive(pipeline, images[count % len(images)], count)
    return count / elapsed


def _perceive(pipeline: Pipeline, image: np.ndarray, number: int) -> None:
    perception = pipeline.run(Frame(image, number * 10**8, "speed"))
    cv2.imencode(".jpg", overlay(image, perception, pipeline.spec))
