"""Folders, data and numbers of the recipe of the shipped model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Echo = Callable[[str], None]

# Rendered folders: arguments of `make_dataset`. Each has its own seed. Cities hold most of the rare classes; side and
# rear cameras show objects from angles that front cameras do not.
RENDERED: dict[str, dict[str, Any]] = {
    "train": {"seed": 1},
    "city": {"seed": 2, "kind": "city"},
    "around": {"seed": 4, "around": True},
    "val": {"seed": 30_001},
    "test": {"seed": 90_001},
}
# Real images to label: folder below `Recipe.pictures`, horizontal stretch, whether their roads are labelled as well.
LABELLED: dict[str, tuple[str, float, bool]] = {
    "coco": ("coco_cc_by", 1.0, False),
    "openimages": ("vehicles_openimages_ccby", 4 / 3, True),
    "driveai": ("driveai_sample", 1.0, True),
}


@dataclass(frozen=True)
class Recipe:
    """Folders, and number of images to render.

    data      folder for rendered and derived data sets
    real      folder of real labelled data sets; if absent, only rendered images are used
    run       folder of the training run
    out       model folder
    counts    images per rendered folder, in the order of RENDERED
    size      (width, height) of rendered images
    workers   rendering processes
    limit     maximum images per data set in the evaluation
    pictures  folder of real images for the fine-tuning; without it or `teachers` there is none
    teachers  folder of the public detectors that label them
    matting   pose_landmark_full.tflite of MediaPipe, to cut people out; None: GrabCut
    """

    data: Path = Path("data")
    real: Path = Path("../shared/data/labelled")
    run: Path = Path("runs/demo")
    out: Path = Path("perception_models/zoo/demo")
    counts: tuple[int, ...] = (3000, 1300, 800, 150, 300)
    size: tuple[int, int] = (640, 384)
    workers: int = 2
    limit: int | None = None
    pictures: Path = Path("../shared/data/pictures")
    teachers: Path = Path("../shared/data/teachers")
    matting: Path | None = None
