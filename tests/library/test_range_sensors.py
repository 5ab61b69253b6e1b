"""Depth images and lidar clouds: decoding, matching to images by stamp, and the ranges of objects."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from camera_perception.core.errors import BadRange
from camera_perception.core.types import Detections, Frame, Objects, PositionMethod
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.io.range_messages import depth_from_message, points_from_message
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.range_fusion import Cloud, Depth, Ranges, with_ranges
from camera_perception.objects.range_memory import RangeMemory, StampBuffer

K = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
CAMERA = Camera(1280, 720, K, np.zeros(0), base_from_camera=optical_from_rpy((1.5, 0.0, 1.5), (0.0, 0.0, 0.0)))
CLASSES = ("car", "traffic light")
SIZE = (720, 1280)
CAR = (590.0, 360.0, 690.0, 460.0)  # 15 m ahead of the camera by the ground plane
MS = 1_000_000


def located(*boxes: tuple[float, ...], classes: tuple[int, ...] = ()) -> Objects:
    n = len(boxes)
    numbers = np.array(classes or (0,) * n, np.int32)
    scores, lights = np.full(n, 0.9, np.float32), np.zeros((n, 0), np.float32)
    detections = Detections(np.array(boxes, np.float32), scores, numbers, lights)
    return locate_objects(Objects.of(detections), CAMERA, CLASSES, SIZE)


def depth_of_a_car(metres: float, shrunk: int = 1) -> Depth:
    """A wall 80 m away, a car in front of it, with a hole."""
    depth = np.full(SIZE, 80.0, np.float32)
    depth[380:450, 600:680] = metres
    depth[400:410, 600:620] = np.nan
    return Depth(depth[::shrunk, ::shrunk])


def points_of_a_car(metres: float) -> np.ndarray:
    """Its rear and the road around it, in the camera's frame."""
    rng = np.random.default_rng(1)
    rear = np.c_[rng.uniform(-0.7, 0.7, 60), rng.uniform(0.1, 1.2, 60), np.full(60, metres)]
    road = np.c_[rng.uniform(-3, 3, 500), np.full(500, 1.5), rng.uniform(5, 40, 500)]
    return np.concatenate((rear, road, [[np.nan] * 3, [0, 0, -metres]])).astype(np.float32)


@pytest.mark.parametrize("shrunk", [1, 2, 5])
def test_a_depth_image_of_any_size_gives_the_range_despite_a_far_background(shrunk):
    found = with_ranges(located(CAR), Ranges(depth_of_a_car(14.0, shrunk)), CAMERA, CLASSES)
    assert found.position_methods[0] == PositionMethod.DEPTH
    assert found.positions[0] == pytest.approx([15.5, 0.0, 0.0], abs=0.01)
    assert found.ground_widths[0] == pytest.approx(1.4, abs=0.01)  # 100 px at 14 m with f = 1000 px
    assert np.sqrt(found.position_covs[0, 0, 0]) == pytest.approx(0.28, rel=0.01)


def test_lidar_wins_over_depth_and_points_on_the_road_do_not_count():
    ranges = Ranges(depth_of_a_car(14.0), Cloud(points_of_a_car(15.2)))
    found = with_ranges(located(CAR), ranges, CAMERA, CLASSES)
    assert found.position_methods[0] == PositionMethod.LIDAR
    assert found.positions[0, 0] == pytest.approx(16.7, abs=0.05)


LENSES = {
    "plumb_bob": replace(CAMERA, distortion=np.array([-0.3, 0.1, 0.001, -0.001, 0.0])),
    "equidistant": replace(CAMERA, distortion=np.array([0.05, -0.01, 0.0, 0.0]), model="equidistant"),
}


@pytest.mark.parametrize("side", [-6.0, 0.0, 5.0])
@pytest.mark.parametrize("lens", LENSES)
def test_lidar_points_are_matched_through_a_distorted_lens(lens, side):
    """The box shows the rear of a car 12 m in front of the camera, and off to the side."""
    camera, cloud = LENSES[lens], points_of_a_car(12.0) + np.float32([side, 0, 0])
    rear = cloud[:60] @ camera.pose[:3, :3].T + camera.pose[:3, 3]
    pixels = camera.pixels_from_base(rear)
    box = (*pixels.min(axis=0), *pixels.max(axis=0))
    found = with_ranges(located(box), Ranges(cloud=Cloud(cloud)), camera, CLASSES)
    assert found.position_methods[0] == PositionMethod.LIDAR
    assert found.positions[0, :2] == pytest.approx([13.5, -side], abs=0.1)


