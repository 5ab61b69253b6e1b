"""The benchmark on real pictures, on tiny drawn sets with fake networks."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("openvino", reason="needs openvino: make setup")
pytest.importorskip("trackeval", reason="needs trackeval: make setup")

from camera_perception.core.types import Detections
from perception_models.evaluation.real import metrics, mistakes, pandaset, privacy_recall, rows, run, sets, teachers
from perception_models.evaluation.real.output import KINDS, Output, objects_only
from perception_models.evaluation.real.rows import MODEL
from perception_models.evaluation.real.sets import Picture, RealSet, box_array
from perception_models.evaluation.real.sheets import penalty, write_sheets

NONE = box_array([])
ROAD, BUILDING, VOID = 3, 1, 255


def output(people=(), vehicles=(), lights=(), score=0.9, **parts):
    boxes = [*people, *vehicles, *lights]
    kinds = np.repeat(np.arange(3), [len(people), len(vehicles), len(lights)])
    return Output(box_array(boxes), np.full(len(boxes), score, np.float32), kinds, **parts)


def picture(folder: Path, name: str = "a", size: tuple[int, int] = (60, 80), **labels) -> Picture:
    path = folder / f"{name}.png"
    cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))
    return Picture(path, **labels)


def mask(folder: Path, name: str, values: np.ndarray) -> Path:
    cv2.imwrite(str(folder / name), values.astype(np.uint8))
    return folder / name


def value(each: RealSet, found: dict, measure: str, column: str = MODEL) -> float:
    outputs = {name: {each.name: out} for name, out in found.items()}
    table = [*rows.table_rows([each], outputs), *mistakes.mistake_rows([each], outputs)]
    return next(row.values[column] for row in table if row.measure == measure)


# Objects


@pytest.mark.parametrize(
    ("boxes", "scores", "hits"),
    [
        ([], [], []),
        ([[0, 0, 10, 20]], [0.5], [0]),
        ([[0, 0, 10, 9]], [0.5], [metrics.FALSE]),  # IoU below 0.5
        ([[0, 0, 10, 20], [0, 0, 10, 19]], [0.4, 0.9], [0, metrics.FALSE]),  # the surer one; each target once
        ([[50, 0, 60, 10]], [0.5], [metrics.NEUTRAL]),
        ([[56, 0, 70, 10]], [0.5], [metrics.FALSE]),  # less than half of it on the ignored box
    ],
)
def test_findings_are_hits_errors_or_neutral(boxes, scores, hits):
    judged = metrics.judge(
        box_array(boxes), np.array(scores), box_array([[0, 0, 10, 20]]), box_array([[50, 0, 60, 10]])
    )
    assert judged.hits.tolist() == hits


@pytest.mark.parametrize(
    ("false_scores", "threshold", "found"),
    [([], 0.0, 2), ([0.5], 0.0, 2), ([0.5, 0.3], 0.3, 2), ([0.9, 0.8], 0.8, 1), ([0.95, 0.94], 0.94, 0)],
)
def test_recall_at_a_false_positive_rate(false_scores, threshold, found):
    """Two pictures, so one false finding is allowed; the targets score 0.9 and 0.6."""
    false = [[40, 0, 50, 10], [60, 0, 70, 10]][: len(false_scores)]
    scores = np.array([0.9, 0.6, *false_scores])
    targets = box_array([[0, 0, 10, 10], [20, 0, 30, 100]])
    judged = [
        metrics.judge(box_array([*targets, *false]), scores, targets, NONE),
        metrics.judge(*[NONE, NONE[:, 0]] * 1, NONE, NONE),
    ]
    score = metrics.threshold_at(judged)
    assert score == pytest.approx(threshold)
    assert metrics.recall(judged, score) == (found, 2)
    assert metrics.recall(judged, 0.0, min_height=40) == (1, 1)


def test_false_findings_are_counted_per_picture_at_the_threshold():
    judged = [metrics.judge(box_array([[0, 0, 5, 5]]), np.array([s]), NONE, NONE) for s in (0.5, 0.3)]
    assert metrics.false_per_picture(judged, 0.4) == 0.5


def test_what_only_one_of_component_and_detector_sees_is_ignored():
    components = box_array([[0, 0, 10, 10], [20, 0, 60, 10]])
    found = box_array([[0, 0, 10, 9], [20, 0, 30, 10]])
    targets, ignored = metrics.verified(components, found, box_array([[0, 50, 5, 55]]))
    assert targets.tolist() == [[0, 0, 10, 10]]
    assert ignored.tolist() == [[20, 0, 60, 10], [20, 0, 30, 10], [0, 50, 5, 55]]


def test_one_object_in_two_classes_counts_once():
    found = objects_only([[0, 0, 9, 9], [0, 0, 9, 10], [0, 0, 9, 9]], [0.8, 0.9, 0.7], ["bus", "truck", "pole"])
    assert [KINDS[kind] for kind in found.kinds] == ["vehicle"]
    assert found.scores == pytest.approx([0.9])


def test_rows_of_objects_by_size_for_every_network(tmp_path):
    boxes = [[20 * i, 0, 20 * i + 10, height] for i, height in enumerate((20, 45, 50, 95, 100))]
    each = RealSet("set", (picture(tmp_path, targets={"vehicle": box_array(boxes)}),))
    found = {MODEL: [output(vehicles=boxes[:2])], teachers.WHOLE: [output(vehicles=boxes)]}
    assert value(each, found, "vehicles, recall at own threshold, all") == pytest.approx(0.4)
    assert value(each, found, "vehicles, recall at 0.5 false a picture, all", teachers.WHOLE) == 1.0
    assert value(each, found, "vehicles, false a picture at own threshold") == 0.0


def test_each_box_is_reported_at_its_own_threshold(tmp_path):
    boxes = box_array([[20 * i, 0, 20 * i + 10, 45] for i in range(5)])
    each = RealSet("set", (picture(tmp_path, targets={"vehicle": boxes}),))
    found = objects_only(boxes, [0.3, 0.3, 0.5, 0.5, 0.9], ["car"] * 5, np.array([0.2, 0.4, 0.4, 0.6, 0.6]))
    assert value(each, {MODEL: [found]}, "vehicles, recall at own threshold, all") == pytest.approx(0.6)
    assert value(each, {MODEL: [found]}, "vehicles, calibration error of scores") == pytest.approx(0.5)  # all right


def test_people_and_two_wheelers_taken_for_each_other(tmp_path):
    people = box_array([[20 * i, 0, 20 * i + 10, 45] for i in range(4)])
    cycles = box_array([[100, 0, 130, 30], [140, 0, 170, 30]])
    each = RealSet("set", (picture(tmp_path, targets={"person": people}, cycles=cycles),))
    names = ["pedestrian", "rider", "motorcycle", "pedestrian", "bicycle", "pedestrian"]
    found = objects_only([*people, *cycles], [0.9] * 5 + [0.3], names, np.full(6, 0.4))
    # The second and the third are wrong; the last is below its threshold.
    measure = "people and two-wheelers taken for each other"
    assert value(each, {MODEL: [found]}, measure) == pytest.approx(2 / 5)


def test_near_signs_that_are_found(tmp_path):
    signs = box_array([[0, 0, 20, 20], [40, 0, 60, 20]])
    each = RealSet("set", (picture(tmp_path, signs=signs),))
    found = objects_only([signs[0], [0, 40, 20, 60]], [0.9, 0.9], ["traffic sign"] * 2)
    assert value(each, {MODEL: [found]}, "near traffic signs found") == 0.5


@pytest.mark.parametrize(
    ("left", "painted", "lane", "marking"),
    [(20, True, 0.0, 0.0), (60, True, 0.0, 1.0), (60, False, 0.0, 0.0), (None, True, 1.0, 0.0)],
)
def test_lanes_and_markings_beyond_the_last_line(tmp_path, left, painted, lane, marking):
    """The last line is at u = 40 of 80; the other lane covers the left half, or the right one."""
    last = np.array([[40, 59], [40, 10]], np.float32)
    each = RealSet("set", (picture(tmp_path, last_line=last),), road_lines=True)
    other = np.zeros((12, 16), np.uint8)
    other[4:, 8 if left is None else 0 : None if left is None else 8] = 1
    lines = () if left is None else (np.array([[left, 59], [left, 12]], np.float32),)
    found = {MODEL: [output(other_lane=other, lines=lines, painted=(painted,) * len(lines))]}
    assert value(each, found, "lane reported beyond the last line") == lane
    assert value(each, found, "marking reported beyond the last line") == marking


def test_components_count_when_the_tiled_detector_confirms_them(tmp_path):
    boxes = [[12 * i, 0, 12 * i + 10, 30] for i in range(7)]
    each = RealSet("set", (picture(tmp_path, targets={"person": box_array(boxes)}),), components=True)
    found = {MODEL: [output(people=boxes[5:])], teachers.TILES: [output(people=boxes[:6])]}
    assert value(each, found, "people, recall at own threshold, all") == pytest.approx(1 / 6)
    assert value(each, found, "people, false a picture at own threshold") == 0.0  # the seventh is ignored
    with pytest.raises(StopIteration):  # without the detector there is no truth
        value(each, {MODEL: found[MODEL]}, "people, recall at own threshold, all")


def test_near_lights_that_the_tiled_detector_marks(tmp_path):
    near, far = [0, 0, 15, 40], [40, 0, 44, 10]
    each = RealSet("set", (picture(tmp_path),) * 2, lights=True)
    found = {MODEL: [output(lights=[near]), output()], teachers.TILES: [output(lights=[near, far])] * 2}
    assert value(each, found, "near traffic lights found") == 0.5


def test_marks_that_were_seen_to_be_no_lights():
    boxes = box_array([[590, 150, 600, 160], [0, 0, 9, 9]])
    assert sets.no_lights("0051", boxes).tolist() == [True, False]
    assert sets.no_lights("0001", boxes).tolist() == [False, False]


# Maps


@pytest.mark.parametrize(("first_road_row", "share"), [(0, 1.0), (99, 1 / 6), (100, 0.0)])
def test_hood_share_of_the_lowest_rows(first_road_row, share):
    road = np.zeros((100, 10), np.uint8)
    road[first_road_row:] = 1
    own, total = metrics.hood_share(road[:100], 0.06, None)
    assert own / total == pytest.approx(share)


def test_hood_share_of_the_labelled_own_car_only(tmp_path):
    labels = np.full((100, 80), ROAD)
    labels[94:, 40:], labels[:50] = VOID, VOID
    road = np.ones((50, 40), np.uint8)
    road[:, 30:] = 0
    each = RealSet("set", (picture(tmp_path, semantic=mask(tmp_path, "m.png", labels)),), hood=0.06)
    found = {MODEL: [output(road=road)], teachers.ROAD: [output(road=1 - road)]}
    assert value(each, found, "own hood called drivable") == pytest.approx(0.5)
    assert value(each, found, "own hood called drivable", teachers.ROAD) == pytest.approx(0.5)


def test_road_iou_and_semantic_miou(tmp_path):
    semantic = np.full((60, 80), BUILDING)
    semantic[30:], semantic[:10] = ROAD, VOID
    each = RealSet("set", (picture(tmp_path, semantic=mask(tmp_path, "m.png", semantic)),))
    seen = semantic.copy()
    seen[30:45], seen[:10] = BUILDING, ROAD
    found = {MODEL: [output(road=(seen == ROAD).astype(np.uint8), semantic=seen.astype(np.uint8))]}
    assert value(each, found, "road IoU") == pytest.approx(0.5)
    assert value(each, found, "semantic mIoU") == pytest.approx((0.5 + 20 / 35) / 2)


# Lines


def road_line(offset: float, radius: float, slope: float = 0.0, height: float = 1.4) -> np.ndarray:
    """(P, 2) pixels of a line on a road of constant curvature, 640 wide, focal length 600, horizon at v = 180."""
    x = np.geomspace(5, 60, 36)
    y = offset + slope * x + x**2 / (2 * radius)
    return np.stack([320 - 600 * y / x, 180 + 600 * height / x], 1)


@pytest.mark.parametrize("offset", [-5.2, -1.8, 1.7, 5.0])
@pytest.mark.parametrize("radius", [np.inf, 400.0, -150.0, 60.0])
def test_lines_of_straight_and_curved_roads_do_not_jump(offset, radius):
    noise = np.random.default_rng(0).normal(0, 0.7, 36)
    line = road_line(offset, radius, slope=0.03)
    line[:, 0] += noise
    assert metrics.jump(line, 640) < metrics.JUMP
    assert metrics.jump(2 * line, 1280) == pytest.approx(metrics.jump(line, 640))


@pytest.mark.parametrize(
    ("name", "shift"),
    [
        ("zigzag", lambda i: 24 * (i % 8 < 4)),
        ("step", lambda i: 40 * (i > 18)),
        ("kink", lambda i: 6 * np.abs(i - 18)),
        ("one point", lambda i: 30 * (i == 10)),
    ],
)
def test_lines_that_jump_are_found(name, shift):
    line = road_line(-1.8, 400.0)
    line[:, 0] += shift(np.arange(36))
    assert metrics.jump(line, 640) > metrics.JUMP


def test_a_short_line_cannot_jump():
    assert metrics.jump(np.array([[0, 9], [90, 8], [0, 7.0]]), 640) == 0.0


@pytest.mark.parametrize(
    ("u", "expected"),
    [(35.0, False), (15.0, True), (29.5, False), (70.0, None)],  # on the road, off it, beside its border, unknown
)
def test_lines_off_the_road(u, expected):
    road = np.zeros((100, 100), np.uint8)
    road[:, 30:60], road[:, 62:] = 1, VOID
    line = np.stack([np.full(20, u * 6.4), np.linspace(470, 250, 20)], 1)
    assert metrics.is_phantom(line, road, (480, 640)) is expected


def test_rows_of_lines_and_weather(tmp_path):
    good, bad = road_line(-1.8, np.inf), road_line(1.8, np.inf)
    bad[:, 0] += 60 * (np.arange(36) % 8 < 4)
    each = RealSet("set", (picture(tmp_path, size=(400, 640)),) * 2, dry=True, road_lines=True)
    model = [output(lines=(good, bad), weather="snowy"), output(lines=(good, good), weather="clear")]
    road = np.ones((40, 64), np.uint8)
    road[:, :32] = 0
    found = {MODEL: model, teachers.ROAD: [output(road=road)] * 2}
    assert value(each, found, "lane lines that jump") == 0.25
    assert value(each, found, "lane lines off the road") == 0.25
    assert value(each, found, "dry pictures called rainy or snowy") == 0.5


# Public networks


@pytest.mark.parametrize("size", [(360, 480), (720, 1280), (240, 240), (1080, 1920)])
def test_tiles_overlap_and_cover_the_picture(size):
    covered = np.zeros(size, int)
    for left, top, side in teachers.tiles(*size):
        assert left >= 0
        assert left + side <= size[1]
        assert top + side <= size[0]
        covered[top : top + side, left : left + side] += 1
    assert covered.min() == 1
    assert covered.max() >= 2


def test_outputs_of_public_networks_are_kept(tmp_path, monkeypatch):
    calls = []

    def network(image):
        calls.append(image.shape)
        return output(people=[[0, 0, 9, 9]], road=np.ones((4, 4), np.uint8))

    monkeypatch.setattr(teachers, "load_teachers", lambda folder, columns: {teachers.WHOLE: network})
    monkeypatch.setattr(teachers, "cache_key", lambda folder, name: "key")
    each = RealSet("set", (picture(tmp_path, targets={"person": NONE}),))
    first = run.teacher_outputs([each], tmp_path, tmp_path / "cache")
    second = run.teacher_outputs([each], tmp_path, tmp_path / "cache")
    assert len(calls) == 1
    for kept in (first, second):
        np.testing.assert_array_equal(kept[teachers.WHOLE]["set"][0].boxes, [[0, 0, 9, 9]])
        assert kept[teachers.WHOLE]["set"][0].road.sum() == 16


# Sets, drive, sheets, whole run


def test_missing_sets_are_named(tmp_path):
    (tmp_path / "pictures/driveai_sample/images").mkdir(parents=True)
    picture(tmp_path / "pictures/driveai_sample/images")
    found, missing = sets.read_sets(tmp_path)
    assert [each.name for each in found] == ["drive.ai"]
    assert "CamVid day (labelled/camvid)" in missing


def test_even_sampling():
    assert sets.evenly(range(10), 3) == [0, 3, 6]
    assert sets.evenly(range(2), 3) == [0, 1]


def test_coco_boxes_have_corners_and_crowds_are_ignored(tmp_path):
    folder = tmp_path / "pictures/coco_cc_by"
    folder.mkdir(parents=True)
    truth = [{"category": "person", "bbox": [10, 20, 5, 6], "crowd": crowd} for crowd in (0, 1)]
    (folder / "annotations.json").write_text(json.dumps([{"file_name": "a.jpg", "truth": truth}]))
    (found,), _ = sets.read_sets(tmp_path)
    (each,) = found.pictures
    np.testing.assert_array_equal(each.targets["person"], [[10, 20, 15, 26]])
    np.testing.assert_array_equal(each.ignored["person"], [[10, 20, 15, 26]])


def test_dark_pictures_are_a_set_of_their_own(tmp_path):
    folder = tmp_path / "pictures/vehicles_openimages_ccby"
    (folder / "images").mkdir(parents=True)
    truth = [{"category": "Bus", "bbox": [1, 2, 30, 40]}, {"category": "Motorcycle", "bbox": [5, 6, 7, 8]}]
    for name, grey in (("a.png", 90), ("b.png", 20)):
        cv2.imwrite(str(folder / "images" / name), np.full((50, 50, 3), grey, np.uint8))
    labels = [{"file_name": name, "truth": truth} for name in ("a.png", "b.png")]
    (folder / "annotations.json").write_text(json.dumps(labels))
    (bright, dark), _ = sets.read_sets(tmp_path)
    assert [[p.name for p in each.pictures] for each in (bright, dark)] == [["a"], ["b"]]
    np.testing.assert_array_equal(dark.pictures[0].targets["vehicle"], [[1, 2, 30, 40]])
    np.testing.assert_array_equal(dark.pictures[0].ignored["vehicle"], [[5, 6, 7, 8]])


def pandaset_folder(folder: Path, frames: int = 12) -> Path:
    """A car 20 m ahead that drives as fast as the camera; the camera looks along x, 1.5 m high."""
    (folder / "images/front").mkdir(parents=True)
    pose = [[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]]
    camera = {
        "width": 640,
        "height": 384,
        "K": [[600, 0, 320], [0, 600, 192], [0, 0, 1]],
        "T_base_link_camera_optical": pose,
    }
    (folder / "calibration.json").write_text(json.dumps({"cameras": {"front": camera}}))
    box = [320 - 30.0, 192.0, 320 + 30, 192 + 45]  # near side 20 m away, 2 m wide, 1.5 m high
    view = {"box2d_cuboid": box, "box2d_lidar": box, "visible": 1.0, "position": [22, 0, 0.75], "yaw": 0.0}
    car = {"id": 1, "class": "car", "size": [4, 2, 1.5], "velocity": [10, 0, 0], "cameras": {"front": view}}
    ego, objects = [], []
    for i in range(frames):
        picture(folder / "images/front", f"{i:02d}", (384, 640))
        (folder / f"images/front/{i:02d}.png").rename(folder / f"images/front/{i:02d}.jpg")
        world = np.eye(4)
        world[0, 3] = i
        ego.append({"stamp": 100 + i / 10, "T_world_base_link": world.tolist()})
        objects.append({"frame": i, "lidar_available": True, "objects": [car]})
    (folder / "ego.json").write_text(json.dumps({"cameras": {"front": ego}}))
    (folder / "objects.json").write_text(json.dumps({"frames": objects}))
    return folder


def test_the_drive_has_ground_contacts_and_hides_what_is_beside_the_street(tmp_path):
    drive = pandaset.read_pandaset(pandaset_folder(tmp_path / "pandaset_002"))
    assert [snapshot.stamp_ns for snapshot in drive[:2]] == [100_000_000_000, 100_100_000_000]
    np.testing.assert_allclose(drive[0].actors[0].position, [22, 0, 0])
    drive[0].actors[0].position[1] = 7.5
    assert pandaset.on_the_street(drive[0]).actors[0].visible == 0.0
    assert pandaset.on_the_street(drive[1]).actors[0].visible == 1.0


def test_true_boxes_give_perfect_tracks_and_near_perfect_ranges(tmp_path):
    from perception_models.evaluation.drive.tracking import track_logs, track_metrics, track_truth

    drive = pandaset.read_pandaset(pandaset_folder(tmp_path / "pandaset_002"))
    log, _ = track_logs(drive, track_truth())
    figures = track_metrics(log)
    assert figures["id_switches_per_100_object_seconds"] == 0
    assert figures["range_error_median_percent"] < 5


def test_sheets_show_the_worst_picture_first(tmp_path):
    target = {"vehicle": box_array([[10, 5, 60, 55]])}
    each = RealSet("a set", tuple(picture(tmp_path, name, targets=target) for name in "ab"))
    found = {
        MODEL: [output(vehicles=[[10, 5, 60, 55]]), output(people=[[0, 0, 9, 50]], road=np.ones((6, 8), np.uint8))]
    }
    assert [penalty(each, number, found) for number in range(2)] == [0.0, 1.0]
    paths = write_sheets(tmp_path / "sheets", each, found)
    assert [path.name for path in paths] == ["a_set.jpg", "a_set_worst.jpg"]
    assert cv2.imread(str(paths[1])).shape == (360, 3 * 560, 3)


def test_the_whole_run_writes_table_metrics_and_sheets(tmp_path, monkeypatch):
    folder = tmp_path / "data/pictures/driveai_sample/images"
    folder.mkdir(parents=True)
    picture(folder, size=(384, 640))
    model = Path(__file__).parents[2] / "perception_models/zoo/demo"
    report = run.realbench(model, tmp_path / "data", tmp_path / "out", tmp_path / "none")
    assert {row.set for row in report.rows} == {"drive.ai"}
    assert "skipped YOLOX-nano: no yolox_nano.onnx" in "\n".join(report.skipped)
    assert json.loads((tmp_path / "out/metrics.json").read_text())["rows"]
    page = tmp_path / "page.md"
    page.write_text(f"a\n<!-- {run.MARK} -->\n<!-- /{run.MARK} -->\nb\n")
    run.publish(tmp_path / "out", page)
    assert "| dry pictures called rainy or snowy | drive.ai | 1 picture |" in page.read_text()


# Recall of anonymize on real people


def test_heads_that_anonymize_covers_are_counted(tmp_path):
    """Three people in one picture: one is detected, one is not, one is too small; the other picture has nobody."""
    people = box_array([[10, 10, 30, 70], [60, 10, 80, 70], [100, 10, 110, 50]])
    each = RealSet(
        "set",
        (
            picture(tmp_path, size=(100, 160), targets={"person": people}),
            picture(tmp_path, "b", targets={"person": NONE}),
        ),
    )

    class First:
        names = ("person",)

        def __call__(self, image):
            return Detections(people[:1], np.ones(1, np.float32), np.zeros(1, np.int32), np.zeros((1, 0), np.float32))

    found = privacy_recall.people_of(each, None)
    assert [(path.stem, len(heads)) for path, heads in found] == [("a", 2)]
    name, heads, covered, recall, pixels = privacy_recall.measure(each.name, found, First())
    assert (name, heads, covered, recall) == ("set", 2, 1, 0.5)
    assert 2 < pixels < 8


@pytest.mark.parametrize(("name", "share"), [("a set", 3 / 6), ("COCO people", 3 / 5)])
def test_the_benchmark_counts_covered_heads(name, share, tmp_path):
    """Two people are found, a vehicle covers the head of another, one is below the score; of COCO only names with 7."""
    people = [[30 * i, 10, 30 * i + 20, 70] for i in range(5)]
    other = picture(tmp_path, "000006", size=(100, 160), targets={"person": box_array(people[:1])})
    each = RealSet(name, (picture(tmp_path, "000007", size=(100, 160), targets={"person": box_array(people)}), other))
    boxes = [*people[:2], [88, -30, 114, 40], people[4]]
    seen = objects_only(boxes, [0.9, 0.9, 0.9, 0.1], ["person", "person", "car", "person"])
    assert value(each, {MODEL: [seen, output()]}, "heads that anonymize covers") == pytest.approx(share)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda mask: np.pad(mask, 4)[4:-4, 4:-4]])
def test_another_lane_beyond_the_last_line_in_any_memory_layout(layout):
    """Networks return maps that are cut out of larger ones, and OpenCV draws only into plain arrays."""
    other = np.zeros((20, 40), np.uint8)
    other[10:, 30:] = 1
    line = np.array([[40.0, 20.0], [40.0, 39.0]])
    found = mistakes.other_lane_beyond(layout(other), line, (40, 80))
    assert found == pytest.approx(0.125, abs=0.02)
