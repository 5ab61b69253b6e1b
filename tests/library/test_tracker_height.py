"""Range and height are estimated together: unusual heights create no velocity, stationary objects do not creep."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from test_tracker import CAMERA, SIZE, STEP

from camera_perception.core.types import Detections, EgoMotion, Objects
from camera_perception.geometry.kalman import update_range
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.output import shrink_stationary_velocities
from camera_perception.objects.tracker.tracker import ObjectTracker

CLASSES = ("car", "train")
SPEED = 8.0
PRIOR = TrackerConfig().stationary_prior


def near_side(x: float, tall: float, class_id: int = 0) -> Objects:
    """The near side, 1.8 m wide, of an object x metres ahead and 3 to the right."""
    (u, v), size = CAMERA.pixels_from_base(np.array([[x, -3.0, 0.0]]))[0], 1000.0 / x
    box = np.array([[u - 0.9 * size, v - tall * size, u + 0.9 * size, v]], np.float32)
    return Objects.of(Detections(box, np.full(1, 0.9, np.float32), np.full(1, class_id, np.int32), np.zeros((1, 0))))


def approached(tall: float, class_id: int = 0) -> tuple[Objects, np.ndarray]:
    """The tracked object after driving from 60 to 20 metres, and its state: x y vx vy height."""
    tracker = ObjectTracker(CLASSES)
    for i, x in enumerate(np.arange(60.0, 20.0, -SPEED * STEP / 1e9)):
        found = locate_objects(near_side(x, tall, class_id), CAMERA, CLASSES, SIZE)
        motion = EgoMotion(SPEED * STEP / 1e9 if i else 0.0, 0.0, 0.0)
        tracked = tracker.update(found, i * STEP, motion, SIZE, CAMERA)
    return tracked, tracker._tracks.state[0]


@pytest.mark.parametrize(("tall", "class_id"), [(1.3, 0), (1.6, 0), (2.0, 0), (3.8, 1)])
def test_an_unusual_height_creates_no_velocity(tall, class_id):
    """Nor does that of a train, which has no height prior."""
    found, (x, y, vx, vy, height) = approached(tall, class_id)
    assert (x, y) == pytest.approx((20.4, -3.0), abs=0.3)
    assert np.hypot(vx, vy) < 0.3
    assert height == pytest.approx(tall, abs=0.05)
    np.testing.assert_allclose(found.velocities[0], 0.0, atol=0.05)
    assert np.sqrt(found.velocity_covs[0, 0, 0]) < 0.3


def test_range_and_height_are_corrected_together():
    """Range 22 +- 2, height 2 +- 0.2, measured exactly: ten times as far as tall. Both weight the correction."""
    mean = np.array([[22.0, 0, 0, 0, 2.0]])
    cov = np.diag([4.0, 4, 1, 1, 0.04])[None]
    mean, cov = update_range(mean, cov, np.array([[1.0, 0]]), np.zeros(2), np.array([10.0]), np.zeros(1), 8.0)
    np.testing.assert_allclose(mean, [[21.0, 0, 0, 0, 2.1]])
    assert cov[0, 0, 0] == pytest.approx(2.0)
    assert cov[0, 0, 4] == pytest.approx(0.2)  # from now on they are correlated
    assert cov[0, 1, 1] == 4.0


def test_a_measurement_outside_the_gate_is_ignored():
    mean, cov = np.array([[22.0, 0, 0, 0, 1.0]]), np.diag([4.0, 4, 1, 1, 0.01])[None]
    after = update_range(mean, cov, np.array([[1.0, 0]]), np.zeros(2), np.array([10.0]), np.zeros(1), 8.0)
    np.testing.assert_array_equal(after[0], mean)
    np.testing.assert_array_equal(after[1], cov)


@pytest.mark.parametrize("measured", [(0.0, 0.0), (0.9, 0.3), (2.5, -1.0), (9.0, 0.0)])
def test_shrinkage_agrees_with_bayes_by_quadrature(measured):
    """The posterior of two hypotheses, their likelihoods by integration over all speeds on a grid."""
    cov, prior_std = np.array([[0.6, 0.2], [0.2, 0.4]]), 3.0
    axis = np.linspace(-14, 14, 281)
    speeds = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    prior = multivariate_normal.pdf(speeds, cov=prior_std**2 * np.eye(2)) * 0.1**2
    likelihood = multivariate_normal.pdf(speeds, mean=measured, cov=cov)
    moving, stationary = (prior * likelihood).sum(), multivariate_normal.pdf(np.zeros(2), mean=measured, cov=cov)
    weight = (1 - PRIOR) * moving / ((1 - PRIOR) * moving + PRIOR * stationary)
    mean, spread = shrink_stationary_velocities(np.array([measured]), cov[None], np.array([prior_std]), PRIOR)
    np.testing.assert_allclose(mean[0], weight * np.array(measured), rtol=1e-3, atol=1e-12)
    expected = weight * cov + weight * (1 - weight) * np.outer(measured, measured)
    np.testing.assert_allclose(spread[0], expected, rtol=1e-3, atol=1e-9)


def test_shrinkage_keeps_clear_motion_and_removes_slow_motion():
    speeds, covs = np.array([[10.0, 0.0], [0.5, 0.0]]), np.repeat(0.49 * np.eye(2)[None], 2, axis=0)
    mean, spread = shrink_stationary_velocities(speeds, covs, np.full(2, 8.0), PRIOR)
    np.testing.assert_allclose(mean, [[10.0, 0], [0, 0]], atol=0.02)
    assert np.linalg.eigvalsh(spread).min() > 0
