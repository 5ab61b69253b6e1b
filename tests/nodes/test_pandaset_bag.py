"""A PandaSet sequence becomes a recording with calibrated cameras, in our frames; both layouts give the same drive."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from camera_perception.geometry.rig import read_rig
from camera_perception.io.bag_reader import Bag
from camera_perception.io.ros_types import deserialize
from camera_perception.tools.replay.source import open_source
from camera_perception_ros.demo.cameras import cameras_of, odometry_of

FRAMES, START, SPEED, TURN = 5, 1557539956.0, 4.0, 0.1  # m/s along the car's x, rad/s
K = [[100.0, 0, 80], [0, 100.0, 48], [0, 0, 1]]
OPTICAL = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], float)  # of a camera that looks forward, in base_link


def pose(rotation: np.ndarray, position) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation, position
    return out


FRONT = pose(OPTICAL, (0.86, 0.0, 2.1))
LEFT = pose(Rotation.from_euler("z", 90, degrees=True).as_matrix() @ OPTICAL, (0.5, 0.4, 1.9))


def world_from_base(at: float) -> np.ndarray:
    """The car drives a circle, 45 degrees to the world's axes at the start."""
    angle, radius = np.pi / 4 + TURN * at, SPEED / TURN
    centre = radius * np.array([np.sin(angle) - np.sin(np.pi / 4), np.cos(np.pi / 4) - np.cos(angle), 0])
    return pose(Rotation.from_euler("z", angle).as_matrix(), centre)


def image(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((96, 160, 3), level, np.uint8))


def converted(folder: Path) -> Path:
    mounts = {"front": FRONT, "left": LEFT}
    cameras = {name: {"K": K, "T_base_link_camera_optical": mount.tolist()} for name, mount in mounts.items()}
    rows = {name: [] for name in cameras}
    for name in cameras:
        for number in range(FRAMES):
            at = 0.1 * number + (0.03 if name == "left" else 0.0)
            matrix = world_from_base(at).tolist()
            row = {"frame": number, "stamp": START + at, "T_world_base_link": matrix}
            rows[name].append({**row, "velocity_base_link": [SPEED, 0, 0], "yaw_rate": TURN})
            image(folder / f"images/{name}/{number:02d}.jpg", 40 * number + 20)
    (folder / "calibration.json").write_text(json.dumps({"cameras": cameras}))
    (folder / "ego.json").write_text(json.dumps({"cameras": rows}))
    return folder


def published(folder: Path) -> Path:
    vehicle_from_base = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, -0.318], [0, 0, 0, 1]], float)

    def row(matrix):
        x, y, z, w = Rotation.from_matrix(matrix[:3, :3]).as_quat()
        return {"position": dict(zip("xyz", matrix[:3, 3])), "heading": {"w": w, "x": x, "y": y, "z": z}}

    def write(path, value):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))

    times = [0.05 * number for number in range(-2, 2 * FRAMES + 3)]
    write(folder / "lidar/timestamps.json", [START + at for at in times])
    write(folder / "lidar/poses.json", [row(world_from_base(at) @ np.linalg.inv(vehicle_from_base)) for at in times])
    for name, mount, late in (("front", FRONT, 0.0), ("left", LEFT, 0.03)):
        camera = folder / f"camera/{name}_camera"
        stamps = [0.1 * number + late for number in range(FRAMES)]
        write(camera / "timestamps.json", [START + at for at in stamps])
        write(camera / "poses.json", [row(world_from_base(at) @ mount) for at in stamps])
        write(camera / "intrinsics.json", {"fx": 100.0, "fy": 100.0, "cx": 80.0, "cy": 48.0})
        for number in range(FRAMES):
            image(camera / f"{number:02d}.jpg", 40 * number + 20)
    return folder


@pytest.fixture
def make(repository, monkeypatch):
    """Run the program with these words."""
    monkeypatch.syspath_prepend(str(repository / "bags"))
    app = importlib.import_module("make_pandaset_bag").app
    return lambda *words: CliRunner().invoke(app, [*map(str, words)])


@pytest.mark.parametrize("layout", [converted, published])
def test_cameras_stamps_mounting_and_motion_are_those_of_the_drive(layout, make, tmp_path):
    done = make(layout(tmp_path / "sequence"), "--out", tmp_path / "bag")
    assert done.exit_code == 0, done.output
    front, left = cameras_of(tmp_path / "bag")
    assert (front.name, left.name) == ("front", "left")
    for camera, mount in ((front, FRONT), (left, LEFT)):
        source = open_source(tmp_path / "bag", camera.name)
        assert source.calibration is not None
        np.testing.assert_allclose(source.calibration.pose, mount, atol=2e-3)
        assert source.calibration.pixel_from_camera[0, 0] == pytest.approx(100)
        levels = [int(arrival.read()[0, 0, 0]) for arrival in source.arrivals]
        np.testing.assert_allclose(levels, [20, 60, 100, 140, 180], atol=3)
    poses = {camera.name: camera.pose for camera in read_rig(tmp_path / "bag/rig.yaml")}
    np.testing.assert_allclose(poses["left"], (0.5, 0.4, 1.9, 0, 0, np.pi / 2), atol=2e-3)
    with Bag(tmp_path / "bag") as bag:
        moves = [deserialize(m.kind, m.data) for m in bag.messages([odometry_of(tmp_path / "bag")])]
        stamps = [message.stamp_ns for message in bag.messages()]
    assert stamps == sorted(stamps)
    assert stamps[0] == round(START * 1e9)
    np.testing.assert_allclose([move.twist.twist.linear.x for move in moves], SPEED, rtol=0.01)
    np.testing.assert_allclose([move.twist.twist.angular.z for move in moves], TURN, rtol=0.01)


def test_images_shrink_with_their_lens(make, tmp_path):
    done = make(
        converted(tmp_path / "sequence"), "--out", tmp_path / "bag",
        "--width", 80, "--cameras", "left", "--frames", 2,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    source = open_source(tmp_path / "bag")
    assert (source.camera, source.length) == ("left", 2)
    assert next(source.arrivals).read().shape == (48, 80, 3)
    camera = source.calibration
    assert (camera.width, camera.pixel_from_camera[0, 0]) == (80, pytest.approx(50))


def test_what_is_no_sequence_is_refused(make, tmp_path):
    done = make(tmp_path, "--out", tmp_path / "bag")
    assert done.exit_code == 2
    assert "is no PandaSet sequence" in " ".join(done.output.replace("│", " ").split())
    done = make(converted(tmp_path / "sequence"), "--out", tmp_path / "bag", "--cameras", "up")
    assert "no camera up" in " ".join(done.output.replace("│", " ").split())
