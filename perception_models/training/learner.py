"""Network, losses and balancing as one module, so that a distribution strategy wraps all that has gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from perception_models.balancing import Balancer, agreement
from perception_models.losses import LossConfig, task_losses
from perception_models.network import PerceptionNet
from perception_models.training.pictures import contact_sheet


class Learner(nn.Module):
    """A batch to the loss of every task; `teacher` (perception_models.distill) adds what a larger network knows."""

    def __init__(self, net: PerceptionNet, balancer: Balancer, config: LossConfig, teacher: nn.Module | None = None):
        super().__init__()
        self.net, self.balancer, self.config, self.teacher = net, balancer, config, teacher

    def forward(
        self, batch: dict[str, Tensor], tasks: tuple[str, ...], compare: bool = False
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
        """The scalar to go backward from, the weighed loss of each task, and with `compare` how their gradients agree.

        Gradients of single tasks are taken here, inside, where Fabric and DDP do not yet wait for the one backward.
        """
        losses = self.losses(batch)
        counting = {task: loss for task, loss in losses.items() if task in tasks}
        figures = agreement(counting, self.net.shared_layer) if compare else {}
        total = self.balancer.total(counting, self.net.shared_layer)
        # Losses that do not count stay connected, or DDP would wait for their gradients (see `losses`).
        rest = [loss * (task == "distill") for task, loss in losses.items() if task not in counting]
        return sum(rest, start=total), {task: loss.detach() for task, loss in losses.items()}, figures

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Task: weighed loss, and with a teacher "distill"."""
        knowledge = self.teacher.look(batch["images"]) if self.teacher is not None else None
        pyramid = self.net.pyramid(batch["images"])
        outputs = self.net.outputs(pyramid)
        with torch.autocast(batch["images"].device.type, enabled=False):
            losses = self.balancer.weighed(task_losses(outputs, batch, self.config, self.net.config.strides))
            if self.teacher is not None:
                losses["distill"] = self.teacher(knowledge, pyramid, outputs)
        # So do levels of the trunk that no head of this network reads.
        idle = 0 * sum(level.float().mean() for level in pyramid)
        return {task: loss + idle for task, loss in losses.items()}

    def sheet(self, average: PerceptionNet, images: Tensor) -> np.ndarray:
        """What the averaged network sees in images (B, H, W, 3) uint8, drawn."""
        return contact_sheet(average, images)
