"""Backbone alignment: a new backbone learns the feature maps of a frozen one, so that a trained neck and heads fit it.

Channels are compared in units of their own deviation, as in FitNets (Romero et al. 2015, arXiv 1412.6550) with the
normalisation of Shu et al.: a loss of 1 is what the mean of the channel would reach, 0 is perfect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from perception_models.network import PerceptionNet
from perception_models.network.blocks import ConvBlock
from perception_models.network.efficientnet import EfficientNetLite0
from perception_models.network.hybrid import CHANNELS, HybridLite0, lite0_entry, lite0_groups
from perception_models.training.pretrain.least_squares import Regression
from perception_models.training.validation import contact_sheet

FLOOR = 0.01  # of the mean variance of a map: channels that hardly change would otherwise dominate


class BackboneAlignment(nn.Module):
    """A batch to the alignment loss; replaces training.build.TrainingModule in a run. Only the backbone is trained.

    teacher   backbone whose maps at strides 4, 8, 16, 32 are the target
    lite0     ImageNet network whose groups a HybridLite0 is compared with as well, with loss weight `imagenet`
    """

    def __init__(
        self, net: PerceptionNet, teacher: nn.Module, lite0: EfficientNetLite0 | None = None, imagenet: float = 0.0
    ):
        super().__init__()
        self.net, self.imagenet = net, imagenet
        for part in (net.neck, net.heads):
            part.requires_grad_(False)
        # In a list, to be neither parameters nor submodules: the teachers keep their own files.
        self._frozen = [part.eval().requires_grad_(False) for part in (teacher, lite0) if part is not None]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> BackboneAlignment:
        for part in self._frozen:
            part._apply(fn)  # type: ignore[no-untyped-call]  # to the same device and memory layout
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch has no types for it
        return self

    def forward(
        self, batch: dict[str, Tensor], tasks: tuple[str, ...] = (), compare: bool = False
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
        """The scalar to call backward() on, the loss of each map, no statistics; arguments as of TrainingModule."""
        x = batch["images"].float().permute(0, 3, 1, 2) * self.net.input_scale
        maps, groups = self._student(x)
        with torch.no_grad():
            wanted, lite = self._frozen[0](x), self._lite0(x)
        losses = {f"stride{4 << i}": unexplained(*pair) for i, pair in enumerate(zip(maps, wanted))}
        extra = {f"lite{channels}": unexplained(*pair) for channels, *pair in zip(CHANNELS, groups, lite)}
        total = sum(losses.values(), start=x.new_zeros(())) + self.imagenet * sum(extra.values())
        return total, {name: loss.detach() for name, loss in {**losses, **extra}.items()}, {}

    @torch.no_grad()
    def solve(self, batches: Sequence[dict[str, Tensor]]) -> None:
        """Compute the layers of a HybridLite0 that join own and ImageNet layers, by least squares."""
        backbone, lite0 = self.net.backbone, self._frozen[-1]
        if not (isinstance(backbone, HybridLite0) and isinstance(lite0, EfficientNetLite0)):
            return
        self.eval()
        images = [batch["images"].float().permute(0, 3, 1, 2) * self.net.input_scale for batch in batches]
        entry = Regression(backbone.entry)
        for x in tqdm(images, "least squares, first layer", unit="batch", disable=None):
            entry.add(backbone.shallow_maps(x)[-1], lite0_entry(lite0, x))
        entry.apply()
        outputs = [Regression(cast(ConvBlock, block)) for block in backbone.outputs]
        for x in tqdm(images, "least squares, last layers", unit="batch", disable=None):
            for regression, group, wanted in zip(
                outputs, backbone.maps_and_groups(x)[1][1:], self._frozen[0](x)[2:], strict=True
            ):
                regression.add(group, wanted)
        for regression in outputs:
            regression.apply()

    def _student(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        backbone = self.net.backbone
        if isinstance(backbone, HybridLite0):
            return backbone.maps_and_groups(x)
        maps: list[Tensor] = backbone(x)
        return maps, []

    def _lite0(self, x: Tensor) -> list[Tensor]:
        return lite0_groups(part, x) if isinstance(part := self._frozen[-1], EfficientNetLite0) else []

    def preview(self, average: PerceptionNet, images: Tensor) -> np.ndarray:
        """Predictions of the neck and heads on the averaged backbone, drawn over images (B, H, W, 3) uint8."""
        return contact_sheet(average, images)


def unexplained(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over the channels of B C H W of squared error over the teacher's variance: 1 minus R squared."""
    student, teacher = student.float(), teacher.float()
    variance = teacher.var((0, 2, 3), correction=0)
    error = (student - teacher).square().mean((0, 2, 3))
    return (error / variance.clamp(min=FLOOR * variance.mean() + 1e-12)).mean()
