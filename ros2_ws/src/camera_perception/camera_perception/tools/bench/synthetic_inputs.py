"""Synthetic inputs of realistic size for benchmarks; deterministic."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from camera_perception.core.model_spec import HeadSpec, InputSpec
from camera_perception.core.types import (
    ClassMap,
    Detections,
    Frame,
    LaneLine,
    LineColor,
    LineType,
    Objects,
    Perception,
    SceneAttribute,
    Task,
)
from camera_perception.decode.class_map import class_colors
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.image.letterbox import Letterbox

SIZE = 720, 1280
INPUT = InputSpec("images", 640, 384)
CLASSES = (
    "pedestrian",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
    "traffic light",
    "traffic sign",
)
DRIVABLE = HeadSpec("drivable", "class_map", {"map": "drivable"}, ("background", "road", "alternative"))
FOCAL = 900.0
POSE = (1.6, 0.0, 1.4, 0.0, 0.03, 0.0)  # x y z roll pitch yaw


def random() -> np.random.Generator:
    return np.random.default_rng(0)


def image(size: tuple[int, int] = SIZE, number: int = 0) -> np.ndarray:
    """(H, W, 3) BGR with edges, texture and sensor noise, so that JPEG encoding and focus measures behave as usual."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (size[0] // 40, size[1] // 40, 3), np.uint8)
    smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(0, 12, (*size, 3), np.uint8)
    return cv2.subtract(smooth, noise)


def letterbox() -> Letterbox:
    return Letterbox.fit(SIZE, INPUT.size)


def camera() -> Camera:
    k = np.array([[FOCAL, 0, SIZE[1] / 2], [0, FOCAL, SIZE[0] / 2], [0, 0, 1]])
    return Camera(SIZE[1], SIZE[0], k, np.zeros(5), base_from_camera=optical_from_rpy(POSE[:3], POSE[3:]))


def boxes(count: int) -> np.ndarray:
    """(N, 4) float32 x0 y0 x1 y1 source pixels, with sizes as in street scenes."""
    rng = random()
    middles = rng.uniform((60, 260), (SIZE[1] - 60, SIZE[0] - 60), (count, 2))
    halves = rng.uniform(8, 50, (count, 2))
    return np.concatenate((middles - halves, middles + halves), axis=1).astype(np.float32)


def detections(count: int) -> Detections:
    rng = random()
    scores, classes = rng.uniform(0.4, 1, count).astype(np.float32), rng.integers(0, 10, count).astype(np.int32)
    return Detections(boxes(count), scores, classes, rng.uniform(0, 1, (count, 4)).astype(np.float32))


def lanes(count: int = 4, points: int = 40) -> tuple[LaneLine, ...]:
    """Lane lines that meet at the horizon."""
    v = np.linspace(SIZE[0] - 4, 0.55 * SIZE[0], points)
    near = (v / SIZE[0] - 0.5) * SIZE[1]
    positions = (-2, -1, 1, 2)[:count]
    return tuple(
        LaneLine(
            np.c_[SIZE[1] / 2 + position * near * 0.6, v].astype(np.float32),
            0.9, position, LineType.DASHED, 0.9, LineColor.WHITE, 0.9, position + 4,
        )
        for position in positions
    )  # fmt: skip


def drivable() -> ClassMap:
    ids = np.zeros((90, 160), np.uint8)
    ids[45:, 30:130], ids[50:, :30] = 1, 2
    return ClassMap(ids, DRIVABLE.classes, class_colors(DRIVABLE))


def perception(objects: int = 20) -> Perception:
    """A busy street as a Perception, without metric positions."""
    tracked = Objects.of(detections(objects))
    tracked = replace(tracked, track_ids=np.arange(1, objects + 1, dtype=np.int64), ages=np.full(objects, 9, np.int32))
    tasks = Task.OBJECTS | Task.LANES | Task.DRIVABLE | Task.SCENE
    scene = (SceneAttribute("weather", "clear", 0.9), SceneAttribute("timeofday", "daytime", 0.8))
    return Perception(Frame(image(), 10**9, "front"), tasks, tracked, lanes(), None, drivable(), None, scene)
