"""Labels from detectors: what becomes a target, what is ignored, and what existing labels decide."""

import csv
import json

import cv2
import numpy as np
import pytest

from perception_models.data import DataError, open_dataset
from perception_models.data.curation.agreement import HYDRANT, Rules, fuse
from perception_models.data.curation.boxes import TrueBox, Truth, hull, iou
from perception_models.data.curation.label import LabelConfig, label
from perception_models.data.curation.lights import lamp_state
from perception_models.data.curation.road import agreed, corridor, mask_from
from perception_models.data.curation.rules import Label, crowds, label_objects, rides
from perception_models.data.curation.sources import open_source
from perception_models.data.curation.teachers import COCO_NAMES, Finding
from perception_models.data.curation.views import find_in_views, tiles
from perception_models.data.labels import OBJECTS

IMAGE = np.full((240, 320, 3), 90, np.uint8)
CAR, PERSON, BIKE = (100.0, 100.0, 180.0, 160.0), (20.0, 60.0, 50.0, 150.0), (10.0, 100.0, 70.0, 160.0)
VIEWS = ("yolox whole", "yolox tiles", "yolox whole flipped", "pvb whole")


def found(name, *scores, box=CAR):
    return [Finding(box, name, score, view) for score, view in zip(scores, VIEWS)]


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([], []),
        (found("car", 0.9, 0.4), [("car", "")]),
        (found("car", 0.9), [("car", "few views")]),
        (found("car", 0.9, 0.25), [("car", "few views")]),
        (found("car", 0.45, 0.45, 0.45), [("car", "low score")]),
        (found("car", 0.3, 0.2), [("car", "low score")]),
        (found("car", 0.3), []),
        (found("car", 0.2, 0.2), []),
        (found("car", 0.9) + [Finding(CAR, "vehicle", 0.5, "pvb whole")], [("car", "")]),
        (found("car", 0.6) + [Finding(CAR, "bus", 0.5, "yolox tiles")], [("car", "class")]),
        (found("vehicle", 0.8, 0.8), [("vehicle", "class")]),
        (found("person", 0.9, 0.8), [("person", "few views")]),
        (found("person", 0.9, 0.8, 0.3), [("person", "")]),
        (found("bus", 0.9, 0.8), [("bus", "few views")]),
        (found("fire hydrant", 0.8, 0.8) + found("person", 0.3, 0.3), []),
        (found("person", 0.8, 0.8, 0.8) + found("fire hydrant", 0.7, 0.7), [("person", "class")]),
        (found("traffic light", 0.55, 0.55, 0.55), [("traffic light", "low score")]),
        (found("car", 0.9, 0.8) + found("person", 0.9, 0.8, 0.8), [("car", ""), ("person", "")]),
    ],
)  # fmt: skip
def test_two_views_make_a_label_and_uncertain_objects_are_ignored(findings, expected):
    assert [(p.name, p.ignore_reason) for p in fuse(findings)] == expected


def test_the_box_of_a_label_is_the_mean_of_agreeing_boxes():
    near = (104.0, 100.0, 184.0, 160.0)
    proposal = fuse([Finding(CAR, "car", 0.5, "a"), Finding(near, "car", 0.5, "b")])[0]
    np.testing.assert_allclose(proposal.box, (102, 100, 182, 160))


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        ((25, 60, 55, 145), True),  # feet above the wheels
        ((25, 60, 55, 160), None),  # feet on the ground, in the middle of the bike: waiting or walking
        ((45, 60, 75, 158), None),
        ((25, 60, 55, 175), False),  # in front of it
        ((68, 60, 98, 145), False),  # beside it
        ((200, 60, 230, 145), False),
        ((25, 100, 55, 145), False),  # no higher than the bike
    ],
)
def test_a_person_on_a_bicycle_is_a_rider(person, expected):
    assert rides(person, BIKE) is expected


