"""The network with its post-processing, as exported to ONNX.

Shapes are static, and only operators common to TensorRT, OpenVINO and ONNX Runtime are used: no NMS, no NonZero; masks
are uint8.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from perception_models.data import labels
from perception_models.network.box_coding import anchor_points, boxes_from_sides
from perception_models.network.multitask import PerceptionNet

# Rows of the output: many objects of a crowded street, and of the branch "many" some anchors of each.
TOP = {"one": 300, "many": 800}
ELSEWHERE = 500.0  # more than any logit; times the square of the largest class it still fits into fp16


class ExportGraph(nn.Module):
    """uint8 images B H W 3 to the final outputs, in the order of `output_names`.

    size    (height, width) in network pixels
    top     number of objects in the output, highest scores first; 0: as many as TOP says
    branch  of the object head: "one" needs no NMS; "many" is for a host that runs NMS; default: network.branches
    on_road leave out of the drivable area what the semantic map does not call road
    """

    def __init__(
        self, net: PerceptionNet, size: tuple[int, int], top: int = 0, branch: str = "", on_road: bool = False
    ):
        super().__init__()
        self.net, self.size, self.branch = net, size, branch or net.config.exported_branch
        self.on_road = on_road and "semantic" in net.config.tasks
        centers, strides = anchor_points(size, net.config.strides)
        self.top = min(top or TOP[self.branch], len(centers))
        # x, y and stride in one tensor: one gather serves all three.
        self.anchors: Tensor
        self.register_buffer("anchors", torch.cat([centers, strides[:, None]], 1), persistent=False)

    def output_names(self) -> list[str]:
        """Names of the outputs in order, for the heads of this network."""
        names = {
            "objects": ["boxes", "scores", "classes", "light_states"],
            "drivable": ["drivable"],
            "semantic": ["semantic"],
            "lanes": ["lane_x", "lane_row_score", "lane_score", "lane_type", "lane_color"],
            "scene": list(labels.SCENE),
        }
        return [name for task in self.net.config.tasks for name in names[task]]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        raw = self.net(images, (self.branch,))
        final: dict[str, Callable[[dict[str, Tensor]], list[Tensor]]] = {
            "objects": self._objects,
            "drivable": self._drivable,
            "semantic": lambda raw: [class_ids(raw["semantic"])],
            "lanes": self._lanes,
            "scene": lambda raw: [raw[name].softmax(-1) for name in labels.SCENE],
        }
        return tuple(value for task in self.net.config.tasks for value in final[task](raw))

    def _objects(self, raw: dict[str, Tensor]) -> list[Tensor]:
        logits, sides, states = (raw[f"{self.branch}_{name}"] for name in ("classes", "sides", "states"))
        best, rows = logits.amax(-1).topk(self.top, dim=1)  # B K
        rows = rows.unsqueeze(-1)
        classes = logits.gather(1, rows.expand(-1, -1, logits.shape[-1])).argmax(-1)
        gathered = self.anchors.unsqueeze(0).expand(len(rows), -1, -1).gather(1, rows.expand(-1, -1, 3))
        boxes = boxes_from_sides(sides.gather(1, rows.expand(-1, -1, 4)), gathered[..., :2], gathered[..., 2])
        states = states.gather(1, rows.expand(-1, -1, states.shape[-1])).sigmoid()
        return [boxes, best.sigmoid(), classes.to(torch.int32), states]

    def _drivable(self, raw: dict[str, Tensor]) -> list[Tensor]:
        return [class_ids(on_road(raw["drivable"], raw["semantic"]) if self.on_road else raw["drivable"])]

    def _lanes(self, raw: dict[str, Tensor]) -> list[Tensor]:
        pixels = self.size[1] / raw["lane_heat"].shape[-1]  # per column
        rows, score = raw["lane_row"].sigmoid(), raw["lane_exists"].sigmoid()
        types = [raw["lane_type"].softmax(-1), raw["lane_color"].softmax(-1)]
        return [(raw["lane_column"] + 0.5) * pixels, rows, score, *types]


def on_road(drivable: Tensor, semantic: Tensor) -> Tensor:
    """Logits B C h w of the drivable area that leave out what the logits of the semantic map do not call road."""
    other = semantic.argmax(1).float() - labels.SEMANTIC.index("road")  # 0 on the road
    return torch.cat([drivable[:, :1] + (other * other * ELSEWHERE).unsqueeze(1), drivable[:, 1:]], 1)


def class_ids(logits: Tensor) -> Tensor:
    """B C h w logits to B h w uint8 ids; via float, the only cast to uint8 that TensorRT documents."""
    return logits.argmax(1).float().to(torch.uint8)
