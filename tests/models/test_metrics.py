"""Evaluation metrics: computed by hand, by slow and obvious code, and on the labels themselves."""

import json
import re

import cv2
import numpy as np
import pytest

from camera_perception.core.types import (
    ClassMap,
    Detections,
    LaneLine,
    LineColor,
    LineType,
    Observations,
    SceneAttribute,
    Task,
)
from perception_models.data import Boxes, Lane, Lanes, Sample
from perception_models.data.labels import DRIVABLE, LIGHT, OBJECTS, POSITIONS, SEMANTIC
from perception_models.evaluation.metrics import lanes, lights, objects, scene, segmentation, tide
from perception_models.evaluation.metrics.scores import accuracy_of, calibration_error, confusion, iou_of

CAR, BUS = OBJECTS.index("car"), OBJECTS.index("bus")


def found(rows, states=None):
    """rows: x0 y0 x1 y1 score class."""
    rows = np.array(rows, np.float32).reshape(-1, 6)
    states = np.zeros((len(rows), 4), np.float32) if states is None else np.array(states, np.float32)
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int32), states)


def labelled(rows):
    """rows: x0 y0 x1 y1 class ignored."""
    rows = np.array(rows, np.float32).reshape(-1, 6)
    return Boxes(rows[:, :4], rows[:, 4], rows[:, 5], np.full(len(rows), -1))


def summary(images, threshold=0.5):
    records = [objects.record(found(f), labelled(t), OBJECTS) for f, t in images]
    return objects.summarise(records, threshold)


def test_labels_as_detections_are_perfect():
    images = [([[0, 0, 20, 20, 0.9, CAR]], [[0, 0, 20, 20, CAR, 0]]), ([], [])]
    out = summary(images)
    assert [out[name] for name in ("map", "map50", "recall", "precision")] == pytest.approx([1, 1, 1, 1])
    assert out["classes"]["bus"]["ap50"] is None