def test_an_older_measurement_has_a_larger_sigma():
    new, old = (
        with_ranges(located(CAR), Ranges(cloud=Cloud(points_of_a_car(15.2), age)), CAMERA, CLASSES).position_covs[0]
        for age in (0.0, 0.1)
    )
    assert old[0, 0] == pytest.approx(new[0, 0] + 0.5**2, rel=1e-3)


NOTHING = {
    "no sensor": Ranges(),
    "depth without measurements": Ranges(Depth(np.zeros(SIZE, np.float32))),
    "depth beyond the range": Ranges(Depth(np.full(SIZE, 14_000, np.float32))),
    "two pixels of depth": Ranges(Depth(np.full((1, 2), 14.0, np.float32))),
    "a cloud behind the camera": Ranges(cloud=Cloud(points_of_a_car(15.2) * np.float32([1, 1, -1]))),
    "an empty cloud": Ranges(cloud=Cloud(np.zeros((0, 3), np.float32))),
}


@pytest.mark.parametrize("ranges", NOTHING.values(), ids=NOTHING)
def test_without_measurements_the_ground_plane_position_stays(ranges):
    before = located(CAR)
    assert with_ranges(before, ranges, CAMERA, CLASSES) is before
    assert before.position_methods[0] == PositionMethod.GROUND_PLANE


def test_overhead_objects_get_no_position_on_the_road():
    both = Ranges(depth_of_a_car(14.0), Cloud(points_of_a_car(14.0)))
    found = with_ranges(located(CAR, classes=(1,)), both, CAMERA, CLASSES)
    assert np.isnan(found.positions).all()


def test_a_nearer_object_does_not_change_the_range_of_what_it_hides():
    """It covers the middle of the car; the visible part of the car decides."""
    depth, near = np.full(SIZE, 14.0, np.float32), (630.0, 370.0, 665.0, 520.0)
    depth[370:520, 630:665] = 9.0
    found = with_ranges(located(CAR, near), Ranges(Depth(depth)), CAMERA, CLASSES)
    assert found.positions[:, 0] == pytest.approx([15.5, 10.5], abs=0.01)


def test_no_objects_are_no_error():
    none = located(CAR)[:0]
    both = Ranges(depth_of_a_car(14.0), Cloud(points_of_a_car(14.0)))
    assert len(with_ranges(none, both, CAMERA, CLASSES)) == 0


# Messages


def header(frame_id: str) -> Any:
    return SimpleNamespace(frame_id=frame_id)


def depth_message(metres: Any, encoding: str = "32FC1", big: bool = False, pad: int = 0, **changes: Any) -> Any:
    """A sensor_msgs/Image of (h, w) metres, rows padded by some bytes."""
    kind, unit = {"16UC1": ("u2", 1000), "32FC1": ("f4", 1)}.get(encoding, ("f4", 1))
    pixels = (np.asarray(metres, float) * unit).astype((">" if big else "<") + kind)
    rows = np.pad(pixels.view(np.uint8), ((0, 0), (0, pad)))
    values = {"height": len(pixels), "width": pixels.shape[1], "step": rows.shape[1], "is_bigendian": big}
    values |= {"encoding": encoding, "data": rows.tobytes(), "header": header("front")}
    return SimpleNamespace(**{**values, **changes})


@pytest.mark.parametrize("pad", [0, 3])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_a_depth_message_is_read_in_metres(encoding, big, pad):
    metres = [[0.0, 0.5, 1.25], [14.0, 65.5, 3.0]]
    read = depth_from_message(depth_message(metres, encoding, big, pad))
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, metres)


ONE = np.ones((2, 3))
BAD_DEPTH = {
    "an encoding of colours": (depth_message(ONE, encoding="bgr8"), "'bgr8' is unknown"),
    "cut short": (depth_message(ONE, data=b"\0" * 20), "truncated"),
    "no data": (depth_message(ONE, data=b""), "truncated"),
    "no size": (depth_message(ONE, width=0, height=0), "size or steps are wrong"),
    "a step too small": (depth_message(ONE, step=4), "size or steps are wrong"),
    "only nan": (depth_message(ONE * np.nan), "holds no depth"),
    "only zeros": (depth_message(ONE * 0, "16UC1"), "holds no depth"),
}


