"""One door for the label files of each reader."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from cases import chosen
from door import Door

IMAGES = (".jpg", ".png", ".jpeg")


def writers() -> dict[str, tuple[str, Callable[[Path], object]]]:
    """Name: the kind of data set, and what writes a small one."""
    import test_annotation_formats as formats
    import test_data_broken as broken
    from test_data_readers import bdd_2018, bdd_2020, bdd_first, write_image, write_json

    def kitti(root: Path) -> None:
        write_image(root / "image_2/000000.png")
        (root / "label_2").mkdir()
        row = "Car 0.00 0 1.57 10.0 20.0 30.0 40.0 1.5 1.6 3.9 1.0 1.5 20.0 1.6\n"
        (root / "label_2/000000.txt").write_text(row)

    def culane(root: Path) -> None:
        write_image(root / "driver_1/a.jpg")
        (root / "driver_1/a.lines.txt").write_text("10.5 70 12 60 14.5 50\n100 70 90 60\n")
        (root / "list").mkdir()
        (root / "list/val.txt").write_text("/driver_1/a.jpg\n")
        write_json(root / "list/unused.json", {})

    return {
        "labelled": ("labelled", broken.labelled),
        "bdd100k_2020": ("bdd100k", broken.bdd(bdd_2020)),
        "bdd100k_2018": ("bdd100k", broken.bdd(bdd_2018)),
        "bdd100k_first": ("bdd100k", broken.bdd(bdd_first)),
        "kitti": ("kitti", kitti),
        "coco": ("coco", broken.coco),
        "tusimple": ("tusimple", broken.tusimple),
        "culane": ("culane", culane),
        "yolo": ("yolo", formats.yolo),
        "voc": ("voc", formats.voc),
        "cvat": ("cvat", formats.cvat),
        "labelme": ("labelme", formats.labelme),
        "label_studio": ("label_studio", formats.label_studio),
    }


NAMES = [
    *("labelled", "bdd100k_2020", "bdd100k_2018", "bdd100k_first", "kitti", "coco", "tusimple", "culane"),
    *("yolo", "voc", "cvat", "labelme", "label_studio"),
]


@cache
def made(name: str) -> tuple[Path, list[Path]]:
    """A small data set, and its label files relative to it."""
    root = Path(tempfile.mkdtemp(prefix="fuzz")) / "set"
    writers()[name][1](root)
    labels = [p for p in sorted(root.rglob("*")) if p.is_file() and p.suffix.lower() not in IMAGES]
    return root, [path.relative_to(root) for path in labels]


def seeds(name: str) -> list[bytes]:
    root, labels = made(name)
    return [(root / path).read_bytes() for path in labels]


def read(name: str, case: bytes, folder: Path) -> None:
    from perception_models.data.registry import find_datasets, open_dataset

    root, labels = made(name)
    path = root / labels[case[0] % len(labels)] if case else root / labels[0]
    right = path.read_bytes()
    try:
        path.write_bytes(case[1:])
        if name == "label_studio":
            samples = [open_dataset("label_studio", path)]
        else:
            samples = [each for _, each in find_datasets(root, split="train" if name == "yolo" else "val").values()]
        for each in samples:
            for index in range(min(len(each), 3)):
                each[index]
    finally:
        path.write_bytes(right)


DOORS = [Door(f"labels_{name}", partial(read, name), partial(seeds, name), chosen) for name in NAMES]
