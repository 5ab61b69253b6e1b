"""Every reader on small files in the original formats; errors name the broken file."""

import json

import cv2
import numpy as np
import pytest

from perception_models.data import DataError, open_dataset
from perception_models.data.labels import LIGHT_STATES, LINE_COLORS, LINE_TYPES, OBJECTS, POSITIONS, SCENE
from perception_models.data.readers.bdd100k_lanes import flatten, lines_from_labels, lines_from_mask
from perception_models.data.readers.lane_positions import assign_positions, bottom_crossing
from perception_models.data.sample import Lane
from perception_models.data.targets import columns_at

CAR, LIGHT = OBJECTS.index("car"), OBJECTS.index("traffic light")


def write_image(path, size=(72, 128)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))


def write_mask(path, rows, size=(72, 128)):
    """Each row of `rows` fills an equal band."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.repeat(np.array(rows, np.uint8), size[0] // len(rows))[:, None].repeat(size[1], 1))


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def box(category="car", **attributes):
    return {
        "id": "1",
        "category": category,
        "attributes": attributes,
        "box2d": {"x1": 10, "y1": 20, "x2": 30, "y2": 40},
    }


def line(role="ego_left", **attributes):
    vertices = [[60, 30], [50, 50], [40, 70]]  # far to near
    poly = [{"vertices": vertices, "types": "LLL", "closed": False}]
    return {"id": "l", "category": "lane", "attributes": {"role": role, **attributes}, "poly2d": poly}


@pytest.fixture
def rendered(tmp_path):
    """Two images with everything; DATA.md in files."""
    attributes = {"weather": "rainy", "scene": "city street", "timeofday": "night"}
    lights = [box("traffic light", trafficLightColor="green"), box("bus", ignored=True)]
    exact = line("right_2", lineType="dashed_solid", lineColor="yellow")
    for i in range(2):
        write_image(tmp_path / f"images/{i}.png")
        write_mask(tmp_path / f"labels/drivable/masks/{i}.png", [0, 1, 2, 255])
        write_mask(tmp_path / f"labels/sem_seg/masks/{i}.png", [0, 3, 10, 255])
    names = [f"{i}.png" for i in range(2)]
    write_json(
        tmp_path / "labels/det_20/det.json", [{"name": n, "attributes": attributes, "labels": lights} for n in names]
    )
    write_json(tmp_path / "labels/lane/lane.json", [{"name": n, "labels": [exact]} for n in names])
    truth = {"intrinsics": [100, 101, 64, 36], "base_from_camera": np.eye(4).tolist(), "sequence": 7, "objects": []}
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/truth.jsonl").write_text("".join(json.dumps({"name": n, **truth}) + "\n" for n in names))
    return tmp_path


def test_a_rendered_folder_has_every_label(rendered):
    data = open_dataset("labelled", rendered)
    out = data[1]
    assert (len(data), out.name, out.size) == (2, "1.png", (72, 128))
    assert out.boxes.classes.tolist() == [LIGHT, OBJECTS.index("bus")]
    assert out.boxes.light_states.tolist() == [2, -1]
    assert out.boxes.ignored.tolist() == [False, True]
    (lane,) = out.lanes.lines
    assert (lane.position, LINE_TYPES[lane.line_type], LINE_COLORS[lane.line_color]) == (2, "dashed_solid", "yellow")
    assert lane.points[0].tolist() == [40, 70]
    assert out.lanes.labelled_positions == set(POSITIONS)
    assert out.drivable[[0, 20, 40, 60], 0].tolist() == [0, 1, 2, 255]
    assert out.semantic[[0, 20, 40, 60], 0].tolist() == [0, 3, 10, 255]
    assert {name: SCENE[name][value] for name, value in out.scene.items()} == {
        "weather": "rainy",
        "scene": "city street",
        "timeofday": "night",
    }
    np.testing.assert_array_equal(out.intrinsics, [[100, 0, 64], [0, 101, 36], [0, 0, 1]])
    assert out.attributes["sequence"] == "7"


def test_a_real_folder_labels_the_ego_lane_only(tmp_path):
    write_image(tmp_path / "images/a.jpg")
    labels = [
        line("ego_left", laneStyle="solid", laneTypes="double yellow"),
        line("ego_right", laneStyle="dashed", laneTypes="single white"),
    ]
    write_json(tmp_path / "labels/lane/lane.json", [{"name": "a.jpg", "labels": labels}])
    out = open_dataset("labelled", tmp_path)[0]
    assert out.boxes is None
    assert out.scene == {"weather": -1, "scene": -1, "timeofday": -1}
    assert out.lanes.labelled_positions == {-1, 1}
    looks = [(LINE_TYPES[x.line_type], LINE_COLORS[x.line_color]) for x in out.lanes.lines]
    assert looks == [("double_solid", "yellow"), ("dashed", "white")]


def test_an_image_without_a_frame_has_no_labels(rendered):
    write_image(rendered / "images/2.png")
    out = open_dataset("labelled", rendered)[2]
    assert (out.boxes, out.lanes, out.drivable, out.semantic) == (None, None, None, None)


def test_a_frame_without_labels_only_has_attributes(tmp_path):
    for name in "ab":
        write_image(tmp_path / f"images/{name}.png")
    frames = [{"name": "a.png", "attributes": {"weather": "rainy"}}, {"name": "b.png", "labels": []}]
    for path in ("labels/det_20/det.json", "labels/lane/lane.json"):
        write_json(tmp_path / path, frames)
    first, second = open_dataset("labelled", tmp_path)
    assert (first.boxes, first.lanes, first.scene["weather"]) == (None, None, SCENE["weather"].index("rainy"))
    assert (len(second.boxes), len(second.lanes.lines)) == (0, 0)


def test_patterns_choose_images(rendered):
    assert open_dataset("labelled", rendered, include=["1*"]).names == ["1.png"]
    assert open_dataset("labelled", rendered, exclude=["1*"]).names == ["0.png"]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("images/0.png", b"not a picture", "0.png"),
        ("labels/det_20/det.json", b"[{", "det.json"),
        ("labels/det_20/det.json", b'{"a": 1}', "list of frames"),
        ("labels/det_20/det.json", b'[{"name": "0.png", "labels": [{"category": "tank", "box2d": {}}]}]', "tank"),
        ("labels/det_20/det.json", b'[{"name": "0.png", "labels": [{"category": "car", "box2d": {"x1": 1}}]}]', "x2"),
        ("labels/lane/lane.json", b'[{"name":"0.png","labels":[{"id":"q","poly2d":[{"vertices":[[1, 2]]}]}]}]', "q "),
        ("labels/drivable/masks/0.png", b"", "0.png"),
        ("truth/truth.jsonl", b"{}\n{", "line 2"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named(rendered, file, content, words):
    (rendered / file).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        open_dataset("labelled", rendered)[0]
    assert file.split("/")[-1] in str(caught.value)


def test_a_mask_of_another_size_or_with_unknown_ids_is_named(rendered):
    write_mask(rendered / "labels/sem_seg/masks/0.png", [0, 3], size=(36, 64))
    write_mask(rendered / "labels/sem_seg/masks/1.png", [0, 11])
    data = open_dataset("labelled", rendered)
    with pytest.raises(DataError, match="64x36"):
        data[0]
    with pytest.raises(DataError, match="id 11"):
        data[1]


def parallel_edges(category="lane/single white", direction="parallel", style="dashed", new=True, shift=0):
    """Both edges of a marking 8 px wide at the bottom, 2 px at the top; u of the middle is 40 + v."""
    edges = []
    for side in (-1, 1):
        corners = [[40 + v + shift + side * w / 2, v] for v, w in ((30, 2), (70, 4))]
        poly = [{"vertices": corners, "types": "LL", "closed": False}] if new else [[u, v, "L"] for u, v in corners]
        if new:
            attributes = {"laneDirection": direction, "laneStyle": style, "laneTypes": category}
            edges.append({"category": "lane", "attributes": attributes, "poly2d": poly})
        else:
            edges.append({"category": category, "attributes": {"direction": direction, "style": style}, "poly2d": poly})
    return edges


def area(kind, new=True):
    square = [[0, 36], [128, 36], [128, 72], [0, 72]] if kind == "direct" else [[0, 0], [128, 0], [128, 50], [0, 50]]
    if new:
        poly = [{"vertices": square, "types": "LLLL", "closed": True}]
        return {"category": "drivable area", "attributes": {"areaType": kind}, "poly2d": poly}
    return {"category": f"area/{'drivable' if kind == 'direct' else kind}", "poly2d": [[u, v, "L"] for u, v in square]}


SCENE_ATTRIBUTES = {"weather": "clear", "scene": "highway", "timeofday": "undefined"}


def bdd_2020(root):
    frame = {
        "name": "a.jpg",
        "attributes": SCENE_ATTRIBUTES,
        "labels": [box("car"), box("other vehicle"), box("person")],
    }
    write_json(root / "labels/det_20/det_train.json", [frame, {"name": "b.jpg"}])
    lanes = [{"name": "a.jpg", "labels": [{**e, "category": "single white"} for e in parallel_edges("single white")]}]
    write_json(root / "labels/lane/polygons/lane_train.json", lanes)
    write_mask(root / "labels/drivable/masks/train/a.png", [2, 1, 0])
    return [CAR, CAR, 0], [False, True, False], [0, 2, 1]


def bdd_2018(root):
    crosswalk = parallel_edges("crosswalk", direction="", shift=-30)
    lanes = [*parallel_edges("single white"), *crosswalk]
    for lane in lanes:
        lane["category"], lane["attributes"]["laneType"] = "lane", lane["attributes"].pop("laneTypes")
    labels = [box("bike"), area("direct"), area("alternative"), *lanes]
    frame = {"name": "a.jpg", "attributes": SCENE_ATTRIBUTES, "labels": labels}
    write_json(root / "labels/bdd100k_labels_images_train.json", [frame])
    return [OBJECTS.index("bicycle")], [False], [2, 1, 1]


def bdd_first(root):
    objects = [box("motor"), area("direct", False), area("alternative", False), *parallel_edges(new=False)]
    frame = {"name": "a", "attributes": SCENE_ATTRIBUTES, "frames": [{"timestamp": 10000, "objects": objects}]}
    write_json(root / "labels/100k/train/a.json", frame)
    return [OBJECTS.index("motorcycle")], [False], [2, 1, 1]


@pytest.mark.parametrize("write", [bdd_2020, bdd_2018, bdd_first])
def test_bdd100k_in_each_generation(tmp_path, write):
    write_image(tmp_path / "images/100k/train/a.jpg")
    classes, ignored, areas = write(tmp_path)
    out = open_dataset("bdd100k", tmp_path, split="train")[0]
    assert out.boxes.classes.tolist() == classes
    assert out.boxes.ignored.tolist() == ignored
    assert out.drivable[[5, 40, 65], 64].tolist() == areas
    assert SCENE["scene"][out.scene["scene"]] == "highway"
    assert out.scene["timeofday"] == -1
    (lane,) = out.lanes.lines
    rows = np.array([35.5, 50.5, 65.5])
    np.testing.assert_allclose(columns_at(lane, rows, 128), 40 + rows, atol=0.5)
    assert (LINE_TYPES[lane.line_type], LINE_COLORS[lane.line_color], lane.position) == ("dashed", "white", 1)


def test_bdd100k_frames_without_labels_have_no_objects(tmp_path):
    for name in "abc":
        write_image(tmp_path / f"images/100k/train/{name}.jpg")
    bdd_2020(tmp_path)
    data = open_dataset("bdd100k", tmp_path)
    assert len(data[1].boxes) == 0
    assert (data[2].boxes, data[2].lanes, data[2].drivable) == (None, None, None)


def test_bdd100k_names_light_states_and_crowds_in_two_ways(tmp_path):
    write_image(tmp_path / "images/100k/train/a.jpg")
    colors = ("G", "R", "Y", "NA", "green", "none", "?")
    labels = [box("traffic light", trafficLightColor=color) for color in colors]
    crowd = [{**box("person"), "crowd": True}, {**box("person"), "ignored": True}, box("person", crowd=True)]
    write_json(tmp_path / "labels/det_20/det_train.json", [{"name": "a.jpg", "labels": [*labels, *crowd]}])
    out = open_dataset("bdd100k", tmp_path)[0].boxes
    states = [LIGHT_STATES[state] if state >= 0 else None for state in out.light_states[: len(colors)]]
    assert states == ["green", "red", "yellow", "none", "green", "none", None]
    assert out.ignored.tolist() == [False] * len(colors) + [True] * 3


def test_bdd100k_lane_masks_when_there_are_no_polygons(tmp_path):
    write_image(tmp_path / "images/100k/train/a.jpg")
    bdd_2020(tmp_path)
    (tmp_path / "labels/lane/polygons/lane_train.json").unlink()
    (tmp_path / "labels/lane/masks/train").mkdir(parents=True)
    mask = np.full((72, 128), 255, np.uint8)
    for edge in parallel_edges():
        cv2.line(mask, *np.rint(np.array(edge["poly2d"][0]["vertices"])).astype(int).tolist(), 6 + 16)
    cv2.imwrite(str(tmp_path / "labels/lane/masks/train/a.png"), mask)
    (lane,) = open_dataset("bdd100k", tmp_path)[0].lanes.lines
    assert (LINE_TYPES[lane.line_type], LINE_COLORS[lane.line_color]) == ("dashed", "white")
    assert columns_at(lane, np.array([50.5]), 128)[0] == pytest.approx(90.5, abs=1.5)


@pytest.mark.parametrize(
    ("byte", "expected"),
    [(6, ("solid", "white")), (6 + 16, ("dashed", "white")), (3, ("double_solid", "yellow")), (4, ("curb", None))],
)
def test_bytes_of_lane_masks(byte, expected):
    mask = np.full((72, 128), 255, np.uint8)
    mask[20:70, 50:53] = byte
    mask[5:8] = 6 + 32  # a stop line
    mask[9:12] = 0  # a zebra
    (lane,) = lines_from_mask(mask)
    color = LINE_COLORS[lane.line_color] if lane.line_color >= 0 else None
    assert (LINE_TYPES[lane.line_type], color) == expected


def test_edges_of_two_markings_are_not_mixed_up():
    near, far = parallel_edges(shift=0), parallel_edges(shift=-60)
    lines = lines_from_labels([*near, *far], (72, 128))
    at = sorted(columns_at(x, np.array([50.5]), 1000)[0] for x in lines)
    np.testing.assert_allclose(at, [30.5, 90.5], atol=0.5)


def test_lines_across_the_road_and_crosswalks_are_left_out():
    assert lines_from_labels(parallel_edges(direction="vertical"), (72, 128)) == []
    assert lines_from_labels(parallel_edges("crosswalk"), (72, 128)) == []


def test_bezier_curves_pass_through_their_ends_and_analytic_middle():
    points = flatten(([[0, 0], [0, 8], [8, 8], [8, 0], [9, 9]], "LCCCL"))
    np.testing.assert_allclose(points[[0, 4, 8, 9]], [[0, 0], [4, 6], [8, 0], [9, 9]])


def test_kitti(tmp_path):
    write_image(tmp_path / "image_2/000000.png")
    (tmp_path / "label_2").mkdir()
    (tmp_path / "calib").mkdir()
    rows = ["Car 0.00 0 -1.5 10 20 30 40 1.5 1.6 3.7 1 1 10 0", "Van 0 0 0 1 2 3 4 1 1 1 1 1 1 0"]
    rows += ["Cyclist 0 0 0 5 6 7 8 1 1 1 1 1 1 0", "DontCare -1 -1 -10 0 0 9 9 -1 -1 -1 -1000 -1000 -1000 -10"]
    (tmp_path / "label_2/000000.txt").write_text("\n".join(rows))
    (tmp_path / "calib/000000.txt").write_text("P0: 0\nP2: 700 0 64 45 0 700 36 0 0 0 1 0\n")
    out = open_dataset("kitti", tmp_path)[0]
    assert [OBJECTS[c] for c in out.boxes.classes[~out.boxes.ignored]] == ["car", "car", "rider"]
    assert len(out.boxes) == 3 + len(out.known_classes)
    assert out.boxes.boxes[0].tolist() == [10, 20, 30, 40]
    assert out.intrinsics[0].tolist() == [700, 0, 64]
    assert LIGHT not in out.known_classes
    for broken in ("Zeppelin 0 0 0 1 2 3 4", "Car 0 0 0 1 x 3 4", "Car 0 0"):
        (tmp_path / "label_2/000000.txt").write_text(broken)
        with pytest.raises(DataError, match=r"000000.txt: line 1"):
            open_dataset("kitti", tmp_path)[0]


def test_coco(tmp_path):
    write_image(tmp_path / "images/a.jpg")
    categories = [(1, "person"), (3, "car"), (10, "traffic light"), (13, "stop sign"), (44, "bottle")]
    annotation = {"id": 1, "image_id": 5, "category_id": 3, "bbox": [10, 20, 30, 40], "iscrowd": 1}
    data = {
        "images": [{"id": 5, "file_name": "a.jpg"}],
        "categories": [{"id": i, "name": name} for i, name in categories],
        "annotations": [annotation, {**annotation, "category_id": 44}, {**annotation, "category_id": 1, "iscrowd": 0}],
    }
    write_json(tmp_path / "annotations/instances.json", data)
    out = open_dataset("coco", tmp_path / "annotations/instances.json")[0]
    assert [OBJECTS[c] for c in out.boxes.classes] == ["car", "pedestrian"]
    assert out.boxes.ignored.tolist() == [True, False]
    assert out.boxes.boxes[0].tolist() == [10, 20, 40, 60]
    assert {OBJECTS[c] for c in out.known_classes} == {"pedestrian", "car", "traffic light"}
    del data["annotations"][0]["bbox"]
    write_json(tmp_path / "annotations/instances.json", data)
    with pytest.raises(DataError, match="bbox"):
        open_dataset("coco", tmp_path / "annotations/instances.json")[0]


def test_tusimple(tmp_path):
    write_image(tmp_path / "clips/1/20.jpg")
    row = {
        "raw_file": "clips/1/20.jpg",
        "lanes": [[-2, 60, 50, 40], [-2, 70, 80, 90], [-2] * 4],
        "h_samples": [20, 30, 50, 70],
    }
    (tmp_path / "label_data_0313.json").write_text(json.dumps(row) + "\n")
    out = open_dataset("tusimple", tmp_path)[0]
    assert [(x.position, len(x.points)) for x in out.lanes.lines] == [(-1, 3), (1, 3)]
    assert out.lanes.lines[0].points[0].tolist() == [40, 70]
    (tmp_path / "label_data_0313.json").write_text(json.dumps({**row, "h_samples": [1]}) + "\n")
    with pytest.raises(DataError, match="h_samples"):
        open_dataset("tusimple", tmp_path)[0]


def test_culane(tmp_path):
    write_image(tmp_path / "driver_1/v.MP4/00000.jpg")
    (tmp_path / "list").mkdir()
    (tmp_path / "list/train.txt").write_text("/driver_1/v.MP4/00000.jpg\n")
    lines = "40 70 50 50 60 30 \n90 70 80 50\n120 70 90 50\n"
    (tmp_path / "driver_1/v.MP4/00000.lines.txt").write_text(lines)
    out = open_dataset("culane", tmp_path, split="train")[0]
    assert [x.position for x in out.lanes.lines] == [-1, 1, 2]
    (tmp_path / "driver_1/v.MP4/00000.lines.txt").write_text("40 70 50\n")
    with pytest.raises(DataError, match=r"00000.lines.txt: line 1"):
        open_dataset("culane", tmp_path)[0]


def test_positions_count_outwards_from_the_middle_of_the_bottom_edge():
    feet = [-300, 100, 500, 700, 1300, 1700, 2300, 2900]
    lines = [Lane([[640 + (u - 640) * t, 300 + 420 * t] for t in (0.2, 0.6)]) for u in feet]
    np.testing.assert_allclose([bottom_crossing(x, 720) for x in lines], feet, atol=0.1)
    assert [x.position for x in assign_positions(lines, (720, 1280))] == [-3, -2, -1, 1, 2, 3, 0, 0]
