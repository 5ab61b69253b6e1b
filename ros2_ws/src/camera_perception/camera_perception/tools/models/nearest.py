"""What to tell the user when no decoder fits a network."""

from __future__ import annotations

from camera_perception.engines import Tensor
from camera_perception.tools.models.network import Network

PAGE = "docs/own_decoder.md"
CLASSIFIER = "classification networks have no boxes, lanes or maps"


def nearest(net: Network) -> str:
    """The nearest decoder, why it does not fit, and where to read how to write one."""
    if net.task == "classify":
        return f"no decoder fits: {CLASSIFIER}; write one like {PAGE}"
    if (offsets := offsets_to_priors(net)) is not None:
        return (
            f"no decoder fits; nearest is 'boxes_scores', but '{offsets.name}' {list(offsets.shape)} holds offsets to "
            "prior boxes, which are not in the file (many rows have negative sizes): export the network with its "
            f"decoding, or write one like {PAGE}"
        )
    kind, why = _nearest(net, max(net.outputs.values(), key=_information))
    return f"no decoder fits; nearest is '{kind}', but {why}; write one like {PAGE}"


def offsets_to_priors(net: Network) -> Tensor | None:
    """Boxes (N, 4) that are offsets to prior boxes (SSD, RetinaFace, EfficientDet), beside scores of as many rows.

    They are no boxes, neither as corners nor as centre and size: many have a negative width or height.
    """
    for output in net.of_rank(3):
        beside = any(other != output and other.shape[1] == output.shape[1] for other in net.of_rank(3))
        if output.shape[2] != 4 or output.dtype.kind != "f" or not beside:
            continue
        if net.are_boxes(output, "corners") is net.are_boxes(output, "center") is False:
            return output
    return None


def _information(output: Tensor) -> tuple[int, int]:
    return len(output.shape), -abs(output.shape[-1] - 85) if output.shape else 0


def _nearest(net: Network, output: Tensor) -> tuple[str, str]:
    """Kind, and its difference to the output that looks most like boxes."""
    shape = list(output.shape)
    if len(shape) == 4 and shape[1] == 1 and output.dtype.kind in "iub":
        return "mask_logits", f"'{output.name}' {shape} holds class numbers: export the scores before argmax"
    if len(shape) == 4 and tuple(shape[1:3]) == net.size and shape[3] < 256:
        return "mask_logits", f"'{output.name}' {shape} has its classes last: transpose it to [B, C, h, w]"
    if len(shape) == 4 and shape[1] == 1 and min(shape[2:]) >= 16:
        return "mask_logits", f"nothing says what the plane '{output.name}' {shape} shows: rename it road or lane"
    if len(shape) == 4 and min(shape[2:]) >= 16:
        return "mask_logits", f"'{output.name}' {shape} looks like part of a detector, not like classes of pixels"
    if len(shape) == 4:
        return "mask_logits", f"'{output.name}' {shape} is not a map [B, C, h, w] of at least 16 x 16 cells"
    if len(shape) != 3:
        return "efficient_nms", f"'{output.name}' {shape} comes without boxes [B, N, 4]"
    rows, columns = shape[1:]
    if columns > rows:
        rows, columns = columns, rows
    cells, strides = min(net.pyramids.items(), key=lambda pair: min(abs(pair[0] - rows), abs(3 * pair[0] - rows)))
    kind = "yolop_boxes" if abs(3 * cells - rows) < abs(cells - rows) else "ultralytics"
    grid = (
        f"an input of {net.size[1]}x{net.size[0]} has {cells} grid cells at the strides {', '.join(map(str, strides))}"
    )
    return kind, f"'{output.name}' {shape} has {rows} rows of {columns}, and {grid}"