@pytest.mark.parametrize("what", BAD_DEPTH)
def test_a_broken_depth_message_is_refused_with_the_reason(what):
    message, words = BAD_DEPTH[what]
    with pytest.raises(BadRange, match=words):
        depth_from_message(message)


def cloud_message(points: Any, big: bool = False, double: bool = False, pad: int = 4, **changes: Any) -> Any:
    """A sensor_msgs/PointCloud2 of (P, 3) points with an intensity before them and some bytes after them."""
    points = np.asarray(points, float).reshape(-1, 3)
    kind, size = (">" if big else "<") + ("f8" if double else "f4"), 8 if double else 4
    names, offsets = ["intensity", "x", "y", "z"], [0, *(4 + size * axis for axis in range(3))]
    layout = np.dtype(
        {"names": names, "formats": ["u1", kind, kind, kind], "offsets": offsets, "itemsize": 4 + 3 * size + pad}
    )
    cells = np.zeros(len(points), layout)
    for axis, column in zip("xyz", points.T):
        cells[axis] = column
    fields = [
        SimpleNamespace(name=name, offset=offset, datatype=2 if name == "intensity" else (8 if double else 7), count=1)
        for name, offset in zip(names, offsets)
    ]
    values = {"height": 1, "width": len(cells), "point_step": layout.itemsize, "is_bigendian": big}
    values |= {"row_step": cells.nbytes, "fields": fields, "data": cells.tobytes(), "header": header("lidar")}
    return SimpleNamespace(**{**values, **changes})


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("big", [False, True])
def test_a_point_cloud_is_read_without_nan_and_inf(big, double):
    points = [[1.0, 2.0, 3.0], [np.nan, 0, 0], [-4.0, 5.5, 6.0], [np.inf, 1, 1]]
    read = points_from_message(cloud_message(points, big, double))
    np.testing.assert_array_equal(read, np.float32([[1, 2, 3], [-4, 5.5, 6]]))


def test_an_organized_cloud_with_padded_rows_is_read():
    points = np.arange(24, dtype=np.float32).reshape(8, 3)
    flat = cloud_message(points, pad=0)
    row = flat.point_step * 4
    padded = b"".join(flat.data[start : start + row] + b"\xff" * 5 for start in (0, row))
    message = cloud_message(points, pad=0, height=2, width=4, row_step=row + 5, data=padded)
    np.testing.assert_array_equal(points_from_message(message), points)


def cloud_fields(name: str, **changes: Any) -> list[Any]:
    """The fields of a cloud, one of them changed."""
    fields = cloud_message([[1, 2, 3]]).fields
    return [SimpleNamespace(**{**vars(field), **(changes if field.name == name else {})}) for field in fields]


POINT = [[1.0, 2.0, 3.0]]
BAD_CLOUD = {
    "no z": (cloud_message(POINT, fields=cloud_message(POINT).fields[:3]), "no x y z .* x, y"),
    "no fields": (cloud_message(POINT, fields=[]), "fields: none"),
    "whole numbers": (cloud_message(POINT, fields=cloud_fields("x", datatype=5)), "FLOAT32"),
    "a field outside of the point": (cloud_message(POINT, fields=cloud_fields("z", offset=18)), "inside its points"),
    "several values": (cloud_message(POINT, fields=cloud_fields("y", count=2)), "no x y z"),
    "point_step 0": (cloud_message(POINT, point_step=0), "inside its points"),
    "cut short": (cloud_message(POINT, data=b"\0" * 5), "truncated"),
    "empty": (cloud_message(np.zeros((0, 3))), "size or steps are wrong"),
    "rows too short": (cloud_message(POINT * 4, height=2, width=2, row_step=7), "size or steps are wrong"),
    "only nan": (cloud_message([[np.nan] * 3] * 5), "holds no point"),
}


@pytest.mark.parametrize("what", BAD_CLOUD)
def test_a_broken_point_cloud_is_refused_with_the_reason(what):
    message, words = BAD_CLOUD[what]
    with pytest.raises(BadRange, match=words):
        points_from_message(message)


# Which message belongs to an image


