"""Masks of objects: from polygons by people, or by GrabCut from a box (Rother et al. 2004, OpenCV)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perception_models.data.curation.boxes import Box

MARGIN = 0.35  # of the box: background that GrabCut learns from
WORK_HEIGHT = 160  # pixels of the box while GrabCut runs
ITERATIONS = 4
SHAPES = ("person", "block", "rider")


def from_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 0 or 1 from polygons of alternating u and v."""
    mask = np.zeros(size, np.uint8)
    corners = [np.rint(np.array(polygon).reshape(-1, 2)).astype(np.int32) for polygon in polygons]
    cv2.fillPoly(mask, corners, 1)
    return mask


def by_grabcut(image: np.ndarray, box: Box, shape: str) -> tuple[np.ndarray, float]:
    """(H, W) uint8 0 or 1 of the object in a box, and how stable it is: IoU of two runs, 0..1.

    shape  one of SHAPES: where inside the box the object is likely
    """
    area, inner = _region(image.shape, box)
    scale = min(1.0, WORK_HEIGHT / max(inner[3] - inner[1], 1))
    crop = image[area[1] : area[3], area[0] : area[2]]
    small = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    box_small = [round(side * scale) for side in inner]
    runs = [_run(small, box_small, shape, width) for width in (1.0, 0.6)]
    stability = float((runs[0] & runs[1]).sum() / max((runs[0] | runs[1]).sum(), 1))
    soft = cv2.resize(runs[0].astype(np.float32), crop.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[area[1] : area[3], area[0] : area[2]] = soft > 0.5
    return largest_part(mask), stability


def _region(shape: tuple[int, ...], box: Box) -> tuple[list[int], list[int]]:
    """The box with a margin in the image, and the box in that region."""
    grow = MARGIN * max(box[2] - box[0], (box[3] - box[1]) / 2)
    area = [
        max(int(box[0] - grow), 0), max(int(box[1] - grow), 0),
        min(int(box[2] + grow), shape[1]), min(int(box[3] + grow), shape[0]),
    ]  # fmt: skip
    left, top = area[:2]
    return area, [round(box[0] - left), round(box[1] - top), round(box[2] - left), round(box[3] - top)]


def _run(image: np.ndarray, box: list[int], shape: str, width: float) -> np.ndarray:
    labels = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    x0, y0, x1, y1 = box
    labels[y0:y1, x0:x1] = prior((y1 - y0, x1 - x0), shape, width)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(image, labels, (0, 0, 1, 1), background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    kernel = np.ones((3, 3), np.uint8)
    mask: np.ndarray = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    return cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)


def prior(size: tuple[int, int], shape: str, width: float) -> np.ndarray:
    """(H, W) GrabCut labels inside a box.

    width  0..1 of the likely foreground
    """
    height, across = size
    labels = np.full(size, cv2.GC_PR_BGD, np.uint8)
    centre = across / 2

    def ellipse(v: float, half_width: float, half_height: float, label: int) -> None:
        axes = max(int(half_width * across), 1), max(int(half_height * height), 1)
        cv2.ellipse(labels, (int(centre), int(v * height)), axes, 0, 0, 360, label, -1)

    if shape == "block":
        ellipse(0.52, 0.49 * (0.7 + 0.3 * width), 0.47 * (0.7 + 0.3 * width), cv2.GC_PR_FGD)
        ellipse(0.55, 0.33, 0.28, cv2.GC_FGD)
    elif shape == "rider":
        ellipse(0.5, 0.36 * width, 0.48, cv2.GC_PR_FGD)
        ellipse(0.45, 0.10, 0.25, cv2.GC_FGD)
    else:
        ellipse(0.09, 0.20 * width, 0.09, cv2.GC_PR_FGD)
        ellipse(0.36, 0.40 * width, 0.27, cv2.GC_PR_FGD)
        ellipse(0.75, 0.32 * width, 0.26, cv2.GC_PR_FGD)
        ellipse(0.36, 0.12, 0.18, cv2.GC_FGD)
    return labels


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest connected component, with its small holes filled."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count < 2:
        return mask
    part: np.ndarray = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    return _without_holes(part, 0.01 * part.sum())


def _without_holes(mask: np.ndarray, largest: float) -> np.ndarray:
    """Holes of at most this number of pixels filled."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= largest
    small[0] = False
    filled: np.ndarray = mask | small[labels].astype(np.uint8)
    return filled


def cut_alpha(mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8 alpha: the mask, half a pixel smaller, with a soft border."""
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0)
    alpha: np.ndarray = (np.clip((blurred - 0.35) / 0.5, 0, 1) * 255).astype(np.uint8)
    return alpha


def own_colours(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the colours of the object, carried on over its border, so that no background shines through."""
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8)).astype(np.float32)
    weight = cv2.GaussianBlur(inner, (0, 0), 2.0)
    carried = cv2.GaussianBlur(image * inner[..., None], (0, 0), 2.0) / np.maximum(weight, 1e-3)[..., None]
    return np.where(inner[..., None] > 0, image, np.clip(carried, 0, 255)).astype(np.uint8)
