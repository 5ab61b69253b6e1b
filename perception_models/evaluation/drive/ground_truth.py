"""Drives with exact ground truth: rendered ones, and synthetic ones made of boxes on a flat road."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.core.natural_order import natural_order
from camera_perception.core.types import EgoMotion
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.image.files import size_of_file

CLASSES = (
    "pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light",
    "traffic sign", "misc",
)  # fmt: skip
MOVING = CLASSES[:8]


@dataclass(frozen=True)
class Actor:
    """One object of the ground truth.

    position  (3,) centre of the ground contact, metres in base_link
    size      (3,) length, width, height, metres
    velocity  (2,) over the ground, m/s
    visible   fraction that nothing hides, 0..1
    box       (4,) x0 y0 x1 y1 of the visible part, pixels
    """

    track_id: int
    category: str
    position: np.ndarray
    yaw: float
    size: np.ndarray
    velocity: np.ndarray
    visible: float
    box: np.ndarray


@dataclass(frozen=True)
class Snapshot:
    """One frame of a drive; lanes are (role, (P, 3) points near to far)."""

    stamp_ns: int
    camera: Camera
    actors: list[Actor]
    lanes: list[tuple[str, np.ndarray]]
    world_from_base: np.ndarray
    image: Path | None = None
    sequence: str = ""


def read_drive(folder: Path) -> list[Snapshot]:
    """Snapshots of a rendered data set, finished or not, in order of time; ValueError if there are none."""
    file = folder / "truth/truth.jsonl"
    if file.is_file():
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    else:
        rows = [json.loads(part.read_text())["truth"] for part in natural_order((folder / "parts").glob("*.json"))]
    if not rows:
        raise ValueError(f"{folder} has no truth/truth.jsonl: give a folder that `perception-models render` wrote")
    images = [folder / "images" / row["name"] for row in rows]
    snapshots = [snapshot_of(row, size_of_file(image)[::-1], image) for row, image in zip(rows, images)]
    return sorted(snapshots, key=lambda snapshot: (snapshot.sequence, snapshot.stamp_ns))


def snapshot_of(row: dict[str, Any], size: tuple[int, int], image: Path | None = None) -> Snapshot:
    """Snapshot from one line of a truth file; size is (width, height) of the image."""
    width, height = size
    fx, fy, cx, cy = row["intrinsics"]
    k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], float)
    pose = np.array(row["base_from_camera"], float)
    camera = Camera(width, height, k, np.array(row["distortion"], float), base_from_camera=pose)
    lanes = [(lane["role"], np.array(lane["points"], float).reshape(-1, 3)) for lane in row["lanes"]]
    world = np.array(row["ego"]["world_from_base"], float)
    actors = [_actor(each) for each in row["objects"]]
    return Snapshot(row["stamp_ns"], camera, actors, lanes, world, image, row["sequence"])


def _actor(row: dict[str, Any]) -> Actor:
    box = np.array([row["box2d"][key] for key in ("x1", "y1", "x2", "y2")], float)
    position, size, velocity = (np.array(row[key], float) for key in ("position", "size", "velocity"))
    return Actor(row["track_id"], row["category"], position, row["yaw"], size, velocity, row["visible"], box)


def synthetic_drive(seed: int, seconds: float = 8.0, rate: float = 20.0) -> Iterator[Snapshot]:
    """Twelve cars on a flat straight road, without images: boxes are exact projections."""
    rng = np.random.default_rng(seed)
    k = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
    camera = Camera(1280, 720, k, np.zeros(0), base_from_camera=optical_from_rpy((1.5, 0.0, 1.45), (0.0, 0.02, 0.0)))
    count, ego_speed = 12, 15.0
    start = np.c_[np.linspace(8, 62, count), rng.choice([-3.5, 0.0, 3.5], count) + rng.normal(0, 0.2, count)]
    start[start[:, 1] > 2, 0] += rng.uniform(0, 20)
    lane_speed = ego_speed + rng.uniform(-5, 4, 2)  # one speed per lane, so that no car drives through another
    speed = np.select([start[:, 1] > 2, start[:, 1] > -2], [-12.0, lane_speed[0]], lane_speed[1])
    size = np.c_[rng.normal(4.4, 0.3, count), rng.normal(1.82, 0.06, count), rng.normal(1.6, 0.25, count)]
    for i in range(round(seconds * rate)):
        t = i / rate
        world = np.eye(4)
        world[0, 3] = ego_speed * t
        positions = start + np.c_[(speed - ego_speed) * t, np.zeros(count)]
        actors = [_synthetic_car(n, positions[n], speed[n], size[n], camera) for n in range(count)]
        in_view = [actor for actor in actors if np.isfinite(actor.box).all()]
        yield Snapshot(round(t * 1e9), camera, _without_hidden(in_view), [], world, sequence=f"synthetic {seed}")


def _synthetic_car(number: int, position: np.ndarray, speed: float, size: np.ndarray, camera: Camera) -> Actor:
    yaw = 0.0 if speed >= 0 else np.pi
    car = Actor(number, "car", np.r_[position, 0.0], yaw, size, np.array([speed, 0.0]), 1.0, np.full(4, np.nan))
    return replace(car, box=exact_box(car, camera))


def _without_hidden(actors: list[Actor]) -> list[Actor]:
    """Actors whose box is less than half covered by those of nearer ones."""
    kept: list[Actor] = []
    for actor in sorted(actors, key=lambda each: each.position[0]):
        x0, y0, x1, y1 = actor.box
        area = max((x1 - x0) * (y1 - y0), 1e-6)
        hidden = sum(
            max(0, min(x1, b[2]) - max(x0, b[0])) * max(0, min(y1, b[3]) - max(y0, b[1]))
            for b in (each.box for each in kept)
        )
        if hidden < 0.5 * area:
            kept.append(actor)
    return kept


def boxes_of(actors: list[Actor]) -> np.ndarray:
    """(N, 4) boxes of the visible parts."""
    return np.array([actor.box for actor in actors]).reshape(-1, 4)


def corners(actor: Actor) -> np.ndarray:
    """(8, 3) corners of the 3D bounding box, metres in base_link; the first four on the road."""
    c, s = np.cos(actor.yaw), np.sin(actor.yaw)
    flat = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) / 2 * actor.size[:2]
    ring = flat @ np.array([[c, s], [-s, c]]) + actor.position[:2]
    return np.concatenate([np.c_[ring, np.full(4, actor.position[2] + z)] for z in (0.0, actor.size[2])])


def exact_box(actor: Actor, camera: Camera) -> np.ndarray:
    """(4,) projection of the corners, clipped to the image; nan if out of view or partly behind the camera."""
    pixels = camera.pixels_from_base(corners(actor))
    if not np.isfinite(pixels).all():
        return np.full(4, np.nan)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    box = np.r_[np.clip(low, 0, (camera.width, camera.height)), np.clip(high, 0, (camera.width, camera.height))]
    return box if (box[2:] - box[:2] > 1).all() else np.full(4, np.nan)


def contact(actor: Actor, camera: Camera, box: np.ndarray) -> np.ndarray:
    """(2,) ground contact of the side that the camera sees, in the direction of the centre of the box.

    The nearest intersection of that ray with the footprint, or the nearest corner if it misses.
    """
    origin = camera.pose[:2, 3]
    ring = corners(actor)[:4, :2]
    ray = camera.rays_from_pixels(np.array([[(box[0] + box[2]) / 2, box[3]]]))[0] @ camera.pose[:3, :3].T
    direction = ray[:2] / np.linalg.norm(ray[:2])
    distances = [_intersection(origin, direction, a, b) for a, b in zip(ring, np.roll(ring, -1, axis=0))]
    hits = [distance for distance in distances if distance is not None]
    nearest = ring[np.argmin(np.linalg.norm(ring - origin, axis=1))]
    return np.asarray(origin + min(hits) * direction if hits else nearest)


def _intersection(origin: np.ndarray, direction: np.ndarray, a: np.ndarray, b: np.ndarray) -> float | None:
    """Distance along the ray to the edge from a to b."""
    matrix = np.column_stack((direction, a - b))
    if abs(np.linalg.det(matrix)) < 1e-9:
        return None
    distance, fraction = np.linalg.solve(matrix, a - origin)
    return float(distance) if distance > 0 and 0 <= fraction <= 1 else None


def motion_between(before: Snapshot, after: Snapshot) -> EgoMotion:
    """Ego motion from one frame to the next."""
    moved = np.linalg.inv(before.world_from_base) @ after.world_from_base
    return EgoMotion(float(moved[0, 3]), float(moved[1, 3]), float(np.arctan2(moved[1, 0], moved[0, 0])))
