"""Masks of single objects, painted into one semantic map.

Source   Bolya et al., YOLACT: Real-time Instance Segmentation, arXiv 1904.02689: a mask is a weighted sum of prototypes
"""

from __future__ import annotations

import numpy as np

from camera_perception.core.model_spec import HeadSpec
from camera_perception.core.types import ClassMap
from camera_perception.decode.class_map import colors_of
from camera_perception.image.letterbox import Letterbox

BACKGROUND = "background"
MOST_CLASSES = 255  # ids are uint8, and 0 is the background


def semantic_map(
    boxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    weights: np.ndarray,
    protos: np.ndarray,
    head: HeadSpec,
    letterbox: Letterbox,
) -> ClassMap | None:
    """A class map of the masks inside their boxes; where masks overlap, the one of the highest score wins.

    boxes (N, 4) x0 y0 x1 y1 network pixels, weights (N, E), protos (E, h, w); None with more classes than uint8 holds
    """
    if len(head.classes) > MOST_CLASSES:
        return None
    ids = np.zeros(protos.shape[1:], np.uint8)
    scale = np.array(ids.shape[::-1] * 2) / np.array(letterbox.input_size[::-1] * 2)
    with np.errstate(all="ignore"):  # weights of any size: what is no number is not above 0
        for row in np.argsort(scores, kind="stable"):
            x0, y0, x1, y1 = np.rint(boxes[row] * scale).clip(0, ids.shape[::-1] * 2).astype(int)
            inside = np.tensordot(weights[row], protos[:, y0:y1, x0:x1], axes=1) > 0  # the logit of a probability 0.5
            ids[y0:y1, x0:x1][inside] = classes[row] + 1
    return ClassMap(letterbox.crop(ids), (BACKGROUND, *head.classes), colors_of(len(head.classes) + 1))
