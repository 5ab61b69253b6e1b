"""Labelled folders: layout, reproducibility and resumption."""

from __future__ import annotations

import json

import cv2
import numpy as np

from driving_scenes.output import shot
from driving_scenes.output.dataset import make_dataset, name, write_shot

CATEGORIES = {
    *("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light", "traffic sign")
}
TYPES = {
    *("solid", "dashed", "double_solid", "double_dashed", "solid_dashed", "dashed_solid", "botts_dots"),
    *("road_edge", "curb"),
}
ROLES = {"ego_left", "ego_right", "left_2", "left_3", "right_2", "right_3", "other"}


def test_the_same_seed_gives_the_same_image(rendered_folder, recipe, tmp_path):
    shot._world.cache_clear()
    write_shot(tmp_path, name(0, 2), shot.random_shot(0, 2, recipe["size"]))
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 4
    for path in written:
        assert (tmp_path / path).read_bytes() == (rendered_folder / path).read_bytes()
    images = rendered_folder / "images"
    assert (images / f"{name(0, 2)}.jpg").read_bytes() != (images / f"{name(0, 3)}.jpg").read_bytes()


def test_the_folder_has_the_documented_layout(rendered_folder, recipe):
    names = [f"{name(0, i)}.jpg" for i in range(5)]
    labels = rendered_folder / "labels"
    det, lane = (json.loads((labels / path).read_text()) for path in ("det_20/det.json", "lane/lane.json"))
    truth = [json.loads(line)["name"] for line in (rendered_folder / "truth/truth.jsonl").read_text().splitlines()]
    assert [f["name"] for f in det] == names == [f["name"] for f in lane] == truth
    for frame in det:
        assert set(frame["attributes"]) == {"weather", "scene", "timeofday"}
        for box in frame["labels"]:
            assert box["category"] in CATEGORIES
            assert {"occluded", "truncated", "trafficLightColor"} <= set(box["attributes"])
    for frame in lane:
        for line in frame["labels"]:
            attributes, poly = line["attributes"], line["poly2d"][0]
            assert attributes["role"] in ROLES
            assert attributes["lineType"] in TYPES
            assert len(poly["types"]) == len(poly["vertices"])
    width, height = recipe["size"]
    for i in range(5):
        assert cv2.imread(str(rendered_folder / "images" / names[i])).shape == (height, width, 3)
        drivable = cv2.imread(str(labels / f"drivable/masks/{name(0, i)}.png"), cv2.IMREAD_UNCHANGED)
        semantic = cv2.imread(str(labels / f"sem_seg/masks/{name(0, i)}.png"), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(drivable)) <= {0, 1, 2, 255}
        assert set(np.unique(semantic)) <= {*range(11), 255}


def test_an_interrupted_run_is_resumed_and_keeps_what_is_there(rendered_folder, recipe):
    image = rendered_folder / "images" / f"{name(0, 0)}.jpg"
    before = image.stat().st_mtime_ns
    assert make_dataset(rendered_folder, **recipe) == 5
    assert image.stat().st_mtime_ns == before
