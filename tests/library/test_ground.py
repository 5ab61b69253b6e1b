"""Metric positions with covariance, against hand-computed values, Monte Carlo statistics and KITTI's calibration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from camera_perception.core.types import Detections, Edge, Objects, PositionMethod
from camera_perception.geometry.camera import Camera, optical_from_rpy, rotation_from_rpy
from camera_perception.geometry.ground import GroundNoise, combine_estimates, ground_with_covariance
from camera_perception.objects.contact import occluded_bottom
from camera_perception.objects.localize import height_priors, locate_objects, position_from_height

K = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
CAMERA = Camera(1280, 720, K, np.zeros(0), base_from_camera=optical_from_rpy((0.0, 0.0, 1.5), (0.0, 0.0, 0.0)))
CLASSES = ("car", "pedestrian", "traffic light", "boat")
SIZE = (720, 1280)
EXACT = GroundNoise(pixel=0.5, box=0.0, pitch=1e-4, roll=1e-4, height=0.001)


def objects(*boxes: tuple[float, ...], classes: tuple[int, ...] | None = None) -> Objects:
    n = len(boxes)
    numbers = np.array(classes or (0,) * n, np.int32)
    detections = Detections(
        np.array(boxes, np.float32).reshape(n, 4), np.full(n, 0.9, np.float32), numbers, np.zeros((n, 0), np.float32)
    )
    return Objects.of(detections)


def test_one_pixel_of_sigma_at_30_m_is_600_mm():
    """x = 1.5 m * 1000 px / v, so dx/dv = x^2 / 1500 = 0.6 m at 30 m."""
    noise = GroundNoise(pitch=0.0, roll=0.0, height=0.0)
    _, cov = ground_with_covariance(np.array([[640.0, 410.0]]), np.ones((1, 2)), CAMERA, noise)
    np.testing.assert_allclose(np.sqrt(np.diag(cov[0])), [0.6, 0.03], rtol=0.03)


@pytest.mark.parametrize(
    ("noise", "metres"),
    [
        (GroundNoise(pitch=0.001, roll=0.0, height=0.0), 0.001 * (30**2 + 1.5**2) / 1.5),
        (GroundNoise(pitch=0.0, roll=0.0, height=0.015), 0.3),  # 1 % of the height is 1 % of the range
    ],
)
def test_pitch_and_height_errors_propagate_to_range(noise, metres):
    _, cov = ground_with_covariance(np.array([[640.0, 410.0]]), np.zeros((1, 2)), CAMERA, noise)
    assert np.sqrt(cov[0, 0, 0]) == pytest.approx(metres, rel=1e-3)


def test_the_covariance_matches_a_monte_carlo_simulation():
    rng = np.random.default_rng(5)
    noise = GroundNoise(pitch=0.002, roll=0.004, height=0.03)
    pixel = np.array([[700.0, 420.0]])
    tilted = replace(CAMERA, base_from_camera=optical_from_rpy((1.5, 0.3, 1.4), (0.01, 0.02, 0.3)))
    position, cov = ground_with_covariance(pixel, np.full((1, 2), 1.5), tilted, noise)
    trials = []
    for _ in range(3000):
        pose = tilted.pose.copy()
        roll = rotation_from_rpy((noise.roll * rng.normal(), 0, 0))
        pitch = rotation_from_rpy((0, noise.pitch * rng.normal(), 0))
        yaw = rotation_from_rpy((0, 0, 0.3))
        pose[:3, :3] = yaw @ roll @ pitch @ yaw.T @ pose[:3, :3]
        pose[2, 3] += noise.height * rng.normal()
        trials.append(replace(tilted, base_from_camera=pose).ground_from_pixels(pixel + 1.5 * rng.normal(size=2))[0])
    np.testing.assert_allclose(np.cov(np.array(trials).T), cov[0], rtol=0.12, atol=0.01)
    np.testing.assert_allclose(np.mean(trials, axis=0), position[0], atol=0.1)


def test_errors_lie_within_one_and_two_sigma_at_the_expected_rates():
    rng = np.random.default_rng(6)
    x, y = rng.uniform(6, 45, 4000), rng.uniform(-8, 8, 4000)
    exact = CAMERA.pixels_from_base(np.c_[x, y, np.zeros(4000)])
    noise, inside = GroundNoise(pixel=1.0, pitch=0.0015, roll=0.003, height=0.02), []
    for truth, pixel in zip(np.c_[x, y], exact):
        angles = rotation_from_rpy((noise.roll * rng.normal(), noise.pitch * rng.normal(), 0))
        pose = CAMERA.pose.copy()
        pose[:3, :3] = angles @ pose[:3, :3]
        pose[2, 3] += noise.height * rng.normal()
        wrong = replace(CAMERA, base_from_camera=pose)
        position, cov = ground_with_covariance(pixel[None] + rng.normal(size=2), np.ones((1, 2)), wrong, noise)
        inside.append(np.abs(position[0, 0] - truth[0]) / np.sqrt(cov[0, 0, 0]))
    assert np.mean(np.array(inside) < 1) == pytest.approx(0.68, abs=0.04)
    assert np.mean(np.array(inside) < 2) == pytest.approx(0.95, abs=0.04)


def test_two_estimates_combine_to_one_between_them():
    a, b = np.array([[10.0, 0.0]]), np.array([[12.0, 0.0]])
    mean, cov = combine_estimates(a, np.eye(2)[None], b, np.diag([3.0, 1.0])[None])
    np.testing.assert_allclose(mean, [[10.5, 0.0]])
    np.testing.assert_allclose(np.diag(cov[0]), [0.75, 0.5])


def test_a_pedestrian_of_170_px_stands_10_m_away():
    """Feet 150 px under the horizon, head 20 px over it: 1.7 m * 1000 / 170."""
    boxes = np.array([[600.0, 340.0, 660.0, 510.0]])
    position, cov, _ = position_from_height(boxes, height_priors(np.array([1]), CLASSES), np.zeros((1, 2)), CAMERA)
    np.testing.assert_allclose(position[0, 0], 10.0, rtol=2e-3)
    assert np.sqrt(cov[0, 0, 0]) == pytest.approx(10.0 * 0.14 / 1.7, rel=0.01)


def test_a_car_on_the_road_has_its_contact_point():
    found = locate_objects(objects((590, 360, 690, 460)), CAMERA, CLASSES, SIZE, EXACT)
    np.testing.assert_allclose(found.positions[0], [15.0, 0.0, 0.0], atol=0.05)
    assert found.position_methods[0] == PositionMethod.GROUND_PLANE
    assert found.ground_widths[0] == pytest.approx(1.5, abs=0.02)


@pytest.mark.parametrize(
    ("box", "kind", "method"),
    [
        ((590, 360, 690, 719), 0, PositionMethod.NONE),  # its wheels are below the image
        ((600, 300, 640, 340), 0, PositionMethod.SIZE_PRIOR),  # over the horizon: a hill, a bump
        ((600, 300, 640, 340), 3, PositionMethod.NONE),  # no such size is known
        ((600, 100, 620, 140), 2, PositionMethod.NONE),  # a traffic light stands on no road
        ((600, 380, 640, 500), 2, PositionMethod.NONE),
        ((638, 360.5, 640, 361.5), 3, PositionMethod.NONE),  # at the horizon: kilometres
    ],
)
def test_a_position_is_reported_only_where_it_is_reliable(box, kind, method):
    found = locate_objects(objects(box, classes=(kind,)), CAMERA, CLASSES, SIZE)
    assert found.position_methods[0] == method
    assert np.isfinite(found.positions[0]).all() == (method != PositionMethod.NONE)
    assert np.isfinite(found.position_covs[0]).all() == (method != PositionMethod.NONE)


def test_a_sliver_clipped_by_the_image_border_has_no_position():
    """The front of a bus comes into view by its corner: the strip's lower end is a window, far above its wheels."""
    strip, half, inside = (1274, 330, 1280, 380), (1230, 330, 1280, 420), (900, 330, 906, 380)
    found = locate_objects(objects(strip, half, inside), CAMERA, CLASSES, SIZE)
    assert np.isfinite(found.positions[:, 0]).tolist() == [False, True, True]


