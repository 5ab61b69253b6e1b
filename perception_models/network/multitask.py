"""The network: one trunk, five heads."""

from __future__ import annotations

from torch import Tensor, nn

from perception_models.data import labels
from perception_models.network.backbone import Backbone, Neck
from perception_models.network.config import NetworkConfig
from perception_models.network.heads import LaneHead, MaskHead, ObjectHead, SceneHead

HEADS = {
    "objects": ObjectHead,
    "drivable": lambda config: MaskHead(config, len(labels.DRIVABLE)),
    "semantic": lambda config: MaskHead(config, len(labels.SEMANTIC)),
    "lanes": LaneHead,
    "scene": SceneHead,
}


class PerceptionNet(nn.Module):
    """uint8 BGR images to the raw outputs of every task.

    Returns, for B images of H x W pixels and A cells (all levels, fine to coarse, row by row):
    many_classes, one_classes B A 10 logits; many_sides, one_sides B A 4 log distances left, top, right, bottom (cells);
    many_states, one_states B A 4 logits; drivable B 3 H/4 W/4; semantic B 11 H/4 W/4; lane_heat B 6 H/8 W/8;
    lane_column B 6 H/8 cells; lane_row B 6 H/8 logits; lane_exists B 6; lane_type B 6 9; lane_color B 6 5;
    weather B 7; scene B 7; timeofday B 4.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        if unknown := set(config.tasks) - set(HEADS):
            raise ValueError(f"unknown tasks {sorted(unknown)}: expected some of {', '.join(HEADS)}")
        self.config = config
        # Batch norm follows, so a scale is all the normalisation needed; export folds it into the first weights.
        self.input_scale = 1 / 64
        self.backbone = Backbone(config)
        self.neck = Neck(config)
        self.heads = nn.ModuleDict({task: HEADS[task](config) for task in config.tasks})

    @property
    def shared_layer(self) -> Tensor:
        """The last weight all heads depend on: where gradients of tasks are compared."""
        return self.neck.down_to_p3[0].weight

    def forward(self, images: Tensor, twins: tuple[str, ...] = ("many", "one")) -> dict[str, Tensor]:
        """images B H W 3 uint8; `twins` names the object heads to run."""
        return self.outputs(self.pyramid(images), twins)

    def pyramid(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Shared features at strides 4, 8, 16, 32."""
        # Float first: TensorRT cannot transpose uint8. Moved axes of B H W 3 are channels_last already.
        x = images.float().permute(0, 3, 1, 2)
        return self.neck(self.backbone(x * self.input_scale if self.input_scale != 1 else x))

    def outputs(self, pyramid: tuple[Tensor, ...], twins: tuple[str, ...] = ("many", "one")) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = {}
        for task, head in self.heads.items():
            values = head(pyramid, twins) if task == "objects" else head(pyramid)
            outputs.update(values if isinstance(values, dict) else {task: values})
        return outputs
