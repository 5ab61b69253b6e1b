"""Where would the network have to look differently to say less? One backward pass per question (torch, captum).

Activation times gradient, summed over the channels of backbone maps: HiResCAM (Draelos and Carin 2020, arXiv
2011.08891), which unlike Grad-CAM does not average the gradient over the picture, so that one car of two can be asked
about.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from captum.attr import LayerGradientXActivation
from torch import Tensor
from torch.nn import functional as F

from perception_models.data import labels
from perception_models.evaluation.explain.target import Question
from perception_models.losses.iou import iou
from perception_models.network import PerceptionNet
from perception_models.network.box_coding import anchor_points, boxes_from_sides

STAGES = (1, 2)  # of the backbone, strides 8 and 16: fine enough for a wheel, deep enough to know a car


def gradient_maps(net: PerceptionNet, picture: np.ndarray, asked: Sequence[Question]) -> np.ndarray:
    """(Q, H, W) float32: how much each place speaks for the answer to each question; negative: against.

    picture  (H, W, 3) uint8, of a size the network can take
    """
    images = torch.from_numpy(picture)[None].float()
    layers = [net.backbone.stages[number] for number in STAGES]
    return np.stack([_map(layers, said(net, question, picture.shape[:2]), images) for question in asked])


def said(net: PerceptionNet, question: Question, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """The raw output behind an answer, as a function of images (B, H, W, 3) float: (B,)."""
    if question.kind == "object":
        return lambda images: _object(net(images, ("one",)), question, size, net.config.strides)
    if question.kind == "lane":
        slot = labels.POSITIONS.index(int(question.name))
        return lambda images: net(images, ())["lane_exists"][:, slot]
    number = labels.SCENE[question.name].index(str(question.label))
    return lambda images: net(images, ())[question.name].log_softmax(-1)[:, number]


def _object(outputs: dict[str, Tensor], question: Question, size: tuple[int, int], strides: tuple[int, ...]) -> Tensor:
    """The logit of the cell whose box it was."""
    logits = outputs["one_classes"][..., int(question.label)]
    boxes = boxes_from_sides(outputs["one_sides"], *anchor_points(size, strides))
    asked = torch.from_numpy(question.shape).reshape(1, 1, 4).expand_as(boxes)
    cell = (iou(boxes, asked) * logits.sigmoid()).argmax(1)
    return logits.gather(1, cell[:, None])[:, 0]


def _map(layers: list[torch.nn.Module], output: Callable[[Tensor], Tensor], images: Tensor) -> np.ndarray:
    total = torch.zeros(images.shape[1:3])
    for found in LayerGradientXActivation(output, layers).attribute(images):
        places = found.detach().sum(1, keepdim=True)
        places = places / places.abs().max().clamp(min=1e-12)
        total += F.interpolate(places, total.shape, mode="bilinear", align_corners=False)[0, 0]
    return total.numpy()


def with_random_weights(net: PerceptionNet, seed: int = 0) -> PerceptionNet:
    """A copy whose weights are shuffled within each tensor: as large as before, but nothing learnt is left."""
    generator, copied = torch.Generator().manual_seed(seed), copy.deepcopy(net)
    with torch.no_grad():
        for parameter in copied.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return copied