def test_precision_recall_by_hand():
    """Correct, wrong, correct: precision 1 up to recall 1/2, then 2/3; 51 and 50 of the 101 points."""
    truth = [[0, 0, 20, 20, CAR, 0], [50, 0, 70, 20, CAR, 0]]
    boxes = [[0, 0, 20, 20, 0.9, CAR], [80, 80, 99, 99, 0.8, CAR], [50, 0, 70, 20, 0.4, CAR]]
    out = summary([(boxes, truth)])
    assert out["classes"]["car"]["ap50"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert (out["recall"], out["precision"]) == (0.5, 0.5)


def test_ignored_labels_neither_reward_nor_punish():
    truth = [[0, 0, 20, 20, CAR, 0], [50, 0, 90, 40, CAR, 1]]
    boxes = [[0, 0, 20, 20, 0.6, CAR], [52, 2, 70, 20, 0.9, CAR], [70, 20, 88, 38, 0.8, CAR]]
    out = summary([(boxes, truth)])
    assert (out["map50"], out["precision"], out["classes"]["car"]["labelled"]) == (pytest.approx(1), 1, 1)


def test_a_vehicle_of_another_class_still_counts_as_a_vehicle():
    out = summary([([[0, 0, 20, 20, 0.9, BUS]], [[0, 0, 20, 20, CAR, 0]])])
    assert (out["map50"], out["vehicles"]["ap50"]) == (0, pytest.approx(1))


def test_classes_an_image_is_not_labelled_for_are_not_measured():
    boxes = found([[0, 0, 20, 20, 0.9, CAR], [0, 0, 9, 9, 0.9, LIGHT]])
    out = objects.record(boxes, labelled([]), OBJECTS, frozenset({CAR}))
    assert out.classes.tolist() == [CAR]


def test_class_names_of_other_models_are_translated():
    out = objects.record(found([[0, 0, 9, 9, 0.9, 0], [0, 0, 9, 9, 0.9, 1]]), labelled([]), ("person", "zebra"))
    assert out.classes.tolist() == [0]  # zebras have no labels


# One labelled car, 20 px wide, beside a correctly detected bus: detections of the car, and the points they cost.
ERRORS = {
    "classification": ([[0, 0, 20, 20, 0.9, BUS]], 50 + 100 / 4),
    "localisation": ([[0, 0, 20, 40.1, 0.9, CAR]], 50),
    "both": ([[0, 0, 20, 60, 0.9, BUS]], 25),
    "duplicate": ([[0, 0, 20, 20, 0.9, CAR], [0, 0, 20, 21, 0.8, CAR]], 0),
    "background": ([[0, 0, 20, 20, 0.8, CAR], [200, 0, 220, 20, 0.9, CAR]], 25),
    "missed": ([], 50),
}


@pytest.mark.parametrize("error", ERRORS)
def test_the_cost_of_each_error_type_by_hand(error):
    boxes, points = ERRORS[error]
    truth = [[0, 0, 20, 20, CAR, 0], [100, 0, 120, 20, BUS, 0]]
    one = objects.record(found([*boxes, [100, 0, 120, 20, 0.5, BUS]]), labelled(truth), OBJECTS)
    errors, _ = tide.classify(one)
    assert [tide.ERRORS[e] for e in errors if e] == [error] * (error != "missed")
    costs = tide.costs([one])
    assert costs[error] == pytest.approx(points)
    assert {name for name, cost in costs.items() if cost > 0} <= {error}


def test_a_box_in_an_ignored_crowd_is_no_error():
    truth = labelled([[0, 0, 20, 20, CAR, 0], [50, 0, 90, 40, CAR, 1]])
    one = objects.record(found([[52, 2, 60, 10, 0.9, CAR], [52, 2, 60, 10, 0.9, BUS]]), truth, OBJECTS)
    assert [tide.ERRORS[e] for e in tide.classify(one)[0]] == ["correct", "background"]


def random_images(rng, count=40):
    images = []
    for _ in range(count):
        corners = rng.uniform(0, 80, (rng.integers(0, 5), 2))
        truth = np.c_[corners, corners + rng.uniform(8, 40, corners.shape), rng.choice([CAR, BUS], len(corners))]
        kept = truth[rng.random(len(truth)) < 0.8]
        moved = np.c_[kept[:, :4] + rng.normal(0, 3, (len(kept), 4)), rng.random(len(kept)), kept[:, 4]]
        noise = rng.uniform(0, 60, (rng.integers(0, 4), 2))
        noise = np.c_[
            noise, noise + rng.uniform(5, 30, noise.shape), rng.random(len(noise)), rng.choice([CAR, BUS], len(noise))
        ]
        images.append((np.r_[moved, noise], np.c_[truth, np.zeros(len(truth))]))
    return images


def slow_matches(images, number):
    """(score, correct) of every detection of a class, best first, and the number of labels."""
    rows, labels = [], 0
    for boxes, truth in images:
        truth = [t for t in truth if t[4] == number]
        labels += len(truth)
        taken = set()
        for box in sorted((b for b in boxes if b[5] == number), key=lambda b: -b[4]):
            overlaps = [slow_iou(box, t) if i not in taken else 0 for i, t in enumerate(truth)]
            best = int(np.argmax(overlaps)) if overlaps else -1
            correct = best >= 0 and overlaps[best] >= 0.5
            if correct:
                taken.add(best)
            rows.append((box[4], correct))
    return sorted(rows, key=lambda row: -row[0]), labels


def slow_iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inner = max(width, 0) * max(height, 0)
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_and_recalls_equal_a_slow_count(seed):
    images = random_images(np.random.default_rng(seed))
    out = summary(images, threshold=0.6)
    for name, number in (("car", CAR), ("bus", BUS)):
        rows, labels = slow_matches(images, number)
        correct = np.cumsum([r for _, r in rows])
        precision = correct / np.arange(1, len(rows) + 1)
        recall = correct / labels
        points = [
            max([p for p, r in zip(precision, recall) if r >= at - 1e-9], default=0) for at in np.linspace(0, 1, 101)
        ]
        got = out["classes"][name]
        assert got["ap50"] == pytest.approx(np.mean(points), abs=1e-3)  # a recall of exactly 0.29 may round either way
        assert got["recall"] == pytest.approx(sum(r for s, r in rows if s >= 0.6) / labels)
        allowed = [i for i in range(len(rows)) if (i + 1 - correct[i]) <= 0.5 * len(images)]
        assert got["recall_at_0.5_fp_per_frame"] == pytest.approx(correct[allowed[-1]] / labels)
        assert got["max_recall"] == pytest.approx(recall[-1])


def test_small_medium_and_large_objects_are_separated_as_in_coco():
    labels = [[0, 0, 20, 20, CAR, 0], [50, 0, 100, 50, CAR, 0], [200, 0, 400, 200, CAR, 0]]
    found = [[51, 0, 100, 50, 0.9, CAR], [200, 0, 400, 199, 0.8, CAR]]
    out = summary([(found, labels)])
    car = out["classes"]["car"]
    assert [car[f"ap50_{area}"] for area in ("small", "medium", "large")] == pytest.approx([0, 1, 1])
    assert [out[f"map50_{area}"] for area in ("small", "large")] == pytest.approx([0, 1])
    assert out["classes"]["bus"]["ap50_small"] is None


def test_without_any_detection_recall_is_zero_not_unknown():
    out = summary([([], [[0, 0, 20, 20, CAR, 0]])])
    assert (out["map50"], out["recall"], out["precision"]) == (0, 0, None)


def test_confusion_and_iou_equal_a_slow_count():
    rng = np.random.default_rng(0)
    found_ids, actual = rng.integers(0, 4, (2, 30, 40))
    counts = confusion(found_ids, actual, 5)
    for a in range(5):
        for f in range(5):
            assert counts[a, f] == ((actual == a) & (found_ids == f)).sum()
        union = ((actual == a) | (found_ids == a)).sum()
        expected = ((actual == a) & (found_ids == a)).sum() / union if union else np.nan
        np.testing.assert_allclose(iou_of(counts)[a], expected)
    assert accuracy_of(counts) == (found_ids == actual).mean()


def class_map(ids, names):
    return ClassMap(np.array(ids, np.uint8), tuple(names), np.zeros((len(names), 3), np.uint8))


def test_maps_are_compared_at_the_size_of_the_mask_and_by_name():
    mask = np.repeat(np.repeat(np.array([[0, 3], [255, 1]], np.uint8), 4, 0), 4, 1)
    names = ("road", "sky", "ufo")  # another order, one class without labels
    counts = segmentation.record(class_map([[1, 0], [0, 2]], names), mask, SEMANTIC)
    assert counts[SEMANTIC.index("sky"), SEMANTIC.index("sky")] == 16
    assert counts[SEMANTIC.index("road"), SEMANTIC.index("road")] == 16
    assert counts[SEMANTIC.index("building"), len(SEMANTIC)] == 16
    assert counts.sum() == 48  # the ignored quarter is not counted
    out = segmentation.summarise([counts], SEMANTIC)
    assert out["iou"]["sky"] == 1
    assert out["iou"]["pole"] is None
    assert out["miou"] == pytest.approx(2 / 3)


def test_alternative_road_is_drivable_too():
    found_map = class_map([[2, 0]], DRIVABLE)
    counts = segmentation.record(found_map, np.array([[1, 1]], np.uint8), DRIVABLE)
    out = segmentation.summarise_drivable([counts], DRIVABLE)
    assert (out["drivable_iou"], out["iou"]["road"]) == (0.5, 0)


def lane(u_near, u_far, position=-1, kind=LineType.SOLID, color=LineColor.WHITE, score=0.9):
    points = np.array([[u_near, 719], [u_far, 420]], np.float32)
    return LaneLine(points, score, position, LineType(kind), 0.9, LineColor(color), 0.9)


def truth(u_near, u_far, position=-1, kind=0, color=0):
    return Lane([[u_near, 719], [u_far, 420]], position, kind, color)


EGO = frozenset({-1, 1})


@pytest.mark.parametrize(
    ("predicted", "lines", "known", "correct_found_labelled"),
    [
        ([], [], EGO, (0, 0, 0)),
        ([lane(300, 600)], [truth(300, 600)], EGO, (1, 1, 1)),
        ([lane(319, 619)], [truth(300, 600)], EGO, (1, 1, 1)),
        ([lane(321, 621)], [truth(300, 600)], EGO, (0, 1, 1)),  # 21 px away
        ([lane(300, 600, 1)], [truth(300, 600)], EGO, (0, 1, 1)),  # line of the other side
        ([lane(300, 600, 0)], [truth(300, 600)], EGO, (1, 1, 1)),  # a model without positions
        ([lane(300, 600), lane(50, 500, -2)], [truth(300, 600)], EGO, (1, 1, 1)),  # -2 is not labelled
        ([lane(300, 600), lane(50, 500, -2)], [truth(300, 600)], frozenset(POSITIONS), (1, 2, 1)),
        ([lane(50, 500, 2)], [truth(50, 500, 0)], frozenset(POSITIONS), (0, 0, 0)),  # on a line without a position
        ([lane(300, 600), lane(302, 602)], [truth(300, 600)], EGO, (1, 2, 1)),  # duplicate
    ],
)
def test_lane_lines_by_hand(predicted, lines, known, correct_found_labelled):
    out = lanes.record(predicted, Lanes(lines, known), (720, 1280))
    assert (out.correct, out.found, out.labelled) == correct_found_labelled


def test_the_tolerance_scales_with_the_image_width():
    moved = LaneLine(np.array([[160, 359], [310, 210]], np.float32), 0.9, -1)  # 10 px of 640
    line = Lane([[150.5, 359], [300.5, 210]], -1)
    assert lanes.record([moved], Lanes([line], EGO), (360, 640)).correct == 1


def test_half_of_a_line_must_be_covered():
    for far, correct in ((540, 1), (620, 0)):
        part = LaneLine(np.array([[300, 719], [300 + (719 - far), far]], np.float32), 0.9, -1)
        assert lanes.record([part], Lanes([truth(300, 599)], EGO), (720, 1280)).correct == correct


def test_pairs_are_chosen_together_not_greedily():
    distance = np.array([[1.0, 2.0], [2.0, 30.0]])
    assert sorted(lanes.match(distance)) == [(0, 1), (1, 0)]


def test_type_and_colour_of_right_lines():
    predicted = [lane(300, 600), lane(900, 700, 1, LineType.DASHED, LineColor.YELLOW)]
    labels = Lanes([truth(300, 600), truth(900, 700, 1, kind=0, color=1)], EGO)
    out = lanes.summarise([lanes.record(predicted, labels, (720, 1280))])
    assert (out["f1"], out["type_accuracy"], out["color_accuracy"]) == (1, 0.5, 1)
    assert out["ego"]["f1"] == 1
    unknown = Lanes([truth(300, 600, kind=-1, color=-1)], EGO)
    out = lanes.summarise([lanes.record(predicted[:1], unknown, (720, 1280))])
    assert (out["type_accuracy"], out["color_accuracy"]) == (None, None)


def light_boxes(*states):
    boxes = [[30 * i, 0, 30 * i + 20, 40] for i in range(len(states))]
    return Boxes(boxes, [LIGHT] * len(states), [False] * len(states), states)


def test_light_states_of_detected_and_missed_lights():
    boxes = [[0, 0, 20, 40, 0.9, LIGHT], [30, 0, 50, 40, 0.9, LIGHT], [60, 0, 80, 40, 0.1, LIGHT]]
    predicted = found(boxes, np.eye(4)[[0, 0, 2]])
    record = lights.record(predicted, light_boxes(0, 1, 2, -1), ("red", "yellow", "green", "none"), LIGHT, 0.4)
    assert record.found.tolist() == [
        0,
        0,
        lights.MISSED,
    ]  # the last is below the threshold, the unlabelled one does not count
    out = lights.summarise([record])
    assert (out["accuracy"], out["recall"], out["found"]) == (0.5, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert out["states"] == {"red": 1, "yellow": 0, "green": 0, "none": None}


def test_a_crop_is_judged_by_its_best_light():
    predicted = found(
        [[0, 0, 9, 9, 0.02, LIGHT], [0, 0, 9, 9, 0.03, LIGHT], [0, 0, 9, 9, 0.9, CAR]], np.eye(4)[[0, 2, 1]]
    )
    names = ("red", "yellow", "green", "none")
    assert lights.record_crop(predicted, 2, names, LIGHT).found.tolist() == [2]
    assert lights.record_crop(found([]), 2, names, LIGHT).found.tolist() == [lights.MISSED]


def test_scene_metrics_use_labelled_attributes_only():
    predicted = [SceneAttribute("weather", "rainy", 0.8), SceneAttribute("timeofday", "night", 0.7)]
    rows = [scene.record(predicted, {"weather": w, "scene": -1, "timeofday": -1}) for w in (0, 0, 1)]
    out = scene.summarise(rows)
    assert (out["weather"]["accuracy"], out["accuracy"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert "timeofday" not in out
    assert out["weather"]["calibration_error"] == pytest.approx(0.8 - 2 / 3)


def test_calibration_error_by_hand():
    scores, correct = np.array([0.1, 0.1, 0.9, 0.9]), np.array([0, 1, 1, 1])
    assert calibration_error(scores, correct) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    assert calibration_error(np.array([]), np.array([])) is None


def test_yolop_averages_over_batches_and_draws_thin_lines():
    from perception_models.evaluation.metrics import bdd_protocol

    full, empty = np.diag([10, 10]), np.array([[10, 0], [10, 0]])
    counts = [full] * bdd_protocol.BATCH + [empty]
    assert bdd_protocol.batch_mean(counts, lambda c: float(bdd_protocol._iou(c)[1])) == 0.5
    mask = bdd_protocol.line_mask([Lane([[640, 0], [640, 719]])], (720, 1280))
    assert mask.shape == (360, 640)
    assert (mask.sum(1) <= 2).all()
    assert mask[:, 319:321].any(1).all()


def test_yolop_does_not_measure_tasks_without_a_head():
    from perception_models.evaluation.metrics.bdd_protocol import Yolop

    sample = Sample("a", np.zeros((72, 128, 3), np.uint8), Boxes.empty(), Lanes([Lane([[60, 70], [60, 20]])]))
    measured = Yolop(OBJECTS)
    measured.update(Observations(Task(0), found([])), sample)
    assert measured.result() == {}
    measured.update(Observations(Task.LANES, found([])), sample)
    assert measured.result()["lane_iou"] == 0


@pytest.fixture
def folder(tmp_path):
    """Labelled folder, light crops and a KITTI drive, three images each."""
    rng = np.random.default_rng(0)
    root = tmp_path / "data"
    (root / "own/images").mkdir(parents=True)
    (root / "own/labels/drivable/masks").mkdir(parents=True)
    (root / "own/labels/det_20").mkdir(parents=True)
    frames = []
    for i, hour in enumerate(("night", "night", "daytime")):
        cv2.imwrite(str(root / f"own/images/{i}.png"), rng.integers(0, 255, (96, 160, 3), np.uint8))
        cv2.imwrite(str(root / f"own/labels/drivable/masks/{i}.png"), np.eye(96, 160, dtype=np.uint8))
        box = {"category": "car", "box2d": {"x1": 10, "y1": 10, "x2": 50, "y2": 60}}
        frames.append({"name": f"{i}.png", "attributes": {"timeofday": hour}, "labels": [box]})
    (root / "own/labels/det_20/det.json").write_text(json.dumps(frames))
    for state in ("red", "yellow", "green"):
        (root / "lights" / state).mkdir(parents=True)
        cv2.imwrite(str(root / "lights" / state / "0.png"), rng.integers(0, 255, (40, 20, 3), np.uint8))
    return root


def test_evaluate_writes_metrics_and_a_self_contained_report(folder, tiny_model, tmp_path):
    from perception_models.evaluation import evaluate

    out = evaluate(tiny_model, [folder], tmp_path / "out", protocol="yolop")
    written = json.loads((tmp_path / "out/metrics.json").read_text())
    assert set(written["datasets"]) == {"own", "lights", "all"}
    own = written["datasets"]["own"]
    assert own["images"] == 3
    assert 0 <= own["drivable"]["drivable_iou"] <= 1
    assert own["slices"]["timeofday"]["values"]["night"]["images"] == 2
    assert "vehicle_map50" in own["yolop"]
    assert written["datasets"]["lights"]["crops"]["labelled"] == 3
    assert out["model"] == written["model"]
    page = (tmp_path / "out/report.html").read_text()
    assert "<h2>own</h2>" in page
    assert "data:image/png" in page
    assert "http" not in re.sub(r'"data:image/[^"]*"', "", page)  # an embedded image may hold any four letters


def test_a_mirrored_evaluation_is_marked_as_such(folder, tiny_model, tmp_path):
    from perception_models.evaluation import evaluate

    out = evaluate(tiny_model, [folder / "own"], tmp_path / "out", limit=1, mirrored=True)
    assert (out["mirrored"], out["datasets"]["own"]["images"]) == (True, 1)


def test_corruptions_are_a_table_of_the_evaluation(folder, tiny_model, tmp_path):
    from perception_models.evaluation import evaluate
    from perception_models.evaluation.robustness.corruptions import CORRUPTIONS, STRENGTHS

    evaluate(tiny_model, [folder / "own"], tmp_path / "out", limit=1, corruptions=1)
    written = json.loads((tmp_path / "out/metrics.json").read_text())
    rows = written["corruptions"]
    assert len(rows) == 2 + (1 + len(STRENGTHS)) * len(CORRUPTIONS)
    assert rows["clean"] == pytest.approx(written["datasets"]["own"]["headlines"], abs=1e-4)
    by_strength = [rows[f"noise {strength}"]["drivable_iou"] for strength in STRENGTHS]
    assert rows["noise"]["drivable_iou"] == pytest.approx(sum(by_strength) / 5, abs=1e-4)
    assert "Corrupted images" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize("words", ["labelled data", "protocol"])
def test_wrong_arguments_are_explained(words, tiny_model, tmp_path):
    from perception_models.data import DataError
    from perception_models.evaluation import evaluate

    with pytest.raises(DataError, match=words):
        evaluate(tiny_model, [tmp_path], tmp_path / "out", protocol="yolo" if words == "protocol" else "own")


def test_a_bus_detected_as_a_car_appears_in_the_confusion_matrix():
    truth_rows = [[0, 0, 20, 20, BUS, 0], [50, 0, 70, 20, CAR, 0], [0, 50, 20, 70, CAR, 1]]
    boxes = [[0, 0, 20, 20, 0.9, CAR], [80, 80, 99, 99, 0.8, CAR], [0, 50, 20, 70, 0.9, CAR], [50, 0, 70, 20, 0.1, CAR]]
    counts = objects.class_confusion([objects.record(found(boxes), labelled(truth_rows), OBJECTS)], 0.5)
    nothing = len(OBJECTS)
    assert counts.sum() == 3
    assert counts[BUS, CAR] == counts[CAR, nothing] == counts[nothing, CAR] == 1
