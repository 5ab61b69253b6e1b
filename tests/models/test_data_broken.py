"""Broken files: truncated, half copied, of the wrong size, with invalid content."""

import json
import math
import shutil

import cv2
import numpy as np
import pytest
from test_data_readers import bdd_2018, bdd_2020, bdd_first, box, write_image, write_json, write_mask

from perception_models.data import DataError, open_dataset, open_mix
from perception_models.data.curation.inspect import check, table
from perception_models.data.registry import find_datasets, find_entries

JUNK = (None, "x", math.nan, math.inf, -1, [], {}, [[1, 2, 3]], True)


def coco(root):
    write_image(root / "val2017/a.jpg")
    label = {"id": 1, "image_id": 5, "category_id": 3, "bbox": [10, 20, 30, 40], "iscrowd": 0, "attributes": {"k": 1}}
    data = {
        "images": [{"id": 5, "file_name": "a.jpg", "height": 72, "width": 128}],
        "categories": [{"id": 3, "name": "car"}],
        "annotations": [label],
    }
    write_json(root / "annotations/instances_val2017.json", data)


def tusimple(root):
    write_image(root / "clips/1/20.jpg")
    write_json(
        root / "label_data_0313.json", {"raw_file": "clips/1/20.jpg", "lanes": [[-2, 60]], "h_samples": [20, 30]}
    )


def labelled(root):
    write_image(root / "images/a.jpg")
    line = {"id": "l", "attributes": {"role": "ego_left"}, "poly2d": [{"vertices": [[6, 3], [5, 5]], "types": "LL"}]}
    write_json(root / "labels/det_20/det.json", [{"name": "a.jpg", "attributes": {"weather": "x"}, "labels": [box()]}])
    write_json(root / "labels/lane/lane.json", [{"name": "a.jpg", "labels": [line]}])


def bdd(write):
    def written(root):
        write_image(root / "images/100k/val/a.jpg")
        write(root)
        for path in root.rglob("*_train.json"):
            path.rename(path.with_name(path.name.replace("train", "val")))
        for path in root.rglob("train"):
            path.rename(path.with_name("val"))

    return written


