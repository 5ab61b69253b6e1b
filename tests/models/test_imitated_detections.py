"""A foreign detector's cells as targets: their geometry, what the loss rewards, and on which images it is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from camera_perception.decode.detectors.yolox import anchor_grid
from perception_models.data.labels import OBJECTS
from perception_models.network.box_coding import anchor_points
from perception_models.training.distill.detections import KINDS, OFFSETS, boxes_of, detection_loss, score_loss

SIZE, STRIDES = (64, 96), (4, 8, 16)
PERSON, BUS = list(KINDS).index(0), list(KINDS).index(5)


def cells(probability: float = 0.9) -> list[torch.Tensor]:
    """Cells of strides 8 and 16 of two images: one person of 24 x 32 pixels around (36, 20), in one cell."""
    found = [torch.zeros(2, OFFSETS + 80, SIZE[0] // stride, SIZE[1] // stride) for stride in (8, 16)]
    row = found[0][:, :, 2, 4]
    row[:, :2] = 0.5
    row[:, 2:4] = torch.tensor([24 / 8, 32 / 8]).log()
    row[:, 4], row[:, OFFSETS] = 1.0, probability
    return found


def outputs(logit: float, cell: bool = True) -> dict[str, torch.Tensor]:
    """Scores of a network that sees a pedestrian of this logit in the same cell, or in another one."""
    count = sum(SIZE[0] // stride * (SIZE[1] // stride) for stride in STRIDES)
    classes, sides = torch.full((2, count, len(OBJECTS)), -6.0), torch.zeros(2, count, 4)
    anchor = 16 * 24 + (2 if cell else 6) * 12 + 4
    classes[:, anchor, OBJECTS.index("pedestrian")] = logit
    sides[:, anchor] = torch.tensor([12 / 8, 16 / 8, 12 / 8, 16 / 8]).log()
    return {"many_classes": classes, "many_sides": sides}


def batch(complete: bool = False) -> dict[str, torch.Tensor]:
    known = torch.ones(2, len(OBJECTS), dtype=torch.bool)
    known[:, 0] = complete
    return {"images": torch.zeros(2, *SIZE, 3, dtype=torch.uint8), "known_classes": known}


def test_boxes_are_those_of_the_decoder():
    """The vehicle's decoder of YOLOX gives the same boxes for the same rows."""
    rows = torch.randn(1, 8 * 12 + 4 * 6, OFFSETS + 80, generator=torch.Generator().manual_seed(0))
    centers, scale = anchor_points(SIZE, (8, 16))
    grid = anchor_grid(SIZE, (8, 16))
    middle = (rows[0, :, :2].numpy() + grid[:, :2]) * grid[:, 2:]
    half = np.exp(rows[0, :, 2:4].numpy()) * grid[:, 2:] / 2
    expected = np.concatenate([middle - half, middle + half], 1)
    np.testing.assert_allclose(boxes_of(rows, centers, scale)[0].numpy(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("probability", [0.2, 0.9])
def test_the_loss_is_smallest_for_the_detectors_own_score(probability: float):
    right = float(np.log(probability / (1 - probability)))
    losses = [
        float(detection_loss(cells(probability), outputs(logit), batch(), STRIDES, "many"))
        for logit in (right - 2, right, right + 2)
    ]
    assert losses[1] < min(losses[0], losses[2])


def test_an_object_in_the_wrong_place_costs_more_than_a_missed_one():
    right, missed, elsewhere = (
        float(detection_loss(cells(), outputs(*at), batch(), STRIDES, "many")) for at in ((2.2,), (-6.0,), (2.2, False))
    )
    assert right < missed < elsewhere


def test_complete_labels_need_no_detector():
    wanted = outputs(-6.0)
    for each in wanted.values():
        each.requires_grad_()
    loss = detection_loss(cells(), wanted, batch(complete=True), STRIDES, "many")
    loss.backward()
    assert float(loss.detach()) == 0
    assert not wanted["many_classes"].grad.any()


def test_a_rider_is_a_person_for_the_detector():
    """The surer one of two of our classes answers for one of theirs."""
    wanted = torch.zeros(1, 1, len(KINDS))
    wanted[..., PERSON] = 0.9
    rider, nobody, bus = (torch.full((1, 1, len(OBJECTS)), -6.0) for _ in range(3))
    rider[..., OBJECTS.index("rider")] = 2.2
    bus[..., OBJECTS.index("bus")] = 2.2
    assert score_loss(rider, wanted) < score_loss(nobody, wanted) < score_loss(bus, wanted)
