"""The real pictures at hand and their labels. None of it is trained on here, and nothing is copied.

A labelled vehicle or person is a target, ignored, or, for CamVid, a component that must be verified first: CamVid's
boxes are connected components of its label map, which join touching cars and split hidden ones. One counts as an object
when tiled YOLOX-nano reports a box with an IoU of at least 0.7; the others are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from perception_models.data.files import list_images, read_image, read_json

Boxes = dict[str, np.ndarray]  # kind: (N, 4) float32 x0 y0 x1 y1 pixels
MOST = 150  # pictures per set, evenly spaced
MIN_PANDASET_HEIGHT = 25.0  # pixels of 1080; lower objects are ignored
MIN_VISIBLE = 0.5
DARK = 60  # mean of all pixels
# drive.ai frame: pixels inside marks of tiled YOLOX that are no traffic light (signs, trees, pedestrian signals) or do
# not fit one. All 218 marks from score 0.4 and height 30 px were looked at.
NOT_LIGHTS = {
    "0051": ((594, 154),),
    "0065": ((696, 223),),
    "0068": ((824, 244), (822, 241)),
    "0090": ((740, 255),),
    "0115": ((852, 173), (971, 215)),
    "0116": ((1029, 208), (1023, 92)),
    "0117": ((1108, 202), (1109, 220), (1098, 64)),
    "0118": ((107, 232), (1111, 203), (1101, 65)),
    "0119": ((108, 232), (1112, 202), (1038, 88), (1101, 65)),
    "0120": ((108, 231), (1111, 202), (1039, 90), (1100, 65)),
}
# Signs of drive.ai that tiled YOLOX finds (all are work zone signs), looked at: x0 y0 x1 y1.
NEAR_SIGNS = {
    "0001": ((824, 278, 878, 353),), "0004": ((947, 248, 1133, 461),), "0008": ((446, 297, 477, 330),),
    "0009": ((358, 297, 395, 330),), "0012": ((270, 336, 306, 372),), "0014": ((349, 360, 375, 396),),
    "0015": ((349, 362, 371, 397),), "0018": ((256, 338, 296, 382),), "0020": ((99, 343, 136, 385),),
}  # fmt: skip
CYCLES = ("motorcycle", "bicycle", "Motorcycle", "Bicycle")
VEHICLES = ("car", "truck", "bus", "train", "Car", "Truck", "Bus", "Ambulance")


@dataclass(frozen=True)
class Picture:
    """One picture. A kind that is missing in `targets` is not labelled.

    targets   boxes that must be found
    ignored   boxes that need not be found, and findings on which are no errors
    road      mask file: 1 road, 0 other, 255 unknown
    semantic  mask file of labels.SEMANTIC ids, 255 unknown
    cycles    boxes of two-wheelers, with rider or without
    signs     boxes of near traffic signs; not all are marked
    last_line (P, 2) pixels of the line at the right end of the road
    """

    path: Path
    targets: Boxes = field(default_factory=dict)
    ignored: Boxes = field(default_factory=dict)
    road: Path | None = None
    semantic: Path | None = None
    cycles: np.ndarray = field(default_factory=lambda: box_array(()))
    signs: np.ndarray = field(default_factory=lambda: box_array(()))
    last_line: np.ndarray | None = None

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass(frozen=True)
class RealSet:
    """Pictures of one source.

    light      "day", "dusk" or "" for pictures that are no drive
    components whether targets are CamVid's components, to be verified by a detector
    hood       fraction of rows at the bottom in which the own car is: label 255 there, or all of it; 0: none in view
    drive      all images of its drive in order, if the own car is in view: what `--ignore auto` learns from
    dry        no picture shows rain or snow
    road_lines whether lane lines are measured: pictures of a drive
    lights     whether near traffic lights are measured, which a detector marks and a person has checked
    """

    name: str
    pictures: tuple[Picture, ...]
    light: str = ""
    components: bool = False
    hood: float = 0.0
    drive: tuple[Path, ...] = ()
    dry: bool = False
    road_lines: bool = False
    lights: bool = False


def read_sets(data: Path, most: int = MOST) -> tuple[list[RealSet], list[str]]:
    """The sets whose files are in the folder, each with at most `most` pictures; the names of the missing ones."""
    sets, missing = [], []
    for name, (folder, read) in READERS.items():
        if (data / folder).is_dir():
            sets.append(read(name, data / folder, most))
        else:
            missing.append(f"{name} ({folder})")
    return sets, missing


def evenly(items: Sequence[Any], most: int) -> list[Any]:
    """At most `most` items, evenly spaced."""
    count = min(len(items), most)
    return [items[i * len(items) // count] for i in range(count)]


def _camvid(name: str, folder: Path, most: int) -> RealSet:
    dusk = name.endswith("dusk")
    rows = read_json(folder / "labels/det_components/det_components.json")
    rows = [row for row in rows if (row["attributes"]["timeofday"] == "dawn/dusk") == dusk]
    pictures = tuple(_camvid_picture(folder, row) for row in evenly(rows, most))
    drive = tuple(folder / "images" / row["name"] for row in rows) if dusk else ()
    return RealSet(
        name,
        pictures,
        "dusk" if dusk else "day",
        components=True,
        hood=0.06 if dusk else 0.0,
        drive=drive,
        dry=True,
        road_lines=True,
    )


def _camvid_picture(folder: Path, row: dict[str, Any]) -> Picture:
    boxes = {
        name: [list(label["box2d"].values()) for label in row["labels"] if label["category"] == name]
        for name in ("pedestrian", "vehicle", "bicyclist")
    }
    mask = Path(row["name"]).with_suffix(".png")
    return Picture(
        folder / "images" / row["name"],
        {"person": box_array(boxes["pedestrian"]), "vehicle": box_array(boxes["vehicle"])},
        {"person": box_array(boxes["bicyclist"])},
        folder / "labels/drivable/masks" / mask,
        folder / "labels/sem_seg/masks" / mask,
        cycles=box_array(boxes["bicyclist"]),
    )


def _pandaset_front(name: str, folder: Path, most: int) -> RealSet:
    frames = read_json(folder / "objects.json")["frames"]
    frames = [frame for frame in frames if frame["lidar_available"]]
    pictures = tuple(_pandaset_picture(folder, frame) for frame in evenly(frames, most))
    return RealSet(name, pictures, "day", dry=True, road_lines=True)


def _pandaset_picture(folder: Path, frame: dict[str, Any]) -> Picture:
    boxes: dict[str, tuple[list[Any], list[Any]]] = {"person": ([], []), "vehicle": ([], [])}
    for each in frame["objects"]:
        view = each["cameras"].get("front")
        if view:
            kind = kind_of_pandaset(each)
            target = kind and is_target(view)
            for name in [kind] if kind else boxes:
                boxes[name][0 if target else 1].append(view["box2d_lidar" if target else "box2d_cuboid"])
    return Picture(
        folder / f"images/front/{frame['frame']:02d}.jpg",
        {name: box_array(lists[0]) for name, lists in boxes.items()},
        {name: box_array(lists[1]) for name, lists in boxes.items()},
        semantic=folder / f"semantic_front/{frame['frame']:02d}.png",
        cycles=box_array([view["box2d_lidar"] for view in map(_cycle_view, frame["objects"]) if view]),
    )


def _cycle_view(each: dict[str, Any]) -> dict[str, Any] | None:
    """The front view of a two-wheeler that can be found."""
    view: dict[str, Any] | None = each["cameras"].get("front")
    return view if view and each["class"] in CYCLES and is_target(view) else None


def kind_of_pandaset(each: dict[str, Any]) -> str:
    """Kind of a PandaSet object, "" for two-wheelers and what has no class of ours."""
    return {"pedestrian": "person", "rider": "person"}.get(
        each["class"], "vehicle" if each["class"] in VEHICLES else ""
    )


def is_target(view: dict[str, Any]) -> bool:
    """Whether a view of a PandaSet object must be found: seen by the lidar, mostly visible and not too small."""
    box = view.get("box2d_lidar")
    return bool(box and view["visible"] >= MIN_VISIBLE and box[3] - box[1] >= MIN_PANDASET_HEIGHT)


def _pandaset_back(name: str, folder: Path, most: int) -> RealSet:
    drive = list_images(folder / "images/back")
    pictures = tuple(Picture(path) for path in evenly(drive, min(most, 20)))
    return RealSet(name, pictures, hood=0.06, drive=tuple(drive), dry=True)


def _coco_people(name: str, folder: Path, most: int) -> RealSet:
    rows = evenly(read_json(folder / "annotations.json"), most)
    return RealSet(name, tuple(_coco_picture(folder, row) for row in rows))


def _coco_picture(folder: Path, row: dict[str, Any]) -> Picture:
    truth = [(each["category"], np.array(each["bbox"]), each["crowd"]) for each in row["truth"]]
    people = [np.r_[box[:2], box[:2] + box[2:]] for category, box, crowd in truth if category == "person" and not crowd]
    crowds = [np.r_[box[:2], box[:2] + box[2:]] for category, box, crowd in truth if category == "person" and crowd]
    cycles = [np.r_[box[:2], box[:2] + box[2:]] for category, box, crowd in truth if category in CYCLES and not crowd]
    path = folder / "images" / row["file_name"]
    return Picture(path, {"person": box_array(people)}, {"person": box_array(crowds)}, cycles=box_array(cycles))


def _openimages(name: str, folder: Path, most: int) -> RealSet:
    """The bright or the dark pictures; people in them are not labelled."""
    dark = name.endswith("dark")
    rows = [row for row in read_json(folder / "annotations.json") if _is_dark(folder, row["file_name"]) == dark]
    return RealSet(name, tuple(_openimages_picture(folder, row) for row in evenly(rows, most)))


def _is_dark(folder: Path, name: str) -> bool:
    return bool(read_image(folder / "images" / name).mean() < DARK)


def _openimages_picture(folder: Path, row: dict[str, Any]) -> Picture:
    boxes = [each["bbox"] for each in row["truth"] if each["category"] in VEHICLES]
    others = [each["bbox"] for each in row["truth"] if each["category"] not in VEHICLES]
    cycles = box_array([each["bbox"] for each in row["truth"] if each["category"] in CYCLES])
    path = folder / "images" / row["file_name"]
    return Picture(path, {"vehicle": box_array(boxes)}, {"vehicle": box_array(others)}, cycles=cycles)


def _highway(name: str, folder: Path, most: int) -> RealSet:
    files = evenly(list_images(folder / "images"), most)
    labels = folder / "labels/det/det.json"
    rows = {row["name"]: row["labels"] for row in read_json(labels)} if labels.is_file() else {}
    boxes = {key: box_array([list(each["box2d"].values()) for each in value]) for key, value in rows.items()}
    lines = {} if boxes else _right_lines(folder / "labels/lane/lane.json")
    pictures = tuple(
        Picture(path, {"vehicle": boxes[path.name]} if path.name in boxes else {}, last_line=lines.get(path.name))
        for path in files
    )
    return RealSet(name, pictures, "day", hood=0.06 if boxes else 0.0, dry=True, road_lines=True)


def _right_lines(path: Path) -> dict[str, np.ndarray]:
    """Right line of the ego lane by picture, where it is solid: the car of highway 960 keeps to the last lane."""
    rows = read_json(path) if path.is_file() else []
    return {
        row["name"]: np.array(label["poly2d"][0]["vertices"], np.float32)
        for row in rows
        for label in row["labels"]
        if label["attributes"].get("role") == "ego_right" and label["attributes"]["laneStyle"] == "solid"
    }


def _driveai(name: str, folder: Path, most: int) -> RealSet:
    files = evenly(list_images(folder / "images"), most)
    pictures = tuple(Picture(path, signs=box_array(NEAR_SIGNS.get(path.stem, ()))) for path in files)
    return RealSet(name, pictures, "day", dry=True, road_lines=True, lights=True)


def _comma(name: str, folder: Path, most: int) -> RealSet:
    files = evenly(list_images(folder), most)
    return RealSet(name, tuple(map(Picture, files)), "dusk", hood=0.06, dry=True, road_lines=True)


def no_lights(name: str, boxes: np.ndarray) -> np.ndarray:
    """(N,) which of the marked lights of a drive.ai frame are none."""
    points = np.array(NOT_LIGHTS.get(name, ()), float).reshape(-1, 1, 2)
    inside = (boxes[None, :, :2] <= points) & (points <= boxes[None, :, 2:])
    return np.asarray(inside.all(2).any(0))


def box_array(rows: Sequence[Any]) -> np.ndarray:
    """(N, 4) float32, also for no rows."""
    return np.array(rows, np.float32).reshape(-1, 4)


READERS = {
    "CamVid day": ("labelled/camvid", _camvid),
    "CamVid dusk": ("labelled/camvid", _camvid),
    "PandaSet front": ("pandaset_002", _pandaset_front),
    "PandaSet back": ("pandaset_002", _pandaset_back),
    "highway 960": ("labelled/udacity_highway_960", _highway),
    "highway 1280": ("labelled/udacity_highway_1280", _highway),
    "drive.ai": ("pictures/driveai_sample", _driveai),
    "comma2k19": ("video/comma2k19", _comma),
    "COCO people": ("pictures/coco_cc_by", _coco_people),
    "Open Images vehicles": ("pictures/vehicles_openimages_ccby", _openimages),
    "Open Images dark": ("pictures/vehicles_openimages_ccby", _openimages),
}