@pytest.mark.parametrize(
    ("stamps", "at", "expected"),
    [
        ([], 0, None),
        ([0], 60, (0, 0.06)),
        ([0], 61, None),
        ([100], 45, (100, 0.055)),
        ([0, 33, 66], 40, (33, 0.007)),
        ([0, 40], 20, (40, 0.02)),
        ([500, 10], 0, (10, 0.01)),  # a recording restarted
        (list(range(0, 1000, 100)), 0, None),  # no longer buffered
    ],
)
def test_the_message_nearest_in_time_is_used_within_the_tolerance(stamps, at, expected):
    memory = StampBuffer[int](60 * MS)
    for stamp in stamps:
        memory.add(stamp * MS, stamp)
    assert memory.nearest(at * MS) == (None if expected is None else pytest.approx(expected))


FRAME = Frame(np.zeros((*SIZE, 3), np.uint8), 1_000 * MS, "front")
LIDAR_POSE = optical_from_rpy((1.0, 0.0, 2.0), (0.0, 0.0, 0.0))
LIDAR_POSE[:3, :3] = np.eye(3)


def memory(**poses: np.ndarray) -> RangeMemory:
    return RangeMemory("/depth", "/points", poses.get)


def test_points_move_from_the_lidar_to_the_camera():
    """10 m ahead of a lidar half a metre behind and above the camera: 9.5 m deep, half a metre over its axis."""
    ranges = memory(lidar=LIDAR_POSE)
    ranges.add_cloud(960 * MS, cloud_message([[10.0, 2.0, 0.0]]))
    cloud = ranges.near(FRAME, CAMERA).cloud
    np.testing.assert_allclose(cloud.points, [[-2.0, -0.5, 9.5]], atol=1e-5)
    assert cloud.age == pytest.approx(0.04)
    assert list(ranges.problems) == ["depth"]


DEPTH = depth_message(np.full((72, 128), 14.0))
PROBLEMS = {
    "nothing yet": (None, None, "nothing on /depth within 60 ms", "nothing on /points within 100 ms"),
    "another frame": (depth_message(ONE, header=header("depth")), None, "registered", "nothing on"),
    "another shape": (depth_message(np.ones((72, 96))), None, "cannot show the same view", "nothing on"),
    "a broken one": (depth_message(np.ones((72, 128)), data=b""), None, "truncated", "nothing on"),
    "both valid": (DEPTH, cloud_message(POINT), None, None),
    "no TF": (DEPTH, cloud_message(POINT, header=header("roof")), None, "TF does not know .* 'roof'"),
}


@pytest.mark.parametrize("what", PROBLEMS)
def test_an_unusable_message_becomes_a_problem(what):
    depth, cloud, *words = PROBLEMS[what]
    ranges = memory(lidar=LIDAR_POSE)
    if depth is not None:
        ranges.add_depth(FRAME.stamp_ns, depth)
    if cloud is not None:
        ranges.add_cloud(FRAME.stamp_ns, cloud)
    near = ranges.near(FRAME, CAMERA)
    for value, name, word in zip((near.depth, near.cloud), ("depth", "lidar"), words):
        assert (value is None) == (word is not None)
        assert (name in ranges.problems) == (word is not None)
        assert word is None or re.search(word, ranges.problems[name])


def test_a_missing_sensor_is_no_problem_and_a_valid_message_ends_one():
    alone = RangeMemory("/depth", "", lambda name: None)
    assert alone.problems == {"depth": "nothing on /depth yet"}
    alone.near(FRAME, CAMERA)
    assert "within 60 ms" in alone.problems["depth"]
    alone.add_depth(FRAME.stamp_ns, DEPTH)
    assert alone.near(FRAME, CAMERA).depth.metres.shape == (72, 128)
    assert alone.problems == {}


def test_no_damaged_message_raises():
    """Random numbers in every field: no measurement, or a finite position, and never an exception."""
    rng = np.random.default_rng(3)
    whole = points_of_a_car(15.0)
    for _ in range(300):
        ranges = memory(lidar=LIDAR_POSE)
        for add, message, names in (
            (ranges.add_depth, depth_message(np.full((72, 128), 14.0)), ("height", "width", "step")),
            (ranges.add_cloud, cloud_message(whole), ("height", "width", "row_step", "point_step")),
        ):
            setattr(message, rng.choice(names), int(rng.choice([0, 1, 2, 7, 127, 128, 2**31, 2**32 - 1])))
            message.data = message.data[: rng.integers(len(message.data) + 1)]
            add(FRAME.stamp_ns, message)
        found = with_ranges(located(CAR), ranges.near(FRAME, CAMERA), CAMERA, CLASSES)
        assert np.isfinite(found.positions).all()
