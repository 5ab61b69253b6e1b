"""Detectors that return several outputs per stride, as exports for NCNN, RKNN, Hailo and mmdeploy do.

Their outputs are joined in the graph into the one output that a decoder reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from camera_perception.core.errors import ModelError
from camera_perception.engines import Tensor
from camera_perception.tools.models.class_names import COCO, named
from camera_perception.tools.models.guess_boxes import NANODET_INPUT
from camera_perception.tools.models.network import PYRAMIDS, Guess, Network

JOINED = "per_stride"  # name of the output
BINS = (8, 16)  # of distances as distributions: NanoDet; YOLOv8 and its successors
PROTOS = 32  # of masks
ANCHORS = 3  # per cell, of YOLOv5 and its relatives


@dataclass(frozen=True)
class Columns:
    """Columns of one output of a stride: from start up to stop; logits become scores by a sigmoid."""

    name: str
    start: int
    stop: int
    logits: bool = False


@dataclass(frozen=True)
class PerStride:
    """levels: the columns of the joined output, of each stride."""

    kind: str
    strides: tuple[int, ...]
    classes: int
    levels: tuple[tuple[Columns, ...], ...]
    bins: int = 0

    def describe(self, net: Network, found: Guess) -> None:
        """Add the head, with what the user has to check."""
        names = named(net.metadata, self.classes, found.notes)
        if self.kind == "yolop_boxes":
            found.add("objects", self.kind, {"output": JOINED}, names)
            found.notes.append("boxes of YOLOv5-seg or YOLOv7-seg: their masks are left out")
            return
        if self.kind == "yolox":
            options: dict[str, object] = {"strides": list(self.strides)}
            found.input = {"color": "bgr", "align": "top_left"}
            text = "YOLOX, joined; assumed BGR 0..255, aligned to the top left corner"
        else:
            options = {"strides": list(self.strides), "bins": self.bins, "offset": 0.5}
            nanodet = self.bins == BINS[0]
            found.input = dict(NANODET_INPUT) if nanodet else found.input
            text = "NanoDet, joined; assumed BGR with its mean" if nanodet else "YOLOv8 and its successors, joined"
        found.add("objects", self.kind, {"output": JOINED}, names, options=options)
        found.notes.append(f"outputs of the strides {', '.join(map(str, self.strides))}: {text}")


def per_stride(net: Network) -> PerStride | None:
    """None when the outputs are those of another layout; ModelError when they need anchors, which no file holds."""
    if (masked := _without_masks(net)) is not None:
        return masked
    for strides in sorted(PYRAMIDS, key=len, reverse=True):
        levels = [_of_stride(net, stride) for stride in strides]
        count = len(levels[0])
        if not count or any([_width(o) for o in level] != [_width(o) for o in levels[0]] for level in levels):
            continue
        if sum(map(len, levels)) != len({output.name for level in levels for output in level}):
            continue
        if 128 in strides and count == 3:
            return None  # FCOS, ATSS: distances to the sides, or offsets to anchors, with a centreness
        found = _distances(net, strides, levels) or _yolox(net, strides, levels)
        if found is None and count == 1:
            _refuse_anchors(net, levels[0][0])
        if found is not None:
            return found
    return None


def _without_masks(net: Network) -> PerStride | None:
    """YOLOv5's and YOLOv7's segmentation: decoded anchor boxes with 32 weights of masks behind the scores."""
    quarter = net.size[0] // 4, net.size[1] // 4
    if not any(o.shape[1:] == (PROTOS, *quarter) for o in net.of_rank(4)):
        return None
    classes = len(net.names) or len(COCO)
    for output in net.of_rank(3):
        rows = output.shape[1] // ANCHORS
        if output.shape[1] % ANCHORS == 0 and rows in net.pyramids and output.shape[2] == 5 + classes + PROTOS:
            levels = ((Columns(output.name, 0, 5 + classes),),)
            return PerStride("yolop_boxes", net.pyramids[rows], classes, levels)
    return None


def _of_stride(net: Network, stride: int) -> list[Tensor]:
    """Outputs with a row or a pixel per cell of this stride."""
    height, width = (-(-size // stride) for size in net.size)
    maps = [o for o in net.of_rank(4) if o.shape[2:] == (height, width)]
    rows = [o for o in net.of_rank(3) if o.shape[1] == height * width]
    return [output for output in (*maps, *rows) if output.dtype.kind == "f"]


def _width(output: Tensor) -> int:
    return output.shape[1] if len(output.shape) == 4 else output.shape[2]


def _distances(net: Network, strides: tuple[int, ...], levels: Sequence[Sequence[Tensor]]) -> PerStride | None:
    """Scores, and four distances as distributions: in two outputs, or 64 + C planes of one map."""
    if len(levels[0]) == 1 and len(levels[0][0].shape) == 4:
        classes = _width(levels[0][0]) - 4 * BINS[1]
        if classes < 1 or (classes != (len(net.names) or len(COCO))):
            return None
        joined = [
            (Columns(o.name, 4 * BINS[1], _width(o), _is_logits(net, o)), Columns(o.name, 0, 4 * BINS[1]))
            for (o,) in levels
        ]
        return PerStride("nanodet", strides, classes, tuple(joined), BINS[1])
    if len(levels[0]) not in (2, 3):  # RKNN adds the sum of the scores
        return None
    sides = _sides(levels[0])
    if sides is None:
        return None
    scores = max((i for i in range(len(levels[0])) if i != sides), key=lambda i: _width(levels[0][i]))
    if len(levels[0]) == 3 and min(map(_width, levels[0])) != 1:
        return None
    classes, bins = _width(levels[0][scores]), _width(levels[0][sides]) // 4
    joined = [
        (Columns(o[scores].name, 0, classes, _is_logits(net, o[scores])), Columns(o[sides].name, 0, 4 * bins))
        for o in levels
    ]
    return PerStride("nanodet", strides, classes, tuple(joined), bins)


def _sides(outputs: Sequence[Tensor]) -> int | None:
    """Which of them holds distances: by its columns, of two by its name."""
    found = [i for i, output in enumerate(outputs) if _width(output) in {4 * bins for bins in BINS}]
    if len(found) > 1:
        found = [i for i in found if any(part in outputs[i].name.lower() for part in ("dis", "reg", "box"))]
    return found[0] if len(found) == 1 else None


def _yolox(net: Network, strides: tuple[int, ...], levels: Sequence[Sequence[Tensor]]) -> PerStride | None:
    """4 + 1 + C planes: in one map, or box, objectness and scores in three."""
    if len(levels[0]) == 1 and len(levels[0][0].shape) == 4:
        classes = _width(levels[0][0]) - 5
        if classes < 1 or classes != (len(net.names) or len(COCO)):
            return None
        joined: list[tuple[Columns, ...]] = [
            (Columns(o.name, 0, 4), Columns(o.name, 4, 5 + classes, _is_logits(net, o, 4))) for (o,) in levels
        ]
        return PerStride("yolox", strides, classes, tuple(joined))
    widths = [_width(output) for output in levels[0]]
    if len(widths) != 3 or widths.count(4) != 1 or widths.count(1) != 1:
        return None
    box, objectness = widths.index(4), widths.index(1)
    scores = 3 - box - objectness
    joined = [
        (
            Columns(o[box].name, 0, 4),
            Columns(o[objectness].name, 0, 1, _is_logits(net, o[objectness])),
            Columns(o[scores].name, 0, widths[scores], _is_logits(net, o[scores])),
        )
        for o in levels
    ]
    return PerStride("yolox", strides, widths[scores], tuple(joined))


def _is_logits(net: Network, output: Tensor, first: int = 0) -> bool:
    """Whether a black image gets scores below 0 or above 1, which are then logits.

    first  index of the first score: a plane of a map, or a column of rows
    """
    values = net.values.get(output.name)
    if values is None:
        return False
    scores = values[:, first:] if values.ndim == 4 else values[:, :, first:]
    return bool(scores.min() < -1e-3 or scores.max() > 1.001)


def _refuse_anchors(net: Network, output: Tensor) -> None:
    planes = prod(output.shape[1:]) // prod(output.shape[2:4]) if len(output.shape) == 4 else 0
    classes = planes // ANCHORS - 5
    if planes % ANCHORS == 0 and classes >= 1 and classes == (len(net.names) or len(COCO)):
        raise ModelError(
            f"'{output.name}' [{planes}, {output.shape[2]}, {output.shape[3]}] is a raw output of YOLOv5 or YOLOv7, "
            "whose anchors are not in the file: export it with the detection layer (YOLOv5 without --train, YOLOv7 "
            "with --grid)"
        )
