"""Streets drawn on some of the real images, polygon by polygon: sidewalks and whatever else no detector labels.

drawn_areas.json  {set of recipe.LABELLED: {image: {"areas": [...], "boxes": [...], "unlabelled": [...]}}}
area              {class, polygon} or {class, line, width}; later areas cover earlier ones
class             a name of labels.SEMANTIC, or "void": none of them, not drivable
box               {category, box: [x0, y0, x1, y1]}: all clear traffic signs and lights of an image with areas, and
                  people of whom detectors did not say whether they are pedestrians or riders
unlabelled        categories that an image with areas may show without a box all the same
Coordinates are thousandths of the image's width (x, width of a line) and height (y).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import typer

from perception_models.data.files import DataError
from perception_models.data.readers.folder import LabelledFolder
from perception_models.experiments.demo.drawn_boxes import still_unlabelled, with_boxes
from perception_models.experiments.demo.drawn_masks import with_areas
from perception_models.experiments.demo.recipe import Echo, Recipe
from perception_models.training.distill.maps import write_masks

AREAS = Path(__file__).with_name("drawn_areas.json")
FOLDER = "drawn"  # beside the sets, with a copy of every image that has areas


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
            if drawn["areas"]:
                frames[name]["unlabelled"] = still_unlabelled(frames[name], drawn)
                _save(folder, out, name, with_areas(sample, drawn["areas"]))
    _write(path, list(frames.values()))
    return [frames[name] for name in samples.names if name in images and images[name]["areas"]]


def _save(folder: Path, out: Path, name: str, masks: dict[str, np.ndarray]) -> None:
    (out / "images").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "images" / name, out / "images" / name)
    write_masks(folder, name, masks)
    write_masks(out, name, masks)


def _write(path: Path, frames: list[dict[str, Any]]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(frames), "utf-8")
    part.replace(path)


def main(data: Path = Path("data")) -> None:
    """Draw on the labelled sets DATA/real/coco, openimages and driveai, and make DATA/real/drawn."""
    draw_areas(Recipe(data=data), print)


if __name__ == "__main__":
    typer.run(main)
