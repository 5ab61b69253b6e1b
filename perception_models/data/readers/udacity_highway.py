"""Builds one labelled folder from the MIT highway frames: lane lines, and boxes and areas drawn for this project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import typer

ANNOTATIONS = Path(__file__).with_name("annotations")
SIZE = (540, 960)  # height, width of every frame
BACKGROUND, ROAD, IGNORE = 0, 1, 255


def drivable_mask(areas: dict[str, Any], frame: dict[str, Any]) -> np.ndarray:
    """(540, 960) uint8: road and background as annotated by hand, ignore between them and on vehicles."""
    camera = "left" if frame["name"] in areas["frames"]["left"] else "video"
    mask = np.full(SIZE, IGNORE, np.uint8)
    cv2.fillPoly(mask, [np.array(polygon, np.int32) for polygon in areas[camera]["background"]], BACKGROUND)
    cv2.fillPoly(mask, [np.array(areas[camera]["road"], np.int32)], ROAD)
    for label in frame["labels"]:
        box = label["box2d"]
        corners = (int(box["x1"]), int(box["y1"])), (int(box["x2"]), int(box["y2"]))
        cv2.rectangle(mask, *corners, IGNORE, cv2.FILLED)
    return mask


def build(source: Path, out: Path) -> int:
    """Write the labelled folder (layout of DATA.md) and return its number of images."""
    frames = json.loads((ANNOTATIONS / "udacity_highway_960.det.json").read_text())
    areas = json.loads((ANNOTATIONS / "udacity_highway_960.areas.json").read_text())
    folders = [out / part for part in ("images", "labels/det_20", "labels/lane", "labels/drivable/masks")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        shutil.copyfile(source / "images" / frame["name"], folders[0] / frame["name"])
        cv2.imwrite(str(folders[3] / f"{Path(frame['name']).stem}.png"), drivable_mask(areas, frame))
    (folders[1] / "det.json").write_text(json.dumps(frames))
    shutil.copyfile(source / "labels/lane/lane.json", folders[2] / "lane.json")
    return len(frames)


def main(source: Path = Path("../shared/data/labelled/udacity_highway_960"), out: Path = Path("data/highway")) -> None:
    """Combine frames, lane lines, boxes and areas in one labelled folder."""
    print(f"{build(source, out)} images in {out}")


if __name__ == "__main__":
    typer.run(main)
