"""Streets drawn on some of the real images, polygon by polygon: sidewalks and whatever else no detector labels.

drawn_areas.json  {set of recipe.LABELLED: {image: {"areas": [...], "boxes": [...], "unlabelled": [...]}}}
area              {class, polygon} or {class, line, width}; later areas cover earlier ones
class             a name of labels.SEMANTIC, or "void": none of them, not drivable
box               {category, box: [x0, y0, x1, y1]}, traffic signs and lights only: all clear ones of the image
unlabelled        categories that it may show without a box all the same
Coordinates are thousandths of the image's width (x, width of a line) and height (y).

Ground and background leave labelled objects as they are; poles, signs, void and drawn objects cover them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import typer

from camera_perception.core.boxes import iou_matrix
from perception_models.data.files import DataError
from perception_models.data.labels import DRIVABLE, IGNORE, SEMANTIC
from perception_models.data.readers.folder import LabelledFolder
from perception_models.data.sample import Sample
from perception_models.experiments.demo.recipe import Echo, Recipe
from perception_models.training.distill.maps import BOXED, touched, write_masks

AREAS = Path(__file__).with_name("drawn_areas.json")
FOLDER = "drawn"  # beside the sets, with a copy of every image that has areas
UNDRAWN, VOID = 254, 253  # in masks of areas, beside the ids of SEMANTIC and IGNORE
IN_FRONT = ("pole", "sign or signal", "void", *BOXED)  # these cover labelled objects, too, and make no border
FINER = 8  # areas are drawn at so many times the size of the mask: OpenCV fills whole pixels
WIDENED = 2  # pixels that OpenCV adds to a line
BORDER = 0.004  # half the width of the unlabelled strip between two areas, as a share of the image's width
SAME = 0.3  # IoU above which a drawn box replaces a labelled one of its category
DRAWN = ("traffic sign", "traffic light")  # categories of drawn boxes
LOWEST, NARROWEST = 6, 3  # pixels; smaller boxes are ignored (DATA.md)

Areas = list[dict[str, Any]]


def draw_areas(recipe: Recipe, echo: Echo) -> None:
    """Draw on the labelled sets, and copy their drawn images into one folder: trained on twice, they count for more.

    After a change of the file label the sets again: what is drawn replaces labels. DataError if a set lacks an image.
    """
    out, frames = recipe.data / "real" / FOLDER, []
    shutil.rmtree(out, ignore_errors=True)
    for name, images in json.loads(AREAS.read_text("utf-8")).items():
        frames += _draw_set(recipe.data / "real" / name, images, out)
    (out / "labels/det_20").mkdir(parents=True, exist_ok=True)
    _write(out / "labels/det_20/det.json", frames)
    echo(f"{len(frames)} images with drawn streets in {out}")


def _draw_set(folder: Path, images: dict[str, Any], out: Path) -> list[dict[str, Any]]:
    """Draw on one set and copy its drawn images to `out`; returns their frames."""
    path = folder / "labels/det_20/det.json"
    frames = {frame["name"]: frame for frame in json.loads(path.read_text("utf-8"))} if path.is_file() else {}
    samples = LabelledFolder(folder)
    missing = sorted(images.keys() - (frames.keys() & set(samples.names)))
    if missing:
        raise DataError(f"{folder}: lacks {len(missing)} images of {AREAS.name}: {missing[0]}; label it again")
    for index, name in enumerate(samples.names):
        if name in images:
            sample, drawn = samples[index], images[name]
            frames[name]["labels"] = with_boxes(frames[name], drawn["boxes"], sample.size)
            frames[name]["unlabelled"] = still_unlabelled(frames[name], drawn)
            _save(folder, out, name, with_areas(sample, drawn["areas"]))
    _write(path, list(frames.values()))
    return [frames[name] for name in samples.names if name in images]


def _save(folder: Path, out: Path, name: str, masks: dict[str, np.ndarray]) -> None:
    (out / "images").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "images" / name, out / "images" / name)
    write_masks(folder, name, masks)
    write_masks(out, name, masks)


def _write(path: Path, frames: list[dict[str, Any]]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(frames), "utf-8")
    part.replace(path)


def with_areas(sample: Sample, areas: Areas) -> dict[str, np.ndarray]:
    """{"semantic", "drivable"}: (H, W) uint8 ids, the masks of the sample with the areas drawn over them.

    drivable  only if the sample has such a mask. Drawn road keeps its direction, or has none (255) where the mask says
              background; everything else that is drawn is not drivable.
    """
    drawn = area_mask(areas, sample.size)
    visible = (drawn != UNDRAWN) & (_in_front(drawn) | ~_objects(sample))
    before = np.full(sample.size, IGNORE, np.uint8) if sample.semantic is None else sample.semantic
    masks = {"semantic": np.where(visible, np.where(drawn == VOID, np.uint8(IGNORE), drawn), before)}
    if sample.drivable is not None:
        masks["drivable"] = np.where(visible, _drivable(drawn, sample.drivable), sample.drivable)
    return masks


def _drivable(drawn: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(H, W) uint8 drivable ids of drawn areas; `before` is the mask of the sample."""
    background = DRIVABLE.index("background")
    on_road = np.where(before == background, IGNORE, before)
    other = np.where(drawn == IGNORE, IGNORE, background)
    return np.where(drawn == SEMANTIC.index("road"), on_road, other).astype(np.uint8)


