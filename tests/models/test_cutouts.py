"""Objects are cut out along their outline, from images that may be used, and credited."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception_models.data.augment.cutouts import read_index
from perception_models.data.curation.boxes import Box
from perception_models.data.curation.cutouts import rules
from perception_models.data.curation.cutouts.cut import CutConfig, counts, cut_all
from perception_models.data.curation.cutouts.masks import by_grabcut, cut_alpha, largest_part, own_colours
from perception_models.data.curation.cutouts.matting import INPUT, PersonMatting, square_view
from perception_models.data.files import DataError
from perception_models.data.labels import OBJECTS
from perception_models.data.sample import Boxes, boxes_from_rows

PERSON: Box = (60, 20, 100, 120)
OUTLINE = [[72, 20, 88, 20, 100, 70, 88, 120, 72, 120, 60, 70]]


def scene(box: Box, size=(150, 200), seed=0) -> np.ndarray:
    """A red, striped object on green noise."""
    rng = np.random.default_rng(seed)
    image = (np.array([60, 140, 60]) + rng.normal(0, 12, (*size, 3))).clip(0, 255).astype(np.uint8)
    x0, y0, x1, y1 = map(int, box)
    mask = np.zeros(size, np.uint8)
    cv2.ellipse(mask, ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) // 2, (y1 - y0) // 2), 0, 0, 360, 1, -1)
    image[mask > 0] = np.array([40, 40, 200]) + rng.normal(0, 12, (int(mask.sum()), 3))
    image[(mask > 0) & (np.arange(size[0])[:, None] % 8 < 3)] = (30, 30, 90)
    return image


def folder(path: Path, names=("a1.jpg", "b7.jpg"), outline=OUTLINE) -> Path:
    """Labelled images of one pedestrian each, with credits and polygons."""
    frames, records = [], []
    x0, y0, x1, y1 = PERSON
    for name in names:
        (path / "images").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path / "images" / name), scene(PERSON), [cv2.IMWRITE_JPEG_QUALITY, 98])
        box = {"x1": x0, "y1": y0, "x2": x1, "y2": y1}
        frames.append(
            {"name": name, "labels": [{"id": name, "category": "pedestrian", "attributes": {}, "box2d": box}]}
        )
        truth = {"category": "person", "bbox": [x0, y0, x1 - x0, y1 - y0], "polygon": outline, "crowd": 0}
        records.append({"file_name": name, "truth": [truth]})
    (path / "labels/det_20").mkdir(parents=True)
    (path / "labels/det_20/det.json").write_text(json.dumps(frames))
    (path / "annotations.json").write_text(json.dumps(records))
    (path / "CREDITS.csv").write_text("file_name,id,author,url,licence\na1.jpg,1,Ann,https://a,CC BY 2.0\n")
    return path


def test_a_polygon_becomes_an_image_with_alpha_and_credit(tmp_path):
    source = folder(tmp_path / "in")
    found, refused = cut_all([source], tmp_path / "out", CutConfig(polygons=source))
    assert [c.source for c in found] == ["in/a1.jpg"]  # b7.jpg is held out
    assert not refused
    (only,) = read_index(tmp_path / "out")
    assert (only.category, only.method, only.truncated) == ("pedestrian", "polygon", ())
    assert (only.author, only.url, only.licence) == ("Ann", "https://a", "CC BY 2.0")
    rgba = cv2.imread(str(tmp_path / "out" / only.file), cv2.IMREAD_UNCHANGED)
    assert rgba.shape[:2] == only.size[::-1]
    polygon = np.zeros((150, 200), np.uint8)
    cv2.fillPoly(polygon, [np.array(OUTLINE[0], np.int32).reshape(-1, 2)], 1)
    u, v, across, down = cv2.boundingRect(polygon)
    assert (across, down) == only.size
    both = polygon[v : v + down, u : u + across] + (rgba[..., 3] > 127)
    assert (both == 2).sum() / (both > 0).sum() > 0.93
    assert only.surround == pytest.approx((60, 140, 60), abs=8)
    assert counts(found) == {"pedestrian": 1}


def test_finished_images_are_not_cut_again(tmp_path):
    source, out = folder(tmp_path / "in"), tmp_path / "out"
    first, _ = cut_all([source], out, CutConfig(polygons=source))
    (out / first[0].file).write_bytes(b"kept")
    with pytest.raises(DataError, match="not an image with alpha"):  # the contact sheet reads what it finds
        cut_all([source], out, CutConfig(polygons=source))
    assert (out / first[0].file).read_bytes() == b"kept"


def test_images_without_usable_objects_are_an_error(tmp_path):
    source = folder(tmp_path / "in", outline=[[70, 20, 80, 20, 80, 60]])  # a fifth of the person
    with pytest.raises(DataError, match="holds no cut-outs"):
        cut_all([source], tmp_path / "out", CutConfig(polygons=source))


@pytest.mark.parametrize("shape", ["person", "block"])
def test_grabcut_finds_an_object_whose_colour_differs(shape):
    box = (60, 20, 130, 125)
    mask, agreement = by_grabcut(scene(box), box, shape)
    expected = np.zeros((150, 200), np.uint8)
    cv2.ellipse(expected, (95, 72), (35, 52), 0, 0, 360, 1, -1)
    assert (mask & expected).sum() / (mask | expected).sum() > 0.9
    assert agreement > 0.9


def test_the_border_of_a_cutout_has_the_colour_of_the_object():
    image = scene(PERSON)
    mask = ((image[..., 2] > image[..., 1]) * 1).astype(np.uint8)
    mask = largest_part(cv2.dilate(mask, np.ones((3, 3), np.uint8)))  # one pixel of background all around
    colours, alpha = own_colours(image, mask), cut_alpha(mask)
    border = (mask > 0) & (alpha > 20)
    assert (
        (colours[border][:, 2] > colours[border][:, 1]).mean()
        > 0.99
        > (image[border][:, 2] > image[border][:, 1]).mean()
    )


def boxes(*rows: tuple[str, list[float]]) -> Boxes:
    return boxes_from_rows([(box, OBJECTS.index(name), False, -1) for name, box in rows])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([("pedestrian", [0, 0, 30, 59])], []),  # small
        ([("traffic sign", [0, 0, 90, 90])], []),
        ([("rider", [0, 0, 40, 100])], []),  # on what?
        ([("rider", [0, 0, 40, 100]), ("bicycle", [0, 50, 40, 130])], [("rider", "bicycle")]),
        ([("pedestrian", [0, 0, 40, 100]), ("bicycle", [0, 50, 40, 130])], []),  # beside or on it
        ([("pedestrian", [0, 0, 40, 100]), ("bicycle", [90, 50, 140, 130])], [("pedestrian",), ("bicycle",)]),
    ],
)
def test_riders_are_cut_with_what_they_ride(rows, expected):
    assert [c.categories for c in rules.candidates(boxes(*rows))] == expected


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("pedestrian", [50, 20, 90, 120])], ""),
        ([("pedestrian", [50, 20, 130, 120])], "not standing"),
        ([("pedestrian", [50, 0, 90, 120])], "cut by the image edge"),
        ([("pedestrian", [50, 70, 90, 150])], ""),  # the lower edge may cut people
        ([("pedestrian", [0, 20, 40, 120])], ""),  # stays at an edge
        ([("car", [0, 50, 100, 120])], ""),
        ([("car", [0, 50, 40, 120])], "cut by the image edge"),
        ([("car", [0, 80, 100, 150])], "cut by the image edge"),  # a corner
        ([("motorcycle", [0, 50, 100, 120])], "cut by the image edge"),
        ([("car", [50, 50, 150, 120]), ("car", [100, 60, 190, 130])], "covered"),
        ([("car", [50, 50, 150, 120]), ("car", [100, 20, 190, 90])], ""),  # the other one is behind
    ],
)
def test_what_is_worth_cutting(rows, reason):
    found = boxes(*rows)
    assert rules.refusal(next(rules.candidates(found)), found, (150, 200)) == reason


@pytest.mark.parametrize(
    ("area", "reason"),
    [
        ((20, 10, 80, 70), ""),
        ((20, 10, 80, 60), "extent"),  # without its wheels
        ((20, 10, 40, 70), "area"),
        ((0, 0, 0, 0), "area"),
    ],
)
def test_masks_of_vehicles_span_their_boxes_down_to_the_wheels(area, reason):
    mask = np.zeros((80, 100), np.uint8)
    mask[area[1] : area[3], area[0] : area[2]] = 1
    candidate = rules.Candidate(("car",), ((20, 8, 80, 72),))
    assert rules.mask_refusal(mask, candidate, "grabcut", 1.0) == reason
    assert rules.mask_refusal(mask, candidate, "grabcut", 0.5) == "uncertain mask"


def test_a_mask_in_two_parts_is_refused():
    mask = np.zeros((120, 60), np.uint8)
    mask[10:55, 10:50] = mask[60:110, 10:50] = 1
    candidate = rules.Candidate(("pedestrian",), ((8, 10, 60, 110),))
    assert rules.mask_refusal(mask, candidate, "polygon", 1.0) == "several parts"


def test_blurred_and_grey_pictures_are_noticed():
    image = scene(PERSON)
    mask = (image[..., 2] > image[..., 1]).astype(np.uint8)
    assert rules.sharpness(image, mask) > rules.SHARP > rules.sharpness(cv2.GaussianBlur(image, (0, 0), 6), mask)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert rules.coloured(image)
    assert not rules.coloured(grey)


def test_the_view_of_a_person_is_centred_and_holds_the_box():
    view = square_view((100, 50, 140, 150), 1.25)
    np.testing.assert_allclose(view @ (120, 100, 1), (INPUT / 2, INPUT / 2))
    np.testing.assert_allclose(view @ (120, 50, 1), (INPUT / 2, INPUT * 0.1))


def test_a_missing_pose_network_says_where_to_get_it(tmp_path):
    with pytest.raises(DataError, match="mediapipe"):
        PersonMatting(tmp_path / "pose.tflite")
