"""Streets drawn on real images: what they change in the labels, and that the committed ones are sound."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from perception_models.data.files import DataError
from perception_models.data.labels import OBJECTS, SEMANTIC
from perception_models.data.readers.folder import LabelledFolder
from perception_models.data.sample import Boxes, Sample
from perception_models.evaluation.real.sets import NEAR_SIGNS
from perception_models.experiments.demo import drawn_areas, train
from perception_models.experiments.demo.drawn_areas import draw_areas
from perception_models.experiments.demo.drawn_boxes import DRAWN, PEOPLE, still_unlabelled, with_boxes
from perception_models.experiments.demo.drawn_masks import UNDRAWN, area_mask, with_areas
from perception_models.experiments.demo.recipe import LABELLED, Recipe

ROAD, SIDEWALK, CAR, SKY, POLE = (SEMANTIC.index(n) for n in ("road", "sidewalk", "vehicle", "sky", "pole"))
SIZE = (50, 100)
LEFT = [[0, 0], [500, 0], [500, 1000], [0, 1000]]  # the left half
RIGHT = [[500, 0], [1000, 0], [1000, 1000], [500, 1000]]
COMMITTED = json.loads(drawn_areas.AREAS.read_text("utf-8"))


def area(name: str, polygon: list[list[int]]) -> dict:
    return {"class": name, "polygon": polygon}


def test_later_areas_lie_on_earlier_ones_and_borders_are_unlabelled():
    mask = area_mask([area("sky", LEFT), area("sidewalk", RIGHT)], SIZE)
    assert set(mask[:, :49].ravel()) == {SKY}
    assert set(mask[:, 51:].ravel()) == {SIDEWALK}
    assert np.flatnonzero(mask[10] == 255).tolist() == [49, 50]
    pole = {"class": "pole", "line": [[500, 0], [500, 1000]], "width": 20}
    assert set(area_mask([area("sky", LEFT), area("sky", RIGHT), pole], SIZE).ravel()) == {SKY, POLE}
    assert area_mask([area("sky", LEFT), area("sidewalk", LEFT)], SIZE)[10, 10] == SIDEWALK
    assert set(area_mask([], SIZE).ravel()) == {UNDRAWN}


def test_a_line_is_as_wide_as_it_says():
    pole = {"class": "pole", "line": [[505, 0], [505, 1000]], "width": 50}
    assert np.count_nonzero(area_mask([pole], SIZE)[25] == POLE) == 5


def sample(semantic: int = 255, drivable: int = 255, car: bool = False) -> Sample:
    """A street with one class everywhere, and a car in the middle."""
    row = ([30.0, 10.0, 70.0, 40.0], OBJECTS.index("car"), False, -1)
    boxes = Boxes(*(np.array([value]) for value in row)) if car else Boxes.empty()
    maps = (np.full(SIZE, value, np.uint8) for value in (semantic, drivable))
    return Sample("a.jpg", np.zeros((*SIZE, 3), np.uint8), boxes=boxes, semantic=next(maps), drivable=next(maps))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("sidewalk", (ROAD, 1), (SIDEWALK, 0)),
        ("sidewalk", (255, 255), (SIDEWALK, 0)),
        ("road", (SIDEWALK, 0), (ROAD, 255)),  # nobody says whose direction it is
        ("road", (ROAD, 2), (ROAD, 2)),
        ("void", (ROAD, 1), (255, 0)),
        ("road", (CAR, 0), (CAR, 0)),  # an object on it keeps its labels
        ("pole", (CAR, 0), (POLE, 0)),  # a pole in front of it does not
    ],
)
def test_an_area_replaces_labels_but_those_of_objects_on_it(name: str, before: tuple, after: tuple):
    found = with_areas(sample(*before), [area(name, [[0, 0], [1000, 0], [1000, 1000], [0, 1000]])])
    assert (found["semantic"][25, 50], found["drivable"][25, 50]) == after


def test_ground_is_not_labelled_inside_the_box_of_an_object():
    pole = {"class": "pole", "line": [[400, 0], [400, 1000]], "width": 20}
    found = with_areas(sample(car=True), [area("road", [[0, 0], [1000, 0], [1000, 1000], [0, 1000]]), pole])["semantic"]
    assert (found[25, 50], found[25, 10], found[25, 40]) == (255, ROAD, POLE)


def labelled(category: str, x: float, **attributes: str | bool) -> dict:
    corners = {"x1": x, "y1": 10.0, "x2": x + 10, "y2": 20.0}
    return {"category": category, "attributes": {"source": "teachers", **attributes}, "box2d": corners}


def test_a_drawn_box_replaces_the_labelled_one_of_the_same_object():
    signs = [labelled("traffic sign", 11.0), labelled("traffic sign", 60.0), labelled("traffic light", 11.0)]
    frame = {"name": "a.jpg", "labels": [*signs, labelled("traffic light", 30.0, trafficLightColor="red")]}
    drawn = [
        {"category": "traffic sign", "box": [100, 200, 200, 400]},
        {"category": "traffic sign", "box": [120, 200, 220, 400]},  # two drawn ones may overlap
        {"category": "traffic light", "box": [300, 200, 400, 400]},
        {"category": "traffic light", "box": [900, 200, 920, 400]},
    ]
    found = frame["labels"] = with_boxes(frame, drawn, SIZE)
    assert [(each["category"], each["box2d"]["x1"]) for each in found] == [
        ("traffic sign", 60.0), ("traffic light", 11.0),
        ("traffic sign", 10.0), ("traffic sign", 12.0), ("traffic light", 30.0), ("traffic light", 90.0),
    ]  # fmt: skip
    assert found[2]["box2d"] == {"x1": 10.0, "y1": 10.0, "x2": 20.0, "y2": 20.0}
    assert [each["attributes"].get("trafficLightColor") for each in found[4:]] == ["red", None]
    assert [each["attributes"].get("ignored") for each in found[2:]] == [None, None, None, True]  # 2 px wide
    assert len(with_boxes(frame, drawn, SIZE)) == 6  # once more adds nothing


@pytest.mark.parametrize(
    ("before", "drawn", "after"),
    [
        (["traffic sign"], {}, []),
        (["rider", "traffic sign"], {}, ["rider"]),
        ([], {"unlabelled": ["traffic sign"]}, ["traffic sign"]),
    ],
)
def test_drawn_signs_are_complete_unless_the_drawing_says_otherwise(before: list, drawn: dict, after: list):
    assert still_unlabelled({"unlabelled": before}, drawn) == after


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of two images without masks, with areas for the first."""
    folder = tmp_path / "real/coco"
    (folder / "images").mkdir(parents=True)
    (folder / "labels/det_20").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / "images" / name), np.zeros((*SIZE, 3), np.uint8))
    (folder / "labels/det_20/det.json").write_text(json.dumps([{"name": n, "labels": []} for n in ("a.png", "b.png")]))
    monkeypatch.setattr(drawn_areas, "AREAS", tmp_path / "areas.json")
    return folder


