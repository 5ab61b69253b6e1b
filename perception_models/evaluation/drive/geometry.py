"""Geometry alone: true boxes in, metres out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from camera_perception.core.types import Detections, Edge, Objects
from camera_perception.geometry.camera import Camera, rotation
from camera_perception.geometry.ground import GroundNoise
from camera_perception.objects.contact import occluded_bottom
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.tracker.tracker import ObjectTracker
from perception_models.evaluation.drive.ground_truth import (
    CLASSES,
    MOVING,
    SceneObject,
    Snapshot,
    contact,
    exact_box,
    motion_between,
)

REACH = 60.0  # metres
EXACT = GroundNoise(pixel=0.2, box=0.0, pitch=np.radians(0.01), roll=np.radians(0.01), height=0.002)


def standing(snapshot: Snapshot, boxes: np.ndarray, things: list[SceneObject]) -> np.ndarray:
    """Rows whose contact with the road is in the image, behind nothing, and not further than REACH."""
    near = np.array([np.linalg.norm(thing.position[:2]) < REACH for thing in things], bool)
    inside = boxes[:, 3] < snapshot.camera.height - 2.5 if len(boxes) else np.zeros(0, bool)
    inside &= ~occluded_bottom(boxes)
    return np.flatnonzero(near & inside & (boxes[:, 0] > 2.5) & (boxes[:, 2] < snapshot.camera.width - 2.5))


def exact(snapshot: Snapshot, least_visible: float = 0.6) -> tuple[list[SceneObject], np.ndarray]:
    """Things in view with the exact projection of their 3D box: (N,) and (N, 4)."""
    seen = [thing for thing in snapshot.things if thing.category in MOVING and thing.visible >= least_visible]
    boxes = np.array([exact_box(thing, snapshot.camera) for thing in seen]).reshape(-1, 4)
    good = np.isfinite(boxes).all(axis=1)
    return [thing for thing, keep in zip(seen, good) if keep], boxes[good]


def as_objects(boxes: np.ndarray, things: list[SceneObject]) -> Objects:
    n = len(boxes)
    kinds = np.array([CLASSES.index(thing.category) for thing in things], np.int32)
    found = Detections(boxes.astype(np.float32), np.full(n, 0.9, np.float32), kinds, np.zeros((n, 0), np.float32))
    return Objects.of(found)


def shaken(camera: Camera, noise: GroundNoise, rng: np.random.Generator) -> Camera:
    """The camera as the library believes it is, wrong by one draw of the noise."""
    pose = camera.pose.copy()
    pose[:3, :3] = rotation((noise.roll * rng.normal(), noise.pitch * rng.normal(), 0.0)) @ pose[:3, :3]
    pose[2, 3] += noise.height * rng.normal()
    return replace(camera, base_from_camera=pose)


def position_errors(snapshots: Iterable[Snapshot], noise: GroundNoise, draw: GroundNoise, seed: int = 0) -> np.ndarray:
    """(N, 3) range, error of the position, error along the line of sight in standard deviations.

    noise  what the library is told
    draw   what is really wrong, frame by frame; its pixel noise goes into the boxes
    """
    rng, rows = np.random.default_rng(seed), []
    for snapshot in snapshots:
        things, boxes = exact(snapshot)
        at = standing(snapshot, boxes, things)
        if not len(at):
            continue
        wrong = boxes + draw.pixel * rng.normal(size=boxes.shape)
        camera = shaken(snapshot.camera, draw, rng)
        found = locate_objects(as_objects(wrong, things), camera, CLASSES, (camera.height, camera.width), noise)
        for row in at:
            if np.isfinite(found.positions[row, 0]) and not found.truncated[row] & Edge.BOTTOM:
                rows.append(_error(found, row, contact(things[row], snapshot.camera, boxes[row]), snapshot.camera))
    return np.array(rows).reshape(-1, 3)


def _error(found: Objects, row: int, truth: np.ndarray, camera: Camera) -> tuple[float, float, float]:
    apart = found.positions[row, :2] - truth
    sight = truth - camera.pose[:2, 3]
    sight = sight / np.linalg.norm(sight)
    sigma = np.sqrt(sight @ found.position_covs[row] @ sight)
    return float(np.linalg.norm(truth)), float(np.linalg.norm(apart)), float(apart @ sight / sigma)


def tracked_errors(snapshots: Iterable[Snapshot], noise: GroundNoise, draw: GroundNoise, seed: int = 0) -> np.ndarray:
    """The same after tracking, from one second of track on; with the speed's error as fourth column."""
    rng, rows, tracker, last = np.random.default_rng(seed), [], ObjectTracker(CLASSES), None
    for snapshot in snapshots:
        things, boxes = exact(snapshot)
        wrong = boxes + draw.pixel * rng.normal(size=boxes.shape)
        camera = shaken(snapshot.camera, draw, rng)
        located = locate_objects(as_objects(wrong, things), camera, CLASSES, (camera.height, camera.width), noise)
        motion = motion_between(last, snapshot) if last else None
        size = camera.height, camera.width
        found, last = tracker.update(located, snapshot.stamp_ns, motion, size, snapshot.camera), snapshot
        for row in standing(snapshot, boxes, things):
            if found.ages[row] * 1e9 > 1e9 and np.isfinite(found.velocities[row]).all() and _old(found, row):
                truth = contact(things[row], snapshot.camera, boxes[row])
                speed = np.linalg.norm(found.velocities[row] - things[row].velocity)
                rows.append((*_error(found, row, truth, snapshot.camera), float(speed)))
    return np.array(rows).reshape(-1, 4)


def _old(found: Objects, row: int, frames: int = 20) -> bool:
    return bool(found.ages[row] >= frames)


NOD = GroundNoise(pixel=0.5, box=0.0, pitch=np.radians(0.3), roll=np.radians(0.1), height=0.01)


def geometry_figures(snapshots: list[Snapshot], drives: list[Snapshot]) -> dict[str, float]:
    """The figures of position: on a known flat road, with 0.3 degrees of pitch, and how honest the doubt is.

    moments  what single frames are judged by: the more drives they come from, the more different the cars
    drives   frames in a row, for what tracking makes of it
    """
    still = position_errors(snapshots, EXACT, GroundNoise(0.0, 0.0, 0.0, 0.0, 0.0))
    noisy = position_errors(snapshots, NOD, NOD)
    figures = {
        "objects": float(len(still)),
        "position_error_median_percent": percent(still),
        "position_error_pitch_0.3_deg_percent": percent(noisy),
        "inside_1_sigma_percent": _inside(noisy, 1),
        "inside_2_sigma_percent": _inside(noisy, 2),
    }
    tracked = tracked_errors(drives, NOD, NOD)
    if len(tracked):
        figures["tracked_position_error_pitch_0.3_deg_percent"] = percent(tracked)
        figures["tracked_inside_1_sigma_percent"] = _inside(tracked, 1)
        figures["tracked_velocity_rmse_m_s"] = float(np.sqrt(np.mean(tracked[:, 3] ** 2)))
    return figures


def _inside(errors: np.ndarray, sigmas: float) -> float:
    """Percent of the errors along the line of sight."""
    return 100 * float(np.mean(np.abs(errors[:, 2]) < sigmas))


def percent(errors: np.ndarray) -> float:
    """Median of error over range."""
    return 100 * float(np.median(errors[:, 1] / errors[:, 0])) if len(errors) else float("nan")