def _objects(sample: Sample) -> np.ndarray:
    """(H, W) bool: labelled as an object, or in the middle of its box."""
    boxed = touched(sample, [name for names in BOXED.values() for name in names], -0.1)
    if sample.semantic is None:
        return boxed
    return np.asarray(boxed | np.isin(sample.semantic, [SEMANTIC.index(name) for name in BOXED]))


def area_mask(areas: Areas, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: class ids, VOID, UNDRAWN, and IGNORE in a strip along the borders between areas."""
    fine = np.full((size[0] * FINER, size[1] * FINER), UNDRAWN, np.uint8)
    for area in areas:
        _fill(fine, area)
    mask = fine[FINER // 2 :: FINER, FINER // 2 :: FINER]
    return np.where(_borders(mask), np.uint8(IGNORE), mask)


def _fill(mask: np.ndarray, area: dict[str, Any]) -> None:
    """Draw an area into a mask (H, W) uint8, in place."""
    scale = np.array(mask.shape[::-1]) / 1000
    points = np.round(np.array(area.get("polygon") or area["line"], float) * scale).astype(np.int32)
    if "polygon" in area:
        cv2.fillPoly(mask, [points], _id(area["class"]))
    else:
        width = max(round(area["width"] * scale[0]) - WIDENED, FINER)
        cv2.polylines(mask, [points], False, _id(area["class"]), width)


def _borders(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of an area near another area. Areas IN_FRONT make no border."""
    width = max(round(BORDER * mask.shape[1]), 1)
    near = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    behind = (mask != UNDRAWN) & ~_in_front(mask)
    highest = cv2.dilate(np.where(behind, mask, 0).astype(np.uint8), near)
    lowest = cv2.erode(np.where(behind, mask, 255).astype(np.uint8), near)
    return np.asarray(behind & (highest > lowest))


def _in_front(mask: np.ndarray) -> np.ndarray:
    return np.isin(mask, [_id(name) for name in IN_FRONT])


def _id(name: str) -> int:
    return VOID if name == "void" else SEMANTIC.index(name)


def still_unlabelled(frame: dict[str, Any], drawn: dict[str, Any]) -> list[str]:
    """Categories without complete boxes: those of the frame but for DRAWN, and what the drawing leaves out itself.

    With them, what a network finds elsewhere is no error: it learns, and is calibrated, to find signs everywhere.
    """
    return sorted({*frame.get("unlabelled", ())} - {*DRAWN} | {*drawn.get("unlabelled", ())})


def with_boxes(frame: dict[str, Any], boxes: Areas, size: tuple[int, int]) -> list[dict[str, Any]]:
    """The labels of the frame and the drawn boxes, which replace labelled ones of the same object but keep its colour.

    size  (height, width) of the image, pixels
    """
    labels = [label for label in frame.get("labels") or () if _attributes(label).get("source") != "drawn"]
    drawn = [_label(f"{Path(frame['name']).stem}-drawn-{k}", box, labels, size) for k, box in enumerate(boxes)]
    return [label for label in labels if not any(_same(label, each) for each in drawn)] + drawn


def _label(name: str, drawn: dict[str, Any], labels: Areas, size: tuple[int, int]) -> dict[str, Any]:
    corners = [round(float(value), 1) for value in np.array(drawn["box"]) * [*size[::-1], *size[::-1]] / 1000]
    label = {"id": name, "category": drawn["category"], "box2d": dict(zip(("x1", "y1", "x2", "y2"), corners))}
    colors = {_attributes(each).get("trafficLightColor") for each in labels if _same(each, label)} - {None}
    attributes: dict[str, Any] = {"source": "drawn"} | ({"trafficLightColor": colors.pop()} if len(colors) == 1 else {})
    if corners[3] - corners[1] < LOWEST or corners[2] - corners[0] < NARROWEST:
        attributes["ignored"] = True
    return label | {"attributes": attributes}


def _attributes(label: dict[str, Any]) -> dict[str, Any]:
    return label.get("attributes") or {}


def _same(label: dict[str, Any], other: dict[str, Any]) -> bool:
    corners = [np.array([[each["box2d"][side] for side in ("x1", "y1", "x2", "y2")]]) for each in (label, other)]
    return label["category"] == other["category"] and float(iou_matrix(*corners)[0, 0]) > SAME


def main(data: Path = Path("data")) -> None:
    """Draw on the labelled sets DATA/real/coco, openimages and driveai, and make DATA/real/drawn."""
    draw_areas(Recipe(data=data), print)


if __name__ == "__main__":
    typer.run(main)