def write_areas(name: str) -> None:
    sign = {"category": "traffic sign", "box": [100, 200, 200, 400]}
    drawn_areas.AREAS.write_text(json.dumps({"coco": {name: {"areas": [area("sidewalk", LEFT)], "boxes": [sign]}}}))


def test_a_drawn_rider_replaces_a_person_of_whom_that_was_open_and_no_neighbour():
    unclear = labelled("pedestrian", 10.0, ignored=True)
    frame = {"name": "a.jpg", "labels": [unclear, labelled("pedestrian", 14.0), labelled("bicycle", 10.0)]}
    found = with_boxes(frame, [{"category": "rider", "box": [100, 200, 200, 400]}], SIZE)
    assert [(each["category"], each["box2d"]["x1"]) for each in found] == [
        ("pedestrian", 14.0), ("bicycle", 10.0), ("rider", 10.0),
    ]  # fmt: skip
    assert "ignored" not in found[-1]["attributes"]


def test_images_with_areas_get_a_folder_of_their_own(sets: Path):
    write_areas("a.png")
    for _ in range(2):
        draw_areas(Recipe(data=sets.parents[1]), lambda _: None)
        drawn, whole = LabelledFolder(sets.parent / "drawn"), LabelledFolder(sets)
        assert drawn.names == ["a.png"]
        assert len(whole) == 2
        for each in (drawn[0], whole[0]):
            assert each.semantic[25, 10] == SIDEWALK
            assert len(each.boxes) == 1
            assert each.drivable is None
        assert whole[1].semantic is None
        assert not len(whole[1].boxes)
    write_areas("b.png")
    draw_areas(Recipe(data=sets.parents[1]), lambda _: None)
    assert LabelledFolder(sets.parent / "drawn").names == ["b.png"]


