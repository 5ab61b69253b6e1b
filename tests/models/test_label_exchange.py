"""Labels to annotation tools and back: what went out comes in again."""

import json
import zipfile

import cv2
import numpy as np
import pytest
from tiny_models import write_tiny_model
from typer.testing import CliRunner

from perception_models.cli import app
from perception_models.data import open_dataset
from perception_models.data.labels import LIGHT, OBJECTS
from perception_models.data.readers.annotations.writers import WRITERS, export_labels, write_folder
from perception_models.data.registry import import_labels
from perception_models.data.sample import Boxes, Lane, Lanes, Sample

SIZE = (72, 128)


def sample(name, lanes):
    image = np.full((*SIZE, 3), 90, np.uint8)
    boxes = Boxes([[16, 18, 48.5, 54], [64, 36.25, 96, 72], [3, 4, 9, 20]], [2, 4, LIGHT], [False] * 3, [-1, -1, 2])
    lines = [Lane([[20, 71], [50.5, 30]], -1, 0, 0), Lane([[100, 71], [70, 30]], 1, 1, 1)]
    return Sample(name, image, boxes, Lanes(lines) if lanes else None)


@pytest.fixture
def labelled(tmp_path):
    lanes = [sample("a.png", True), sample("b ä.png", True)]
    assert write_folder(lanes, tmp_path / "ours") == {"car": 2, "bus": 2, "traffic light": 2, "lane": 4}
    return tmp_path / "ours"


def accept_predictions(out):
    """What people do in Label Studio who find nothing to correct."""
    tasks = json.loads((out / "tasks.json").read_text())
    for task in tasks:
        task["annotations"] = task.pop("predictions")
    (out / "tasks.json").write_text(json.dumps(tasks))


@pytest.mark.parametrize("form", WRITERS)
def test_labels_go_out_and_come_back(labelled, tmp_path, form):
    written = export_labels(labelled, tmp_path / "out", form)
    if form == "label-studio":
        accept_predictions(tmp_path / "out")
    images = None
    if written.suffix == ".zip":  # a tool's export holds no images
        images, source = tmp_path / "out/images", written
    else:
        source = written if written.suffix == ".json" else tmp_path / "out"
    import_labels(source, tmp_path / "back", images)
    before, after = open_dataset("labelled", labelled), open_dataset("labelled", tmp_path / "back")
    assert [s.name for s in after] == [s.name for s in before] == ["a.png", "b ä.png"]
    for old, new in zip(before, after):
        order, tolerance = np.argsort(new.boxes.classes), 0.02
        np.testing.assert_allclose(new.boxes.boxes[order], old.boxes.boxes, atol=tolerance)
        assert new.boxes.classes[order].tolist() == old.boxes.classes.tolist()
        if form in ("coco", "cvat"):
            assert new.boxes.light_states[order].tolist() == [-1, -1, 2]
        if form == "cvat":
            assert [(x.position, x.line_type, x.line_color) for x in new.lanes.lines] == [(-1, 0, 0), (1, 1, 1)]
            np.testing.assert_allclose(new.lanes.lines[0].points, old.lanes.lines[0].points, atol=tolerance)


def test_a_file_of_cvat_may_have_any_name(labelled, tmp_path):
    export_labels(labelled, tmp_path / "out", "cvat")
    renamed = (tmp_path / "out/annotations.xml").rename(tmp_path / "labels.xml")  # as FiftyOne names it
    counts = import_labels(renamed, tmp_path / "back", tmp_path / "out/images")
    assert counts == {"car": 2, "bus": 2, "traffic light": 2, "lane": 4}


def test_coco_is_what_its_own_tools_read(labelled, tmp_path):
    coco = pytest.importorskip("pycocotools.coco").COCO(str(export_labels(labelled, tmp_path / "out", "coco")))
    boxes = [row["bbox"] for row in coco.loadAnns(coco.getAnnIds(catIds=coco.getCatIds(catNms=["car"])))]
    assert boxes == [[16, 18, 32.5, 36]] * 2


def test_what_is_doubtful_goes_to_people_with_its_reason(labelled, tmp_path):
    path = labelled / "labels/det_20/det.json"
    frames = json.loads(path.read_text())
    frames[0]["labels"][0]["attributes"] |= {"ignored": True, "reason": "low score", "score": 0.4}
    path.write_text(json.dumps(frames))
    with zipfile.ZipFile(export_labels(labelled, tmp_path / "cvat", "cvat")) as archive:
        text = archive.read("annotations.xml").decode()
    assert '<attribute name="reason">low score</attribute>' in text
    assert '<attribute name="score">0.400</attribute>' in text
    export_labels(labelled, tmp_path / "yolo", "yolo")
    assert len((tmp_path / "yolo/labels/a.txt").read_text().splitlines()) == 2


def test_a_model_folder_labels_frames_for_people(tmp_path):
    model, frames = write_tiny_model(tmp_path / "model"), tmp_path / "hard"
    (frames / "images").mkdir(parents=True)
    image = np.full((96, 160, 3), 30, np.uint8)
    image[40:70, 50:100] = 230  # a car to the tiny model
    cv2.imwrite(str(frames / "images/a.png"), image)
    words = ["autolabel", str(frames), "--teacher", str(model), "--format", "cvat", "--engine", "onnxruntime"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    back = CliRunner().invoke(
        app,
        ["import-labels", str(tmp_path / "hard_labels/cvat/cvat.zip"), "--out", str(tmp_path / "data"), "--images"]
        + [str(frames / "images")],
    )
    assert back.exit_code == 0, back.output
    found = open_dataset("labelled", tmp_path / "data")[0]
    assert [OBJECTS[c] for c in found.boxes.classes] == ["car"]
    np.testing.assert_allclose(found.boxes.boxes, [[50, 40, 100, 70]], atol=4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["import-labels", "nothing.zip", "--out", "x"], "missing; give the export"),
        (["import-labels", "bad.zip", "--out", "x"], "not a zip file"),
        (["autolabel", "frames", "--teacher", "m", "--format", "word"], "expected one of coco, cvat"),
    ],
)
def test_errors_say_what_to_do(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert message in done.output
