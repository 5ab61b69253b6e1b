"""Camera model against hand-computed geometry and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from camera_perception.core.errors import CalibrationError
from camera_perception.geometry.camera import BODY_FROM_OPTICAL, Camera, optical_from_rpy, rpy_of

K = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
LEVEL = optical_from_rpy((0.0, 0.0, 1.5), (0.0, 0.0, 0.0))
RAISED = np.zeros((4, 4))
RAISED[2, 3] = 1.0
LENSES = [
    ("plumb_bob", []),
    ("plumb_bob", [-0.24, 0.06, 0.001, -0.0005, 0.0]),
    ("rational_polynomial", [0.3, -0.1, 0.0005, -0.0003, 0.01, 0.6, -0.05, 0.01]),
    ("equidistant", [-0.02, 0.004, -0.001, 0.0001]),
]


def camera(pose: np.ndarray | None = LEVEL, lens: tuple[str, list[float]] = LENSES[0]) -> Camera:
    return Camera(1280, 720, K, np.array(lens[1]), lens[0], pose)


@pytest.mark.parametrize(
    ("pixel", "metres"),
    [
        ((640, 460), (15.0, 0.0)),  # 100 px below the horizon: 1.5 m / 0.1
        ((640, 385), (60.0, 0.0)),
        ((740, 460), (15.0, -1.5)),  # 100 px to the right at 15 m
        ((640, 360), (np.nan, np.nan)),  # on the horizon
        ((640, 100), (np.nan, np.nan)),
        ((np.nan, 460), (np.nan, np.nan)),
    ],
)
def test_a_level_camera_maps_pixels_to_the_road_as_computed_by_hand(pixel, metres):
    np.testing.assert_allclose(camera().ground_from_pixels(np.array([pixel])), [metres], atol=1e-9)


def test_pitching_down_moves_the_horizon_up_and_the_central_ray_onto_the_road():
    down = camera(optical_from_rpy((0.0, 0.0, 1.5), (0.0, np.radians(45), 0.0)))
    np.testing.assert_allclose(down.ground_from_pixels(np.array([[640.0, 360.0]])), [[1.5, 0.0]], atol=1e-9)
    level = camera(optical_from_rpy((2.0, 0.0, 1.5), (0.0, np.radians(2), 0.0)))
    np.testing.assert_allclose(
        level.pitched(np.radians(-2)).pose, optical_from_rpy((2.0, 0.0, 1.5), (0, 0, 0)), atol=1e-12
    )


def test_a_camera_yawed_left_projects_its_centre_to_the_left():
    left = camera(optical_from_rpy((1.0, 0.5, 1.5), (0.0, np.radians(45), np.radians(90))))
    np.testing.assert_allclose(left.ground_from_pixels(np.array([[640.0, 360.0]])), [[1.0, 2.0]], atol=1e-9)


@pytest.mark.parametrize("lens", LENSES)
def test_projection_matches_opencv(lens):
    pose = optical_from_rpy((1.5, 0.2, 1.4), (0.01, 0.03, -0.02))
    points = np.array([[10.0, 2, 0], [30, -4, 1], [60, 0, 2]])
    from_base = np.linalg.inv(pose)
    turn, shift = cv2.Rodrigues(from_base[:3, :3])[0], from_base[:3, 3]
    project = cv2.fisheye.projectPoints if lens[0] == "equidistant" else cv2.projectPoints
    order = (turn, shift, K, np.array(lens[1] or [0.0] * 4))
    expected = project(points.reshape(-1, 1, 3), *order)[0].reshape(-1, 2)
    np.testing.assert_allclose(camera(pose, lens).pixels_from_base(points), expected, atol=1e-6)


@pytest.mark.parametrize("lens", LENSES)
def test_road_points_survive_the_round_trip_through_pixels(lens):
    lens_camera = camera(optical_from_rpy((1.5, 0.2, 1.4), (0.01, 0.03, -0.02)), lens)
    road = np.array([[8.0, 2], [20, -5], [60, 3]])
    pixels = lens_camera.pixels_from_base(np.c_[road, np.zeros(3)])
    np.testing.assert_allclose(lens_camera.ground_from_pixels(pixels), road, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("lens", LENSES)
def test_ray_derivatives_match_finite_differences(lens):
    lens_camera, pixels, step = camera(lens=lens), np.array([[200.0, 150], [640, 300], [1000, 600]]), 1e-2
    rays, jacobians = lens_camera.rays_with_jacobians(pixels)
    for axis, shift in enumerate(np.eye(2) * step):
        change = (lens_camera.rays_from_pixels(pixels + shift) - lens_camera.rays_from_pixels(pixels - shift)) / (
            2 * step
        )
        np.testing.assert_allclose(
            np.broadcast_to(jacobians, (3, 2, 2))[:, :, axis], change[:, :2], rtol=1e-4, atol=1e-8
        )
    assert (rays == lens_camera.rays_from_pixels(pixels)).all()


def test_a_point_behind_the_camera_has_no_pixel():
    assert np.isnan(camera().pixels_from_base(np.array([[-5.0, 0, 0]]))).all()


def test_a_pixel_outside_the_lens_model_has_no_ray():
    barrel = camera(lens=("plumb_bob", [-0.5, 0.0, 0.0, 0.0, 0.0]))
    assert np.isnan(barrel.rays_from_pixels(np.array([[4000.0, 3000.0]]))[0, :2]).all()


def test_camera_info_counts_from_the_centre_of_the_first_pixel():
    lens_camera = Camera.from_camera_info(1280, 720, K.ravel())
    assert tuple(lens_camera.pixel_from_camera[:2, 2]) == (640.5, 360.5)


def test_binning_and_roi_describe_the_received_image():
    lens_camera = Camera.from_camera_info(1280, 720, K.ravel(), binning=(2, 2), roi=(0, 120, 1280, 600))
    assert (lens_camera.width, lens_camera.height) == (640, 300)
    # The sensor's pixel (640, 460) is (320, 170) of the received image, from the corner (320.25, 170.25).
    full = Camera.from_camera_info(1280, 720, K.ravel(), base_from_camera=LEVEL)
    part = Camera.from_camera_info(
        1280, 720, K.ravel(), binning=(2, 2), roi=(0, 120, 1280, 600), base_from_camera=LEVEL
    )
    np.testing.assert_allclose(
        part.ground_from_pixels(np.array([[320.0, 170.0]])), full.ground_from_pixels(np.array([[640.0, 460.0]]))
    )


def test_rectified_images_use_p_without_distortion():
    p = [900.0, 0, 630, -50, 0, 900, 350, 0, 0, 0, 1, 0]
    lens_camera = Camera.from_camera_info(1280, 720, K.ravel(), LENSES[1][1], p=p, rectified=True)
    assert (lens_camera.pixel_from_camera[0, 0], len(lens_camera.distortion)) == (900.0, 0)


def test_raw_images_of_a_stereo_rig_are_rotated_by_r():
    r = cv2.Rodrigues(np.array([0.0, 0.05, 0.0]))[0]
    raw = Camera.from_camera_info(1280, 720, K.ravel(), r=r.ravel(), base_from_camera=LEVEL)
    ray = np.array([0.1, 0.2, 1.0])
    np.testing.assert_allclose(raw.pose[:3, :3] @ ray, LEVEL[:3, :3] @ (r @ ray))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": [0.0] * 9}, "no usable K"),
        ({"k": [float("nan")] * 9}, "no usable K"),
        ({"model": "thin_prism"}, "is unknown"),
        ({"d": [0.1, 0.2]}, "has 2 coefficients"),
        ({"d": [float("nan")] * 5}, "finite"),
        ({"base_from_camera": optical_from_rpy((0, 0, -0.1), (0, 0, 0))}, "below the road"),
        ({"base_from_camera": optical_from_rpy((0, 0, float("nan")), (0, 0, 0))}, "below the road"),
        ({"base_from_camera": np.diag([1.0, 1.0, 2.0, 1.0]) + RAISED}, "not a rigid transform"),
    ],
)  # fmt: skip
def test_an_unusable_calibration_raises_a_clear_error(change, words):
    with pytest.raises(CalibrationError, match=words):
        Camera.from_camera_info(1280, 720, **{"k": K.ravel(), **change})


def test_without_a_pose_there_is_no_metric_output():
    with pytest.raises(CalibrationError, match="no camera pose"):
        camera(None).ground_from_pixels(np.array([[640.0, 460.0]]))


def test_angles_survive_the_round_trip_through_a_pose():
    angles = (0.02, -0.3, 2.5)
    np.testing.assert_allclose(rpy_of(optical_from_rpy((0, 0, 1), angles)), angles)
    assert np.linalg.det(BODY_FROM_OPTICAL) == pytest.approx(1.0)
