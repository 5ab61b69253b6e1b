"""Decode raw network outputs: one module per kind of head.

Each module has two functions. `decode(arrays, head, letterbox, threshold) -> Part` gets the arrays of one image by
tensor role (no batch axis) and the letterbox for mapping to source pixels. `check(head, shapes) -> None` raises
ModelError when options or tensor shapes (role -> shape with batch) do not fit this kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from types import ModuleType

from camera_perception.core.errors import ModelError
from camera_perception.core.types import ClassMap, Detections, LaneLine, SceneAttribute, Task

# kind in model.json: module in this folder
KINDS = {
    "topk_boxes": "topk_boxes",  # ours: final boxes, scores, class ids, traffic-light states
    "class_map": "class_map",  # ours: uint8 ids
    "lane_rows": "lane_rows",  # ours: x per row anchor, with line type and colour
    "attributes": "scene",  # ours: one softmax per scene attribute
    "ultralytics": "ultralytics",  # [B, 4 + nc, N] or end-to-end [B, N, 6]
    "yolox": "yolox",  # [B, N, 5 + nc], grids and strides not applied
    "yolop_boxes": "yolop_boxes",  # [B, N, 5 + nc], already in network pixels
    "mask_logits": "mask_logits",  # [B, C, H, W] scores per class
    "lane_mask_logits": "lane_masks",  # [B, C, H, W] marking scores; lines are traced
}


@dataclass(frozen=True, slots=True)
class Part:
    """The output of one head, a part of Observations; None for what the head does not provide."""

    tasks: Task
    detections: Detections | None = None
    lanes: tuple[LaneLine, ...] | None = None
    drivable: ClassMap | None = None
    semantic: ClassMap | None = None
    scene: tuple[SceneAttribute, ...] | None = None


@lru_cache(maxsize=len(KINDS))
def decoder(kind: str) -> ModuleType:
    """The module that decodes this kind of head; ModelError lists the known kinds."""
    if kind not in KINDS:
        raise ModelError(f"unknown head kind '{kind}' in model.json: expected one of {', '.join(KINDS)}")
    return import_module(f"{__name__}.{KINDS[kind]}")
