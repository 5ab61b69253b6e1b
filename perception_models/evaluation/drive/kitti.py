"""Accuracy of ranges from the ground plane on KITTI object frames: real images, labelled boxes, 3D boxes from lidar."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from camera_perception.core.natural_order import natural_order
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.objects.localize import locate_objects
from perception_models.evaluation.drive.errors import median
from perception_models.evaluation.drive.geometry import as_objects
from perception_models.evaluation.drive.ground_truth import CLASSES, Actor, Snapshot, boxes_of, contact

CAMERA_HEIGHT = 1.65  # metres above the road
CATEGORIES = {
    "Car": "car", "Van": "car", "Truck": "truck", "Pedestrian": "pedestrian", "Cyclist": "rider", "Misc": "misc",
}  # fmt: skip
MAX_RANGE = 40.0  # metres


def kitti_metrics(folder: Path) -> dict[str, float]:
    """Median range error up to MAX_RANGE, against the visible side of the 3D box and against its centre."""
    side, middle = [], []
    for label in natural_order((folder / "label_2").glob("*.txt")):
        snapshot = read_frame(folder, label.stem)
        if not snapshot.actors:
            continue
        camera, boxes = snapshot.camera, boxes_of(snapshot.actors)
        located = locate_objects(as_objects(boxes, snapshot.actors), camera, CLASSES, (camera.height, camera.width))
        for row, actor in enumerate(snapshot.actors):
            measured = float(np.linalg.norm(located.positions[row, :2]))
            truth = float(np.linalg.norm(contact(actor, camera, boxes[row])))
            if np.isfinite(measured) and truth < MAX_RANGE:
                centre = float(np.linalg.norm(actor.position[:2]))
                side.append(abs(measured - truth) / truth)
                middle.append(abs(measured - centre) / centre)
    return {
        "objects": float(len(side)),
        "range_error_median_percent": 100 * median(side),
        "range_error_to_middle_median_percent": 100 * median(middle),
    }


def read_frame(folder: Path, name: str) -> Snapshot:
    """One frame with its unoccluded, untruncated objects."""
    camera = kitti_camera(folder / "calib" / f"{name}.txt")
    rows = [line.split() for line in (folder / "label_2" / f"{name}.txt").read_text().splitlines()]
    usable = [row for row in rows if row[0] in CATEGORIES and float(row[1]) < 0.15 and int(row[2]) < 2]
    return Snapshot(0, camera, [_actor(number, row) for number, row in enumerate(usable)], [], np.eye(4))


def kitti_camera(calibration: Path, size: tuple[int, int] = (1242, 375)) -> Camera:
    """The left colour camera, level above the road; base_link below the rectified reference camera."""
    rows = dict(line.split(":", 1) for line in calibration.read_text().splitlines() if ":" in line)
    p = np.array(rows["P2"].split(), float).reshape(3, 4)
    pose = optical_from_rpy((0.0, 0.0, CAMERA_HEIGHT), (0.0, 0.0, 0.0))
    pose[:3, 3] -= pose[:3, :3] @ np.linalg.inv(p[:, :3]) @ p[:, 3]
    return Camera.from_camera_info(*size, p[:, :3].ravel().tolist(), base_from_camera=pose)


def _actor(number: int, row: list[str]) -> Actor:
    box = np.array(row[4:8], float) + 0.5
    height, width, length, x, y, z, turn = map(float, row[8:15])
    position, size = np.array([z, -x, CAMERA_HEIGHT - y]), np.array([length, width, height])
    yaw = -turn - np.pi / 2
    return Actor(number, CATEGORIES[row[0]], position, yaw, size, np.zeros(2), 1.0, box)
