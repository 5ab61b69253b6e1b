"""Cover parts of the picture many times and see what is no longer said. Needs the answers alone, no gradients.

RISE (Petsiuk et al. 2018, arXiv 1806.07421) and D-RISE (2021, arXiv 2006.03204): soft random masks, here over a blurred
copy of the picture; a pixel matters as far as seeing it and getting the answer go together (their covariance).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from camera_perception.core.types import Observations
from perception_models.evaluation.explain.target import Question, answer

CELLS = (8, 14)  # of a mask; finer ones find smaller things and need more masks


def occlusion_maps(
    look: Callable[[np.ndarray], Observations],
    picture: np.ndarray,
    asked: Sequence[Question],
    count: int = 400,
    cells: tuple[int, int] = CELLS,
    seed: int = 0,
) -> np.ndarray:
    """(Q, H, W) float32: how much each pixel speaks for the answer to each question; negative: against.

    picture  (H, W, 3) uint8, of the network's size
    """
    rng, size = np.random.default_rng(seed), picture.shape[:2]
    covered = blurred(picture).astype(np.float32)
    masks = [random_mask(size, cells, rng) for _ in range(count)]
    answers = np.zeros((count, len(asked)), np.float32)
    for row, mask in zip(answers, tqdm(masks, "covered", unit="look", leave=False)):
        share = mask.astype(np.float32)[..., None] / 255
        seen = look((covered + (picture - covered) * share).astype(np.uint8))
        row[:] = [answer(question, seen) for question in asked]
    return covariance(answers, masks)


def covariance(answers: np.ndarray, masks: Sequence[np.ndarray]) -> np.ndarray:
    """(Q, H, W) of answers (N, Q) with N masks (H, W) uint8."""
    centred = (answers - answers.mean(0)) / len(masks) / 255
    maps = np.zeros((answers.shape[1], *masks[0].shape), np.float32)
    for weights, mask in zip(centred, masks):  # one by one: all of them as floats would fill the memory
        maps += weights[:, None, None] * mask
    return maps


def random_mask(size: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint8, 255 = seen: half of the cells of a grid that lies anywhere, with soft borders."""
    grid = (rng.random((cells[0] + 2, cells[1] + 2)) < 0.5).astype(np.uint8) * 255
    step = -(-size[0] // cells[0]), -(-size[1] // cells[1])
    large = cv2.resize(grid, (grid.shape[1] * step[1], grid.shape[0] * step[0]), interpolation=cv2.INTER_LINEAR)
    v, u = (int(rng.integers(0, s)) for s in step)
    return large[v : v + size[0], u : u + size[1]].copy()


def blurred(picture: np.ndarray) -> np.ndarray:
    """The picture without anything that could be recognised: brightness and colour of the surroundings stay."""
    return cv2.GaussianBlur(picture, (0, 0), picture.shape[1] / 24)