def test_object_size_improves_range_when_pitch_is_uncertain():
    """A car 1.56 m high at 30 m; the camera nods by 0.3 degrees and does not know it."""
    nod = np.radians(0.3)
    true = CAMERA.pitched(nod)
    bottom, top = (true.pixels_from_base(np.array([[30.0, 0, z]]))[0, 1] for z in (0.0, 1.56))
    box = (610.0, top, 670.0, bottom)
    uncertain = locate_objects(objects(box), CAMERA, CLASSES, SIZE, GroundNoise(pitch=nod))
    ground = CAMERA.ground_from_pixels(np.array([[640.0, bottom]]))[0, 0]
    assert abs(uncertain.positions[0, 0] - 30) < 0.7 * abs(ground - 30)


@pytest.mark.parametrize("bad", [(np.nan, 1, 2, 3), (10, 10, 10, 20), (30, 10, 20, 20), (0, 0, np.inf, 5)])
def test_an_invalid_box_is_dropped(bad):
    found = locate_objects(objects(bad, (590, 360, 690, 460)), CAMERA, CLASSES, SIZE)
    assert len(found) == 1


def test_without_a_camera_only_truncation_is_known():
    found = locate_objects(objects((0, 360, 1279, 719)), None, CLASSES, SIZE)
    assert found.truncated[0] == Edge.LEFT | Edge.RIGHT | Edge.BOTTOM
    assert np.isnan(found.positions).all()


