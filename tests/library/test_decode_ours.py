"""Decoders of our networks' heads, on hand-made outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import LineColor, LineType, Task
from camera_perception.decode import decoder
from camera_perception.image.letterbox import Letterbox

# 1280x720 in 640x384: half the size, 12 rows of padding above and below
BOX = Letterbox.fit((720, 1280), (384, 640))
STATES = ("red", "yellow", "green", "none")
OBJECTS = HeadSpec(
    "objects",
    "topk_boxes",
    {role: role for role in ("boxes", "scores", "classes", "light_states")},
    ("car", "traffic light"),
    options={"light_states": list(STATES), "light_class": "traffic light"},
)


def objects(*rows, states=None):
    """Rows of (x0, y0, x1, y1, score, class) as the graph gives them."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    states = np.zeros((len(table), 4), np.float32) if states is None else np.array(states, np.float32)
    return {
        "boxes": table[:, :4],
        "scores": table[:, 4],
        "classes": table[:, 5].astype(np.int32),
        "light_states": states,
    }


def decode(arrays, head, threshold=0.4):
    return decoder(head.kind).decode(arrays, head, BOX, threshold)


def test_no_rows_give_no_objects_but_the_head_ran():
    part = decode(objects(), OBJECTS)
    assert part.tasks == Task.OBJECTS | Task.TRAFFIC_LIGHTS
    assert len(part.detections) == 0
    assert part.detections.light_states.shape == (0, 4)


def test_boxes_above_the_threshold_are_returned_in_source_pixels():
    found = decode(objects((10, 22, 110, 72, 0.9, 0), (10, 22, 110, 72, 0.39, 0)), OBJECTS).detections
    np.testing.assert_array_equal(found.boxes, [[20, 20, 220, 120]])
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.classes.dtype == np.int32


def with_options(head, **options):
    return HeadSpec(head.head, head.kind, head.tensors, head.classes, options=head.options | options)


@pytest.mark.parametrize(
    ("options", "threshold", "scores"),
    [
        ({}, 0.4, [0.6, 0.5]),
        ({"thresholds": {"car": 0.7}}, 0.4, [0.5]),
        ({"thresholds": {"traffic light": 0.1}}, 0.4, [0.6, 0.5, 0.3, 0.2]),
        ({"thresholds": {"car": 0.8}}, 0.2, [0.6, 0.5, 0.3, 0.2]),  # half the head's threshold: half of 0.8
        ({"calibration": {"car": [1.0, 100.0]}}, 0.4, [1.0, 0.5]),
        ({"calibration": {"car": [2.0, 0.0]}}, 0.4, [0.36 / (0.36 + 0.16), 0.5]),  # odds 6 / 4, squared
        ({"calibration": {"traffic light": [1.0, np.log(4)]}}, 0.4, [0.8, 12 / 19, 0.6, 0.5]),  # four times the odds
        ({"calibration": {"car": [2.0, 0.0]}, "thresholds": {"car": 0.7}}, 0.4, [0.5]),
    ],
)
def test_scores_are_calibrated_before_the_threshold_of_their_class(options, threshold, scores):
    """One car and three traffic lights."""
    rows = objects((0, 50, 9, 60, 0.6, 0), (20, 50, 29, 60, 0.5, 1), (40, 50, 49, 60, 0.3, 1), (60, 50, 69, 60, 0.2, 1))
    found = decode(rows, with_options(OBJECTS, **options), threshold).detections.scores
    np.testing.assert_allclose(sorted(found), sorted(scores), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"thresholds": {"boat": 0.4}}, "boat"),
        ({"one_object": [["car", "boat"]]}, "boat"),
        ({"one_object": [["car"], ["car", "traffic light"]]}, "at most once"),
        ({"thresholds": {"car": 1.5}}, "0 to 1"),
        ({"calibration": {"boat": [1, 0]}}, "boat"),
        ({"calibration": {"car": [-1, 0]}}, "slope above 0"),
        ({"calibration": {"car": [1]}}, "slope above 0"),
        ({"overlap_decay": 1.5}, "0 to 1"),
    ],
)
def test_options_of_scores_are_checked(options, says):
    shapes = {"boxes": (1, 9, 4), "scores": (1, 9), "classes": (1, 9), "light_states": (1, 9, 4)}
    with pytest.raises(ModelError, match=says):
        decoder("topk_boxes").check(with_options(OBJECTS, **options), shapes)


def test_only_traffic_lights_have_a_state():
    states = [[0.7, 0.1, 0.1, 0.1]] * 2
    found = decode(objects((0, 50, 9, 60, 0.9, 0), (20, 50, 29, 60, 0.8, 1), states=states), OBJECTS).detections
    np.testing.assert_allclose(found.light_states, [[0, 0, 0, 0], states[0]])


