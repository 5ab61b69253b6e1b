"""Compiled functions and their NumPy twins do the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

from camera_perception import core
from camera_perception.core.types import (
    Detections,
    Edge,
    EgoMotion,
    GroundLine,
    LaneLine,
    LineColor,
    LineType,
    Objects,
    PositionMethod,
)
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.geometry.ground import GroundNoise, ground_with_covariance
from camera_perception.lanes.fit import locate_lanes
from camera_perception.lanes.roles import ego_lane, roles
from camera_perception.lanes.tracker import LaneTracker
from camera_perception.objects.config import LocalizationConfig
from camera_perception.objects.footprint import near_sides
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.tracker.association import _pairs, associate, compatible_classes
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception.objects.tracker.tracker import ObjectTracker

pytestmark = pytest.mark.skipif(core.kernels is None, reason="nothing is compiled: make setup, with a C compiler")
SIZE = 720, 1280
CLASSES = ("car", "truck", "bus", "pedestrian", "rider", "bicycle", "motorcycle", "traffic light", "barrier")
LENSES = {"straight": np.zeros(5), "distorted": np.array([-0.28, 0.07, 0.0002, -0.0001, 0.0])}
STEP = 50_000_000


def both(run: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """What the compiled functions return, and what their twins do."""
    compiled = run()
    monkeypatch.setattr(core, "kernels", None)
    twin = run()
    monkeypatch.undo()
    return compiled, twin


def camera(lens: str = "straight") -> Camera:
    k = np.array([[900.0, 0, 640], [0, 880, 360], [0, 0, 1]])
    return Camera(1280, 720, k, LENSES[lens], base_from_camera=optical_from_rpy((1.6, 0.1, 1.4), (0.01, 0.03, 0.02)))


def odd(kind: type) -> Any:
    """Settings that differ from the defaults, each by another factor: two that are mixed up change the result."""
    names = [field.name for field in fields(kind)]
    factors = np.random.default_rng(1).uniform(0.85, 1.15, len(names))
    values = {name: getattr(kind(), name) for name in names}
    return kind(**{n: v if isinstance(v, int) else v * f for (n, v), f in zip(values.items(), factors)})


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """(N, 4) float32 of which many overlap and some reach beyond the image or touch its border."""
    middles, halves = rng.uniform((0, 330), (1280, 700), (count, 2)), rng.uniform(6, 110, (count, 2))
    boxes = np.concatenate((middles - halves, middles + halves), axis=1)
    return np.clip(boxes, -1, (1280, 720, 1280, 720)).astype(np.float32)


def random_objects(rng: np.random.Generator, count: int) -> Objects:
    scores, classes = rng.uniform(0.1, 1, count), rng.integers(0, len(CLASSES), count)
    lights = rng.uniform(0, 1, (count, 4)).astype(np.float32)
    lights[rng.random(count) < 0.1] = np.nan
    return Objects.of(Detections(random_boxes(rng, count), scores.astype(np.float32), classes.astype(np.int32), lights))


def assert_same(a: Any, b: Any, rtol: float = 1e-5) -> None:
    """Tables are the same: exact but for floats, which agree up to rounding."""
    assert len(a) == len(b)
    for name in a._column_names:
        one, other = getattr(a, name), getattr(b, name)
        assert one.dtype == other.dtype, name
        if one.dtype.kind == "f":
            np.testing.assert_allclose(one, other, rtol, 1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize("count", [0, 2, 60])
def test_the_same_boxes_are_duplicates(count, monkeypatch):
    """Of scores that are equal now and then, and classes that the tracker does not know."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(10):
        boxes = np.repeat(random_boxes(rng, count // 2), 2, axis=0)
        boxes += rng.uniform(-4, 4, boxes.shape).astype(np.float32)
        scores, classes = rng.integers(0, 20, count) / np.float32(20), rng.integers(-1, 5, count).astype(np.int32)
        objects = Objects.of(Detections(boxes, scores, classes, np.zeros((count, 0), np.float32)))
        tracker = ObjectTracker(CLASSES[:3], odd(TrackerConfig), high_score=rng.uniform(0.1, 0.5, 3))
        apart = rng.random((3, 3)) < 0.1
        tracker._may_be_duplicates = ~(apart | apart.T)
        compiled, twin = both(lambda: tracker._without_duplicates(objects), monkeypatch)  # noqa: B023
        assert compiled.boxes.tolist() == twin.boxes.tolist()
        found += count - len(twin)
    assert 0 < found < 10 * count or not count


def located(rng: np.random.Generator, objects: Objects) -> Objects:
    """With positions of which some are missing, and made by all methods."""
    count = len(objects)
    spread = rng.uniform(-1, 1, (count, 2, 2))
    covs = (spread @ spread.transpose(0, 2, 1) + 0.1 * np.eye(2)).astype(np.float32)
    positions = np.column_stack((rng.uniform((5, -10), (60, 10), (count, 2)), np.zeros(count))).astype(np.float32)
    positions[rng.random(count) < 0.15] = np.nan
    cues = rng.uniform((5, 0.1, 3, 0.02), (60, 3, 30, 0.2), (count, 4)).astype(np.float32)
    cues[rng.random(count) < 0.3, :2] = np.nan
    cues[rng.random(count) < 0.3, 2:] = np.nan
    edges = np.where(rng.random(count) < 0.2, rng.choice([Edge.LEFT, Edge.RIGHT, Edge.TOP], count), 0)
    return objects.with_columns(
        positions=positions, position_covs=covs, cues=cues, truncated=edges.astype(np.uint8),
        position_methods=rng.integers(0, len(PositionMethod), count).astype(np.uint8),
        ground_widths=rng.uniform(0, 3, count).astype(np.float32),
    )  # fmt: skip


def scenes(seed: int, frames: int, count: int) -> Iterator[Objects]:
    """Objects that move a little from frame to frame; some are missed."""
    rng = np.random.default_rng(seed)
    objects = located(rng, random_objects(rng, count))
    for _ in range(frames):
        seen = located(rng, objects)
        boxes = objects.boxes + rng.normal(0, 2, objects.boxes.shape).astype(np.float32)
        positions = objects.positions + rng.normal(0, 0.3, objects.positions.shape).astype(np.float32)
        seen = seen.with_columns(boxes=boxes, positions=np.where(np.isnan(seen.positions), np.nan, positions))
        yield seen[rng.random(count) < 0.85]


@pytest.mark.parametrize(("size", "high"), [(SIZE, 0.4), (None, 0.0)])
def test_the_same_tracks_and_objects_belong_together(size, high, monkeypatch):
    tracker, config, compatible = ObjectTracker(CLASSES), odd(TrackerConfig), compatible_classes(CLASSES)
    scores, started = np.linspace(high, high + 0.1, len(CLASSES), dtype=np.float32), 0
    for number, objects in enumerate(scenes(3, 12, 30)):
        tracks = tracker._tracks
        if tracks is not None:
            found = both(lambda: associate(tracks, objects, scores, config, compatible, size), monkeypatch)  # noqa: B023
            (compiled, new), (twin, expected) = found
            assert (compiled.tolist(), new) == (twin.tolist(), expected)
            assert ((twin >= 0) & (twin < len(tracks))).sum() > 5
            started += new
        tracker.update(objects, number * STEP, None, SIZE)
    assert started


def test_ties_are_broken_in_the_same_way(monkeypatch):
    """Costs of a few values: the order of rows and columns decides."""
    monkeypatch.setattr(
        "camera_perception.objects.tracker.association._matching_cost", lambda *rest: (costs.copy(), overlaps)
    )
    rng = np.random.default_rng(0)
    for rows, columns in product((0, 1, 4, 7, 9), repeat=2):
        costs = rng.integers(0, 3, (rows, columns)).astype(float)
        costs[rng.random(costs.shape) < 0.3] = 1e6
        overlaps, scores = rng.random(costs.shape), rng.random(columns).astype(np.float32)
        objects = random_objects(rng, columns).with_columns(scores=scores)
        tracks = ObjectTracker(CLASSES)._new_tracks(random_objects(rng, rows), 0, None)
        found = np.empty(rows, np.int64)
        core.kernels.associate(found, scores >= 0.4, costs.copy(), overlaps, 0.4)
        with pytest.MonkeyPatch.context() as without:
            without.setattr(core, "kernels", None)
            config, high = TrackerConfig(low_score_min_iou=0.4), np.full(columns, 0.4, np.float32)
            pairs = _pairs(tracks, objects, high, config, np.ones((9, 9), bool), SIZE)
        expected = np.full(rows, -1)
        expected[pairs[0]] = pairs[1]
        assert found.tolist() == expected.tolist(), (rows, columns)


@pytest.mark.parametrize(("lens", "motion"), [*product(LENSES, (None, EgoMotion(0.5, 0.01, 0.01)))])
@pytest.mark.parametrize("config", [TrackerConfig(), odd(TrackerConfig)], ids=["default", "odd"])
def test_tracks_are_the_same(lens, motion, config, monkeypatch):
    def drive() -> tuple[ObjectTracker, list[Objects]]:
        tracker, at = ObjectTracker(CLASSES, config), camera(lens)
        outputs = [
            tracker.update(
                objects, number * STEP * (30 if number == 20 else 1), motion, SIZE, at if number % 9 else None
            )
            for number, objects in enumerate(scenes(5, 28, 25))
        ]
        return tracker, outputs

    (compiled, outputs), (twin, expected) = both(drive, monkeypatch)
    for found, wanted in zip(outputs, expected):
        assert_same(found, wanted)
    assert_same(compiled._tracks, twin._tracks, 1e-9)
    assert any(objects.coasted.any() and np.isfinite(objects.velocities).any() for objects in expected)


@pytest.mark.parametrize("config", [TrackerConfig(), odd(TrackerConfig)], ids=["default", "odd"])
def test_the_same_tracks_are_kept_published_and_doubled(config, monkeypatch):
    tracker, doubled, published, ended = ObjectTracker(CLASSES, config), 0, 0, 0
    row_of = np.array([3, -1, 0])
    for number, objects in enumerate(scenes(7, 14, 30)):
        tracker.update(objects, number * STEP, None, SIZE)
        tracks = tracker._tracks
        assert tracks is not None
        for age in (0, 4, 12, 40):
            for known in (True, False):
                arguments = tracks, row_of, (number + age) * STEP, known, SIZE
                compiled, twin = both(lambda: tracker._kept(*arguments), monkeypatch)  # noqa: B023
                assert [np.asarray(each).tolist() for each in compiled] == [np.asarray(each).tolist() for each in twin]
                alive, coasting, count = twin
                assert count == 2 + coasting.sum()
                published, ended = published + coasting.sum(), ended + (0 if alive is None else (~alive).sum())
        twice = type(tracks).concatenate((tracks, tracks.with_columns(hits=tracks.hits % 7, scores=tracks.scores / 2)))
        compiled, twin = both(lambda: tracker._without_duplicate_tracks(twice).ids.tolist(), monkeypatch)  # noqa: B023
        assert compiled == twin
        doubled += len(twice) - len(twin)
    assert min(doubled, published, ended) > 20


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("config", [LocalizationConfig(), odd(LocalizationConfig)], ids=["default", "odd"])
def test_objects_stand_at_the_same_places(lens, config, monkeypatch):
    rng, noise, methods = np.random.default_rng(2), GroundNoise(1.3, 0.02, 0.008, 0.006, 0.03), []
    for count in (0, 1, 40, 40, 40):
        objects = random_objects(rng, count)
        uphill = objects.boxes[::5]  # where the ground plane says little, and the size of a car much
        uphill[:, 1], uphill[:, 3], objects.classes[::5] = 280, np.linspace(336, 350, len(uphill)), 0

        def run(objects: Objects = objects) -> Objects:
            found = locate_objects(objects, camera(lens), CLASSES, SIZE, noise, config)
            return near_sides(found, camera(lens), CLASSES, config)

        compiled, twin = both(run, monkeypatch)
        assert_same(compiled, twin)
        methods += twin.position_methods.tolist()
    assert {*methods} == {PositionMethod.NONE, PositionMethod.GROUND_PLANE, PositionMethod.SIZE_PRIOR}


@pytest.mark.parametrize(("lens", "one_sigma"), [*product(LENSES, (True, False))])
def test_pixels_lie_at_the_same_places_on_the_road(lens, one_sigma, monkeypatch):
    rng = np.random.default_rng(0)
    pixels, sigmas = rng.uniform((0, 200), (1280, 720), (50, 2)), rng.uniform(0.5, 3, (1 if one_sigma else 50, 2))
    compiled, twin = both(lambda: ground_with_covariance(pixels, sigmas, camera(lens)), monkeypatch)
    np.testing.assert_allclose(compiled[0], twin[0], 1e-9)
    np.testing.assert_allclose(compiled[1], twin[1], 1e-9, 1e-12)
    assert 5 < np.isnan(twin[0][:, 0]).sum() < 45


def lines_of(number: int) -> tuple[LaneLine, ...]:
    """Four lines, of which the last is too short now and then, and one that crosses the horizon."""
    rng, found = np.random.default_rng(number), []
    for y in (5.2, 1.7, -1.8, -5.4):
        ahead = np.linspace(4, 9 if y < -5 and number % 3 == 0 else 70, 40)
        road = np.column_stack((ahead, y + 0.0006 * ahead**2, np.zeros(40)))
        pixels = camera().pixels_from_base(road) + rng.normal(0, 0.8, (40, 2))
        found.append(LaneLine(pixels[np.isfinite(pixels).all(axis=1)].astype(np.float32), 0.9))
    sky = np.column_stack((np.linspace(300, 320, 8), np.linspace(340, 300, 8))).astype(np.float32)
    return (*found, LaneLine(sky, 0.8))


def labelled_lines(number: int) -> tuple[LaneLine, ...]:
    """The same with changing labels and positions, in changing order; now and then one is missing."""
    rng = np.random.default_rng(number)
    lines = [
        replace(
            line,
            score=float(rng.choice([0.9, 0.5, 0.0])),
            position=int(rng.integers(-2, 3)),
            line_type=LineType(int(rng.integers(0, 4))),
            type_score=float(rng.choice([0.0, 0.7, 1.2])),
            color=LineColor(int(rng.integers(0, 5))),
            color_score=float(rng.random()),
        )
        for line in lines_of(number)
        if rng.random() > 0.15
    ]
    return tuple(lines[row] for row in rng.permutation(len(lines)))


@pytest.mark.parametrize("motion", [None, EgoMotion(0.7, -0.02, 0.015)])
@pytest.mark.parametrize("lines", [lines_of, labelled_lines])
def test_lane_lines_are_the_same(lines, motion, monkeypatch):
    """Also without a calibrated camera now and then, and after a gap."""

    def drive() -> list[tuple[LaneLine, ...]]:
        tracker, found = LaneTracker(), []
        for n in range(24):
            seen_from = None if n % 7 == 6 else camera("distorted" if n == 3 else "straight")
            stamp = n * STEP + (n > 15) * 2_000_000_000
            found.append(tracker.update(locate_lanes(lines(n), seen_from), stamp, motion))
        return found

    for compiled, twin in zip(*both(drive, monkeypatch)):
        for one, other in zip(compiled, twin):
            labels = [(line.lane_id, line.position, line.line_type, line.color) for line in (one, other)]
            assert labels[0] == labels[1]
            assert (one.type_score, one.color_score) == (other.type_score, other.color_score)
            assert (one.ground is None) == (other.ground is None)
            if one.ground is not None and other.ground is not None:
                np.testing.assert_allclose(one.ground.points, other.ground.points, 1e-6)
                np.testing.assert_allclose(one.ground.y_std, other.ground.y_std, 1e-6)
                np.testing.assert_allclose(one.ground.poly, other.ground.poly, 1e-5, 1e-9)
                ends = [(ground.x_min, ground.x_max) for ground in (one.ground, other.ground)]
                assert ends[0] == pytest.approx(ends[1], rel=1e-12)
        assert ego_lane_numbers(compiled) == pytest.approx(ego_lane_numbers(twin), rel=1e-5, abs=1e-6, nan_ok=True)


def ego_lane_numbers(lines: tuple[LaneLine, ...]) -> list[float]:
    lane = ego_lane(lines)
    return [] if lane is None else [getattr(lane, field.name) for field in fields(lane)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8])
def test_roles_and_the_ego_lane_are_the_same_to_the_bit(count, monkeypatch):
    """Of few values, so that lines are equally far, beyond the limits, without ground, or nan."""
    rng = np.random.default_rng(count)

    def found(polys: np.ndarray, ends: np.ndarray, given: list[int]) -> str:
        points, std = np.zeros((2, 2), np.float32), np.zeros(2, np.float32)
        grounds = [GroundLine(points, std, poly, *each) for poly, each in zip(polys, ends.tolist())]
        lines = [LaneLine(points, 1.0, position, ground=ground) for position, ground in zip(given, grounds)]
        return repr((roles(polys, ends, given, 3.4), ego_lane_numbers(tuple(lines))))

    for _ in range(40):
        polys = rng.normal(0, (1, 0.05, 1e-3, 1e-5), (count, 4)).astype(np.float32)
        polys[:, 0] = rng.choice([-5.2, -1.7, -0.4, 0, 1.8, 1.8, 5.3, 1e20, np.nan], count)
        ends = np.column_stack((rng.choice([0.0, 4.0, 17.0, 18.0, np.nan], count), np.full(count, 60.0)))
        compiled, twin = both(partial(found, polys, ends, rng.integers(-2, 3, count).tolist()), monkeypatch)
        assert compiled == twin


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), TypeError),
        ((np.zeros((2, 4)), np.zeros(2, np.int64), 0.5), TypeError),
        ((np.zeros((2, 4)), np.zeros(3, np.int64), 0.5, np.zeros(2, np.int64)), ValueError),
        ((np.zeros((2, 3)), np.zeros(2, np.int64), 0.5, np.zeros(2, np.int64)), ValueError),
        ((np.zeros((2, 4), np.float32), np.zeros(2, np.int64), 0.5, np.zeros(2, np.int64)), TypeError),
        ((np.zeros((4, 2)).T, np.zeros(2, np.int64), 0.5, np.zeros(2, np.int64)), TypeError),
        ((np.zeros((2, 4)), np.zeros(2, np.int64), "much", np.zeros(2, np.int64)), TypeError),
        (([[0.0] * 4], np.zeros(1, np.int64), 0.5, np.zeros(1, np.int64)), TypeError),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, error):
    with pytest.raises((error, ValueError, BufferError)):
        core.kernels.nms(*arguments)


