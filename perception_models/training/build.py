"""What a run trains: the network of a configuration, and the module that turns batches into losses."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from perception_models.config import SettingsError
from perception_models.losses import LossConfig, task_losses
from perception_models.losses.balancing import Balancer, agreement, gradients, project
from perception_models.network import PerceptionNet, of_size
from perception_models.network.backbone import Backbone
from perception_models.network.blocks import fuse
from perception_models.network.efficientnet import EfficientNetLite0, load_imagenet, package_weights
from perception_models.network.multitask import HEADS
from perception_models.training import checkpoint
from perception_models.training.config import TrainConfig
from perception_models.training.distill.frozen import BACKBONE, IMITATED, taken
from perception_models.training.distill.imitation import Imitation, Taught
from perception_models.training.distill.network import Teacher
from perception_models.training.pretrain import MaskedPretraining
from perception_models.training.validation import contact_sheet


def build_network(config: TrainConfig) -> PerceptionNet:
    """The network of a configuration, with transferred weights if it asks for them."""
    try:
        net = PerceptionNet(of_size(**config.network))
    except TypeError as error:
        raise SettingsError(f"network: {error}; see NetworkConfig for the names") from error
    _check_prefixes(net, _prefixes(config))
    if config.transfer.weights:
        checkpoint.transfer(net, config.transfer.weights, config.transfer.replace)
    if config.transfer.imagenet:
        _start_from_imagenet(net)
    return net


def _start_from_imagenet(net: PerceptionNet) -> None:
    if not isinstance(net.backbone, EfficientNetLite0):
        raise SettingsError("transfer.imagenet needs network.backbone=efficientnet_lite0: set it to false")
    if net.config.expanded:
        raise SettingsError("transfer.imagenet needs the published channels: set it to false, or network.expanded=[]")
    try:
        load_imagenet(net.backbone, package_weights())
    except ModuleNotFoundError as error:
        raise SettingsError(f"transfer.imagenet: {error}") from error


def _prefixes(config: TrainConfig) -> dict[str, list[str]]:
    """All parameter-name prefixes of a configuration, by setting."""
    frozen = [prefix for phase in config.phases for prefix in phase.frozen]
    scales = [] if config.pretrain.hidden else list(config.optimizer.scales)  # pretraining adds parameters of its own
    return {"transfer.replace": config.transfer.replace, "phases.frozen": frozen, "optimizer.scales": scales}


def _check_prefixes(net: nn.Module, wanted: dict[str, list[str]]) -> None:
    """SettingsError for a prefix that matches no parameter of the network.

    wanted  prefixes by setting, such as transfer.replace
    """
    names = [name for name, _ in net.named_parameters()]
    for setting, prefixes in wanted.items():
        for prefix in prefixes:
            if not any(name.startswith(prefix) for name in names):
                parts = sorted({".".join(name.split(".")[: 1 + name.startswith("heads.")]) for name in names})
                raise SettingsError(f"{setting}: no parameter begins with '{prefix}'; the parts are {', '.join(parts)}")


def compile_parts(net: PerceptionNet) -> None:
    """Compile backbone, neck and heads in place with torch.compile; names, weights and copies are unaffected."""
    for part in (net.backbone, net.neck, *net.heads.values()):
        part.compile(dynamic=False)


def build_module(config: TrainConfig, net: PerceptionNet) -> TrainingModule | MaskedPretraining:
    """Training on labels, with a teacher if configured, or masked pretraining."""
    if not config.pretrain.hidden:
        teachers = _teacher(config, net), _imitation(config, net)
        return TrainingModule(net, Balancer(config.balance), config.loss, *teachers)
    if not isinstance(net.backbone, Backbone):
        raise SettingsError("pretrain.hidden needs network.backbone=residual; the other has ImageNet weights")
    if not 0 < config.pretrain.hidden < 1:
        raise SettingsError(f"pretrain.hidden={config.pretrain.hidden}: expected a fraction above 0 and below 1")
    return MaskedPretraining(net, config.pretrain.hidden)


def _teacher(config: TrainConfig, net: PerceptionNet) -> Teacher | None:
    if not config.distill.teacher:
        return None
    return Teacher(config.distill, checkpoint.load_network(Path(config.distill.teacher))[0], net)


def _imitation(config: TrainConfig, net: PerceptionNet) -> Imitation | None:
    return Imitation(config.imitate, net) if config.imitate.network else None


class TrainingModule(nn.Module):
    """Network, losses and balancing as one module, for a distribution strategy to wrap: batch to loss of every task.

    teacher    adds the distillation loss of a larger network (training/distill/network.py)
    imitation  adds the loss of imitating a foreign one (training/distill/imitation.py)
    """

    def __init__(
        self,
        net: PerceptionNet,
        balancer: Balancer,
        config: LossConfig,
        teacher: Teacher | None = None,
        imitation: Imitation | None = None,
    ):
        super().__init__()
        self.net, self.balancer, self.config = net, balancer, config
        self.teacher, self.imitation = teacher, imitation
        self._folded: list[nn.Module] = []  # in a list, to be neither a parameter nor a submodule

    def forward(
        self, batch: dict[str, Tensor], tasks: tuple[str, ...], compare: bool = False
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
        """The scalar to call backward() on, the weighted loss of each task, and with `compare` gradient statistics.

        Gradients of single tasks are computed in here, where Fabric and DDP do not yet expect the one backward pass.
        """
        losses = self.losses(batch)
        active = {task: loss for task, loss in losses.items() if task in tasks}
        statistics = agreement(active, self.net.shared_layer) if compare else {}
        total = self.balancer.total(active, self.net.shared_layer)
        # Inactive losses stay connected with factor 0, or DDP would wait for their gradients (see `losses`).
        rest = [loss * (task == "distill") for task, loss in losses.items() if task not in active]
        return sum(rest, start=total), {task: loss.detach() for task, loss in losses.items()}, statistics

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weighted loss by task, and with teachers "distill"."""
        taught = self.teacher.predict(batch) if self.teacher is not None else None
        imitated = self._imitated(batch) if self.imitation is not None else None
        ready = taken(batch, BACKBONE)
        pyramid = self.net.pyramid_from(ready) if ready else self.net.pyramid(batch["images"], self._frozen_backbone())
        outputs = self.net.outputs(pyramid)
        with torch.autocast(batch["images"].device.type, enabled=False):
            losses = self.balancer.weighted(task_losses(outputs, batch, self.config, self.net.config.strides))
            if self.teacher is not None:
                losses["distill"] = self.teacher(taught, pyramid, outputs, batch)
            if self.imitation is not None:
                losses["distill"] = losses.get("distill", 0) + self.imitation(imitated, pyramid, outputs, batch)
        if len(self.net.config.tasks) == len(HEADS):
            return losses
        # Pyramid levels that no head of this network uses stay connected as well.
        unused = cast(Tensor, 0 * sum(level.float().mean() for level in pyramid))
        return {task: loss + unused for task, loss in losses.items()}

    def _imitated(self, batch: dict[str, Tensor]) -> Taught:
        """What the imitated network sees: from the loader or calculated here."""
        assert self.imitation is not None
        ready, images = taken(batch, IMITATED), batch["images"]
        return self.imitation.taught(ready, images.shape[2]) if ready else self.imitation.predict(images)

    def _frozen_backbone(self) -> nn.Module | None:
        """A copy of the backbone with its batch norms folded, as long as nothing in it learns: a quarter less time."""
        backbone = self.net.backbone
        norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
        if any(norm.training for norm in norms) or any(weight.requires_grad for weight in backbone.parameters()):
            self._folded = []
        elif not self._folded:
            self._folded = [fuse(copy.deepcopy(backbone))]
        return self._folded[0] if self._folded else None

    def projected_gradients(self, batch: dict[str, Tensor], tasks: tuple[str, ...], number: int) -> dict[str, Tensor]:
        """PCGrad over all weights of this device in step `number`: fills every .grad and returns the losses."""
        losses = self.losses(batch)
        parameters = [p for p in self.net.parameters() if p.requires_grad]
        active = [loss for task, loss in losses.items() if task in tasks or task == "distill"]
        order = random.Random(number).sample(range(len(active)), len(active))
        flat = project(gradients(active, parameters), order)
        for parameter, part in zip(parameters, torch.split(flat, [p.numel() for p in parameters])):
            parameter.grad = part.view_as(parameter).clone()
        return {task: loss.detach() for task, loss in losses.items()}

    def preview(self, average: PerceptionNet, images: Tensor) -> np.ndarray:
        """Predictions of the averaged network drawn over images (B, H, W, 3) uint8."""
        return contact_sheet(average, images)