@pytest.mark.parametrize(
    "row",
    [
        (np.nan, 20, 30, 40, 0.9, 0),
        (10, 20, np.inf, 40, 0.9, 0),
        (10, 20, 30, 40, np.nan, 0),
        (10, 20, 30, 40, 0.9, 2),
        (10, 20, 30, 40, 0.9, -1),
        (30, 40, 10, 20, 0.9, 0),
        (10, 0, 30, 11, 0.9, 0),
        (-50, 20, -1, 40, 0.9, 0),
    ],
    ids=[
        "nan",
        "inf",
        "nan score",
        "class too high",
        "class below 0",
        "inside out",
        "in the padding",
        "left of the image",
    ],
)
def test_invalid_rows_are_dropped_and_valid_ones_kept(row):
    found = decode(objects(row, (10, 22, 110, 72, 0.8, 1)), OBJECTS).detections
    np.testing.assert_allclose(found.scores, [0.8])


def test_classes_of_one_object_suppress_each_other():
    tensors = {role: role for role in ("boxes", "scores", "classes")}
    head = HeadSpec("objects", OBJECTS.kind, tensors, ("car", "truck", "person"), nms_iou=0.5)
    rows = objects((10, 22, 110, 72, 0.9, 0), (12, 22, 110, 72, 0.8, 1), (11, 22, 110, 72, 0.7, 2))
    del rows["light_states"]
    assert decode(rows, head).detections.classes.tolist() == [0, 1, 2]
    grouped = replace(head, options={"one_object": [["car", "truck"]]})
    found = decode(rows, grouped).detections
    assert found.classes.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("decay", "threshold", "scores"),
    [
        (None, 0.4, [0.9, 0.8, 0.7]),
        (0.2, 0.4, [0.9, 0.7, 0.6]),  # a quarter of the second overlaps with the first
        (0.2, 0.65, [0.9, 0.7]),
        (0.3, 0.4, [0.9, 0.8, 0.7]),
    ],
)
def test_scores_beside_better_boxes_fall(decay, threshold, scores):
    """Two cars of which one hides a part of the other, and a traffic light before them."""
    rows = objects((0, 50, 100, 90, 0.9, 0), (60, 50, 160, 90, 0.8, 0), (60, 50, 160, 90, 0.7, 1))
    head = replace(OBJECTS, nms_iou=0.5, options=OBJECTS.options | ({} if decay is None else {"overlap_decay": decay}))
    found = decode(rows, head, threshold).detections.scores
    np.testing.assert_allclose(found, scores, atol=1e-6)


def test_nms_runs_only_when_configured():
    twice = objects((10, 22, 110, 72, 0.9, 0), (11, 22, 111, 72, 0.8, 0), (11, 22, 111, 72, 0.7, 1))
    assert len(decode(twice, OBJECTS).detections) == 3
    with_nms = HeadSpec(
        OBJECTS.head, OBJECTS.kind, OBJECTS.tensors, OBJECTS.classes, nms_iou=0.5, options=OBJECTS.options
    )
    np.testing.assert_allclose(decode(twice, with_nms).detections.scores, [0.9, 0.7])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"boxes": (1, 100, 5)}, "boxes"),
        ({"scores": (1, 99)}, "scores"),
        ({"light_states": (1, 100, 3)}, "light_states"),
        ({"classes": ()}, "classes"),
    ],
)
def test_topk_boxes_names_the_tensor_that_does_not_fit(change, says):
    shapes = {"boxes": (1, 100, 4), "scores": (1, 100), "classes": (1, 100), "light_states": (1, 100, 4)}
    decoder("topk_boxes").check(OBJECTS, shapes)
    with pytest.raises(ModelError, match=says):
        decoder("topk_boxes").check(OBJECTS, shapes | change)


@pytest.mark.parametrize(("name", "task"), [("drivable", Task.DRIVABLE), ("semantic", Task.SEMANTIC)])
def test_class_maps_are_cropped_to_the_image(name, task):
    head = HeadSpec(name, "class_map", {"map": "m"}, ("background", "road", "alternative"))
    ids = np.full((96, 160), 2, np.uint8)  # padding is rows 0..2 and 93..95
    ids[3:93] = 1
    ids[3, 0] = 0
    part = decode({"map": ids}, head)
    found = getattr(part, name)
    assert part.tasks == task
    assert found.ids.shape == (90, 160)
    assert found.ids[0, 0] == 0
    assert np.count_nonzero(found.ids != 1) == 1
    assert found.colors.shape == (3, 3)


def test_class_maps_are_copies_and_unknown_ids_are_background():
    head = HeadSpec("drivable", "class_map", {"map": "m"}, ("background", "road"), ((0, 0, 0), (1, 2, 3)))
    ids = np.full((96, 160), 7, np.uint8)
    found = decode({"map": ids}, head).drivable
    ids[:] = 1
    assert not found.ids.any()
    np.testing.assert_array_equal(found.colors[1], (1, 2, 3))