def test_images_with_boxes_only_are_not_copied(sets: Path):
    rider = {"category": "rider", "box": [100, 200, 200, 400]}
    drawn_areas.AREAS.write_text(json.dumps({"coco": {"a.png": {"areas": [], "boxes": [rider]}}}))
    before = json.loads((sets / "labels/det_20/det.json").read_text("utf-8"))
    draw_areas(Recipe(data=sets.parents[1]), lambda _: None)
    after = json.loads((sets / "labels/det_20/det.json").read_text("utf-8"))
    assert [each.get("unlabelled") for each in after] == [each.get("unlabelled") for each in before]
    assert not (sets.parent / "drawn/images").exists()
    assert len(LabelledFolder(sets)[0].boxes) == 1


def test_missing_images_are_named(sets: Path):
    write_areas("c.png")
    with pytest.raises(DataError, match=r"lacks 1 images of areas\.json: c\.png; label it again"):
        draw_areas(Recipe(data=sets.parents[1]), lambda _: None)


def test_committed_areas_are_sound():
    classes, names = {*SEMANTIC, "void"}, [name for images in COMMITTED.values() for name in images]
    assert len(names) == len(set(names))  # they share one folder
    for images in COMMITTED.values():
        for name, each in images.items():
            assert each["areas"] or each["boxes"], name
            for shape in each["areas"]:
                points = np.array(shape.get("polygon") or shape["line"])
                assert shape["class"] in classes, name
                assert len(points) >= (3 if "polygon" in shape else 2), name
                assert points.min() >= 0, name
                assert points.max() <= 1000, name
                assert shape.get("width", 1) > 0, name
            boxes = np.array([box["box"] for box in each["boxes"]]).reshape(-1, 4)
            assert (boxes[:, :2] < boxes[:, 2:]).all(), name
            assert boxes.min(initial=0) >= 0, name
            assert boxes.max(initial=0) <= 1000, name
            assert {box["category"] for box in each["boxes"]} <= {*DRAWN, *PEOPLE}, name
            assert each["areas"] or {box["category"] for box in each["boxes"]} <= {*PEOPLE}, name


def test_no_image_that_validates_is_drawn_on():
    config = yaml.safe_load(train.PRUNED.read_text("utf-8"))
    held_out = {Path(entry["path"]).name: entry.get("include", []) for entry in config["data"]["val"]}
    assert COMMITTED.keys() == LABELLED.keys()
    assert held_out["coco"]
    assert held_out["openimages"]
    for name, images in COMMITTED.items():
        assert not [each for each in images for pattern in held_out.get(name, []) if fnmatch(each, pattern)]


def test_near_signs_of_the_benchmark_are_not_drawn():
    last = max(NEAR_SIGNS)
    known = [each for name, each in COMMITTED["driveai"].items() if Path(name).stem <= last]
    assert known
    assert all(each["unlabelled"] == ["traffic sign"] for each in known)
    assert not [box for each in known for box in each["boxes"] if box["category"] == "traffic sign"]
    assert not [shape for each in known for shape in each["areas"] if shape["class"] == "sign or signal"]