@pytest.mark.parametrize("found", [np.zeros(3), (), (np.zeros((2, 2), np.float32), np.zeros(2, np.float32))])
def test_tuples_of_arrays_that_do_not_fit_are_refused(found):
    with pytest.raises(TypeError):
        core.kernels.fit_lines(np.zeros((2, 2)), np.zeros((2, 2, 2)), np.array([2]), np.zeros(10), found)


def test_lines_with_more_points_than_there_are_are_refused(monkeypatch):
    tracker, numbers = LaneTracker(), np.array([3])
    monkeypatch.setattr(
        "camera_perception.lanes.tracker._joined", lambda shapes: (np.zeros((2, 2), np.float32), numbers)
    )
    with pytest.raises(ValueError, match=r"more points|another shape"):
        tracker.update(lines_of(0)[:1], 0)


def test_what_may_not_be_written_is_refused():
    kept = np.zeros(2, np.int64)
    kept.flags.writeable = False
    with pytest.raises((TypeError, ValueError, BufferError)):
        core.kernels.nms(np.zeros((2, 4)), np.zeros(2, np.int64), 0.5, kept)


def test_the_twins_run_where_nothing_is_compiled_or_wanted(monkeypatch):
    program = "from camera_perception import core; print(core.kernels)"
    environment = {**os.environ, "CAMERA_PERCEPTION_COMPILED": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
    monkeypatch.setattr(core, "VERSION", -1)
    kernels, reason = core._compiled()
    assert kernels is None
    assert "built from other sources" in reason


def test_settings_are_read_in_the_order_of_their_names():
    config = replace(TrackerConfig(), gate=3.0, max_gate=5.0)
    assert core.settings(config, "max_gate", "gate").tolist() == [5.0, 3.0]


def test_decoders_may_return_numbers_of_other_types():
    """A decoder of one's own may return float64 and views: located and tracked like others."""
    boxes, classes = np.array([[100.0, 400, 200, 500], [400, 400, 500, 500]]), np.arange(2)[::-1]
    detections = Detections(boxes, np.ones(2), classes, np.ones((2, 3)))
    objects = locate_objects(Objects.of(detections), camera(), CLASSES, SIZE)
    tracked = ObjectTracker(CLASSES).update(objects, 0, None, SIZE, camera())
    assert len(tracked) == 2
    assert tracked.boxes.dtype == np.float32
    assert np.isfinite(tracked.positions).all()
