"""The network with its post-processing inside: what the exported graph computes.

Shapes are static. Only operators that TensorRT, OpenVINO and ONNX Runtime share: no NMS, no NonZero; maps leave as
uint8.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perception_models.data import labels
from perception_models.network.box_coding import boxes_from_sides, cell_centers
from perception_models.network.multitask import PerceptionNet


class ExportGraph(nn.Module):
    """uint8 images B H W 3 to final outputs, in the order of `output_names`.

    size  (height, width) in network pixels
    top   how many objects leave the graph
    twin  "one" needs no NMS; "many" is for a host that runs NMS
    """

    def __init__(self, net: PerceptionNet, size: tuple[int, int], top: int = 300, twin: str = "one"):
        super().__init__()
        self.net, self.size, self.twin = net, size, twin
        centers, strides = cell_centers(size, net.config.strides)
        self.top = min(top, len(centers))
        # x, y and stride of a cell side by side: one gather serves all three.
        self.register_buffer("cells", torch.cat([centers, strides[:, None]], 1), persistent=False)

    def output_names(self) -> list[str]:
        """Names of the outputs in order; only those of the heads that were built."""
        names = {
            "objects": ["boxes", "scores", "classes", "light_states"],
            "drivable": ["drivable"],
            "semantic": ["semantic"],
            "lanes": ["lane_x", "lane_row_score", "lane_score", "lane_type", "lane_color"],
            "scene": list(labels.SCENE),
        }
        return [name for task in self.net.config.tasks for name in names[task]]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        raw = self.net(images, (self.twin,))
        finals = {
            "objects": self._objects,
            "drivable": lambda raw: [class_ids(raw["drivable"])],
            "semantic": lambda raw: [class_ids(raw["semantic"])],
            "lanes": self._lanes,
            "scene": lambda raw: [raw[name].softmax(-1) for name in labels.SCENE],
        }
        return tuple(value for task in self.net.config.tasks for value in finals[task](raw))

    def _objects(self, raw: dict[str, Tensor]) -> list[Tensor]:
        logits, sides, states = (raw[f"{self.twin}_{name}"] for name in ("classes", "sides", "states"))
        best, rows = logits.amax(-1).topk(self.top, dim=1)  # B K
        rows = rows.unsqueeze(-1)
        classes = logits.gather(1, rows.expand(-1, -1, logits.shape[-1])).argmax(-1)
        cells = self.cells.unsqueeze(0).expand(len(rows), -1, -1).gather(1, rows.expand(-1, -1, 3))
        boxes = boxes_from_sides(sides.gather(1, rows.expand(-1, -1, 4)), cells[..., :2], cells[..., 2])
        states = states.gather(1, rows.expand(-1, -1, states.shape[-1])).sigmoid()
        return [boxes, best.sigmoid(), classes.to(torch.int32), states]

    def _lanes(self, raw: dict[str, Tensor]) -> list[Tensor]:
        pixels = self.size[1] / raw["lane_heat"].shape[-1]
        rows, score = raw["lane_row"].sigmoid(), raw["lane_exists"].sigmoid()
        kinds = [raw["lane_type"].softmax(-1), raw["lane_color"].softmax(-1)]
        return [(raw["lane_column"] + 0.5) * pixels, rows, score, *kinds]


def class_ids(logits: Tensor) -> Tensor:
    """B C h w logits to B h w uint8 ids; over float, because that is the cast to uint8 TensorRT documents."""
    return logits.argmax(1).float().to(torch.uint8)
