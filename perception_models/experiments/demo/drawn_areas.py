"""Streets drawn by hand on some of the real images: where the sidewalk begins, and what else no detector labels.

drawn_areas.json: {set: {image: {areas, boxes}}} for the sets of recipe.LABELLED; coordinates are thousandths of the image's width
and height. An area is {class, polygon} or {class, line, width}; later ones lie on top of earlier ones. The classes are
those of the semantic map, and "void" for what is none of them. Areas show the street as if nobody were on it: objects
keep the labels that they have.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.boxes import iou_matrix
from perception_models.data.labels import DRIVABLE, IGNORE, SEMANTIC
from perception_models.data.readers.folder import LabelledFolder
from perception_models.data.sample import Sample
from perception_models.experiments.demo.recipe import Echo, Recipe
from perception_models.training.distill.maps import BOXED, HEADS, touched

AREAS = Path(__file__).with_name("drawn_areas.json")
FOLDER = "drawn"  # beside the sets, with a copy of every image that has areas
UNDRAWN, VOID = 254, 253
IN_FRONT = ("pole", "sign or signal", "void", *BOXED)  # drawn over labelled objects, too
FINER = 8  # than the mask that areas are drawn in: OpenCV draws whole pixels, and lines a little wider
BORDER = 0.004  # width of the unlabelled strip between two areas, as a share of the image's width
SAME = 0.3  # IoU from which a drawn box and a labelled one are the same object


def draw_areas(recipe: Recipe, echo: Echo) -> None:
    """Put the areas into the masks and boxes of the labelled sets, and copy their images into one folder of their own."""
    out = recipe.data / "real" / FOLDER
    frames = []
    for name, images in json.loads(AREAS.read_text("utf-8")).items():
        frames += _draw_set(recipe.data / "real" / name, images, out)
    (out / "labels/det_20").mkdir(parents=True, exist_ok=True)
    (out / "labels/det_20/det.json").write_text(json.dumps(frames), "utf-8")
    echo(f"{len(frames)} images with areas drawn by hand in {out}")


def _draw_set(folder: Path, images: dict[str, Any], out: Path) -> list[dict[str, Any]]:
    """The frames of the images with areas."""
    path = folder / "labels/det_20/det.json"
    frames = json.loads(path.read_text("utf-8"))
    by_name = {frame["name"]: frame for frame in frames}
    samples = LabelledFolder(folder)
    for index, name in enumerate(samples.names):
        if name in images:
            sample = samples[index]
            _copy(sample, folder, out, masks(sample, images[name]["areas"]))
            by_name[name]["labels"] = with_boxes(by_name[name], images[name]["boxes"], sample.image.shape[:2])
    path.write_text(json.dumps(frames), "utf-8")
    return [by_name[name] for name in samples.names if name in images]


def _copy(sample: Sample, folder: Path, out: Path, drawn: dict[str, np.ndarray]) -> None:
    for head, mask in drawn.items():
        for parent in (folder, out):
            path = parent / "labels" / HEADS[head] / f"{Path(sample.name).stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), mask)
    (out / "images").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "images" / sample.name, out / "images" / sample.name)


def masks(sample: Sample, areas: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """{"drivable", "semantic"}: (H, W) uint8 ids of the sample with areas on top; drivable only where it has a mask.

    Road that is drawn says nothing about whose direction it is; everything else that is drawn is not drivable.
    """
    size = sample.image.shape[:2]
    area, semantic = area_mask(areas, size), _or_unknown(sample.semantic, size)
    front = np.isin(area, [_id(name) for name in IN_FRONT])
    objects = [SEMANTIC.index(name) for name in BOXED]
    covered = np.isin(semantic, objects) | touched(sample, [c for each in BOXED.values() for c in each], -0.1)
    used = (area != UNDRAWN) & (front | ~covered)
    drawn = np.where(area == VOID, IGNORE, area).astype(np.uint8)
    found = {"semantic": np.where(used, drawn, semantic)}
    if sample.drivable is not None:
        road, border = area == SEMANTIC.index("road"), area == IGNORE
        beside = np.where(border | (road & (sample.drivable == DRIVABLE.index("background"))), IGNORE, 0)
        kept = ~used | (road & (beside != IGNORE))
        found["drivable"] = np.where(kept, sample.drivable, beside).astype(np.uint8)
    return found


def _or_unknown(mask: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
    return np.full(size, IGNORE, np.uint8) if mask is None else mask


def _id(name: str) -> int:
    return VOID if name == "void" else SEMANTIC.index(name)


def area_mask(areas: list[dict[str, Any]], size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: class ids, VOID, UNDRAWN, and IGNORE in a strip along the borders between areas."""
    fine = np.full((size[0] * FINER, size[1] * FINER), UNDRAWN, np.uint8)
    for area in areas:
        _fill(fine, area)
    mask = fine[FINER // 2 :: FINER, FINER // 2 :: FINER]
    return np.where(_borders(mask), np.uint8(IGNORE), mask)


def _fill(mask: np.ndarray, area: dict[str, Any]) -> None:
    scale = np.array(mask.shape[::-1]) / 1000
    points = np.round(np.array(area.get("polygon") or area["line"], float) * scale).astype(np.int32)
    if "polygon" in area:
        cv2.fillPoly(mask, [points], _id(area["class"]))
    else:
        cv2.polylines(mask, [points], False, _id(area["class"]), max(round(area["width"] * scale[0]) - 2, FINER))


def _borders(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: near another area; thin things in front of an area make no border."""
    width = max(round(BORDER * mask.shape[1]), 1)
    near = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    behind = (mask != UNDRAWN) & ~np.isin(mask, [_id(name) for name in IN_FRONT])
    highest = cv2.dilate(np.where(behind, mask, 0).astype(np.uint8), near)
    lowest = cv2.erode(np.where(behind, mask, 255).astype(np.uint8), near)
    return np.asarray(behind & (highest > lowest))


def with_boxes(frame: dict[str, Any], boxes: list[dict[str, Any]], size: tuple[int, int]) -> list[dict[str, Any]]:
    """The labels of the frame and the drawn boxes; labelled boxes of the same object give way."""
    scale = np.array([*size[::-1], *size[::-1]]) / 1000
    labels = [label for label in frame.get("labels") or () if label["attributes"].get("source") != "drawn"]
    for number, each in enumerate(boxes):
        corners = [round(float(value), 1) for value in np.array(each["box"]) * scale]
        labels = [label for label in labels if not _same(label, each["category"], corners)]
        labels.append({
            "id": f"{Path(frame['name']).stem}-drawn-{number}",
            "category": each["category"],
            "attributes": {"source": "drawn"},
            "box2d": dict(zip(("x1", "y1", "x2", "y2"), corners)),
        })  # fmt: skip
    return labels


def _same(label: dict[str, Any], category: str, corners: list[float]) -> bool:
    box = [label["box2d"][side] for side in ("x1", "y1", "x2", "y2")]
    return label["category"] == category and float(iou_matrix(np.array([box]), np.array([corners]))[0, 0]) > SAME
