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
    "ultralytics": "detectors.ultralytics",  # [B, 4 + nc, N] or end-to-end [B, N, 6]; with masks, keypoints, angles
    "yolox": "detectors.yolox",  # [B, N, 5 + nc], grids and strides not applied
    "yolop_boxes": "detectors.yolop_boxes",  # [B, N, 5 + nc], already in network pixels
    "boxes_scores": "detectors.boxes_scores",  # [B, N, 4] and [B, N, nc], in network pixels
    "detr": "detectors.detr",  # RT-DETR, D-FINE, RF-DETR: [B, N, 4 + nc], or [B, N, 4] and [B, N, nc]
    "efficient_nms": "detectors.efficient_nms",  # final boxes, scores, classes, and their number
    "dets_labels": "detectors.dets_labels",  # mmdeploy: final [B, N, 5] and [B, N]
    "final_rows": "detectors.final_rows",  # rows of 7 of YOLOv7 end2end, of 6 of PaddleDetection
    "nanodet": "detectors.nanodet",  # NanoDet-plus: [B, N, nc + 4 * bins]
    "fastestdet": "detectors.fastestdet",  # FastestDet: [B, 5 + nc, h, w]
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


OWN = "python:"  # prefix of a kind that names a module of the user: "python:centernet"


@lru_cache(maxsize=2 * len(KINDS))
def decoder(kind: str) -> ModuleType:
    """The module that decodes this kind of head; ModelError lists the known kinds."""
    if kind.startswith(OWN):
        return _own_decoder(kind[len(OWN) :])
    if kind not in KINDS:
        raise ModelError(
            f"unknown head kind '{kind}' in model.json: expected one of {', '.join(KINDS)}, or {OWN}MODULE, your own "
            "(docs/own_decoder.md)"
        )
    return import_module(f"{__name__}.{KINDS[kind]}")


def _own_decoder(name: str) -> ModuleType:
    try:
        module = import_module(name)
    except ImportError as error:
        raise ModelError(
            f"the decoder {OWN}{name} in model.json cannot be imported ({error}): put {name}.py on PYTHONPATH"
        ) from error
    missing = [function for function in ("decode", "check") if not callable(getattr(module, function, None))]
    if missing:
        raise ModelError(f"the decoder {module.__file__} has no function {' and '.join(missing)}: add it")
    return module
