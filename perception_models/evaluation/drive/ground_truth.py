"""Drives whose truth is known: rendered ones, and plain ones made of boxes on a flat road."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from camera_perception.core.types import EgoMotion
from camera_perception.geometry.camera import Camera, optical_from_rpy

CLASSES = (
    "pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light",
    "traffic sign", "misc",
)  # fmt: skip
MOVING = CLASSES[:8]


@dataclass(frozen=True)
class SceneObject:
    """position is the ground contact centre, metres in base_link; size is length, width, height."""

    track_id: int
    category: str
    position: np.ndarray
    yaw: float
    size: np.ndarray
    velocity: np.ndarray  # over the ground
    visible: float
    box: np.ndarray  # x0 y0 x1 y1 of what the picture shows


@dataclass(frozen=True)
class Snapshot:
    """One frame of a drive; lanes are (role, (P, 3) points near to far)."""

    stamp_ns: int
    camera: Camera
    things: list[SceneObject]
    lanes: list[tuple[str, np.ndarray]]
    world_from_base: np.ndarray
    image: Path | None = None
    sequence: str = ""
    extra: dict = field(default_factory=dict)


def read_drive(folder: Path) -> list[Snapshot]:
    """A labelled folder (or its unfinished parts) with rendered truth, in order; ValueError when it has none."""
    file = folder / "truth/truth.jsonl"
    if file.is_file():
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    else:
        rows = [json.loads(part.read_text())["truth"] for part in sorted((folder / "parts").glob("*.json"))]
    if not rows:
        raise ValueError(f"{folder} has no truth/truth.jsonl: give a folder that `perception-models render` wrote")
    snapshots = [_snapshot(row, folder) for row in rows]
    return sorted(snapshots, key=lambda snapshot: (snapshot.sequence, snapshot.stamp_ns))


def _snapshot(row: dict, folder: Path) -> Snapshot:
    image = folder / "images" / row["name"]
    return snapshot_of(row, _size(image), image)


def snapshot_of(row: dict, size: tuple[int, int], image: Path | None = None) -> Snapshot:
    """One line of a truth file; size is width and height of the picture."""
    width, height = size
    fx, fy, cx, cy = row["intrinsics"]
    k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], float)
    pose = np.array(row["base_from_camera"], float)
    camera = Camera(width, height, k, np.array(row["distortion"], float), base_from_camera=pose)
    lanes = [(lane["role"], np.array(lane["points"], float).reshape(-1, 3)) for lane in row["lanes"]]
    world = np.array(row["ego"]["world_from_base"], float)
    things = [_thing(each) for each in row["objects"]]
    return Snapshot(row["stamp_ns"], camera, things, lanes, world, image, row["sequence"])


def _thing(row: dict) -> SceneObject:
    box = np.array([row["box2d"][key] for key in ("x1", "y1", "x2", "y2")], float)
    arrays = (np.array(row[key], float) for key in ("position", "size", "velocity"))
    position, size, velocity = arrays
    return SceneObject(row["track_id"], row["category"], position, row["yaw"], size, velocity, row["visible"], box)


def _size(image: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(image) as opened:
        return opened.size


def plain_drive(seed: int, seconds: float = 8.0, rate: float = 20.0) -> Iterator[Snapshot]:
    """Twelve cars on a flat straight road, seen without a picture: boxes are exact projections."""
    rng = np.random.default_rng(seed)
    k = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
    camera = Camera(1280, 720, k, np.zeros(0), base_from_camera=optical_from_rpy((1.5, 0.0, 1.45), (0.0, 0.02, 0.0)))
    count, own = 12, 15.0
    start = np.c_[np.linspace(8, 62, count), rng.choice([-3.5, 0.0, 3.5], count) + rng.normal(0, 0.2, count)]
    start[start[:, 1] > 2, 0] += rng.uniform(0, 20)
    pace = own + rng.uniform(-5, 4, 2)  # one per lane: nobody drives through anybody
    speed = np.select([start[:, 1] > 2, start[:, 1] > -2], [-12.0, pace[0]], pace[1])
    size = np.c_[rng.normal(4.4, 0.3, count), rng.normal(1.82, 0.06, count), rng.normal(1.6, 0.25, count)]
    for i in range(round(seconds * rate)):
        t = i / rate
        world = np.eye(4)
        world[0, 3] = own * t
        places = start + np.c_[(speed - own) * t, np.zeros(count)]
        things = [_plain(n, places[n], speed[n], size[n], camera) for n in range(count)]
        shown = [thing for thing in things if np.isfinite(thing.box).all()]
        yield Snapshot(round(t * 1e9), camera, _unhidden(shown), [], world, sequence=f"plain {seed}")


def _plain(number: int, place: np.ndarray, speed: float, size: np.ndarray, camera: Camera) -> SceneObject:
    yaw = 0.0 if speed >= 0 else np.pi
    thing = SceneObject(number, "car", np.r_[place, 0.0], yaw, size, np.array([speed, 0.0]), 1.0, np.full(4, np.nan))
    return SceneObject(
        *(getattr(thing, name) for name in list(SceneObject.__dataclass_fields__)[:-1]), exact_box(thing, camera)
    )


def _unhidden(things: list[SceneObject]) -> list[SceneObject]:
    """Without those whose box is more than half behind that of a nearer one."""
    kept: list[SceneObject] = []
    for thing in sorted(things, key=lambda each: each.position[0]):
        x0, y0, x1, y1 = thing.box
        area = max((x1 - x0) * (y1 - y0), 1e-6)
        hidden = sum(
            max(0, min(x1, b[2]) - max(x0, b[0])) * max(0, min(y1, b[3]) - max(y0, b[1]))
            for b in (each.box for each in kept)
        )
        if hidden < 0.5 * area:
            kept.append(thing)
    return kept


def corners(thing: SceneObject) -> np.ndarray:
    """(8, 3) corners of the box around a thing, metres in base_link; the first four on the road."""
    c, s = np.cos(thing.yaw), np.sin(thing.yaw)
    flat = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) / 2 * thing.size[:2]
    ring = flat @ np.array([[c, s], [-s, c]]) + thing.position[:2]
    return np.concatenate([np.c_[ring, np.full(4, thing.position[2] + z)] for z in (0.0, thing.size[2])])


def exact_box(thing: SceneObject, camera: Camera) -> np.ndarray:
    """(4,) projection of the corners, cut at the image; nan when it is out of view or partly behind the camera."""
    pixels = camera.pixels_from_base(corners(thing))
    if not np.isfinite(pixels).all():
        return np.full(4, np.nan)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    box = np.r_[np.clip(low, 0, (camera.width, camera.height)), np.clip(high, 0, (camera.width, camera.height))]
    return box if (box[2:] - box[:2] > 1).all() else np.full(4, np.nan)


def contact(thing: SceneObject, camera: Camera, box: np.ndarray) -> np.ndarray:
    """(2,) where the side that the camera sees stands on the road, in the direction of the box's middle.

    The footprint's border where the ray of the middle meets it first; the nearest corner when it misses.
    """
    origin = camera.pose[:2, 3]
    ring = corners(thing)[:4, :2]
    ray = camera.rays_from_pixels(np.array([[(box[0] + box[2]) / 2, box[3]]]))[0] @ camera.pose[:3, :3].T
    along = ray[:2] / np.linalg.norm(ray[:2])
    reaches = [_crossing(origin, along, a, b) for a, b in zip(ring, np.roll(ring, -1, axis=0))]
    found = [reach for reach in reaches if reach is not None]
    nearest = ring[np.argmin(np.linalg.norm(ring - origin, axis=1))]
    return origin + min(found) * along if found else nearest


def _crossing(origin: np.ndarray, along: np.ndarray, a: np.ndarray, b: np.ndarray) -> float | None:
    matrix = np.column_stack((along, a - b))
    if abs(np.linalg.det(matrix)) < 1e-9:
        return None
    reach, share = np.linalg.solve(matrix, a - origin)
    return float(reach) if reach > 0 and 0 <= share <= 1 else None


def motion_between(before: Snapshot, after: Snapshot) -> EgoMotion:
    """How the car moved from one frame to the next."""
    moved = np.linalg.inv(before.world_from_base) @ after.world_from_base
    return EgoMotion(float(moved[0, 3]), float(moved[1, 3]), float(np.arctan2(moved[1, 0], moved[0, 0])))