def paths_in(value, path=()):
    """The path to every value inside a JSON value."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from paths_in(one, (*path, key))


def replaced(value, path, junk):
    if not path:
        return junk
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], junk)
    return copy


def corrupted(text):
    """The file with one of its values replaced by junk, for every value."""
    whole = json.loads(text)
    for number, path in enumerate(paths_in(whole)):
        for junk in JUNK[number % 3 :: 3]:
            yield json.dumps(replaced(whole, path, junk))


@pytest.mark.parametrize("write", [labelled, bdd(bdd_2020), bdd(bdd_2018), bdd(bdd_first), coco, tusimple])
def test_any_junk_in_a_label_file_is_read_or_reported_with_the_file_name(tmp_path, write):
    write(tmp_path)
    messages = []
    for path in sorted(tmp_path.rglob("*.json")):
        whole = path.read_text()
        for text in corrupted(whole):
            path.write_text(text)
            try:
                ((_, data),) = find_datasets(tmp_path).values()
                sample = data[0]
            except DataError as error:
                messages.append(str(error))
                continue
            assert sample.boxes is None or np.isfinite(sample.boxes.boxes).all(), text
            assert all(np.isfinite(line.points).all() for line in (sample.lanes.lines if sample.lanes else ())), text
        path.write_text(whole)
    assert messages
    assert all(str(tmp_path) in text for text in messages)


@pytest.mark.parametrize("write", [labelled, bdd(bdd_2020), bdd(bdd_2018), bdd(bdd_first), coco, tusimple])
def test_a_truncated_label_file_is_reported_once(tmp_path, write):
    write(tmp_path / "set")
    for path in sorted((tmp_path / "set").rglob("*.json")):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        (counts,) = check(tmp_path).values()
        assert [path.name in text for text in counts.broken] == [True]
        path.write_bytes(whole)


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_image_is_reported(tmp_path, kept, suffix):
    path = tmp_path / f"images/a{suffix}"
    path.parent.mkdir()
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (72, 128, 3), np.uint8))
    whole = path.read_bytes()
    assert open_dataset("labelled", tmp_path)[0].size == (72, 128)
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(DataError, match=f"a{suffix}"):
        open_dataset("labelled", tmp_path)[0]


@pytest.mark.parametrize(
    "row", ["Car 0 0 0 9 20 3 40", "Car 0 0 0 1 nan 3 4", "Car 0 0 0 1 2 inf 4", "Car 0 0 0 1 2 3"]
)
def test_an_invalid_kitti_box_is_reported(tmp_path, row):
    write_image(tmp_path / "image_2/000000.png")
    (tmp_path / "label_2").mkdir()
    (tmp_path / "label_2/000000.txt").write_text(row)
    with pytest.raises(DataError, match=r"000000.txt: line 1"):
        open_dataset("kitti", tmp_path)[0]


def test_a_kitti_dontcare_box_is_ignored_for_every_class(tmp_path):
    write_image(tmp_path / "image_2/000000.png")
    (tmp_path / "label_2").mkdir()
    (tmp_path / "label_2/000000.txt").write_text("DontCare -1 -1 -10 1 2 30 40 -1 -1 -1 -1000 -1000 -1000 -10")
    out = open_dataset("kitti", tmp_path)[0]
    assert set(out.boxes.classes) == out.known_classes
    assert out.boxes.ignored.all()


def test_an_invalid_kitti_calibration_is_reported(tmp_path):
    write_image(tmp_path / "image_2/000000.png")
    for name, text in (("label_2", ""), ("calib", "P2: 1 2 three")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "000000.txt").write_text(text)
    with pytest.raises(DataError, match=r"calib/000000.txt"):
        open_dataset("kitti", tmp_path)[0]


def test_invalid_culane_points_are_reported(tmp_path):
    write_image(tmp_path / "driver_1/v.MP4/0.jpg")
    (tmp_path / "list").mkdir()
    (tmp_path / "list/val.txt").write_text("/driver_1/v.MP4/0.jpg\n")
    (tmp_path / "driver_1/v.MP4/0.lines.txt").write_text("40 70 nan 50\n")
    with pytest.raises(DataError, match=r"0.lines.txt: line 1"):
        open_dataset("culane", tmp_path, split="val")[0]


def test_labels_that_name_no_image_are_an_error(tmp_path):
    labelled(tmp_path)
    write_json(tmp_path / "labels/det_20/det.json", [{"name": "a.png", "labels": [box()]}])
    with pytest.raises(DataError, match=r"det.json: labels no existing image.*'a.png'.*'a.jpg'"):
        open_dataset("labelled", tmp_path)[0]


def test_labels_of_missing_images_are_counted(tmp_path):
    labelled(tmp_path)
    write_mask(tmp_path / "labels/drivable/masks/c.png", [0, 1])
    write_json(tmp_path / "labels/det_20/det.json", [{"name": f"{n}.jpg", "labels": [box()]} for n in "ab"])
    (counts,) = check(tmp_path).values()
    assert counts.orphans == ["b.jpg", "c.png"]
    assert "b.jpg, c.png" in table(counts)
    assert not counts.broken


def test_boxes_outside_the_image_are_reported(tmp_path):
    labelled(tmp_path)
    far = {**box(), "box2d": {"x1": 500, "y1": 20, "x2": 600, "y2": 40}}
    write_json(tmp_path / "labels/det_20/det.json", [{"name": "a.jpg", "labels": [box(), far]}])
    (counts,) = check(tmp_path).values()
    assert len(counts.broken) == 1
    assert counts.broken[0].startswith("a.jpg: 1 boxes")


def test_unknown_coco_classes_are_reported(tmp_path):
    coco(tmp_path)
    path = tmp_path / "annotations/instances_val2017.json"
    data = json.loads(path.read_text())
    write_json(path, {**data, "categories": [*data["categories"], {"id": 4, "name": "Ape"}]})
    (counts,) = check(tmp_path).values()
    assert "unknown classes: Ape" in table(counts)
    write_json(path, {**data, "categories": [{"id": 3, "name": "Ape"}]})
    with pytest.raises(DataError, match="no category among"):
        find_datasets(tmp_path)


def test_a_coco_image_of_the_wrong_size_is_reported(tmp_path):
    coco(tmp_path)
    write_image(tmp_path / "val2017/a.jpg", size=(36, 64))
    with pytest.raises(DataError, match=r"a.jpg: 64x36 pixels.*128x72"):
        open_dataset("coco", tmp_path / "annotations/instances_val2017.json")[0]


def test_bdd100k_with_drivable_areas_only(tmp_path):
    write_image(tmp_path / "images/100k/train/a.jpg")
    bdd_2020(tmp_path)
    shutil.rmtree(tmp_path / "labels/det_20")
    shutil.rmtree(tmp_path / "labels/lane")
    out = open_dataset("bdd100k", tmp_path)[0]
    assert (out.boxes, out.lanes) == (None, None)
    assert out.drivable[[5, 40, 65], 64].tolist() == [0, 2, 1]
    shutil.rmtree(tmp_path / "labels/drivable")
    with pytest.raises(DataError, match="det_train.json"):
        open_dataset("bdd100k", tmp_path)


@pytest.mark.parametrize("write", [bdd_2018, bdd_first])
def test_an_image_that_old_bdd100k_files_do_not_mention_is_not_labelled(tmp_path, write):
    for name in "ab":
        write_image(tmp_path / f"images/100k/train/{name}.jpg")
    write(tmp_path)
    out = open_dataset("bdd100k", tmp_path)[1]
    assert (out.boxes, out.lanes, out.drivable, set(out.scene.values())) == (None, None, None, {-1})


def test_a_folder_of_labels_of_other_images_is_an_error(tmp_path):
    write_image(tmp_path / "images/100k/train/b.jpg")
    bdd_first(tmp_path)
    with pytest.raises(DataError, match="such as b.json"):
        open_dataset("bdd100k", tmp_path)


def test_bdd100k_areas_as_polygons(tmp_path):
    write_image(tmp_path / "images/100k/train/a.jpg")
    bdd_2020(tmp_path)
    shutil.rmtree(tmp_path / "labels/drivable/masks")
    corners = {
        "direct": [[0, 36], [128, 36], [128, 72], [0, 72]],
        "alternative": [[0, 0], [128, 0], [128, 36], [0, 36]],
    }
    labels = [
        {"category": name, "poly2d": [{"vertices": points, "types": "LLLL", "closed": True}]}
        for name, points in corners.items()
    ]
    write_json(tmp_path / "labels/drivable/polygons/drivable_train.json", [{"name": "a.jpg", "labels": labels}])
    assert open_dataset("bdd100k", tmp_path)[0].drivable[[5, 65], 64].tolist() == [2, 1]


def test_a_mask_that_is_added_later_makes_a_new_cache(tmp_path):
    """An interrupted download that is resumed."""
    from perception_models.data.cache import cached

    write_image(tmp_path / "images/100k/train/a.jpg")
    bdd_2020(tmp_path)
    mask = tmp_path / "labels/drivable/masks/train/a.png"
    mask.rename(tmp_path / "later.png")
    assert cached(open_dataset("bdd100k", tmp_path), tmp_path / "cache", (72, 128))[0].drivable is None
    (tmp_path / "later.png").rename(mask)
    assert cached(open_dataset("bdd100k", tmp_path), tmp_path / "cache", (72, 128))[0].drivable is not None


def test_cache_data_makes_the_cache_that_training_uses(tmp_path):
    write_image(tmp_path / "set/images/100k/train/a.jpg")
    bdd_2020(tmp_path / "set")
    written = {"kind": "bdd100k", "path": str(tmp_path / "set"), "weight": 0.5}
    for entry in (*find_entries(tmp_path / "set", "train"), written, {**written, "only": ["boxes"]}):
        open_mix([entry], tmp_path / "cache", (72, 128))
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 1


def test_a_coco_folder_is_found_by_its_split(tmp_path):
    coco(tmp_path / "set")
    shutil.copy(tmp_path / "set/annotations/instances_val2017.json", tmp_path / "set/annotations/captions_val2017.json")
    (entry,) = find_entries(tmp_path)
    assert entry == {"kind": "coco", "path": str(tmp_path / "set/annotations/instances_val2017.json")}
    assert find_entries(entry["path"]) == [entry]
    shutil.copy(entry["path"], tmp_path / "set/annotations/instances_val2014.json")
    with pytest.raises(DataError, match=r"instances_val2014.json, instances_val2017.json"):
        find_entries(tmp_path)


def test_two_folders_of_one_name_are_two_data_sets(tmp_path):
    for place in ("day", "night"):
        labelled(tmp_path / place / "test")
    found = find_datasets(tmp_path / "day/test", tmp_path / "night/test", tmp_path / "day/test")
    assert sorted(found) == ["day/test", "night/test"]
