"""Camera model: projection, distortion and rigs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from driving_scenes.base.camera import Camera, camera_pose, distort, random_camera, read_rig


@pytest.mark.parametrize("distortion", [(0.0,) * 5, (-0.2, 0.03, 1e-3, -5e-4, 0.0)])
def test_the_camera_projects_as_opencv_does(distortion):
    pose = camera_pose(1.5, 0.1, 1.4, 0.02, 0.03, 0.01)
    camera = Camera("front", 640, 384, (500.0, 510.0, 318.0, 190.0), distortion, pose)
    points = np.array([[10.0, 1, 0], [25, -3, 0.5], [60, 8, 2]])
    camera_from_base = np.linalg.inv(camera.base_from_camera)
    rotation, translation = cv2.Rodrigues(camera_from_base[:3, :3])[0], camera_from_base[:3, 3]
    expected, _ = cv2.projectPoints(points, rotation, translation, camera.matrix, np.array(distortion))
    np.testing.assert_allclose(camera.project(points)[0], expected[:, 0], atol=1e-6)


def test_a_level_camera_1_5_m_high_sees_the_road_15_m_ahead_100_px_below_its_centre_at_focal_length_1000():
    camera = Camera("front", 1280, 720, (1000.0, 1000.0, 640.0, 360.0), (0.0,) * 5, camera_pose(0, 0, 1.5, 0, 0, 0))
    np.testing.assert_allclose(camera.project(np.array([[15.0, 0, 0]]))[0], [[640, 460]])


def test_the_canvas_holds_every_ray_of_a_distorted_image():
    pose = camera_pose(0, 0, 1.5, 0, 0, 0)
    camera = Camera("front", 640, 384, (400.0, 400.0, 320.0, 190.0), (-0.15, 0.01, 0, 0, 0), pose)
    x, y = camera.lookup
    width, height, cx, cy = camera.canvas
    assert x.min() >= 0
    assert y.min() >= 0
    assert x.max() <= width - 1
    assert y.max() <= height - 1
    ray = np.array([[(x[50, 600] + 0.5 - cx) / 400, (y[50, 600] + 0.5 - cy) / 400]])
    np.testing.assert_allclose(distort(ray, camera.distortion)[0] * 400 + [320, 190], [600.5, 50.5], atol=0.05)


def test_cameras_around_the_car_face_the_sides_and_the_rear():
    ahead, around = (
        [random_camera(np.random.default_rng(i), 256, 160, side).base_from_camera[:2, 2] for i in range(40)]
        for side in (False, True)
    )
    angles = [np.degrees(np.arctan2(y, x)) for x, y in around]
    assert min(x for x, _ in ahead) > 0.95
    assert 25 < min(map(abs, angles)) < 60
    assert max(map(abs, angles)) > 150
    assert {np.sign(angle) for angle in angles} == {-1, 1}


def test_a_rig_file_without_a_position_names_camera_and_entry(tmp_path):
    rig = tmp_path / "rig.yaml"
    rig.write_text("cameras: {left: {size: [640, 384], intrinsics: [1, 1, 0, 0]}}")
    with pytest.raises(ValueError, match="camera left needs position"):
        read_rig(rig)
    rig.write_text("left: {}")
    with pytest.raises(ValueError, match="starts with `cameras:`"):
        read_rig(rig)
