"""Drivable and semantic masks of real images from trained networks, for training on their own best guesses.

A mask is made once from the image as it is: training then sees the image darkened, blurred, scaled or under a hood and
has to find the same (self-training with a strongly augmented student; Xie et al. 2020, arXiv 1911.04252).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from perception_models.data.curation.label import finished
from perception_models.data.labels import DRIVABLE, IGNORE, OBJECTS, SEMANTIC, VEHICLES
from perception_models.data.readers.folder import LabelledFolder
from perception_models.data.sample import Sample
from perception_models.network import PerceptionNet
from perception_models.training import checkpoint
from perception_models.training.optimization.precision import choose

HEADS = {"drivable": "drivable/masks", "semantic": "sem_seg/masks"}  # folder below labels/
STREET = (*VEHICLES, "motorcycle", "traffic light", "traffic sign")
# Semantic classes that are objects with boxes, and the classes of those boxes.
BOXED = {
    "vehicle": ("car", "truck", "bus", "train"),
    "pedestrian": ("pedestrian", "rider"),
    "rider": ("rider", "bicycle", "motorcycle"),
}


@dataclass(frozen=True)
class MapConfig:
    """When a pixel is labelled.

    sure    mean probability over networks, sizes and mirror images
    sides   longer sides of the images that the networks see, pixels
    margin  share of a box by which it is widened: objects may reach beyond it
    bottom  share of the rows at the bottom where no road is labelled: they may show the own car
    """

    sure: float = 0.7
    sides: tuple[int, ...] = (480, 704)
    margin: float = 0.08
    bottom: float = 0.06


def label_maps(folder: Path, teachers: Sequence[Path], config: MapConfig = MapConfig()) -> Counter[str]:
    """Complete the masks of a labelled folder; returns the number of masks by head.

    Pixels that a mask already has keep their label. Images on which nobody saw a street get no masks. Finished images
    are skipped, so an interrupted run continues where it was; FOLDER/maps.jsonl knows them.

    teachers  checkpoints
    """
    networks = [checkpoint.load_network(path)[0] for path in teachers]
    samples, done = LabelledFolder(folder), finished(folder / "maps.jsonl")
    with (folder / "maps.jsonl").open("a", encoding="utf-8") as lines:
        for row, name in enumerate(tqdm(samples.names, desc=folder.name, unit="image", disable=None)):
            if name not in done:
                found = masks(samples[row], networks, config) if is_street(samples[row]) else {}
                write_masks(folder, name, found)
                done[name] = {"name": name, "heads": list(found)}
                lines.write(json.dumps(done[name]) + "\n")
                lines.flush()
    return Counter(head for frame in done.values() for head in frame["heads"])


def write_masks(folder: Path, name: str, masks: dict[str, np.ndarray]) -> None:
    """Write masks (H, W) uint8 by head, "drivable" and "semantic", of an image into a labelled folder."""
    for head, mask in masks.items():
        path = folder / "labels" / HEADS[head] / f"{Path(name).stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), mask)


def is_street(sample: Sample) -> bool:
    """Whether a vehicle, light or sign is labelled: images of people may show a kitchen."""
    boxes = sample.boxes
    return boxes is not None and any(OBJECTS[index] in STREET for index in boxes.classes[~boxes.ignored])


def masks(sample: Sample, networks: Sequence[PerceptionNet], config: MapConfig) -> dict[str, np.ndarray]:
    """{"drivable", "semantic"}: (H, W) uint8 ids, 255 where unknown."""
    found = probabilities(sample.image, networks, config)
    drivable = without_own_car(sure(found["drivable"], config.sure), config.bottom)
    drivable = np.where(touched(sample, OBJECTS, -0.1) & (drivable > 0), IGNORE, drivable)
    semantic = fitting_boxes(sure(found["semantic"], config.sure), sample, config.margin)
    return {"drivable": completed(sample.drivable, drivable), "semantic": completed(sample.semantic, semantic)}


@torch.inference_mode()
def probabilities(image: np.ndarray, networks: Sequence[PerceptionNet], config: MapConfig) -> dict[str, np.ndarray]:
    """Mean class probabilities (H, W, C) float32 by head, of a (H, W, 3) uint8 BGR image."""
    height, width = image.shape[:2]
    sums: dict[str, np.ndarray] = {}
    for side in config.sides:
        scale = side / max(height, width)
        size = (max(round(width * scale / 32), 1) * 32, max(round(height * scale / 32), 1) * 32)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        views = torch.from_numpy(np.stack([small, small[:, ::-1]]))
        for network in networks:
            with torch.autocast("cpu", torch.bfloat16, enabled=choose("auto", "cpu").name == "bf16-mixed"):
                outputs = network.outputs(network.pyramid(views))
            for head in HEADS:
                one, mirrored = outputs[head].float().softmax(1)
                mean = (one + mirrored.flip(-1)).permute(1, 2, 0).numpy() / 2
                sums[head] = sums.get(head, 0) + cv2.resize(mean, (width, height))
    return {head: total / (len(config.sides) * len(networks)) for head, total in sums.items()}


def sure(values: np.ndarray, least: float) -> np.ndarray:
    """(H, W) uint8: the most probable class, 255 where it is less probable than `least`."""
    return np.where(values.max(-1) >= least, values.argmax(-1), IGNORE).astype(np.uint8)


def without_own_car(drivable: np.ndarray, bottom: float) -> np.ndarray:
    """The mask without roads in the lowest rows."""
    mask = drivable.copy()
    low = mask[round(len(mask) * (1 - bottom)) :]
    low[low != DRIVABLE.index("background")] = IGNORE
    return mask


def fitting_boxes(semantic: np.ndarray, sample: Sample, margin: float) -> np.ndarray:
    """The mask without objects outside their boxes, and unlabelled in the middle of boxes that it does not fill."""
    mask = semantic.copy()
    for name, classes in BOXED.items():
        index = SEMANTIC.index(name)
        mask[(mask == index) & ~touched(sample, classes, margin)] = IGNORE
    objects = [SEMANTIC.index(name) for name in BOXED]
    inside = touched(sample, tuple(c for classes in BOXED.values() for c in classes), -0.1)
    mask[inside & ~np.isin(mask, objects)] = IGNORE
    return mask


def touched(sample: Sample, classes: Sequence[str], margin: float) -> np.ndarray:
    """(H, W) bool: in a box of these classes, widened (or narrowed) on each side by a share of its size."""
    found = np.zeros(sample.image.shape[:2], bool)
    if sample.boxes is None:
        return found
    for (x0, y0, x1, y1), index in zip(sample.boxes.boxes, sample.boxes.classes):
        if OBJECTS[index] in classes:
            dx, dy = margin * (x1 - x0), margin * (y1 - y0)
            found[max(round(y0 - dy), 0) : round(y1 + dy), max(round(x0 - dx), 0) : round(x1 + dx)] = True
    return found


def completed(mask: np.ndarray | None, other: np.ndarray) -> np.ndarray:
    """The mask, with labels of the other where it has none."""
    return other if mask is None else np.where(mask == IGNORE, other, mask)
