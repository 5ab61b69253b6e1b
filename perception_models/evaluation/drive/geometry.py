"""Accuracy of the geometry alone: positions computed from true boxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from camera_perception.core.types import Detections, Edge, Objects
from camera_perception.geometry.camera import Camera, rotation_from_rpy
from camera_perception.geometry.ground import GroundNoise
from camera_perception.objects.contact import occluded_bottom
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.tracker.tracker import ObjectTracker
from perception_models.evaluation.drive.errors import median, percent_within, range_error
from perception_models.evaluation.drive.ground_truth import (
    CLASSES,
    MOVING,
    Actor,
    Snapshot,
    contact,
    exact_box,
    motion_between,
)

MAX_RANGE = 60.0  # metres
MIN_TRACK_AGE = 20  # frames until a track is judged
NO_NOISE = GroundNoise(0.0, 0.0, 0.0, 0.0, 0.0)
# What the library assumes of a known flat road: nearly nothing, but not zero, which has no inverse.
EXACT = GroundNoise(pixel=0.2, box=0.0, pitch=np.radians(0.01), roll=np.radians(0.01), height=0.002)
PITCHING = GroundNoise(pixel=0.5, box=0.0, pitch=np.radians(0.3), roll=np.radians(0.1), height=0.01)


def geometry_metrics(snapshots: list[Snapshot], drives: list[Snapshot]) -> dict[str, float]:
    """Position errors on a known flat road and with 0.3 degrees of pitch, and how well sigmas match the errors.

    snapshots  judged frame by frame: the more drives they come from, the more varied the cars
    drives     consecutive frames, judged after tracking
    """
    still = position_errors(snapshots, EXACT, NO_NOISE)
    noisy = position_errors(snapshots, PITCHING, PITCHING)
    metrics = {
        "objects": float(len(still)),
        "position_error_median_percent": _median_percent(still),
        "position_error_pitch_0.3_deg_percent": _median_percent(noisy),
        "inside_1_sigma_percent": percent_within(noisy[:, 2], 1),
        "inside_2_sigma_percent": percent_within(noisy[:, 2], 2),
    }
    tracked = tracked_errors(drives, PITCHING, PITCHING)
    if len(tracked):
        metrics["tracked_position_error_pitch_0.3_deg_percent"] = _median_percent(tracked)
        metrics["tracked_inside_1_sigma_percent"] = percent_within(tracked[:, 2], 1)
        metrics["tracked_velocity_rmse_m_s"] = float(np.sqrt(np.mean(tracked[:, 3] ** 2)))
    return metrics


def _median_percent(errors: np.ndarray) -> float:
    return 100 * median(errors[:, 1] / errors[:, 0])


def position_errors(snapshots: Iterable[Snapshot], noise: GroundNoise, draw: GroundNoise, seed: int = 0) -> np.ndarray:
    """(N, 3) range, position error, error along the viewing ray in standard deviations.

    noise  what the library assumes
    draw   what is applied, frame by frame; its pixel noise goes into the boxes
    """
    rng, rows = np.random.default_rng(seed), []
    for snapshot in snapshots:
        actors, boxes = exact_boxes(snapshot)
        judged = in_full_view(snapshot, boxes, actors)
        if not len(judged):
            continue
        located = _located(snapshot, actors, boxes, noise, draw, rng)
        for row in judged:
            if np.isfinite(located.positions[row, 0]) and not located.truncated[row] & Edge.BOTTOM:
                rows.append(_error(located, row, actors[row], boxes[row], snapshot.camera))
    return np.array(rows).reshape(-1, 3)


def tracked_errors(snapshots: Iterable[Snapshot], noise: GroundNoise, draw: GroundNoise, seed: int = 0) -> np.ndarray:
    """(N, 4) the same after tracking, for tracks older than MIN_TRACK_AGE; the last column is the velocity error."""
    rng, rows, tracker = np.random.default_rng(seed), [], ObjectTracker(CLASSES)
    last: Snapshot | None = None
    for snapshot in snapshots:
        actors, boxes = exact_boxes(snapshot)
        located = _located(snapshot, actors, boxes, noise, draw, rng)
        motion = motion_between(last, snapshot) if last else None
        size = snapshot.camera.height, snapshot.camera.width
        tracked, last = tracker.update(located, snapshot.stamp_ns, motion, size, snapshot.camera), snapshot
        for row in in_full_view(snapshot, boxes, actors):
            if np.isfinite(tracked.velocities[row]).all() and tracked.ages[row] >= MIN_TRACK_AGE:
                speed_error = np.linalg.norm(tracked.velocities[row] - actors[row].velocity)
                errors = _error(tracked, row, actors[row], boxes[row], snapshot.camera)
                rows.append((*errors, float(speed_error)))
    return np.array(rows).reshape(-1, 4)


def _located(
    snapshot: Snapshot,
    actors: list[Actor],
    boxes: np.ndarray,
    noise: GroundNoise,
    draw: GroundNoise,
    rng: np.random.Generator,
) -> Objects:
    """Objects with positions, from boxes and a camera that are wrong by one draw of the noise."""
    shifted = boxes + draw.pixel * rng.normal(size=boxes.shape)
    camera = perturbed(snapshot.camera, draw, rng)
    return locate_objects(as_objects(shifted, actors), camera, CLASSES, (camera.height, camera.width), noise)


def _error(objects: Objects, row: int, actor: Actor, box: np.ndarray, camera: Camera) -> tuple[float, float, float]:
    truth = contact(actor, camera, box)
    true_range, _, normalised = range_error(objects, row, truth, camera)
    return true_range, float(np.linalg.norm(objects.positions[row, :2] - truth)), normalised


def exact_boxes(snapshot: Snapshot, min_visible: float = 0.6) -> tuple[list[Actor], np.ndarray]:
    """(N,) moving actors in view, and (N, 4) exact projections of their 3D boxes."""
    actors = [actor for actor in snapshot.actors if actor.category in MOVING and actor.visible >= min_visible]
    boxes = np.array([exact_box(actor, snapshot.camera) for actor in actors]).reshape(-1, 4)
    in_view = np.isfinite(boxes).all(axis=1)
    return [actor for actor, keep in zip(actors, in_view) if keep], boxes[in_view]


def in_full_view(snapshot: Snapshot, boxes: np.ndarray, actors: list[Actor]) -> np.ndarray:
    """Rows whose ground contact is in the image, unoccluded, and nearer than MAX_RANGE."""
    near = np.array([np.linalg.norm(actor.position[:2]) < MAX_RANGE for actor in actors], bool)
    inside = (boxes[:, 3] < snapshot.camera.height - 2.5) & ~occluded_bottom(boxes)
    return np.flatnonzero(near & inside & (boxes[:, 0] > 2.5) & (boxes[:, 2] < snapshot.camera.width - 2.5))


def as_objects(boxes: np.ndarray, actors: list[Actor]) -> Objects:
    """Detections with the classes of the actors and a score of 0.9."""
    n = len(boxes)
    classes = np.array([CLASSES.index(actor.category) for actor in actors], np.int32)
    detections = Detections(
        boxes.astype(np.float32), np.full(n, 0.9, np.float32), classes, np.zeros((n, 0), np.float32)
    )
    return Objects.of(detections)


def perturbed(camera: Camera, noise: GroundNoise, rng: np.random.Generator) -> Camera:
    """The camera with a mounting that is wrong by one draw of the noise."""
    pose = camera.pose.copy()
    pose[:3, :3] = rotation_from_rpy((noise.roll * rng.normal(), noise.pitch * rng.normal(), 0.0)) @ pose[:3, :3]
    pose[2, 3] += noise.height * rng.normal()
    return replace(camera, base_from_camera=pose)
