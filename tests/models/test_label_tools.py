"""Labels that went out, as the tools that people use read them."""

import json
import logging

import numpy as np
import pytest
from test_label_exchange import labelled  # noqa: F401  a fixture

from perception_models.data import open_dataset
from perception_models.data.labels import OBJECTS
from perception_models.data.readers.annotations.writers import export_labels

BOXES = {"car": [16, 18, 48.5, 54], "bus": [64, 36.25, 96, 72], "traffic light": [3, 4, 9, 20]}
LINES = [[20, 71, 50.5, 30], [100, 71, 70, 30]]


def read_by_datumaro(path, form):
    datumaro = pytest.importorskip("datumaro", reason="needs datumaro: pip install datumaro==1.13.12")
    dataset = datumaro.Dataset.import_from(str(path), form)
    return dataset, {item.id: item.annotations for item in dataset}


def shapes(dataset, annotations, kind):
    names = dataset.categories()[next(iter(dataset.categories()))]
    return {names[each.label].name: each for each in annotations if each.type.name == kind}


@pytest.mark.parametrize(("form", "theirs"), [("cvat", "cvat"), ("coco", "coco_instances"), ("yolo", "yolo")])
def test_datumaro_reads_every_box(labelled, tmp_path, form, theirs, caplog):  # noqa: F811
    export_labels(labelled, tmp_path / "out", form)
    with caplog.at_level(logging.WARNING):
        dataset, items = read_by_datumaro(tmp_path / "out", theirs)
    assert not caplog.records  # such as fields that are missing
    assert sorted(items) == ["a", "b ä"]
    for annotations in items.values():
        found = shapes(dataset, annotations, "bbox")
        assert {name: pytest.approx(box.points, abs=0.02) for name, box in found.items()} == BOXES
        if form != "yolo":  # which has no attributes
            assert found["traffic light"].attributes["trafficLightColor"] == "green"
            assert found["car"].attributes["score"] == 1.0


def test_datumaro_reads_lane_lines_from_cvat(labelled, tmp_path):  # noqa: F811
    export_labels(labelled, tmp_path / "out", "cvat")
    _, items = read_by_datumaro(tmp_path / "out", "cvat")
    for annotations in items.values():
        lines = [each for each in annotations if each.type.name == "polyline"]
        assert [line.points for line in lines] == LINES
        assert [line.attributes["role"] for line in lines] == ["ego_left", "ego_right"]


@pytest.mark.parametrize("form", ["cvat", "coco_instances"])
def test_what_datumaro_writes_comes_in(labelled, tmp_path, form):  # noqa: F811
    export_labels(labelled, tmp_path / "out", "cvat")
    dataset, _ = read_by_datumaro(tmp_path / "out", "cvat")
    dataset.export(str(tmp_path / "theirs"), form, save_media=True)
    (written,) = (tmp_path / "theirs").rglob("*.xml" if form == "cvat" else "*.json")
    back = open_dataset(form.partition("_")[0], written)
    assert len(back) == 2
    for sample in back:
        found = {OBJECTS[c]: box for c, box in zip(sample.boxes.classes, sample.boxes.boxes)}
        assert found.keys() == BOXES.keys()
        for name, box in BOXES.items():
            np.testing.assert_allclose(found[name], box, atol=0.02)


def test_cvat_accepts_the_labels_of_a_task(labelled, tmp_path):  # noqa: F811
    models = pytest.importorskip("cvat_sdk.models", reason="needs cvat-sdk: pip install cvat-sdk==2.80.0")
    export_labels(labelled, tmp_path / "out", "cvat")
    rows = json.loads((tmp_path / "out/labels.json").read_text())
    task = models.TaskWriteRequest(name="hard", labels=[models.PatchedLabelRequest(**row) for row in rows])
    assert [label.name for label in task.labels] == [*OBJECTS, "lane"]