@pytest.mark.parametrize(
    ("bike", "expected"),
    [
        (found("bicycle", 0.9, 0.8, box=BIKE), ("rider", "")),
        (found("motorcycle", 0.9, 0.8, box=BIKE), ("rider", "")),
        (found("bicycle", 0.45, 0.45, box=BIKE), ("pedestrian", "rider or pedestrian")),
        ([], ("pedestrian", "")),
    ],
)
def test_the_category_of_a_person_depends_on_the_bicycle(bike, expected):
    labels = label_objects(fuse(bike + found("person", 0.9, 0.9, 0.9, box=(25, 60, 55, 145))), Truth(), IMAGE)
    assert [(x.category, x.ignore_reason) for x in labels if x.name in ("person", "rider")] == [expected]


def test_people_who_stand_behind_a_motorcycle_are_no_riders():
    people = [TrueBox((x, 60.0, x + 30, 145.0), "person") for x in (15.0, 25.0, 35.0)]
    truth = Truth((TrueBox(BIKE, "motorcycle"), *people), frozenset({"person", "motorcycle"}))
    assert [x.ignore_reason for x in label_objects([], truth, IMAGE)][1:] == ["rider or pedestrian"] * 3
    truth = Truth((TrueBox(BIKE, "motorcycle"), *people[:2]), truth.classes)
    assert [x.category for x in label_objects([], truth, IMAGE)] == ["motorcycle", "rider", "rider"]


def test_every_name_of_the_detectors_has_a_category():
    assert {Label(CAR, name, "teachers").category for name in set(COCO_NAMES.values()) - {HYDRANT}} <= set(OBJECTS)


PEOPLE = frozenset({"person"})


@pytest.mark.parametrize(
    ("truth", "findings", "expected"),
    [
        # An existing box wins over the box and score of the detectors.
        (Truth((TrueBox(PERSON, "person"),), PEOPLE), found("person", 0.3, 0.3, box=PERSON), [("pedestrian", "")]),
        # A person that people did not label is neither target nor background.
        (Truth((), PEOPLE), found("person", 0.9, 0.9, 0.9), [("pedestrian", "not in truth")]),
        # Classes without existing labels come from the detectors.
        (Truth((), PEOPLE), found("car", 0.9, 0.9), [("car", "")]),
        (Truth((TrueBox(CAR, "person", crowd=True),), PEOPLE), [], [("pedestrian", "crowd")]),
        (Truth((TrueBox(CAR, "truck"),), frozenset({"car", "truck"})), found("car", 0.9, 0.9), [("truck", "")]),
        (Truth((TrueBox(CAR, "ambulance"),), frozenset({"ambulance"})), found("bus", 0.9, 0.9, 0.9), [("bus", "")]),
        (Truth((TrueBox(CAR, "ambulance"),), frozenset({"ambulance"})), [], [("car", "class")]),
        (Truth((TrueBox((0, 50, 90, 90), "person"),), PEOPLE), [], [("pedestrian", "body part")]),
        (Truth((TrueBox((5, 50, 95, 90), "person"),), PEOPLE), [], [("pedestrian", "")]),
        (Truth((TrueBox((5, 5, 15, 9), "car"),), frozenset({"car"})), [], [("car", "small")]),
    ],
)
def test_existing_labels_win(truth, findings, expected):
    labels = label_objects(fuse(findings), truth, IMAGE)
    assert [(x.category, x.ignore_reason) for x in labels] == expected


def test_people_in_a_crowd_are_masked_together():
    boxes = [(x, 50.0, x + 12.0, 90.0) for x in (10.0, 24.0, 40.0, 200.0)]
    labels = [Label(box, "person", "teachers", "low score") for box in boxes]
    assert [each.box for each in crowds(labels)] == [hull(boxes[:3])]
    assert crowds(labels[2:]) == []


def test_a_headlight_is_no_traffic_light():
    lamp = found("traffic light", 0.3, 0.3, box=(105, 130, 112, 145))
    labels = label_objects(fuse(found("car", 0.9, 0.9) + lamp), Truth(), IMAGE)
    assert [x.category for x in labels] == ["car"]


@pytest.mark.parametrize(("row", "color", "state"), [
    (0, (40, 40, 250), "red"), (1, (40, 210, 250), ""), (2, (120, 240, 60), "green"),
    (2, (40, 40, 250), ""), (0, (120, 120, 120), ""),
])  # fmt: skip
def test_the_colour_of_a_light_is_read_where_it_is_plain(row, color, state):
    image = np.full((120, 60, 3), 30, np.uint8)
    cv2.circle(image, (30, 20 + 40 * row), 14, color, -1)
    assert lamp_state(image, (0, 0, 60, 120)) == state


