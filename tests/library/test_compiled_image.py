"""Compiled functions of the image and their NumPy twins do the same: decoding, lane lines, free road and lights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from camera_perception import core
from camera_perception.core.model_spec import HeadSpec, InputSpec
from camera_perception.core.types import ClassMap, Detections, GroundLine, LaneLine, Objects, Road
from camera_perception.decode import decoder
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.image.letterbox import Letterbox, Preprocessor, resize
from camera_perception.lanes.free_road import locate_road
from camera_perception.lanes.image_lines import left_to_right, road_from_drivable
from camera_perception.lanes.online_calibration import measure_calibration
from camera_perception.objects.localize import locate_objects
from camera_perception.objects.relevance import light_relevances
from camera_perception.tools.bench import street

pytestmark = pytest.mark.skipif(core.kernels is None, reason="nothing is compiled: make setup, with a C compiler")
SIZE = 720, 1280
BOX = Letterbox.fit(SIZE, (384, 640))
LENSES = {"straight": np.zeros(5), "distorted": np.array([-0.28, 0.07, 0.0002, -0.0001, 0.0])}
Both = Callable[[Callable[[], Any]], tuple[Any, Any]]


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Both:
    """What the compiled functions return, and what their twins do."""

    def run_both(run: Callable[[], Any]) -> tuple[Any, Any]:
        compiled = run()
        with monkeypatch.context() as without:
            without.setattr(core, "kernels", None)
            return compiled, run()

    return run_both


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 3), (2, 4), (5, 5), (7, 6), (9, 31), (360, 640), (384, 641)])
def test_images_are_halved_to_the_bit(size, both):
    """Of all brightnesses and rows that are apart, into a canvas of which nothing else is written; even sizes only."""
    rng, (rows, columns) = np.random.default_rng(0), size
    for lowest, width, odd in ((0, 0, 0), (250, 3, 0), (0, 0, 1)):
        padded = rng.integers(lowest, 256, (2 * rows, 2 * columns + width + odd, 3), np.uint8)
        image = padded[:, : 2 * columns + odd]

        def run(image: np.ndarray = image) -> np.ndarray:
            canvas = np.full((rows + 2, columns + 3, 3), 7, np.uint8)
            resize(image, canvas[1 : rows + 1, 2 : columns + 2])
            return canvas

        compiled, twin = both(run)
        np.testing.assert_array_equal(compiled, twin)
        assert core.kernels.halve(image, np.zeros((rows, columns, 3), np.uint8)) in (not odd, False)


@pytest.mark.parametrize("size", [(720, 1280), (1440, 2560), (1080, 1920), (719, 1280)])
def test_letterboxed_images_are_the_same_to_the_bit(size, both):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)

    def run() -> np.ndarray:
        target = np.zeros((384, 640, 3), np.uint8)
        Preprocessor(InputSpec("images", 640, 384))(image, target)
        return target

    compiled, twin = both(run)
    np.testing.assert_array_equal(compiled, twin)


@pytest.mark.parametrize("image", [None, 3, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_image_is_not_halved(image):
    into = np.full((2, 2, 3), 7, np.uint8)
    try:
        assert not core.kernels.halve(image, into)
    except TypeError:
        pass
    assert (into == 7).all()


def camera(lens: str = "straight") -> Camera:
    k = np.array([[900.0, 0, 640], [0, 880, 360], [0, 0, 1]])
    return Camera(1280, 720, k, LENSES[lens], base_from_camera=optical_from_rpy((1.6, 0.1, 1.4), (0.01, 0.03, 0.02)))


def changed(head: HeadSpec, **options: Any) -> HeadSpec:
    options = {name: value for name, value in (head.options | options).items() if value != "none"}
    return replace(head, options=options)


OBJECTS, LANES = street.spec().heads[0], street.spec().heads[2]
OWN = {"thresholds": {"car": 0.2, "truck": 0.6}, "calibration": {"car": [2.0, -0.2], "truck": [0.7, 0.3]}}


@pytest.mark.parametrize(
    "head",
    [
        OBJECTS,
        replace(OBJECTS, nms_iou=None),
        changed(OBJECTS, calibration="none", one_object="none"),
        changed(OBJECTS, **OWN),
        replace(changed(OBJECTS, **OWN), tensors={role: role for role in ("boxes", "scores", "classes")}),
    ],
    ids=["street", "no suppression", "uncalibrated", "own", "no lights"],
)
def test_the_same_boxes_are_reported(head, both):
    rng = np.random.default_rng(0)
    for outputs in street.outputs(2, 40):
        arrays = {role: outputs[name].copy() for role, name in head.tensors.items()}
        for role, wrong in (("boxes", np.nan), ("boxes", np.inf), ("scores", np.nan), ("classes", -1), ("classes", 99)):
            arrays[role][rng.integers(0, street.ROWS, 20)] = wrong
        arrays["scores"][:60:3] = arrays["scores"][0]  # ties
        compiled, twin = both(lambda: decoder(head.kind).decode(arrays, head, BOX, 0.3))  # noqa: B023
        assert compiled.tasks == twin.tasks
        assert len(twin.detections) > 20
        for name in twin.detections._column_names:
            one, other = getattr(compiled.detections, name), getattr(twin.detections, name)
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other, err_msg=name)


def test_boxes_of_another_type_are_decoded_without_the_compiled_function(both):
    outputs = next(street.outputs(1))
    arrays = {role: outputs[name] for role, name in OBJECTS.tensors.items()}
    arrays["classes"], arrays["boxes"] = arrays["classes"].astype(np.int64), arrays["boxes"].astype(np.float16)
    compiled, twin = both(lambda: decoder(OBJECTS.kind).decode(arrays, OBJECTS, BOX, 0.4))
    np.testing.assert_array_equal(compiled.detections.boxes, twin.detections.boxes)


def lane_outputs(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Smooth lines, one that jumps in the middle, one with few rows, one beyond the image, and one of two rows."""
    outputs = {role: next(street.outputs(1, seed=3))[name].copy() for role, name in LANES.tensors.items()}
    x, row_score = outputs["x"], outputs["row_score"]
    outputs["score"][:] = 0.9
    x[1, 35:] += 40
    row_score[2, :42], x[3] = 0.1, x[3] + 500
    row_score[4], row_score[4, [30, 40]] = 0.1, 0.9
    outputs["type"][0], outputs["color"][1] = np.nan, np.inf
    row_score[0] = rng.uniform(0.2, 1.4, row_score.shape[1])
    return outputs


