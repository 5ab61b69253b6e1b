"""From raw network outputs to what was seen: one file per kind of head.

Each module has `decode(arrays, head, letterbox, threshold) -> Part`, where `arrays` maps the head's tensor roles to
arrays of one image (no batch axis) and `letterbox` leads back to source pixels, and `check(head, shapes) -> None`,
which raises ModelError when the options or tensor shapes (role -> shape with batch) cannot belong to this kind.
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
    "lane_mask_logits": "lane_masks",  # [B, C, H, W] line or not; lines are traced
}


@dataclass(frozen=True, slots=True)
class Part:
    """What one head contributes to Seen; None means "not this head's business"."""

    tasks: Task
    detections: Detections | None = None
    lanes: tuple[LaneLine, ...] | None = None
    drivable: ClassMap | None = None
    semantic: ClassMap | None = None
    scene: tuple[SceneAttribute, ...] | None = None


@lru_cache(maxsize=len(KINDS))
def decoder(kind: str) -> ModuleType:
    """The module that decodes this kind of head; ModelError names the known kinds."""
    if kind not in KINDS:
        raise ModelError(f"unknown head kind '{kind}' in model.json: expected one of {', '.join(KINDS)}")
    return import_module(f"{__name__}.{KINDS[kind]}")