def test_only_upright_lights_are_labelled():
    wide = found("traffic light", 0.9, 0.9, box=(10, 10, 60, 40))
    assert [x.ignore_reason for x in label_objects(fuse(wide), Truth(), IMAGE)] == ["shape"]


class FakeTeacher:
    """Finds bright rectangles: cars."""

    name, tiles = "fake", True

    def __init__(self):
        self.calls = 0

    def find(self, image):
        self.calls += 1
        contours, _ = cv2.findContours((image[..., 0] > 200).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        rows = [cv2.boundingRect(contour) for contour in contours]
        return [((float(x), float(y), float(x + w), float(y + h)), "car", 0.8) for x, y, w, h in rows]


def drawn(box=CAR, size=(240, 320)):
    image = np.full((*size, 3), 90, np.uint8)
    x0, y0, x1, y1 = map(int, box)
    image[y0:y1, x0:x1] = 255
    return image


@pytest.mark.parametrize("size", [(100, 100), (240, 320), (720, 1280)])
def test_tiles_cover_the_image(size):
    covered = np.zeros(size, bool)
    for top, left, side in tiles(size):
        covered[top : top + side, left : left + side] = True
    assert covered.all()


def test_boxes_of_all_views_are_pixels_of_the_image():
    findings = find_in_views([FakeTeacher()], drawn())
    assert {f.view for f in findings} == {"fake whole", "fake whole flipped", "fake tiles", "fake tiles flipped"}
    assert all(iou(f.box, CAR) > 0.95 for f in findings)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(folder / f"images/{i}.png"), drawn())
    (folder / "LICENCE.txt").write_text("CC BY 4.0, somebody")
    return folder