@pytest.mark.parametrize("options", [{}, {"max_jump": None}, {"max_jump": 0.03, "row_threshold": 0.7}])
def test_the_same_lane_lines_are_found(options, both):
    arrays, head = lane_outputs(np.random.default_rng(0)), changed(LANES, **options)
    compiled, twin = both(lambda: decoder(head.kind).decode(arrays, head, BOX, 0.5).lanes)
    assert len(compiled) == len(twin) >= 4
    for one, other in zip(compiled, twin):
        np.testing.assert_array_equal(one.points, other.points)
        assert replace(one, points=other.points) == other


def test_lines_have_the_same_order(both):
    rng = np.random.default_rng(0)
    for _ in range(30):
        ends = rng.uniform((200, 380, 0, 420), (1000, 480, 1280, 719), (5, 4))
        lines = [
            LaneLine(
                np.linspace(end[2:], end[:2], count).astype(np.float32)[:: rng.choice((1, -1))] + rng.normal(0, 1, 2),
                0.5,
            )
            for end, count in zip(ends, (2, 5, 8, 20, 40))
        ]
        compiled, twin = both(lambda: left_to_right(lines))  # noqa: B023
        assert [id(line) for line in compiled] == [id(line) for line in twin]


def roads() -> Iterator[tuple[ClassMap, np.ndarray | None]]:
    rng = np.random.default_rng(0)
    for rows, columns in ((96, 160), (90, 37), (1, 1), (12, 64)):
        far = rng.integers(rows // 3, rows // 2 + 1, columns)
        ids = (np.arange(rows)[:, None] > far).astype(np.uint8) * rng.integers(1, 3, (rows, columns), np.uint8)
        ids[rng.random(ids.shape) < 0.002] = 0
        for ignored in (None, rng.random(ids.shape) < 0.1):
            yield ClassMap(ids, ("background", "road", "lane"), np.zeros((3, 3), np.uint8)), ignored
    yield ClassMap(np.ones((96, 160), np.uint8), ("background", "road"), np.zeros((2, 3), np.uint8)), None


@pytest.mark.parametrize("lens", LENSES)
def test_the_free_road_is_the_same(lens, both):
    located = 0
    for map_, ignored in roads():

        def run(map_: ClassMap = map_, ignored: np.ndarray | None = ignored) -> Road:
            return locate_road(road_from_drivable(map_, SIZE, ignored=ignored), camera(lens), SIZE)

        compiled, twin = both(run)
        np.testing.assert_array_equal(compiled.boundary, twin.boundary)
        assert compiled.coverage == twin.coverage
        np.testing.assert_allclose(compiled.polygon, twin.polygon, 1e-6)
        assert compiled.free_distance_ahead == pytest.approx(twin.free_distance_ahead, 1e-9, nan_ok=True)
        located += len(twin.polygon) > 0
    assert located >= 5


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize(("bend", "is_straight"), [(0.0, True), (0.02, False)])
def test_straight_lines_measure_the_same_calibration(lens, bend, is_straight, both):
    rng, ahead = np.random.default_rng(1), np.linspace(5, 40, 30)
    lines = []
    for y in (1.7, -1.9):
        road = np.column_stack((ahead, y + bend * ahead**2, np.zeros(30)))
        lines.append((camera(lens).pixels_from_base(road) + rng.normal(0, 0.3, (30, 2))).astype(np.float32))
    compiled, twin = both(lambda: measure_calibration(*lines, camera(lens)))
    assert (compiled is not None) == (twin is not None) == is_straight
    if twin is not None:
        found, wanted = ([each.pitch, each.yaw, each.width] for each in (compiled, twin))
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert both(lambda: measure_calibration(np.full((9, 2), np.nan, np.float32), lines[0], camera(lens))) == (
        None,
        None,
    )


def own_lines(sides: tuple[int, ...]) -> tuple[LaneLine, ...]:
    points, std = np.zeros((2, 2), np.float32), np.zeros(2, np.float32)
    polys = {-1: (1.8, 0.01, 2e-4, 1e-6), 1: (-1.7, 0.02, 3e-4, -1e-6), 2: (-5.0, 0.0, 0.0, 0.0)}
    grounds = {s: GroundLine(points, std, np.array(polys[s], np.float32), 4.0 + s, 30.0 + s) for s in sides}
    return tuple(LaneLine(points, 0.9, side, ground=ground) for side, ground in grounds.items())


@pytest.mark.parametrize("sides", [(), (-1,), (1,), (-1, 1, 2), (2,)])
def test_lights_govern_the_same_lane(sides, both):
    rng, count, light = np.random.default_rng(0), 400, 3
    objects = Objects.of(detections(rng, count))
    compiled, twin = both(lambda: light_relevances(objects, light, own_lines(sides), camera()))
    assert compiled.tolist() == twin.tolist()
    assert {*twin.tolist()} == {0, 1, 2}


def detections(rng: np.random.Generator, count: int) -> Detections:
    middles, size = rng.uniform((0, 0), (1280, 500), (count, 2)), rng.uniform(4, 80, (count, 1)) * (0.4, 1.0)
    boxes = np.concatenate((middles - size / 2, middles + size / 2), axis=1).astype(np.float32)
    classes = rng.integers(0, 5, count).astype(np.int32)
    return Detections(boxes, np.full(count, 0.5, np.float32), classes, np.zeros((count, 0), np.float32))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 5000.0])
