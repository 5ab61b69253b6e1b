"""Guess the heads of a network from the names and shapes of its outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from camera_perception.engines import Tensor
from camera_perception.tools.models import guess_boxes, guess_final
from camera_perception.tools.models.nearest import nearest, offsets_to_priors
from camera_perception.tools.models.network import UNIT_RGB, Guess, Network

DRIVABLE_NAMES, LANE_NAMES = ("drive", "drivable", "da"), ("lane", "ll", "line")
HEAT_NAMES = ("hm", "heat", "heatmap", "heatmaps")  # CenterNet and its relatives
OUR_OUTPUTS = {"boxes", "scores", "classes"}
# Layouts of detectors, in the order of trying: those that several outputs identify come first.
DETECTORS = (
    guess_final.boxes_scores_classes,
    guess_final.dets_labels,
    guess_boxes.pairs,
    guess_boxes.ultralytics,
    guess_boxes.nanodet,
    guess_boxes.yolox,
    guess_boxes.anchors,
    guess_boxes.end_to_end,
    guess_final.rows,
    guess_boxes.queries,
    guess_boxes.fastestdet,
)


def guess(
    image: Tensor,
    outputs: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    values: Mapping[str, np.ndarray] | None = None,
) -> Guess:
    """Guess heads and input of a network: boxes first, then maps; values: its outputs for a black image."""
    net = Network(image, outputs, metadata, values or {})
    result = Guess(input=dict(UNIT_RGB) if image.dtype.kind == "f" else {})
    if outputs.keys() >= OUR_OUTPUTS and image.dtype == np.uint8:
        result.notes.append("looks like an export of this project: copy its whole model folder, which has a model.json")
    if (offsets := offsets_to_priors(net)) is not None:
        result.notes.append(nearest(net))
    else:
        any(layout(net, result) for layout in DETECTORS)
    first = [output for output in net.of_rank(4) if output.shape[1:3] != net.size]  # others have their classes last
    left = [output for output in first if output.name not in result.used]
    maps = [o for o in left if o.shape[1] <= 256 and o.shape[2] >= 16 <= o.shape[3]]
    if _of_a_detector(left):
        maps = []
    for output in maps:
        _guess_map(result, output, len(maps))
    ignored = [name for name in outputs if name not in result.used]
    if ignored:
        result.notes.append(f"not used: {', '.join(ignored)}")
    if not result.outputs and offsets is None:
        result.notes.append(nearest(net))
    return result


def _of_a_detector(maps: list[Tensor]) -> bool:
    """Maps of three sizes, or heat maps, belong to a detector that no decoder reads: they are no classes of pixels."""
    heat = any(output.name.lower() in HEAT_NAMES for output in maps)
    return heat or len({output.shape[2:] for output in maps}) >= 3


def _guess_map(result: Guess, output: Tensor, maps: int) -> None:
    planes, parts = output.shape[1], output.name.lower().replace("-", "_").split("_")
    text = output.name.lower()
    if any(name in parts or (len(name) > 2 and name in text) for name in LANE_NAMES) and planes <= 2:
        tensors, why = {"logits": output.name}, "lane markings, by its name"
        result.outputs.append({"head": "lanes", "kind": "lane_mask_logits", "tensors": tensors})
    elif any(name in parts or (len(name) > 2 and name in text) for name in DRIVABLE_NAMES) and planes <= 2:
        _add_map(result, "drivable", output, ["background", "road"])
        why = "drivable road, by its name"
    elif planes <= 2 and maps == 2 and output.dtype.kind == "f":
        why = _guess_pair(result, output)
    elif planes > 2 and any(head["head"] == "semantic" for head in result.outputs):
        why = "is a second map of classes, as used in training: left out"
    elif planes > 2:
        _add_map(result, "semantic", output, [f"class_{i}" for i in range(planes)])
        why = f"{planes} planes: a class per pixel; replace class_0 ... in model.json"
    else:
        return
    result.notes.append(f"'{output.name}' {why}")


def _guess_pair(result: Guess, output: Tensor) -> str:
    """Two masks whose names do not identify them: assumed in TwinLiteNet's order, road first."""
    if any(head["head"] == "drivable" for head in result.outputs):
        result.outputs.append({"head": "lanes", "kind": "lane_mask_logits", "tensors": {"logits": output.name}})
        return "second of two masks: assumed lane markings (TwinLiteNet's order)"
    _add_map(result, "drivable", output, ["background", "road"])
    return "first of two masks: assumed drivable road (TwinLiteNet's order)"


def _add_map(result: Guess, head: str, output: Tensor, classes: list[str]) -> None:
    result.outputs.append({"head": head, "kind": "mask_logits", "tensors": {"logits": output.name}, "classes": classes})