def test_islands_of_road_are_dropped():
    """A road of 1,000 cells, a region of 100 of the other class, one of 90 that touches the road at a corner only."""
    ids = np.zeros((96, 160), np.uint8)
    ids[50:60, :100], ids[20:30, 20:30], ids[41:50, 100:110] = 1, 2, 1
    head = HeadSpec("drivable", "class_map", {"map": "m"}, ("background", "road", "alternative"))
    kept = [
        np.bincount(decode({"map": ids}, replace(head, options=options)).drivable.ids.ravel(), minlength=3)[1:].tolist()
        for options in ({}, {"islands": 0.1}, {"islands": 0.11})
    ]
    assert kept == [[1090, 100], [1000, 100], [1000, 0]]


@pytest.mark.parametrize(("name", "islands"), [("drivable", 1.5), ("semantic", 0.1)])
def test_islands_are_a_share_of_the_drivable_area(name, islands):
    for kind, role, shape in (("class_map", "map", (1, 24, 40)), ("mask_logits", "logits", (1, 2, 24, 40))):
        head = HeadSpec(name, kind, {role: "m"}, ("background", "road"), options={"islands": islands})
        with pytest.raises(ModelError, match="islands"):
            decoder(kind).check(head, {role: shape})


TYPES = [
    "solid",
    "dashed",
    "double_solid",
    "double_dashed",
    "solid_dashed",
    "dashed_solid",
    "botts_dots",
    "road_edge",
    "curb",
]
LANES = HeadSpec(
    "lanes",
    "lane_rows",
    {role: role for role in ("x", "row_score", "score", "type", "color")},
    options={
        "positions": [-2, -1, 1, 2],
        "line_types": TYPES,
        "line_colors": ["white", "yellow", "blue", "red", "unknown"],
        "row_threshold": 0.5,
    },
)
ROWS = 48


def lane_arrays(lines=4):
    """Nothing there: rows present, lines not."""
    return {
        "x": np.zeros((lines, ROWS), np.float32),
        "row_score": np.ones((lines, ROWS), np.float32),
        "score": np.zeros(lines, np.float32),
        "type": np.eye(9, dtype=np.float32)[np.zeros(lines, int)],
        "color": np.eye(5, dtype=np.float32)[np.zeros(lines, int)],
    }


def test_no_line_above_the_threshold_gives_no_lines_but_the_head_ran():
    part = decode(lane_arrays(), LANES)
    assert (part.tasks, part.lanes) == (Task.LANES, ())


def test_a_line_is_decoded_where_it_was_placed_near_to_far():
    """Source line u = 640 + 0.5 (v - 400) from v = 400 down, given in network pixels by hand: u/2, v/2 + 12."""
    arrays = lane_arrays()
    v_network = (np.arange(ROWS) + 0.5) * 8
    v = (v_network - 12) * 2
    arrays["x"][2] = (640 + 0.5 * (v - 400)) / 2
    arrays["row_score"][2] = v >= 400
    arrays["score"][2] = 0.9
    arrays["type"][2] = np.eye(9)[TYPES.index("solid_dashed")] * 0.8
    arrays["color"][2] = np.eye(5)[1] * 0.6
    (line,) = decode(arrays, LANES).lanes
    np.testing.assert_allclose(line.points[:, 0], 640 + 0.5 * (line.points[:, 1] - 400), atol=1e-3)
    assert (np.diff(line.points[:, 1]) < 0).all()
    assert line.points[:, 1].min() >= 400
    assert line.points[:, 1].max() <= 720
    assert len(line.points) == np.count_nonzero((v >= 400) & (v <= 720))
    assert (line.position, line.line_type, line.color) == (1, LineType.SOLID_DASHED, LineColor.YELLOW)
    assert (line.score, line.type_score, line.color_score) == pytest.approx((0.9, 0.8, 0.6))


def test_lines_are_sorted_left_to_right_and_rows_outside_the_image_dropped():
    arrays = lane_arrays()
    arrays["score"][[0, 3]] = 0.9
    arrays["x"][0], arrays["x"][3] = 500, 100
    arrays["x"][3, :40] = -5
    far, near = decode(arrays, LANES).lanes
    assert (far.position, near.position) == (2, -2)
    assert (far.points >= 0).all()
    assert len(far.points) < len(near.points)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("role", ["x", "row_score", "score", "type", "color"])