def test_boxes_without_an_area_are_dropped(wrong, both):
    objects = Objects.of(detections(np.random.default_rng(0), 30))
    boxes = objects.boxes.copy()
    boxes[3, 0], boxes[:9, 2:] = wrong, np.minimum(boxes[:9, 2:], (1280, 720))
    boxes[9, :2], boxes[10, 2:] = 2.0, (1278, 718)
    for each in (objects, objects.with_columns(boxes=boxes)):
        compiled, twin = both(lambda: locate_objects(each, None, ("car",) * 5, SIZE))  # noqa: B023
        np.testing.assert_array_equal(compiled.boxes, twin.boxes)
        assert compiled.truncated.tolist() == twin.truncated.tolist()
    assert len(twin) == 29


@pytest.mark.parametrize("color", ["bgr", "rgb"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16"])
def test_inputs_of_networks_are_the_same_to_the_bit(dtype, layout, color, both):
    scale = {"scale": 1 / 255, "mean": (0.4, 0.45, 0.5), "std": (0.2, 0.21, 0.22)} if dtype != "uint8" else {}
    spec = InputSpec("images", 64, 48, dtype=dtype, layout=layout, color=color, **scale)
    image = np.random.default_rng(0).integers(0, 256, (100, 120, 3), np.uint8)

    def written() -> np.ndarray:
        target = np.empty(spec.shape[1:], dtype)
        Preprocessor(spec)(image, target)
        return target

    compiled, twin = both(written)
    assert compiled.tobytes() == twin.tobytes()


def test_pixels_that_do_not_fit_are_refused():
    pixels, table = np.zeros((4, 3), np.uint8), np.zeros((3, 256), np.uint16).view(np.uint8)
    for room, tables in ((11, table), (24, table[:2]), (12, table[:, :256])):
        with pytest.raises(ValueError, match="room for all pixels"):
            core.kernels.convert_pixels(pixels, tables.copy(), False, True, np.zeros(room, np.uint8))
