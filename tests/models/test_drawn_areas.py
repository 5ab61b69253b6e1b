"""Streets drawn by hand on real images: what they change in the labels, and that the committed ones are sound."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from perception_models.data.labels import OBJECTS, SEMANTIC
from perception_models.data.readers.folder import LabelledFolder
from perception_models.data.sample import Boxes, Sample
from perception_models.experiments.demo import drawn_areas, train
from perception_models.experiments.demo.drawn_areas import UNDRAWN, area_mask, draw_areas, masks, with_boxes
from perception_models.experiments.demo.recipe import LABELLED, Recipe

ROAD, SIDEWALK, CAR, SKY = (SEMANTIC.index(name) for name in ("road", "sidewalk", "vehicle", "sky"))
SIZE = (50, 100)
LEFT = [[0, 0], [500, 0], [500, 1000], [0, 1000]]  # the left half
RIGHT = [[500, 0], [1000, 0], [1000, 1000], [500, 1000]]
COMMITTED = json.loads(drawn_areas.AREAS.read_text("utf-8"))


def area(name: str, polygon: list[list[int]]) -> dict:
    return {"class": name, "polygon": polygon}


def test_later_areas_lie_on_earlier_ones_and_borders_are_unlabelled():
    mask = area_mask([area("sky", LEFT), area("sidewalk", RIGHT)], SIZE)
    assert set(mask[:, :47].ravel()) == {SKY} and set(mask[:, 54:].ravel()) == {SIDEWALK}
    assert set(mask[10, 47:54]) == {SKY, SIDEWALK, 255}
    assert area_mask([area("sky", LEFT), area("sidewalk", LEFT)], SIZE)[10, 10] == SIDEWALK
    assert set(area_mask([], SIZE).ravel()) == {UNDRAWN}


def test_a_line_is_as_wide_as_it_says():
    pole = {"class": "pole", "line": [[505, 0], [505, 1000]], "width": 50}
    assert np.count_nonzero(area_mask([pole], SIZE)[25] == SEMANTIC.index("pole")) == 5


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
        ("pole", (CAR, 0), (SEMANTIC.index("pole"), 0)),  # a pole before it does not
    ],
)
def test_an_area_replaces_labels_but_those_of_objects_on_it(name: str, before: tuple, after: tuple):
    found = masks(sample(*before), [area(name, [[0, 0], [1000, 0], [1000, 1000], [0, 1000]])])
    assert (found["semantic"][25, 50], found["drivable"][25, 50]) == after


def test_ground_is_not_labelled_inside_the_box_of_an_object():
    found = masks(sample(car=True), [area("road", [[0, 0], [1000, 0], [1000, 1000], [0, 1000]])])["semantic"]
    assert found[25, 50] == 255 and found[25, 10] == ROAD


def test_a_drawn_box_replaces_the_labelled_one_of_the_same_sign():
    def labelled(x: float) -> dict:
        corners = {"x1": x, "y1": 10.0, "x2": x + 10, "y2": 20.0}
        return {"category": "traffic sign", "attributes": {"source": "teachers"}, "box2d": corners}

    frame = {"name": "a.jpg", "labels": [labelled(11.0), labelled(60.0)]}
    box = {"category": "traffic sign", "box": [100, 200, 200, 400]}
    frame["labels"] = with_boxes(frame, [box], SIZE)
    assert [label["box2d"]["x1"] for label in frame["labels"]] == [60.0, 10.0]
    assert len(with_boxes(frame, [box], SIZE)) == 2  # once more changes nothing


def test_images_with_areas_get_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "real/coco"
    (folder / "images").mkdir(parents=True)
    (folder / "labels/det_20").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / "images" / name), np.zeros((*SIZE, 3), np.uint8))
    (folder / "labels/det_20/det.json").write_text(json.dumps([{"name": n, "labels": []} for n in ("a.png", "b.png")]))
    sign = {"category": "traffic sign", "box": [100, 200, 200, 400]}
    areas = tmp_path / "areas.json"
    areas.write_text(json.dumps({"coco": {"a.png": {"areas": [area("sidewalk", LEFT)], "boxes": [sign]}}}))
    monkeypatch.setattr(drawn_areas, "AREAS", areas)
    for _ in range(2):
        draw_areas(Recipe(data=tmp_path), lambda _: None)
        drawn, whole = LabelledFolder(tmp_path / "real/drawn"), LabelledFolder(folder)
        assert drawn.names == ["a.png"] and len(whole) == 2
        for each in (drawn[0], whole[0]):
            assert each.semantic[25, 10] == SIDEWALK and len(each.boxes) == 1
        assert whole[1].semantic is None and not len(whole[1].boxes)


def test_committed_areas_are_sound():
    classes = {*SEMANTIC, "void"}
    for images in COMMITTED.values():
        for name, each in images.items():
            assert each["areas"], name
            for shape in each["areas"]:
                points = np.array(shape.get("polygon") or shape["line"])
                assert shape["class"] in classes and len(points) >= (3 if "polygon" in shape else 2), name
                assert points.min() >= 0 and points.max() <= 1000, name
            boxes = np.array([box["box"] for box in each["boxes"]]).reshape(-1, 4)
            assert (boxes[:, :2] < boxes[:, 2:]).all() and boxes.max(initial=0) <= 1000, name
            assert {box["category"] for box in each["boxes"]} <= {"traffic sign", "traffic light"}, name


def test_no_image_of_the_validation_is_drawn_on():
    """Those of the near signs of the benchmark neither: the network would know them."""
    config = yaml.safe_load(train.PRUNED.read_text("utf-8"))
    left_out = {Path(entry["path"]).name: entry.get("include", []) for entry in config["data"]["val"]}
    assert COMMITTED.keys() <= LABELLED.keys()
    for name, images in COMMITTED.items():
        assert not [each for each in images for pattern in left_out.get(name, []) if fnmatch(each, pattern)]
    early = [each for name, each in COMMITTED["driveai"].items() if int(Path(name).stem) <= 20]
    assert not [box for each in early for box in each["boxes"] if box["category"] == "traffic sign"]