def test_invalid_numbers_never_raise_and_never_leave_the_image(role, value):
    arrays = lane_arrays()
    arrays["score"][:] = 0.9
    arrays["x"][:] = 300
    arrays[role].flat[::3] = value
    for line in decode(arrays, LANES).lanes:
        assert np.isfinite(line.points).all()
        assert ((line.points >= 0) & (line.points <= (1280, 720))).all()
        assert 0 <= line.score <= 1


@pytest.mark.parametrize(("options", "rows"), [({}, 30), ({"min_agreeing": 0.9}, 0), ({"max_jump": None}, ROWS - 2)])
def test_a_line_that_jumps_is_refitted_refused_or_left_as_it_is(options, rows):
    """The upper half of the rows is left of the line in turns; 46 rows are inside the image."""
    arrays = lane_arrays()
    arrays["score"][2] = 0.9
    straight = 320 + 0.5 * (np.arange(ROWS) * 8 - 200)
    arrays["x"][2] = straight - np.where((np.arange(ROWS) < 24) & (np.arange(ROWS) % 2), 80, 0)
    found = decode(arrays, HeadSpec("lanes", "lane_rows", LANES.tensors, options=LANES.options | options)).lanes
    assert sum(len(line.points) for line in found) >= rows
    if rows == 30:
        u, v = (found[0].points / 2).T
        np.testing.assert_allclose(u, 320 + 0.5 * (v + 12 - 4 - 200), atol=0.5)
    if not rows:
        assert found == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_jump": 0}, "max_jump"),
        ({"min_agreeing": 1.5}, "min_agreeing"),
        ({"positions": [-1, 1]}, "positions"),
        ({"line_types": [*TYPES[:8], "wavy"]}, "wavy"),
        ({"line_types": TYPES[:8]}, "type"),
        ({"line_colors": ["white"]}, "color"),
    ],
)
def test_lane_rows_names_the_option_that_does_not_fit(options, says):
    shapes = {"x": (1, 4, 48), "row_score": (1, 4, 48), "score": (1, 4), "type": (1, 4, 9), "color": (1, 4, 5)}
    decoder("lane_rows").check(LANES, shapes)
    with pytest.raises(ModelError, match=says):
        decoder("lane_rows").check(
            HeadSpec("lanes", "lane_rows", LANES.tensors, options=LANES.options | options), shapes
        )


SCENE = HeadSpec(
    "scene",
    "attributes",
    {"weather": "w", "timeofday": "t"},
    options={"labels": {"weather": ["clear", "rainy", "foggy"], "timeofday": ["daytime", "night"]}},
)


def test_attributes_are_the_best_label_or_unknown():
    arrays = {"weather": np.array([0.1, 0.7, 0.2]), "timeofday": np.array([0.5, np.nan])}
    part = decode(arrays, SCENE)
    assert part.tasks == Task.SCENE
    assert [(a.name, a.label, a.score) for a in part.scene] == [
        ("weather", "rainy", 0.7),
        ("timeofday", "unknown", 0.0),
    ]


@pytest.mark.parametrize(
    ("weather", "threshold", "label"),
    [
        ([0.39, 0.31, 0.3], 0.4, "unknown"),
        ([0.41, 0.3, 0.29], 0.4, "clear"),
        ([0.1, 0.89, 0.01], 0.4, "unknown"),  # rainy has its own threshold, 0.9
        ([0.05, 0.91, 0.04], 0.4, "rainy"),
        ([0.4, 0.5, 0.1], 0.2, "rainy"),  # half the head's threshold: half of 0.9
        ([0.3, 0.4, 0.3], 0.0, "rainy"),
    ],
)
def test_each_label_has_its_threshold(weather, threshold, label):
    head = HeadSpec(
        "scene", "attributes", SCENE.tensors, options=SCENE.options | {"thresholds": {"weather": {"rainy": 0.9}}}
    )
    arrays = {"weather": np.array(weather), "timeofday": np.array([0.9, 0.1])}
    assert [a.label for a in decode(arrays, head, threshold).scene] == [label, "daytime"]


@pytest.mark.parametrize(
    ("thresholds", "says"),
    [({"weather": {"hail": 0.5}}, "hail"), ({"wind": {"rainy": 0.5}}, "wind"), ({"weather": {"rainy": 2}}, "0 to 1")],
)
def test_thresholds_of_labels_are_checked(thresholds, says):
    head = HeadSpec("scene", "attributes", SCENE.tensors, options=SCENE.options | {"thresholds": thresholds})
    with pytest.raises(ModelError, match=says):
        decoder("attributes").check(head, {"weather": (1, 3), "timeofday": (1, 2)})


def test_attributes_need_one_label_per_number():
    decoder("attributes").check(SCENE, {"weather": (1, 3), "timeofday": (1, 2)})
    with pytest.raises(ModelError, match="weather"):
        decoder("attributes").check(SCENE, {"weather": (1, 4), "timeofday": (1, 2)})