def test_a_labelled_folder_is_written_with_credits_and_a_sheet(source, tmp_path):
    counts = label(source, tmp_path / "out", [FakeTeacher()])
    assert counts == {"car": 3}
    sample = open_dataset("labelled", tmp_path / "out")[0]
    assert iou(tuple(sample.boxes.boxes[0]), CAR) > 0.95
    assert sample.known_classes == frozenset(range(len(OBJECTS))) - {OBJECTS.index("traffic sign")}
    assert (sample.drivable, sample.lanes, sample.semantic) == (None, None, None)
    with (tmp_path / "out/CREDITS.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file_name"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert {row["licence"] for row in rows} == {"CC BY 4.0, somebody"}
    assert (tmp_path / "out/LICENCE.txt").exists()
    assert (tmp_path / "out/sheet/out.png").exists()


def test_an_interrupted_run_continues(source, tmp_path):
    whole, out = FakeTeacher(), tmp_path / "out"
    label(source, out, [whole])
    expected = (out / "labels/det_20/det.json").read_text()
    lines = (out / "frames.jsonl").read_text().splitlines(keepends=True)
    (out / "frames.jsonl").write_text(lines[0] + lines[1][:20])  # killed while it wrote the second
    rest = FakeTeacher()
    label(source, out, [rest])
    assert (out / "labels/det_20/det.json").read_text() == expected
    assert rest.calls * 3 == whole.calls * 2


def test_other_settings_need_another_folder(source, tmp_path):
    label(source, tmp_path / "out", [FakeTeacher()])
    with pytest.raises(DataError, match="other settings"):
        label(source, tmp_path / "out", [FakeTeacher()], LabelConfig(Rules(score=0.6)))


def test_images_squeezed_to_squares_are_stretched_with_their_boxes(source, tmp_path):
    record = {"openimages_id": "0", "file_name": "0.png", "truth": [{"category": "Car", "bbox": CAR}]}
    (source / "annotations.json").write_text(json.dumps([record]))
    label(source, tmp_path / "out", [FakeTeacher()], LabelConfig(widen=1.25, limit=1))
    sample = open_dataset("labelled", tmp_path / "out")[0]
    assert sample.size == (240, 400)
    np.testing.assert_allclose(sample.boxes.boxes, [[125, 100, 225, 160]])


def test_lane_labels_and_boxes_of_a_labelled_folder_are_kept(source, tmp_path):
    lines = [{"name": "0.png", "labels": [
        {"category": "lane", "attributes": {"role": "ego_left"}, "poly2d": [{"vertices": [[90, 100], [10, 230]]}]}
    ]}]  # fmt: skip
    box = {"x1": 100, "y1": 100, "x2": 181, "y2": 160}
    frames = [{"name": "0.png", "labels": [{"category": "truck", "box2d": box}]}]
    for part, content in (("lane/lane.json", lines), ("det/det.json", frames)):
        (source / "labels" / part).parent.mkdir(parents=True)
        (source / "labels" / part).write_text(json.dumps(content))
    label(source, tmp_path / "out", [FakeTeacher()], LabelConfig())
    first, second, _ = (open_dataset("labelled", tmp_path / "out")[i] for i in range(3))
    assert first.lanes.at(-1) is not None
    assert [OBJECTS[c] for c in first.boxes.classes] == ["truck"]
    assert [OBJECTS[c] for c in second.boxes.classes] == ["car"]


COCO = {
    "truth": [{"category": "person", "bbox": [20, 60, 30, 90], "crowd": 0}],
    "truth_classes": "person",
    "license": 4,
}


@pytest.mark.parametrize(
    ("record", "credit"),
    [
        (
            COCO | {"flickr_url": "http://farm4.staticflickr.com/3114/2904096207_497460a142_z.jpg"},
            {"url": "https://www.flickr.com/photo.gne?id=2904096207", "licence": "CC BY 2.0"},
        ),
        (COCO | {"license": 7, "flickr_url": ""}, {"url": "", "licence": "no known copyright restrictions"}),
        (
            {"openimages_id": "ab12", "truth": []},
            {"id": "ab12", "licence": "CC BY 2.0 (image), CC BY 4.0 (boxes: Google LLC, Open Images)"},
        ),
    ],
)
def test_credits_name_the_licence_of_each_image(source, record, credit):
    (source / "annotations.json").write_text(json.dumps([{"file_name": "1.png", **record}]))
    _, picture, _ = open_source(source)
    assert credit.items() <= picture.credit.items()
    assert {box.box for box in picture.truth.boxes} <= {PERSON}


def test_two_networks_that_agree_label_the_whole_road():
    probabilities = np.zeros((100, 200, 4), np.float32)
    probabilities[:50, :, 0] = 1
    probabilities[50:, :, 1] = 0.7
    kinds = np.zeros((100, 200), np.uint8)
    kinds[60:, :100], kinds[60:, 100:] = 1, 2
    kinds[30:40, 20:40] = 1  # a wall that only the second network takes for road
    mask = agreed(probabilities, kinds, [(95, 75, 105, 85)])
    assert mask[75, 20] == 1
    assert mask[75, 180] == 2
    assert mask[20, 100] == 0
    assert mask[35, 30] == mask[55, 100] == mask[80, 100] == mask[98, 100] == 255


@pytest.mark.parametrize("text", ["CC BY-NC 4.0", "for research use only", "Non-commercial", "PandaSet terms", None])
def test_images_that_may_not_be_trained_on_are_refused(source, tmp_path, text):
    (source / "LICENCE.txt").unlink()
    if text:
        (source / "LICENCE.txt").write_text(text)
    with pytest.raises(DataError, match="licence"):
        label(source, tmp_path / "out", [FakeTeacher()])


def test_road_is_labelled_only_where_it_is_certain():
    probabilities = np.zeros((100, 200, 4), np.float32)
    probabilities[:50, :, 0] = 1
    probabilities[50:, :, 1] = 0.95
    probabilities[70:80, :, 1] = 0.5
    mask = mask_from(probabilities, [(95, 85, 105, 93)])
    assert set(np.unique(mask[:40])) == {0}
    assert mask[60, 100] == 1
    probabilities[60:75, 60:140] = (0.95, 0, 0, 0)  # a bright crossing
    assert mask_from(probabilities, [])[67, 100] == 255
    assert mask[75, 100] == mask[88, 100] == mask[98, 100] == mask[60, 5] == 255
    assert not corridor((100, 200))[:49].any()
