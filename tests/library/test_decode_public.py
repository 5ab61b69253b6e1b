"""Decoders of public models' heads, each against an independent computation or a drawn image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from camera_perception.core.boxes import nms
from camera_perception.core.errors import ModelError
from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import Detections, Task
from camera_perception.decode import KINDS, decoder
from camera_perception.image.letterbox import Letterbox

BOX = Letterbox.fit((720, 1280), (384, 640))
TOP_LEFT = Letterbox.fit((720, 1280), (384, 640), "top_left")
NAMES = ("car", "truck", "person")
RNG = np.random.default_rng(11)


def head_of(kind, head="objects", role="output", classes=NAMES, **more):
    return HeadSpec(head, kind, {role: role}, classes, **more)


def overlap(a, b):
    """Intersection over union of two boxes, one number at a time."""
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(across, 0) * max(down, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_nms(rows, max_iou):
    """rows of (box, score, class): the textbook loop."""
    kept = []
    for row in sorted(rows, key=lambda row: -row[1]):
        if all(row[2] != other[2] or overlap(row[0], other[0]) <= max_iou for other in kept):
            kept.append(row)
    return kept


def slow_objects(candidates, letterbox, threshold, max_iou):
    """candidates of (cx, cy, w, h, scores of classes) in network pixels -> rows in source pixels."""
    rows = []
    for cx, cy, w, h, scores in candidates:
        best = max(range(len(scores)), key=lambda index: scores[index])
        if scores[best] >= threshold:
            rows.append(((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), scores[best], best))
    kept = [(to_source(box, letterbox), score, name) for box, score, name in slow_nms(rows, max_iou)]
    return [row for row in kept if row[0][0] < row[0][2] and row[0][1] < row[0][3]]


def to_source(box, letterbox):
    scale = 0.5  # 1280 to 640
    left, top = letterbox.left, letterbox.top
    x0, y0, x1, y1 = ((box[0] - left) / scale, (box[1] - top) / scale, (box[2] - left) / scale, (box[3] - top) / scale)
    return max(x0, 0), max(y0, 0), min(x1, 1280), min(y1, 720)


def assert_same(found: Detections, expected):
    assert len(found) == len(expected) > 3
    order = sorted(range(len(expected)), key=lambda index: -expected[index][1])
    np.testing.assert_allclose(found.boxes, [expected[index][0] for index in order], atol=1e-2)
    np.testing.assert_allclose(found.scores, [expected[index][1] for index in order], rtol=1e-5)
    assert found.classes.tolist() == [expected[index][2] for index in order]


def crowd(count=200, classes=3):
    """(count, 4) middle and size that overlap a lot, (count, classes) scores."""
    middles = RNG.uniform((80, 60), (560, 320), (12, 2))[RNG.integers(0, 12, count)] + RNG.normal(0, 6, (count, 2))
    sizes = RNG.uniform(30, 60, (count, 2))
    return np.hstack((middles, sizes)).astype(np.float32), RNG.random((count, classes)).astype(np.float32)


@pytest.mark.parametrize("max_iou", [0.0, 0.3, 0.7, 1.0])
def test_nms_matches_the_textbook_loop(max_iou):
    cxcywh, scores = crowd()
    boxes = np.hstack((cxcywh[:, :2] - cxcywh[:, 2:] / 2, cxcywh[:, :2] + cxcywh[:, 2:] / 2))
    classes = RNG.integers(0, 3, len(boxes))
    kept = nms(boxes, scores[:, 0], classes, max_iou)
    rows = [(tuple(map(float, box)), float(s), int(c)) for box, s, c in zip(boxes, scores[:, 0], classes)]
    assert [rows[index] for index in kept] == slow_nms(rows, max_iou)


def test_nms_matches_opencv_within_a_class():
    cxcywh, scores = crowd()
    corner_size = np.hstack((cxcywh[:, :2] - cxcywh[:, 2:] / 2, cxcywh[:, 2:])).astype(float)
    expected = cv2.dnn.NMSBoxes(corner_size.tolist(), scores[:, 0].tolist(), 0.0, 0.45)
    boxes = np.hstack((corner_size[:, :2], corner_size[:, :2] + corner_size[:, 2:]))
    np.testing.assert_array_equal(nms(boxes, scores[:, 0], np.zeros(len(boxes), int), 0.45), expected)


def test_nms_of_no_boxes_is_empty():
    assert nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), 0.5).tolist() == []


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("nms_iou", [None, 0.2])
def test_ultralytics_rows_in_both_orders(transposed, nms_iou):
    cxcywh, scores = crowd()
    rows = np.hstack((cxcywh, scores))
    head = head_of("ultralytics", nms_iou=nms_iou)
    part = decoder("ultralytics").decode({"output": rows if transposed else rows.T}, head, BOX, 0.6)
    expected = slow_objects(
        [(*map(float, box), s.tolist()) for box, s in zip(cxcywh, scores)], BOX, 0.6, nms_iou or 0.45
    )
    assert part.tasks == Task.OBJECTS
    assert_same(part.detections, expected)


def test_ultralytics_end_to_end_rows_are_used_unchanged():
    rows = np.array([[10, 22, 110, 72, 0.9, 2], [11, 22, 111, 72, 0.8, 2], [10, 22, 110, 72, 0.1, 0]], np.float32)
    found = decoder("ultralytics").decode({"output": rows}, head_of("ultralytics"), BOX, 0.4).detections
    np.testing.assert_allclose(found.boxes, [[20, 20, 220, 120], [22, 20, 222, 120]])
    assert found.classes.tolist() == [2, 2]


@pytest.mark.parametrize("letterbox", [BOX, TOP_LEFT], ids=["center", "top_left"])
@pytest.mark.parametrize("strides", [(8, 16, 32), (16, 64)])
def test_yolox_grids_and_strides(strides, letterbox):
    """Cells are walked one by one: stride after stride, row by row."""
    rows, candidates = [], []
    for stride in strides:
        for row in range(384 // stride):
            for column in range(640 // stride):
                x, y = RNG.uniform(0, 1, 2)
                w, h = RNG.uniform(0.5, 1.5, 2)
                objectness, scores = RNG.random() ** 4, RNG.random(3)
                rows.append([x, y, w, h, objectness, *scores])
                middle = (x + column) * stride, (y + row) * stride
                size = math.exp(w) * stride, math.exp(h) * stride
                candidates.append((*middle, *size, [objectness * s for s in scores]))
    head = head_of("yolox", nms_iou=0.5, options={"strides": list(strides)})
    found = decoder("yolox").decode({"output": np.array(rows, np.float32)}, head, letterbox, 0.7).detections
    assert_same(found, slow_objects(candidates, letterbox, 0.7, 0.5))


@pytest.mark.parametrize("kind", ["ultralytics", "yolop_boxes", "end_to_end"])
def test_scores_of_public_models_are_calibrated_too(kind):
    """Ten candidates far apart, of two classes; those of the first get the square of their odds."""
    scores = np.linspace(0.05, 0.95, 10).astype(np.float32)
    numbers = np.arange(10) % 2
    boxes = np.column_stack((np.arange(10) * 60 + 30, np.full(10, 100), np.full(10, 40), np.full(10, 40)))
    by_class = np.where(np.arange(3) == numbers[:, None], scores[:, None], 0)
    outputs = {
        "ultralytics": np.hstack((boxes, by_class)),
        "yolop_boxes": np.hstack((boxes, np.ones((10, 1)), by_class)),
        "end_to_end": np.column_stack((boxes[:, :2] - 20, boxes[:, :2] + 20, scores, numbers)),
    }
    name = "ultralytics" if kind == "end_to_end" else kind
    options = {"calibration": {NAMES[0]: [2.0, 0.0]}, "thresholds": {NAMES[1]: 0.1}}
    head = head_of(name, options=options)
    found = decoder(name).decode({"output": outputs[kind].astype(np.float32)}, head, BOX, head.threshold).detections
    odds = (scores / (1 - scores)) ** 2
    expected = np.where(numbers == 0, odds / (1 + odds), scores)
    kept = expected >= np.where(numbers == 0, head.threshold, 0.1)
    np.testing.assert_allclose(sorted(found.scores), sorted(expected[kept]), rtol=1e-4)


@pytest.mark.parametrize("kind", ["yolox", "yolop_boxes"])
def test_rows_with_objectness_in_network_pixels(kind):
    cxcywh, scores = crowd()
    objectness = RNG.uniform(0.5, 1, (len(scores), 1)).astype(np.float32)
    head = head_of(kind, options={"decoded": True} if kind == "yolox" else {})
    output = np.hstack((cxcywh, objectness, scores))
    found = decoder(kind).decode({"output": output}, head, BOX, 0.5).detections
    expected = slow_objects(
        [(*map(float, b), (o * s).tolist()) for b, o, s in zip(cxcywh, objectness, scores)], BOX, 0.5, 0.45
    )
    assert_same(found, expected)


@pytest.mark.parametrize("planes", [1, 2, 3])
def test_mask_logits_give_the_highest_plane_cropped_to_the_image(planes):
    classes = ("background", "road", "alternative")[: max(planes, 2)]
    logits = RNG.normal(size=(planes, 96, 160)).astype(np.float32)
    head = head_of("mask_logits", "drivable", "logits", classes)
    found = decoder("mask_logits").decode({"logits": logits}, head, BOX, 0.4).drivable
    expected = np.argmax(logits, axis=0) if planes > 1 else logits[0] > 0
    np.testing.assert_array_equal(found.ids, expected[3:93])


def test_a_mask_of_probabilities_is_thresholded_at_a_half():
    head = head_of("mask_logits", "drivable", "logits", ("background", "road"), options={"cut": 0.5})
    found = decoder("mask_logits").decode({"logits": np.full((1, 96, 160), 0.4, np.float32)}, head, BOX, 0.4).drivable
    assert not found.ids.any()


def lane_scores(lines, planes, size=(384, 640), thickness=6, dashed=()):
    """Logits of a mask on which straight lines are drawn; lines of ((x0, y0), (x1, y1)) network pixels, near to far."""
    mask = np.zeros(size, np.uint8)
    for index, (near, far) in enumerate(lines):
        cv2.line(mask, near, far, 1, thickness)
        if index in dashed:
            mask[200:216] = mask[260:290] = 0
    score = np.where(mask, 4.0, -4.0).astype(np.float32)
    return score[None] if planes == 1 else np.stack((-score / 2, score / 2))


OWN_LANE = [((60, 370), (300, 180)), ((580, 370), (340, 180))]
FOUR = [((0, 300), (280, 180)), *OWN_LANE, ((639, 300), (360, 180))]


@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize(
    ("lines", "dashed", "positions"),
    [([], (), []), (OWN_LANE[:1], (), [-1]), (OWN_LANE, (0,), [-1, 1]), (FOUR, (), [-2, -1, 1, 2])],
    ids=["none", "one", "dashed", "four"],
)
def test_lines_of_a_mask_are_traced_where_they_were_drawn(lines, dashed, positions, planes):
    head = head_of("lane_mask_logits", "lanes", "logits", ())
    part = decoder("lane_mask_logits").decode({"logits": lane_scores(lines, planes, dashed=dashed)}, head, BOX, 0.4)
    assert part.tasks == Task.LANES
    assert [line.position for line in part.lanes] == positions
    for line, ((x0, y0), (x1, y1)) in zip(part.lanes, lines):
        u, v = line.points.T
        drawn = x0 + ((v / 2 + 12) - y0) * (x1 - x0) / (y1 - y0)  # source v -> network row -> drawn network column
        assert np.abs(u / 2 - drawn - 0.5)[2:-2].max() < 3  # at its ends the drawn line is cut
        assert (np.diff(v) < 0).all()
        assert np.ptp(v) > 0.8 * 2 * (y0 - y1)
        assert line.score > 0.9


def test_lines_that_meet_at_the_horizon_stay_separate():
    meeting = [((60, 370), (320, 150)), ((580, 370), (320, 150))]
    head = head_of("lane_mask_logits", "lanes", "logits", ())
    lanes = decoder("lane_mask_logits").decode({"logits": lane_scores(meeting, 2)}, head, BOX, 0.4).lanes
    assert [line.position for line in lanes] == [-1, 1]


def test_a_stop_line_is_not_a_lane_line():
    stop = lane_scores([((60, 300), (580, 300))], 1)
    head = head_of("lane_mask_logits", "lanes", "logits", ())
    assert decoder("lane_mask_logits").decode({"logits": stop}, head, BOX, 0.4).lanes == ()


# kind: head, shapes that fit, shapes that do not
CASES = {
    "topk_boxes": (
        HeadSpec("objects", "topk_boxes", {}, NAMES),
        {"boxes": (9, 4), "scores": (9,), "classes": (9,)},
        {"boxes": (9, 5), "scores": (9,), "classes": (9,)},
    ),
    "class_map": (head_of("class_map", "semantic", "map"), {"map": (96, 160)}, {"map": (1, 96, 160)}),
    "lane_rows": (
        HeadSpec(
            "lanes",
            "lane_rows",
            {},
            options={"positions": [-1, 1], "line_types": ["solid", "dashed"], "line_colors": ["white"]},
        ),
        {"x": (2, 48), "row_score": (2, 48), "score": (2,), "type": (2, 2), "color": (2, 1)},
        {"x": (2, 48), "row_score": (2, 47), "score": (2,), "type": (2, 2), "color": (2, 1)},
    ),
    "attributes": (
        HeadSpec("scene", "attributes", {"weather": "w"}, options={"labels": {"weather": ["clear", "rainy"]}}),
        {"weather": (2,)},
        {"weather": (3,)},
    ),
    "ultralytics": (head_of("ultralytics"), {"output": (7, 50)}, {"output": (9, 50)}),
    "yolox": (head_of("yolox"), {"output": (5040, 8)}, {"output": (5040, 7)}),
    "yolop_boxes": (head_of("yolop_boxes"), {"output": (50, 8)}, {"output": (50, 6)}),
    "boxes_scores": (
        HeadSpec("objects", "boxes_scores", {}, NAMES),
        {"boxes": (50, 4), "scores": (50, 3)},
        {"boxes": (50, 4), "scores": (50, 4)},
    ),
    "detr": (head_of("detr"), {"output": (30, 7)}, {"output": (30, 8)}),
    "efficient_nms": (
        HeadSpec("objects", "efficient_nms", {"count": "n"}, NAMES),
        {"boxes": (9, 4), "scores": (9,), "classes": (9,), "count": (1,)},
        {"boxes": (9, 4), "scores": (8,), "classes": (9,), "count": (1,)},
    ),
    "dets_labels": (
        HeadSpec("objects", "dets_labels", {}, NAMES),
        {"dets": (9, 5), "labels": (9,)},
        {"dets": (9, 5), "labels": (8,)},
    ),
    "final_rows": (head_of("final_rows"), {"output": (9, 7)}, {"output": (9, 6)}),
    "nanodet": (head_of("nanodet"), {"output": (5100, 3 + 32)}, {"output": (5100, 8)}),
    "fastestdet": (head_of("fastestdet"), {"output": (8, 24, 40)}, {"output": (9, 24, 40)}),
    "mask_logits": (head_of("mask_logits", "semantic", "logits"), {"logits": (3, 96, 160)}, {"logits": (2, 96, 160)}),
    "lane_mask_logits": (
        head_of("lane_mask_logits", "lanes", "logits", ()),
        {"logits": (2, 96, 160)},
        {"logits": (3, 96, 160)},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_decoder_checks_its_shapes(kind):
    head, good, bad = CASES[kind]
    decoder(kind).check(head, {role: (1, *shape) for role, shape in good.items()})
    with pytest.raises(ModelError, match=f"'{kind}'"):
        decoder(kind).check(head, {role: (1, *shape) for role, shape in bad.items()})
    if kind != "attributes":
        with pytest.raises(ModelError, match="role"):
            decoder(kind).check(head, {})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, -1e38, 0.0])
@pytest.mark.parametrize("kind", KINDS)
def test_no_number_makes_a_decoder_raise_or_leave_the_image(kind, value):
    head, shapes, _ = CASES[kind]
    for fraction in (0.02, 0.5, 1.0):
        arrays = {role: RNG.uniform(0, 300, shape).astype(np.float32) for role, shape in shapes.items()}
        for array in arrays.values():
            array.flat[RNG.random(array.size) < fraction] = value
        if kind == "topk_boxes":
            arrays["classes"] = np.zeros(9, np.int32)
        with np.errstate(all="ignore"):
            part = decoder(kind).decode(arrays, head, BOX, 0.4)
        boxes = np.zeros((0, 4)) if part.detections is None else part.detections.boxes
        points = [line.points for line in part.lanes or ()]
        for xy in (boxes.reshape(-1, 2), *points):
            assert ((xy >= 0) & (xy <= (1280, 720))).all()


def test_an_unknown_kind_raises_an_error_that_lists_the_known_ones():
    with pytest.raises(ModelError, match="topk_boxes, class_map"):
        decoder("yolov99")
