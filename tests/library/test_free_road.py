"""The free road on the ground, on masks with known ground truth and on noisy masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from camera_perception.core.types import ClassMap, Road
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.geometry.ground import DEFAULT_NOISE, GroundNoise, ground_with_covariance, reliable_range
from camera_perception.lanes.free_road import MAX_RELATIVE_STD, locate_road
from camera_perception.lanes.image_lines import road_from_drivable

HEIGHT, FOCAL, SIZE, CELLS = 1.5, 1000.0, (720, 1280), (180, 320)
K = (FOCAL, 0, 639.5, 0, FOCAL, 359.5, 0, 0, 1)


def camera(pitch: float = 0.0, yaw: float = 0.0) -> Camera:
    pose = optical_from_rpy((0.0, 0.0, HEIGHT), (0.0, pitch, yaw))
    return Camera.from_camera_info(1280, 720, K, base_from_camera=pose)


def road_of(cells: np.ndarray, seen_by: Camera | None = None) -> Road:
    """What becomes of a mask (h, w) of drivable cells."""
    ids = ClassMap(cells.astype(np.uint8), ("background", "road"), np.zeros((2, 3), np.uint8))
    return locate_road(road_from_drivable(ids, SIZE), seen_by or camera(), SIZE)


def mask(free) -> np.ndarray:
    """Cells whose centre shows a free point (x, y) of a flat road."""
    v, u = np.mgrid[: CELLS[0], : CELLS[1]] * 4.0 + 2.0
    with np.errstate(invalid="ignore"):
        points = camera().ground_from_pixels(np.column_stack((u.ravel(), v.ravel())))
        return np.asarray(np.isfinite(points[:, 0]) & free(*points.T)).reshape(CELLS)


def inside(polygon: np.ndarray, points: np.ndarray) -> np.ndarray:
    ring = polygon.reshape(-1, 1, 2).astype(np.float32)
    return np.array([cv2.pointPolygonTest(ring, tuple(map(float, point)), False) > 0 for point in points])


def ranges(road: Road) -> np.ndarray:
    return np.linalg.norm(road.polygon, axis=1)


def test_without_a_camera_or_a_mask_nothing_is_known():
    nothing = Road(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), np.nan, 0.0)
    assert locate_road(nothing, camera()) is nothing
    road = road_from_drivable(ClassMap(np.ones(CELLS, np.uint8), ("background", "road"), np.zeros((2, 3))), SIZE)
    assert locate_road(road, None) is road


def test_a_wall_ends_the_free_road():
    road = road_of(mask(lambda x, y: x < 15.0))
    assert road.free_distance_ahead == pytest.approx(15.0, abs=0.7)  # a row of cells is 0.6 m high there
    assert road.polygon[:, 0].max() <= 15.0 + 0.1
    assert road.polygon[:, 0].min() == pytest.approx(HEIGHT * FOCAL / 359, abs=0.01)  # where the view begins


def test_the_polygon_of_a_lane_with_a_car_ends_at_the_car():
    def free(x, y):
        return (np.abs(y) < 3.5) & (x < 40.0) & ~((x > 14.0) & (np.abs(y + 1.75) < 1.0))

    rng = np.random.default_rng(2)
    points = np.column_stack((rng.uniform(6, 38, 3000), rng.uniform(-3.4, 3.4, 3000)))
    shadow = (points[:, 0] > 14.0) & (np.abs(points[:, 1] / points[:, 0] * 14.0 + 1.75) < 1.0)  # behind the car
    found, truth = inside(road_of(mask(free)).polygon, points), free(*points.T) & ~shadow
    assert not (found & ~truth).any()
    left = truth & (points[:, 1] > 0)  # the free lane
    assert (found & left).sum() / left.sum() > 0.85


def test_an_isolated_far_column_is_clipped():
    wall = mask(lambda x, y: x < 15.0)
    noisy, rng = wall.copy(), np.random.default_rng(3)
    for column in rng.choice(CELLS[1], 20, replace=False):
        noisy[rng.integers(92, 100) :, column] = True  # free to 50 m and more, in one column of cells
    assert ranges(road_of(noisy)).max() <= ranges(road_of(wall)).max() + 1e-4


@pytest.mark.parametrize("column", range(150, 171))
def test_a_thin_obstacle_ends_the_free_road_in_any_column(column):
    cells = mask(lambda x, y: x < 100.0)
    cells[:130, column] = False  # a leg, one cell wide
    bottom = HEIGHT * FOCAL / (130 * 4 - 360)
    assert road_of(cells).free_distance_ahead == pytest.approx(bottom, abs=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_only_drivable_cells_are_free(seed):
    """Blobs and specks: for every point inside the polygon, its cell and all cells below are drivable."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=CELLS).astype(np.float32), (0, 0), 6)
    cells = mask(lambda x, y: x < 70.0) & (noise > -0.08) & (rng.random(CELLS) > 0.0003)
    cells[-50:] = True  # free to 9 m
    polygon = road_of(cells).polygon
    points = np.column_stack((rng.uniform(8, 60, 8000), rng.uniform(-25, 25, 8000)))
    points = points[inside(polygon, points)]
    u, v = camera().pixels_from_base(np.column_stack((points, np.zeros(len(points))))).T
    below = cells[::-1].cumprod(axis=0)[::-1]
    assert len(points) > 50
    assert below[np.minimum(v / 4, CELLS[0] - 1).astype(int), (u / 4).astype(int)].all()


@pytest.mark.parametrize("pitch_std", [0.4, 0.8])
def test_no_road_is_free_beyond_the_reliable_range(pitch_std):
    """The limit against the first-order propagation of the same sigmas at that range straight ahead."""
    noise = GroundNoise(pitch=np.radians(pitch_std))
    reach = reliable_range(camera(), noise, MAX_RELATIVE_STD)
    pixel = camera().pixels_from_base(np.array([[reach, 0.0, 0.0]]))
    _, cov = ground_with_covariance(pixel, np.full((1, 2), noise.pixel), camera(), noise)
    assert np.sqrt(cov[0, 0, 0]) / reach == pytest.approx(MAX_RELATIVE_STD, rel=0.02)
    everywhere = road_from_drivable(ClassMap(np.ones(CELLS, np.uint8), ("no", "yes"), np.zeros((2, 3))), SIZE)
    road = locate_road(everywhere, camera(), SIZE, noise)
    assert ranges(road).max() == pytest.approx(min(reach, 80.0), rel=1e-4)
    assert road.free_distance_ahead == pytest.approx(min(reach, 80.0), rel=1e-3)


def test_a_higher_camera_has_a_larger_reliable_range():
    low, high = (camera()._posed(optical_from_rpy((0.0, 0.0, height), (0.0, 0.0, 0.0))) for height in (1.0, 2.0))
    assert reliable_range(high, DEFAULT_NOISE, 0.25) / reliable_range(low, DEFAULT_NOISE, 0.25) == pytest.approx(
        2, rel=0.01
    )
