"""Networks that do not learn, run in OpenVINO where batches are loaded: a frozen backbone or its first stages, and a
network that is imitated.

The training process is left with what learns: on two cores with AMX, where OpenVINO calculates in bf16, that was 18 to
22 images a second at 416x256 (docs/research_log.md).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perception_models.config import SettingsError
from perception_models.network import PerceptionNet
from perception_models.network.blocks import fuse, successive
from perception_models.training.config import ImitateConfig, PhaseConfig, TrainConfig
from perception_models.training.distill.imitation import with_maps

BACKBONE, IMITATED = "backbone", "imitated"  # first parts of the names of their maps in a batch


@dataclass
class FrozenNetworks:
    """Adds the maps of the networks to a batch. Each loader process opens them when it sees its first images.

    backbone  takes B H W 3 uint8 BGR images
    imitate   network and tensors of Imitation; without network: none
    bf16      calculate in bf16 where the processor can
    """

    backbone: FirstStages
    imitate: ImitateConfig
    bf16: bool
    _opened: dict[tuple[int, ...], dict[str, Any]] = field(default_factory=dict, repr=False)

    def __call__(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch with `backbone.0`, ..., fine to coarse, and `imitated.0`, ... in the order of imitate.tensors."""
        images = np.ascontiguousarray(batch["images"].numpy())
        if images.shape not in self._opened:
            self._opened[images.shape] = self._open(images.shape)
        views = {BACKBONE: images, IMITATED: self._lifted(batch["images"])}
        found = {name: network(views[name]) for name, network in self._opened[images.shape].items()}
        return batch | {f"{n}.{i}": self._tensor(each[i]) for n, each in found.items() for i in range(len(each))}

    def _lifted(self, images: Tensor) -> np.ndarray:
        """What the imitated network sees of images B H W 3 uint8: B 3 H W float32, as bright as the own sees them."""
        return np.ascontiguousarray(self.backbone.exposure(images.permute(0, 3, 1, 2).float()).numpy())

    def _tensor(self, maps: np.ndarray) -> Tensor:
        kind = torch.bfloat16 if self.bf16 else torch.float32
        return torch.tensor(maps).to(kind, memory_format=torch.channels_last)

    def _open(self, shape: tuple[int, ...]) -> dict[str, Any]:
        from camera_perception.engines.openvino import without_telemetry

        without_telemetry()
        import openvino

        count, height, width, _ = shape
        example = torch.zeros(shape, dtype=torch.uint8)
        models = {BACKBONE: (openvino.convert_model(self.backbone, example_input=example), shape)}
        if self.imitate.network:
            content = with_maps(Path(self.imitate.network), self.imitate.tensors)
            models[IMITATED] = openvino.Core().read_model(content), (count, 3, height, width)
        return {name: self._compiled(model, size) for name, (model, size) in models.items()}

    def _compiled(self, model: Any, shape: Sequence[int]) -> Any:
        import openvino

        model.reshape({model.inputs[0]: list(shape)})
        hints = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "bf16" if self.bf16 else "f32"}
        return openvino.Core().compile_model(model, "CPU", hints)


class FirstStages(nn.Module):
    """The stem and the first stages of a backbone, with their batch norms folded, from images as they are."""

    def __init__(self, net: PerceptionNet, count: int):
        super().__init__()
        backbone = copy.deepcopy(net.backbone).eval().requires_grad_(False)
        fuse(backbone)
        self.exposure, self.scale = net.exposure, net.input_scale
        self.stem, self.stages = backbone.stem, backbone.stages[:count]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(successive(self.stages, self.stem(self.exposure(images.permute(0, 3, 1, 2).float()) * self.scale)))


def frozen_networks(config: TrainConfig, net: PerceptionNet, bf16: bool) -> FrozenNetworks | None:
    """Of a run with `frozen_in_loader`, else None; SettingsError if the first stage of the backbone would learn."""
    if not config.frozen_in_loader:
        return None
    if config.adversarial.share:
        raise SettingsError("frozen_in_loader cannot attack images: set adversarial.share=0 or frozen_in_loader=false")
    if not (count := frozen_stages(config.phases, len(net.backbone.stages))):
        first = "phases=[{until: 1.0, frozen: [backbone.stem, backbone.stages.0]}]"
        raise SettingsError(f"frozen_in_loader needs at least {first}: set that, or frozen_in_loader=false")
    return FrozenNetworks(FirstStages(net, count), config.imitate, bf16)


def frozen_stages(phases: Sequence[PhaseConfig], stages: int) -> int:
    """How many first stages of a backbone learn in no phase; 0 if its stem does."""
    if not phases or phases[-1].until < 1:
        return 0
    parts = ["backbone.stem", *(f"backbone.stages.{number}" for number in range(stages))]
    frozen = takewhile(lambda part: all(part.startswith(tuple(phase.frozen)) for phase in phases), parts)
    return max(len(list(frozen)) - 1, 0)


def taken(batch: dict[str, Tensor], name: str) -> list[Tensor]:
    """The maps of a network, removed from the batch; empty if the loader did not run it."""
    count = sum(key.startswith(f"{name}.") for key in batch)
    return [batch.pop(f"{name}.{number}") for number in range(count)]
