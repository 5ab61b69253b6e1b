"""The worst real pictures of a model card: which are chosen, what is said of them, and that heads are covered."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("openvino", reason="needs openvino: make setup")

from perception_models.data.files import DataError
from perception_models.evaluation.real.output import Output
from perception_models.evaluation.real.sets import Picture, RealSet, box_array
from perception_models.experiments import failures as module
from perception_models.experiments.failures import Failure, choose, hide, in_words, regions_to_hide, replace_section

SIZE = (200, 300)
PERSON, CAR = [20, 60, 50, 150], [100, 80, 220, 160]
BOXES = {"person": box_array([PERSON]), "vehicle": box_array([CAR])}


def output(people=(), vehicles=(), score=0.9):
    kinds = np.repeat(np.arange(2), [len(people), len(vehicles)])
    return Output(box_array([*people, *vehicles]), np.full(len(kinds), score, np.float32), kinds)


@pytest.fixture
def pictures(tmp_path):
    """Three pictures of noise, each with a person and a car."""
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path in paths:
        cv2.imwrite(str(path), noise)
    return [Picture(path, BOXES) for path in paths]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (output([PERSON], [CAR]), ""),
        (output([PERSON]), "1 of 1 vehicle missed"),
        (output((), [CAR, [0, 0, 40, 30]]), "1 of 1 person missed, 1 false vehicle"),
        (output([PERSON], [CAR, [0, 0, 40, 30], [200, 0, 250, 30]]), "2 false vehicles"),
    ],
)
def test_it_says_what_is_wrong(found, text, pictures):
    assert in_words(RealSet("set", tuple(pictures)), 0, [found]) == text


def test_the_worst_of_every_set_come_first_and_perfect_and_crowded_pictures_never(pictures):
    crowd = Picture(pictures[0].path, {"person": box_array([[i, 0, i + 20, 60] for i in range(0, 140, 20)])})
    good, bad, worse = output([PERSON], [CAR]), output([PERSON]), output()
    one = RealSet("one", (pictures[0], pictures[1], crowd))
    two = RealSet("two", tuple(pictures))
    found = {"one": [good, worse, output()], "two": [bad, worse, bad]}
    chosen = choose([one, two], found, 3)
    assert [(each.set, each.number) for each in chosen] == [("one", 1), ("two", 1), ("two", 0)]


@pytest.mark.parametrize("seen", ["label", "model", "second detector"])
def test_heads_and_plates_of_labelled_and_of_detected_objects_are_unrecognisable(seen, pictures):
    labels = BOXES if seen == "label" else {"person": box_array([]), "vehicle": box_array([])}
    each = RealSet("set", (Picture(pictures[0].path, labels),))
    found = output([PERSON], [CAR], score=0.15)
    model, second = (found if seen == name else output() for name in ("model", "second detector"))
    image = cv2.imread(str(pictures[0].path))
    hide(image, regions_to_hide(image, each, 0, [model], second))
    head, plate = image[66:74, 26:44], image[125:155, 130:190]
    assert cv2.Laplacian(head, cv2.CV_64F).std() < 120 < cv2.Laplacian(image[:40, 260:], cv2.CV_64F).std()
    assert len(np.unique(plate.reshape(-1, 3), axis=0)) < 80  # of 1,800 pixels of noise
    assert (image[:40, 260:] == cv2.imread(str(pictures[0].path))[:40, 260:]).all()


def test_a_person_who_does_not_stand_is_covered_whole(pictures):
    lying = [20, 100, 140, 160]
    each = RealSet("set", (Picture(pictures[0].path, {"person": box_array([lying])}),))
    image = cv2.imread(str(pictures[0].path))
    region = regions_to_hide(image, each, 0, [output()], output())[0]
    assert (region.x0, region.y0) <= (20, 100)
    assert (region.x1, region.y1) >= (140, 160)


def test_pictures_are_small_and_credited(pictures, tmp_path, monkeypatch):
    data = tmp_path / "data"
    folder = data / "pictures/driveai_sample"
    (folder / "images").mkdir(parents=True)
    (folder / "ATTRIBUTION.txt").write_text("A drive, CC BY 4.0\n")
    pictures[0].path.rename(folder / "images/0001.png")
    sets = [RealSet("drive.ai", (Picture(folder / "images/0001.png", BOXES),))]
    chosen = [Failure("drive.ai", 0, 1.0, "1 of 1 person missed")]
    written = module.write_pictures(
        tmp_path / "out", data, sets, {"drive.ai": [output()]}, chosen, lambda image: output()
    )
    assert [path.name for path in written] == ["01.jpg"]
    assert cv2.imread(str(written[0])).shape[1] == module.WIDTH
    assert json.loads((tmp_path / "out/credits.json").read_text())["01.jpg"]["licence"] == "A drive, CC BY 4.0"
    text = module.section(data, sets, chosen, "out")
    assert "| ![drive.ai](out/01.jpg) | 1 of 1 person missed | drive.ai: 0001, A drive, CC BY 4.0 |" in text


def test_the_section_of_a_card_is_replaced_not_repeated(tmp_path):
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# a\n\n## Limits\n- one\n")
    for text in ("## Failures\nold\n", "## Failures\nnew\n"):
        replace_section(card, text)
    card.write_text(card.read_text() + "\n## Descent\nlast\n")
    replace_section(card, "## Failures\nnewest\n")
    assert card.read_text() == "# a\n\n## Limits\n- one\n\n## Failures\nnewest\n\n## Descent\nlast\n"


def test_nothing_is_shown_without_a_second_detector(tmp_path):
    (tmp_path / "pictures/coco_cc_by").mkdir(parents=True)
    (tmp_path / "pictures/coco_cc_by/annotations.json").write_text("[]")
    with pytest.raises(DataError, match="heads would stay uncovered"):
        module.failures(tmp_path, tmp_path, tmp_path)
    with pytest.raises(DataError, match="holds no pictures/coco_cc_by"):
        module.failures(tmp_path, tmp_path / "nothing", tmp_path)
