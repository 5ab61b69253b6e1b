"""What the network sees, drawn over the image, for the log."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from perception_models.network import PerceptionNet
from perception_models.network.final import FinalNet

DRIVABLE = np.array([(0, 0, 0), (90, 160, 0), (160, 110, 0)], np.uint8)  # BGR
LINE = [(203, 121, 167), (180, 105, 255), (0, 94, 213), (0, 159, 230), (66, 228, 240), (233, 180, 86)]


@torch.no_grad()
def contact_sheet(net: PerceptionNet, images: Tensor, threshold: float = 0.4) -> np.ndarray:
    """Predictions for images (B, H, W, 3) uint8 as one picture, two per row."""
    final = FinalNet(net, tuple(images.shape[1:3])).to(images.device)
    names, sheets = final.output_names(), []
    for image in images:
        seen = {name: value[0].float().cpu().numpy() for name, value in zip(names, final(image[None]))}
        sheets.append(_draw(image.cpu().numpy().copy(), seen, threshold))
    sheets += [np.zeros_like(sheets[0])] * (len(sheets) % 2)
    return np.vstack([np.hstack(sheets[i : i + 2]) for i in range(0, len(sheets), 2)])


def _draw(image: np.ndarray, seen: dict[str, np.ndarray], threshold: float) -> np.ndarray:
    if "drivable" in seen:
        size = image.shape[1::-1]
        tint = cv2.resize(DRIVABLE[seen["drivable"].astype(int)], size, interpolation=cv2.INTER_NEAREST)
        image = cv2.addWeighted(image, 1, tint, 0.4, 0)
    if "lane_x" in seen:
        _draw_lanes(image, seen, threshold)
    if "boxes" in seen:
        for box, score, kind in zip(seen["boxes"], seen["scores"], seen["classes"]):
            if score > threshold:
                corners = box.clip(-1, 4096).round().astype(int).tolist()
                cv2.rectangle(image, corners[:2], corners[2:], LINE[int(kind) % len(LINE)], 1)
    return image


def _draw_lanes(image: np.ndarray, seen: dict[str, np.ndarray], threshold: float) -> None:
    for slot in np.flatnonzero(seen["lane_score"] > threshold):
        for row in np.flatnonzero(seen["lane_row_score"][slot] > threshold):
            v = (row + 0.5) * image.shape[0] / seen["lane_x"].shape[1]
            cv2.circle(image, (round(float(seen["lane_x"][slot, row])), round(v)), 2, LINE[slot], -1)