def kitti(folder: Path, name: str) -> tuple[Camera, np.ndarray, list[list[str]]]:
    rows = dict(
        line.split(":", 1) for line in (folder / "calib" / f"{name}.txt").read_text().splitlines() if ":" in line
    )
    p = np.array(rows["P2"].split(), float).reshape(3, 4)
    k = p[:, :3] / p[2, 2]
    pose = optical_from_rpy((0.0, 0.0, 1.65), (0.0, 0.0, 0.0))
    pose[:3, 3] -= pose[:3, :3] @ (np.linalg.inv(p[:, :3]) @ p[:, 3])
    camera = Camera.from_camera_info(1242, 375, k.ravel(), base_from_camera=pose)
    return camera, p, [line.split() for line in (folder / "label_2" / f"{name}.txt").read_text().splitlines()]


def test_projection_and_bottom_edges_match_kitti(shared_data):
    """The corners of the labelled 3D boxes: through KITTI's own matrix, and down to the labelled 2D boxes."""
    folder, compared = shared_data / "labelled/kitti_sample", 0
    for name in ("000000", "000001", "000002"):
        camera, p, labels = kitti(folder, name)
        for label in labels:
            if label[0] == "DontCare" or float(label[1]) > 0.1:
                continue
            box, (h, w, long, x, y, z, turn) = np.array(label[4:8], float), map(float, label[8:15])
            c, s = np.cos(turn), np.sin(turn)
            corners = [(a * long / 2, b * w / 2, up) for a in (1, -1) for b in (1, -1) for up in (0, h)]
            ring = np.array([(x + c * a + s * b, y - up, z - s * a + c * b) for a, b, up in corners])
            theirs = np.c_[ring, np.ones(8)] @ p.T
            pixels = camera.pixels_from_base(np.c_[ring[:, 2], -ring[:, 0], 1.65 - ring[:, 1]]) - 0.5
            np.testing.assert_allclose(pixels, theirs[:, :2] / theirs[:, 2:], atol=1e-6)
            np.testing.assert_allclose(pixels[:, 1].max(), box[3], atol=2.5)
            compared += 1
    assert compared >= 3


def test_range_is_uncertain_where_a_nearer_object_hides_the_wheels():
    far, near = (600, 350, 680, 420), (560, 340, 720, 470)
    alone, footprint = (locate_objects(objects(*boxes), CAMERA, CLASSES, SIZE) for boxes in ((far,), (far, near)))
    assert occluded_bottom(np.array([far, near], float)).tolist() == [True, False]
    assert footprint.position_covs[0, 0, 0] > 2 * alone.position_covs[0, 0, 0]


def test_a_rider_is_located_at_the_wheels_of_its_vehicle():
    kinds, names = np.array([0, 1], np.int32), ("rider", "motorcycle")
    boxes = np.array([[600, 330, 640, 430], [590, 390, 650, 480]], np.float32)
    both = Objects.of(Detections(boxes, np.full(2, 0.9, np.float32), kinds, np.zeros((2, 0), np.float32)))
    rider, motorcycle = locate_objects(both, CAMERA, names, (720, 1280)).positions[:, 0]
    alone = locate_objects(both[:1], CAMERA, names, (720, 1280)).positions[0, 0]
    assert rider == pytest.approx(motorcycle, rel=0.1)
    assert alone > 1.25 * rider
