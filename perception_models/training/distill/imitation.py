"""Imitation of a foreign network: the pyramid learns to hold its feature maps, on images that nobody labelled, and the
object head to find what it finds (detections.py).

Hints for thin deep nets (Romero et al. 2015, arXiv 1412.6550), with more weight where the foreign network sees
something, as in Chen et al. 2017 (NeurIPS, "Learning efficient object detection models with knowledge distillation").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception_models.config import SettingsError
from perception_models.network import PerceptionNet
from perception_models.training.config import ImitateConfig
from perception_models.training.distill.detections import detection_loss

PROBE = 128  # pixels; the side of the image that shows the strides of the maps


class Taught(NamedTuple):
    """What the foreign network sees in B images.

    maps   B C H/stride W/stride by stride, float32; maps of one stride along one axis
    cells  B 5+C H/stride W/stride, fine to coarse; empty if only features are learned
    """

    maps: dict[int, Tensor]
    cells: Sequence[Tensor]


class Imitation(nn.Module):
    """Loss against tensors of an ONNX file; an adapter per stride maps the pyramid to the channels of its maps.

    Only adapters and statistics are part of the student's checkpoint. The network takes `B 3 H W` float32 images, BGR
    0..255, of any size (as YOLOX does), as bright as the student's backbone sees them.
    """

    def __init__(self, config: ImitateConfig, student: PerceptionNet):
        super().__init__()
        self.config = config
        self._session = open_maps(Path(config.network or ""), config.tensors)
        self._exposure = student.exposure
        self._strides, self._branch = student.config.strides, student.config.branches[0]
        probe, training = torch.zeros(1, PROBE, PROBE, 3, dtype=torch.uint8), student.training
        with torch.no_grad():  # in evaluation mode: a black image must not enter the statistics of the batch norms
            levels = {PROBE // level.shape[-1]: level.shape[1] for level in student.eval().pyramid(probe)}
        student.train(training)
        channels = {stride: maps.shape[1] for stride, maps in self.predict(probe).maps.items()}
        if unknown := sorted(set(channels) - set(levels)):
            raise SettingsError(f"imitate.maps: strides {unknown} are not among the network's, {sorted(levels)}")
        self.adapters = nn.ModuleDict({str(s): nn.Conv2d(levels[s], count, 1) for s, count in channels.items()})
        self.scales = nn.ModuleDict({str(s): nn.BatchNorm2d(count, affine=False) for s, count in channels.items()})

    @torch.no_grad()
    def predict(self, images: Tensor) -> Taught:
        """What the network sees in images B H W 3 uint8."""
        lifted = self._exposure(images.permute(0, 3, 1, 2).float()).contiguous()
        feed = {self._session.get_inputs()[0].name: lifted.cpu().numpy()}
        found = self._session.run(self.config.tensors, feed)
        return self.taught([torch.from_numpy(each).to(images.device) for each in found], images.shape[2])

    def taught(self, tensors: Sequence[Tensor], width: int) -> Taught:
        """The network's tensors in the order of config.tensors, of images of this width."""
        count = len(self.config.maps)
        return Taught(by_stride(tensors[:count], width), tensors[count:])

    def forward(
        self, taught: Taught, pyramid: tuple[Tensor, ...], outputs: dict[str, Tensor], batch: dict[str, Tensor]
    ) -> Tensor:
        """Weighted loss of features and objects."""
        loss = self.config.weight * self.map_loss(taught.maps, pyramid)
        if not taught.cells:
            return loss
        return loss + self.config.objects * detection_loss(taught.cells, outputs, batch, self._strides, self._branch)

    def map_loss(self, taught: dict[int, Tensor], pyramid: tuple[Tensor, ...]) -> Tensor:
        """Weighted mean square of the difference in standard deviations of each channel, mean over the strides."""
        by_width = {level.shape[-1]: level for level in pyramid}
        losses = [
            imitation_loss(self._adapted(stride, by_width[maps.shape[-1]]), self._standard(stride, maps))
            for stride, maps in taught.items()
        ]
        return torch.stack(losses).mean()

    def _adapted(self, stride: int, level: Tensor) -> Tensor:
        """The adapter's convolution of one pixel, as a product of matrices: on one core that is faster."""
        adapter = cast(nn.Conv2d, self.adapters[str(stride)])
        product = F.linear(level.float().permute(0, 2, 3, 1), adapter.weight[:, :, 0, 0], adapter.bias)
        return product.permute(0, 3, 1, 2)

    @torch.no_grad()
    def _standard(self, stride: int, maps: Tensor) -> Tensor:
        """Zero mean and unit variance by channel over all images so far: one batch may show nothing."""
        scale = self.scales[str(stride)]
        scale.train()(maps)
        standard: Tensor = scale.eval()(maps)
        return standard


def by_stride(maps: Sequence[Tensor], width: int) -> dict[int, Tensor]:
    """Maps B C h w of images of this width by stride, as float32; those of one stride along one axis."""
    found: dict[int, list[Tensor]] = {}
    for each in maps:
        found.setdefault(width // each.shape[-1], []).append(each.float())
    return {stride: torch.cat(each, 1) for stride, each in found.items()}


def imitation_loss(student: Tensor, wanted: Tensor) -> Tensor:
    """Scalar; student and wanted B C H W. Places weigh as much as the wanted features stand out there."""
    weight = wanted.square().mean(1).sqrt()
    weight = weight / weight.mean().clamp(min=1e-6)
    return ((student - wanted).square().mean(1) * weight).mean()


def open_maps(path: Path, maps: list[str]) -> Any:
    """An ONNX Runtime session that gives the tensors `maps` of a network; raises what `with_maps` raises."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(with_maps(path, maps), options, providers=["CPUExecutionProvider"])


def with_maps(path: Path, maps: list[str]) -> bytes:
    """An ONNX network whose outputs are its tensors `maps`, for images of any size.

    Raises SettingsError for a file that cannot be read or has no such tensors.
    """
    import onnx

    if not path.is_file():
        raise SettingsError(f"imitate.network: {path} does not exist; give the ONNX file of a detector")
    model = onnx.load(str(path))
    names = {name for node in model.graph.node for name in node.output}
    if not maps or (missing := [name for name in maps if name not in names]):
        wrong = ", ".join(missing[:5]) if maps else "none given"
        raise SettingsError(f"imitate.maps: {wrong}; give names of tensors in {path}, as Netron shows them")
    for dim, name in zip(model.graph.input[0].type.tensor_type.shape.dim, ("batch", None, "height", "width")):
        if name:
            dim.dim_param = name
    del model.graph.value_info[:], model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in maps)
    return bytes(model.SerializeToString())
