"""Range from the ground plane on KITTI's object frames: real pictures, labelled boxes, 3D boxes from lidar."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.objects.localize import locate_objects
from perception_models.evaluation.drive.geometry import as_objects
from perception_models.evaluation.drive.ground_truth import CLASSES, SceneObject, Snapshot, contact

HEIGHT = 1.65  # metres of KITTI's cameras over the road
NAMES = {"Car": "car", "Van": "car", "Truck": "truck", "Pedestrian": "pedestrian", "Cyclist": "rider", "Misc": "misc"}
REACH = 40.0


def kitti_camera(calibration: Path, size: tuple[int, int] = (1242, 375)) -> Camera:
    """The left colour camera, level over the road; base_link under the rectified reference camera."""
    rows = dict(line.split(":", 1) for line in calibration.read_text().splitlines() if ":" in line)
    p = np.array(rows["P2"].split(), float).reshape(3, 4)
    pose = optical_from_rpy((0.0, 0.0, HEIGHT), (0.0, 0.0, 0.0))
    pose[:3, 3] -= pose[:3, :3] @ np.linalg.inv(p[:, :3]) @ p[:, 3]
    return Camera.from_camera_info(*size, p[:, :3].ravel(), base_from_camera=pose)


def read_frame(folder: Path, name: str) -> Snapshot:
    """Unoccluded, uncut things of one frame."""
    camera = kitti_camera(folder / "calib" / f"{name}.txt")
    rows = [line.split() for line in (folder / "label_2" / f"{name}.txt").read_text().splitlines()]
    good = [row for row in rows if row[0] in NAMES and float(row[1]) < 0.15 and int(row[2]) < 2]
    return Snapshot(0, camera, [_thing(number, row) for number, row in enumerate(good)], [], np.eye(4))


def _thing(number: int, row: list[str]) -> SceneObject:
    box = np.array(row[4:8], float) + 0.5
    height, width, length, x, y, z, turn = map(float, row[8:15])
    position, size = np.array([z, -x, HEIGHT - y]), np.array([length, width, height])
    yaw = -turn - np.pi / 2
    return SceneObject(number, NAMES[row[0]], position, yaw, size, np.zeros(2), 1.0, box)


def kitti_figures(folder: Path) -> dict[str, float]:
    """Median error of range to REACH metres, against the visible side of the 3D box and against its middle."""
    side, middle = [], []
    for label in sorted((folder / "label_2").glob("*.txt")):
        snapshot = read_frame(folder, label.stem)
        if not snapshot.things:
            continue
        camera, boxes = snapshot.camera, np.array([thing.box for thing in snapshot.things])
        found = locate_objects(as_objects(boxes, snapshot.things), camera, CLASSES, (camera.height, camera.width))
        for row, thing in enumerate(snapshot.things):
            reach = float(np.linalg.norm(found.positions[row, :2]))
            truth = float(np.linalg.norm(contact(thing, camera, boxes[row])))
            if np.isfinite(reach) and truth < REACH:
                side.append(abs(reach - truth) / truth)
                middle.append(abs(reach - np.linalg.norm(thing.position[:2])) / np.linalg.norm(thing.position[:2]))
    return {
        "objects": float(len(side)),
        "range_error_median_percent": 100 * float(np.median(side)) if side else float("nan"),
        "range_error_to_middle_median_percent": 100 * float(np.median(middle)) if middle else float("nan"),
    }
