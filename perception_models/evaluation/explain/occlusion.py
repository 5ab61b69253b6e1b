"""Evidence maps from occlusion: blur random parts of the image and see which predictions weaken. Needs no gradients.

RISE (Petsiuk et al. 2018, arXiv 1806.07421) and D-RISE (2021, arXiv 2006.03204): soft random masks, here over a blurred
copy of the image; the evidence of a pixel is the covariance of its visibility and the score of the target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from camera_perception.core.types import Observations
from perception_models.evaluation.explain.target import Target, target_score

CELLS = (8, 14)  # of a mask; finer ones resolve smaller objects and need more masks


def occlusion_maps(
    predict: Callable[[np.ndarray], Observations],
    image: np.ndarray,
    targets: Sequence[Target],
    count: int = 400,
    cells: tuple[int, int] = CELLS,
    seed: int = 0,
) -> np.ndarray:
    """(T, H, W) float32 evidence of each pixel for each target; negative: against it.

    image  (H, W, 3) uint8, of the network's input size
    count  number of masks
    """
    rng, size = np.random.default_rng(seed), image.shape[:2]
    occluded = blurred(image).astype(np.float32)
    masks = [random_mask(size, cells, rng) for _ in range(count)]
    scores = np.zeros((count, len(targets)), np.float32)
    for row, mask in zip(scores, tqdm(masks, "occluded", unit="image", leave=False, disable=None)):
        alpha = mask.astype(np.float32)[..., None] / 255
        observations = predict((occluded + (image - occluded) * alpha).astype(np.uint8))
        row[:] = [target_score(target, observations) for target in targets]
    return covariance(scores, masks)


def covariance(scores: np.ndarray, masks: Sequence[np.ndarray]) -> np.ndarray:
    """(T, H, W) of scores (N, T) with N masks (H, W) uint8."""
    centred = (scores - scores.mean(0)) / len(masks) / 255
    maps = np.zeros((scores.shape[1], *masks[0].shape), np.float32)
    for weights, mask in zip(centred, masks):  # one by one: all masks as floats would fill the memory
        maps += weights[:, None, None] * mask
    return maps


def random_mask(size: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint8, 255 = visible: half of the cells of a randomly shifted grid, with soft borders."""
    grid = (rng.random((cells[0] + 2, cells[1] + 2)) < 0.5).astype(np.uint8) * 255
    step = -(-size[0] // cells[0]), -(-size[1] // cells[1])
    large = cv2.resize(grid, (grid.shape[1] * step[1], grid.shape[0] * step[0]), interpolation=cv2.INTER_LINEAR)
    v, u = (int(rng.integers(0, s)) for s in step)
    return large[v : v + size[0], u : u + size[1]].copy()


def blurred(image: np.ndarray) -> np.ndarray:
    """The image blurred beyond recognition; brightness and colour of the surroundings remain."""
    return cv2.GaussianBlur(image, (0, 0), image.shape[1] / 24)
