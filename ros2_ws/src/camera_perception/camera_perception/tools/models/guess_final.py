"""Recognise detectors whose boxes are final: suppression is in the graph, or not needed."""

from __future__ import annotations

from typing import Any

from camera_perception.engines import Tensor
from camera_perception.tools.models.class_names import COCO, COCO_GAPS, named
from camera_perception.tools.models.network import IMAGENET, Guess, Network

YOLO_NAS = ["batch", "x0", "y0", "x1", "y1", "score", "class"]
PADDLE = ["class", "score", "x0", "y0", "x1", "y1"]
SSD = ["batch", "class", "score", "x0", "y0", "x1", "y1"]
COCO_NUMBERS = len(COCO) + len(COCO_GAPS)
CLASS_WORDS = ("class", "label", "cls", "ids")


def boxes_scores_classes(net: Network, found: Guess) -> bool:
    """boxes (N, 4), scores (N,), classes (N,) and perhaps their count (1,); of torchvision without a batch."""
    batchless = [o for o in net.of_rank(2) if o.shape[1] == 4 and o.shape[0] != 1 and o.dtype.kind == "f"]
    for boxes in (*(o for o in net.of_rank(3) if o.shape[2] == 4), *batchless):
        rows, lead = boxes.shape[-2], boxes.shape[:-2]
        columns = [o for o in net.outputs.values() if o.shape in ((*lead, rows), (*lead, rows, 1)) and o != boxes]
        classes = next((o for o in columns if _is_class(o)), None)
        scores = next((o for o in columns if o is not classes and o.dtype.kind == "f"), None)
        if classes is None or scores is None:
            continue
        count = [o for o in net.outputs.values() if o.shape in ((1, 1), (1,)) and o.dtype.kind in "iu"]
        tensors = {"boxes": boxes.name, "scores": scores.name, "classes": classes.name}
        if count and rows > 1:
            tensors["count"] = count[0].name
        options: dict[str, Any] = {"normalized": True} if net.within(boxes, -0.5, 1.5) and rows > 1 else {}
        if (values := net.values.get(boxes.name)) is not None and not values.any():
            options = {}  # nothing was found on the black image
        tensorflow = "detection_boxes" in boxes.name.lower()
        if tensorflow:
            options |= {"order": "yxyx"}
            found.notes.append("named as TensorFlow's: assumed y, x, y, x, and COCO's numbers of categories")
        torchvision = boxes in batchless and "pred_" not in classes.name
        if torchvision:
            found.notes.append("without a batch, as torchvision: assumed that classes begin at 1 (Detectron2: at 0)")
        numbers = (tensorflow or torchvision) and not net.names
        names = named(net.metadata, COCO_NUMBERS if numbers else None, found.notes)
        found.add("objects", "efficient_nms", tensors, names, options=options)
        found.notes.append(f"'{boxes.name}', '{scores.name}', '{classes.name}': final boxes (EfficientNMS, RT-DETR)")
        return True
    return False


def _is_class(output: Tensor) -> bool:
    return output.dtype.kind in "iu" or any(word in output.name.lower() for word in CLASS_WORDS)


def dets_labels(net: Network, found: Guess) -> bool:
    """dets (N, 5) and labels (N,)."""
    for dets in (o for o in net.of_rank(3) if o.shape[2] == 5 and o.dtype.kind == "f"):
        labels = [o for o in net.of_rank(2) if o.shape[1] == dets.shape[1] and _is_class(o)]
        if not labels:
            continue
        classes = named(net.metadata, None, found.notes)
        found.add("objects", "dets_labels", {"dets": dets.name, "labels": labels[0].name}, classes)
        found.input = dict(IMAGENET)
        found.notes.append(
            f"'{dets.name}' and '{labels[0].name}': final boxes of mmdeploy; assumed RGB with ImageNet mean and "
            "standard deviation, see img_norm_cfg of its configuration"
        )
        return True
    return False


def rows(net: Network, found: Guess) -> bool:
    """Rows of 7 (YOLOv7 end2end, YOLO-NAS flat, OpenVINO's SSD) or of 6 (PaddleDetection)."""
    for output in (
        o for o in net.outputs.values() if o.dtype.kind == "f" and len(o.shape) > 1 and o.shape[-1] in (6, 7)
    ):
        lead = output.shape[:-1]
        columns = _columns(output, lead)
        if columns is None or (len(lead) == 2 and len(net.names) + 4 == output.shape[-1]):
            continue
        options: dict[str, Any] = {} if columns == "yolov7" else {"columns": columns}
        if columns is SSD:
            options["normalized"] = True
        names = named(net.metadata, None, found.notes)
        found.add("objects", "final_rows", {"output": output.name}, names, options=options)
        text = ", ".join(columns) if isinstance(columns, list) else "batch, x0, y0, x1, y1, class, score (YOLOv7)"
        found.notes.append(f"'{output.name}': final boxes in rows; assumed the columns {text}")
        return True
    return False


def _columns(output: Tensor, lead: tuple[int, ...]) -> list[str] | str | None:
    if output.shape[-1] == 6:
        return PADDLE if len(lead) == 1 else None
    if len(lead) == 3:
        return SSD if lead[:2] == (1, 1) else None
    return YOLO_NAS if "flat" in output.name.lower() else "yolov7"
