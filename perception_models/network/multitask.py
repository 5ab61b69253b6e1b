"""The multi-task network: one backbone, five heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from perception_models.data import labels
from perception_models.network.backbone import BACKBONES, Neck
from perception_models.network.blocks import successive
from perception_models.network.config import NetworkConfig
from perception_models.network.exposure import Exposure
from perception_models.network.heads import LaneHead, MaskHead, ObjectHead, SceneHead

HEADS: dict[str, Callable[[NetworkConfig], nn.Module]] = {
    "objects": ObjectHead,
    "drivable": lambda config: MaskHead(config, len(labels.DRIVABLE)),
    "semantic": lambda config: MaskHead(config, len(labels.SEMANTIC)),
    "lanes": LaneHead,
    "scene": SceneHead,
}


class PerceptionNet(nn.Module):
    """uint8 BGR images to the raw outputs of every task.

    Returns, for B images of H x W pixels and A anchor points (all levels, fine to coarse, row by row):
    many_classes, one_classes  B A 10 logits
    many_sides, one_sides      B A 4 log distances to left, top, right, bottom, in strides
    many_states, one_states    B A 4 logits
    drivable                   B 3 H/4 W/4 logits
    semantic                   B 11 H/4 W/4 logits
    lane_heat                  B 6 H/8 W/8 logits
    lane_column                B 6 H/8 columns of 8 pixels
    lane_row                   B 6 H/8 logits
    lane_exists, lane_type, lane_color  B 6, B 6 9, B 6 5 logits
    weather, scene, timeofday  B 7, B 7, B 4 logits
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        if unknown := set(config.tasks) - set(HEADS):
            raise ValueError(f"unknown tasks {sorted(unknown)}: expected some of {', '.join(HEADS)}")
        if config.backbone not in BACKBONES:
            raise ValueError(f"unknown backbone '{config.backbone}': expected one of {', '.join(BACKBONES)}")
        self.config = config
        # Batch norm follows, so scaling is all the normalisation needed; export folds it into the first weights.
        self.input_scale = 1 / 64
        self.exposure = Exposure(config.exposure) if config.exposure else nn.Identity()
        self.backbone = BACKBONES[config.backbone](config)
        self.neck = Neck(config)
        self.heads = nn.ModuleDict({task: HEADS[task](config) for task in config.tasks})

    @property
    def shared_layer(self) -> Tensor:
        """The last weight that all heads depend on: where task gradients are compared."""
        return self.neck.down_to_p3.conv.weight

    def forward(self, images: Tensor, branches: Sequence[str] | None = None) -> dict[str, Tensor]:
        """images B H W 3 uint8; `branches` of the object head to run, by default all that it has."""
        return self.outputs(self.pyramid(images), branches)

    def pyramid(self, images: Tensor, backbone: nn.Module | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Shared feature maps at strides 4, 8, 16, 32; `backbone` replaces the own one, of the same function."""
        maps: tuple[Tensor, Tensor, Tensor, Tensor] = self.neck((backbone or self.backbone)(self.scaled(images)))
        return maps

    def scaled(self, images: Tensor) -> Tensor:
        """What the backbone sees of images: B 3 H W float32, lifted where they are dark."""
        # Float first: TensorRT cannot transpose uint8. Permuting B H W 3 gives channels_last for free.
        x: Tensor = self.exposure(images.float().permute(0, 3, 1, 2))
        return x * self.input_scale if self.input_scale != 1 else x

    def pyramid_from(self, first: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The same from the first maps of the backbone, fine to coarse."""
        rest = successive(self.backbone.stages[len(first) :], first[-1])
        maps: tuple[Tensor, Tensor, Tensor, Tensor] = self.neck([*first, *rest])
        return maps

    def outputs(self, pyramid: tuple[Tensor, ...], branches: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Raw outputs of all heads from the feature maps."""
        outputs: dict[str, Tensor] = {}
        wanted = self.config.branches if branches is None else branches
        for task, head in self.heads.items():
            values = head(pyramid, wanted) if task == "objects" else head(pyramid)
            outputs.update(values if isinstance(values, dict) else {task: values})
        return outputs
