from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from perception_models.data import labels
from perception_models.losses import LossConfig, task_losses
from perception_models.losses.assigner import assign
from perception_models.losses.iou import complete_iou, iou
from perception_models.losses.lanes import lane_losses
from perception_models.losses.masks import mask_loss, tversky_loss
from perception_models.losses.objects import object_losses
from perception_models.network import PerceptionNet, of_size
from perception_models.network.box_coding import anchor_points, boxes_from_sides

SIZE, STRIDES = (64, 128), (8, 16, 32)
CENTERS, SCALE = anchor_points(SIZE, STRIDES)
GRID = SIZE, STRIDES
CAR, LIGHT = labels.OBJECTS.index("car"), labels.LIGHT


@pytest.fixture
def outputs(drawn_batch) -> dict[str, torch.Tensor]:
    """Raw outputs of an untrained network as leaves, so that each has its own gradient."""
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t")).eval()
    with torch.no_grad():
        raw = net(drawn_batch["images"])
    return {name: value.clone().requires_grad_() for name, value in raw.items()}


def gradients(losses: dict[str, torch.Tensor], outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for value in outputs.values():
        value.grad = None
    sum(losses.values()).backward()
    return {name: torch.zeros_like(v) if v.grad is None else v.grad for name, v in outputs.items()}


def all_losses(outputs, batch) -> dict[str, torch.Tensor]:
    return task_losses(outputs, batch, LossConfig(), STRIDES)


# --- boxes


@pytest.mark.parametrize(
    ("a", "b", "plain", "complete"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1, 1),
        ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7, 1 / 7 - 2 / 18),
        ([0, 0, 2, 2], [4, 0, 6, 2], 0, -16 / 40),
        # Same middle, other aspect: only the aspect term is left.
        ([0, 0, 4, 1], [1.5, -1.5, 2.5, 2.5], 1 / 7, None),
    ],
)
def test_overlap_of_boxes(a, b, plain, complete):
    a, b = torch.tensor(a).float(), torch.tensor(b).float()
    if complete is None:
        aspect = 4 / math.pi**2 * (math.atan(4) - math.atan(0.25)) ** 2
        complete = plain - aspect * aspect / (aspect - plain + 1)
    assert iou(a, b).item() == pytest.approx(plain, abs=1e-5)
    assert complete_iou(a, b).item() == pytest.approx(complete, abs=1e-5)


# --- assignment


def slow_task_alignment(probabilities, predicted, boxes, classes, top):
    """One image, with plain loops: object row and target score of each anchor (-1 and 0 without one)."""
    owner, best_overlap = [-1] * len(predicted), [0.0] * len(predicted)
    align = {}
    for m, (box, kind) in enumerate(zip(boxes, classes)):
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        near = [a for a in range(len(predicted)) if bool(((CENTERS[a] - middle).abs() < half.clamp(min=8)).all())]
        inside = [a for a in near if bool(((CENTERS[a] - middle).abs() < half).all())]
        rows = inside if top == 1 and inside else near
        for a in rows:
            overlap = iou(box, predicted[a]).item()
            align[m, a] = probabilities[a, kind].item() ** 0.5 * overlap**6, overlap
        for a in sorted(rows, key=lambda a: -align[m, a][0])[:top]:
            if align[m, a][1] + 1e-6 > best_overlap[a]:
                owner[a], best_overlap[a] = m, align[m, a][1] + 1e-6
    scores = [0.0] * len(predicted)
    for m in range(len(boxes)):
        mine = [a for a, who in enumerate(owner) if who == m]
        if mine:
            most, overlap = max(align[m, a][0] for a in mine), max(align[m, a][1] for a in mine)
            for a in mine:
                scores[a] = align[m, a][0] * overlap / max(most, 1e-38)
    return owner, scores


@pytest.mark.parametrize("top", [1, 10])
def test_assignment_equals_a_slow_reference_implementation(top):
    random = torch.Generator().manual_seed(3)
    boxes = torch.tensor([[40.0, 30, 70, 50], [50, 32, 110, 60], [8, 8, 13, 14], [0, 0, 128, 64]])
    classes = torch.tensor([2, 2, 8, 4])
    probabilities = torch.rand(len(CENTERS), 10, generator=random)
    sides = 0.7 + 0.5 * torch.randn(len(CENTERS), 4, generator=random)
    predicted = boxes_from_sides(sides, CENTERS, SCALE)
    valid = torch.ones(1, 4, dtype=torch.bool)
    assignment = assign(probabilities[None], predicted[None], GRID, boxes[None], classes[None], valid, top)
    owner, scores = slow_task_alignment(probabilities, predicted, boxes, classes, top)
    assert torch.where(assignment.assigned[0], assignment.rows[0], -1).tolist() == owner
    torch.testing.assert_close(assignment.weight[0], torch.tensor(scores), atol=1e-5, rtol=1e-4)
    kinds = assignment.scores[0].argmax(-1)[assignment.assigned[0] & (assignment.weight[0] > 0)]
    wanted = classes[assignment.rows[0][assignment.assigned[0] & (assignment.weight[0] > 0)]]
    assert torch.equal(kinds, wanted)


def test_the_single_anchor_of_a_small_object_lies_inside_it():
    """The anchor to the right has the better score and overlap, but its box cannot end left of it."""
    box = torch.tensor([[[9.0, 2, 17, 19]]])
    beside = (CENTERS == torch.tensor([20.0, 12])).all(1)
    probabilities = torch.full((1, len(CENTERS), 10), 0.01)
    probabilities[0, beside] = 0.9
    predicted = boxes_from_sides(torch.full((1, len(CENTERS), 4), 0.7), CENTERS, SCALE)
    predicted[0, beside] = torch.tensor([9.0, 2, 20.8, 19])
    assignment = assign(probabilities, predicted, GRID, box, torch.tensor([[LIGHT]]), torch.tensor([[True]]), 1)
    x, y = CENTERS[assignment.assigned[0]][0]
    assert 9 < x < 17
    assert 2 < y < 19


@pytest.mark.parametrize("box", [[60.0, 20, 62, 23], [3.0, 3, 5, 5], [125.0, 61, 128, 64]])
def test_an_object_smaller_than_a_stride_still_gets_an_anchor(box):
    sides = torch.full((1, len(CENTERS), 4), 0.7)
    assignment = assign(
        torch.full((1, len(CENTERS), 10), 0.005), boxes_from_sides(sides, CENTERS, SCALE), GRID,
        torch.tensor([[box]]), torch.tensor([[CAR]]), torch.tensor([[True]]), 1,
    )  # fmt: skip
    assert assignment.assigned.sum() == 1
    assert (CENTERS[assignment.assigned[0]] - torch.tensor(box).view(2, 2).mean(0)).norm() < 12
    overlap = iou(torch.tensor(box), boxes_from_sides(sides, CENTERS, SCALE)[0, assignment.assigned[0]])
    torch.testing.assert_close(assignment.weight[assignment.assigned], overlap)  # however poor the initial prediction


def test_an_object_that_no_prediction_overlaps_still_gets_an_anchor():
    tiny_elsewhere = boxes_from_sides(torch.full((1, len(CENTERS), 4), -5.0), CENTERS, SCALE)
    box = torch.tensor([[[61.0, 21, 62, 22]]])
    assert iou(box, tiny_elsewhere).max() == 0
    assignment = assign(
        torch.full((1, len(CENTERS), 10), 0.5), tiny_elsewhere, GRID, box, torch.tensor([[CAR]]),
        torch.tensor([[True]]), 1,
    )  # fmt: skip
    assert assignment.assigned.sum() == 1


def test_padding_and_ignored_objects_get_no_anchor(drawn_batch):
    valid = torch.zeros_like(drawn_batch["ignored"])
    cells = len(CENTERS)
    assignment = assign(
        torch.full((4, cells, 10), 0.5), boxes_from_sides(torch.zeros(4, cells, 4), CENTERS, SCALE), GRID,
        drawn_batch["boxes"], drawn_batch["classes"], valid, 10,
    )  # fmt: skip
    assert not assignment.assigned.any()
    assert assignment.scores.sum() == 0


# --- objects


def test_perfect_boxes_and_scores_have_almost_no_loss(drawn_batch, outputs):
    """Every anchor inside an object predicts exactly that object; the entropy of the soft target remains (about 0)."""
    with torch.no_grad():
        for image in range(4):
            for box, kind, state in zip(*(drawn_batch[n][image] for n in ("boxes", "classes", "light_states"))):
                inside = ((CENTERS > box[:2] - 8) & (CENTERS < box[2:] + 8)).all(1)
                sides = torch.cat([CENTERS - box[:2], box[2:] - CENTERS], 1) / SCALE[:, None]
                inside &= (sides > 0.1).all(1)
                nearest = inside.nonzero()[0, 0]
                for branch in ("many", "one"):
                    rows = inside if branch == "many" else nearest[None]
                    outputs[f"{branch}_sides"][image, rows] = sides[rows].clamp(min=0.1).log()
                    outputs[f"{branch}_classes"][image, rows, kind] = 12.0
                    outputs[f"{branch}_states"][image, rows] = 12.0 * F.one_hot(state.clamp(min=0), 4).float() * 2 - 12
    start = object_losses(outputs, drawn_batch, STRIDES, "one")
    assert start["classes"] < 0.1
    assert start["choice"] < 0.1
    assert start["boxes"] < 0.05
    assert start["lights"] < 0.01


def test_the_choice_loss_is_cross_entropy_between_classes_at_assigned_anchors(drawn_batch, outputs):
    """Equal logits cost log 10 per unit of target; classes that a data set does not label are left out."""
    outputs["one_classes"] = torch.full_like(outputs["one_classes"], -3.0)
    assert object_losses(outputs, drawn_batch, STRIDES, "one")["choice"].item() == pytest.approx(math.log(10), rel=1e-4)
    drawn_batch["known_classes"][:, 2:] = False
    fewer = object_losses(outputs, drawn_batch, STRIDES, "one")["choice"].item()
    assert math.log(2) <= fewer <= math.log(3) + 1e-4


def background_gradient(outputs, batch, kind: int) -> float:
    """Gradient of one class at unassigned anchors."""
    gradient = gradients(object_losses(outputs, batch, STRIDES, "many"), outputs)["many_classes"]
    return gradient[..., kind].clamp(min=0).sum().item()


def test_unlabelled_classes_give_no_gradient(drawn_batch, outputs):
    train = labels.OBJECTS.index("train")
    assert background_gradient(outputs, drawn_batch, train) > 0
    drawn_batch["known_classes"][:, train] = False
    assert background_gradient(outputs, drawn_batch, train) == 0
    assert background_gradient(outputs, drawn_batch, CAR) > 0


def test_a_box_counts_even_if_its_class_is_incomplete(drawn_batch, outputs):
    drawn_batch["known_classes"][:] = False
    gradient = gradients(object_losses(outputs, drawn_batch, STRIDES, "many"), outputs)["many_classes"]
    assert {kind for kind in range(10) if gradient[..., kind].any()} == {CAR, LIGHT}


def test_images_without_box_labels_give_no_gradient(drawn_batch, outputs):
    drawn_batch["has_boxes"][:3] = False
    grads = gradients(object_losses(outputs, drawn_batch, STRIDES, "one"), outputs)
    for name in ("one_classes", "one_sides", "one_states"):
        assert not grads[name][:3].any(), name
        assert grads[name][3].any(), name


def test_anchors_in_an_ignored_object_give_no_gradient(drawn_batch, outputs):
    drawn_batch["ignored"][:] = True
    gradient = gradients(object_losses(outputs, drawn_batch, STRIDES, "one"), outputs)["one_classes"]
    x0, y0, x1, y1 = drawn_batch["boxes"][0, 0].tolist()
    inside = (CENTERS[:, 0] > x0) & (CENTERS[:, 0] < x1) & (CENTERS[:, 1] > y0) & (CENTERS[:, 1] < y1)
    assert inside.any()
    assert not gradient[0, inside].any()
    assert gradient[0, ~inside].any()


def test_light_states_are_trained_at_lights_of_known_state_only(drawn_batch, outputs):
    def state_gradient() -> torch.Tensor:
        return gradients({"lights": object_losses(outputs, drawn_batch, STRIDES, "one")["lights"]}, outputs)[
            "one_states"
        ]

    drawn_batch["light_states"][drawn_batch["classes"] == LIGHT] = 2
    gradient = state_gradient()
    cells = gradient.abs().sum(-1) > 0
    assert cells.sum(1).tolist() == [1, 1, 1, 1]  # one twin, one light per picture
    assert (gradient[cells].sign() == torch.tensor([1.0, 1, -1, 1])).all()
    drawn_batch["light_states"][:] = -1
    assert not state_gradient().any()


# --- masks


def test_mask_loss_is_cross_entropy_plus_dice_where_labelled():
    random = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 5, generator=random), torch.randint(0, 3, (2, 4, 5), generator=random)
    target[0, :2] = labels.IGNORE
    known = target != labels.IGNORE
    probability, dice = logits.softmax(1), []
    for kind in range(3):
        p, t = probability[:, kind][known], (target == kind)[known].float()
        dice.append(1 - (2 * (p * t).sum() + 2) / (p.sum() + t.sum() + 2))
    wanted = F.cross_entropy(logits, target.long(), ignore_index=labels.IGNORE) + sum(dice) / 3
    torch.testing.assert_close(mask_loss(logits, target.to(torch.uint8)), wanted)


def test_focal_factor_matches_the_paper():
    logits, target = torch.tensor([[[[2.0]], [[0.0]]]]), torch.zeros(1, 1, 1, dtype=torch.uint8)
    p = 1 / (1 + math.exp(-2))
    tversky = tversky_loss(logits.softmax(1), target.long(), torch.ones(1, 1, 1, dtype=torch.bool), 0.5)
    got = mask_loss(logits, target, gamma=2.0) - tversky
    assert got.item() == pytest.approx(-((1 - p) ** 2) * math.log(p), rel=1e-5)


@pytest.mark.parametrize(("alpha", "missing_costs_more"), [(0.8, True), (0.2, False)])
def test_alpha_weights_false_negatives_against_false_positives(alpha, missing_costs_more):
    truth = torch.zeros(1, 40, 50, dtype=torch.long)
    truth[:, :4] = 1  # a thin class, such as lines
    missed, invented = truth.clone(), truth.clone()
    missed[:, 3], invented[:, 4] = 0, 1
    got, wanted = [], []
    for seen in (missed, invented):
        known = torch.ones_like(truth, dtype=torch.bool)
        got.append(tversky_loss(F.one_hot(seen, 2).permute(0, 3, 1, 2).float(), truth, known, alpha).item())
        wanted.append(sum(1 - tversky_index(seen == kind, truth == kind, alpha) for kind in (0, 1)) / 2)
    assert got == pytest.approx(wanted, abs=2e-3)
    assert (got[0] > got[1]) == missing_costs_more


def tversky_index(seen: torch.Tensor, truth: torch.Tensor, alpha: float) -> float:
    hit = (seen & truth).sum()
    return float(hit / (hit + alpha * (truth & ~seen).sum() + (1 - alpha) * (seen & ~truth).sum()))


def test_unlabelled_pixels_give_no_gradient(drawn_batch, outputs):
    drawn_batch["semantic"][:, :8] = labels.IGNORE
    drawn_batch["drivable"][:] = labels.IGNORE
    grads = gradients(all_losses(outputs, drawn_batch), outputs)
    assert not grads["semantic"][:, :, :8].any()
    assert grads["semantic"][:, :, 8:].any()
    assert not grads["drivable"].any()


# --- lanes


def lanes_drawn_by_hand(rows: int = 8, columns: int = 16):
    """One vertical line at x = 60 px from row 3 down, predicted with certainty; the other five do not exist."""
    batch = {
        "images": torch.zeros(1, 64, 128, 3),
        "lane_x": torch.full((1, 6, rows), float("nan")),
        "lane_exists": torch.zeros(1, 6, dtype=torch.int64),
        "lane_type": torch.full((1, 6), -1),
        "lane_color": torch.full((1, 6), -1),
    }
    batch["lane_x"][0, 2, 3:] = 60.0
    batch["lane_exists"][0, 2], batch["lane_type"][0, 2], batch["lane_color"][0, 2] = 1, 1, 0
    heat = torch.full((1, 6, rows, columns), -30.0)
    heat[0, :, :, 7] = 30.0  # the middle of column 7 is x = 60
    say = lambda where: torch.where(where, 20.0, -20.0)  # noqa: E731
    outputs = {
        "lane_heat": heat,
        "lane_column": torch.full((1, 6, rows), 7.0),
        "lane_row": say(batch["lane_x"].isfinite()),
        "lane_exists": say(batch["lane_exists"] == 1),
        "lane_type": F.one_hot(torch.full((1, 6), 1), 9) * 30.0,
        "lane_color": F.one_hot(torch.full((1, 6), 0), 5) * 30.0,
    }
    return outputs, batch


def test_a_perfectly_predicted_line_has_no_loss():
    assert all(float(loss) < 1e-4 for loss in lane_losses(*lanes_drawn_by_hand()).values())


@pytest.mark.parametrize("name", ["rows", "exists", "type", "color"])
def test_each_wrong_output_of_a_line_raises_its_own_loss_only(name):
    outputs, batch = lanes_drawn_by_hand()
    key = {"rows": "lane_row"}.get(name, f"lane_{name}")
    outputs[key] = -outputs[key]
    losses = lane_losses(outputs, batch)
    assert losses.pop(name) > 5
    assert all(float(loss) < 1e-4 for loss in losses.values())


def test_the_position_loss_grows_with_the_distance():
    cost = []
    for off in (0.0, 0.5, 1.0, 3.0):
        outputs, batch = lanes_drawn_by_hand()
        outputs["lane_heat"] *= 0
        outputs["lane_column"] += off
        cost.append(float(lane_losses(outputs, batch)["position"]))
    assert cost == sorted(cost)
    assert cost[0] == pytest.approx(math.log(16), rel=1e-5)


@pytest.mark.parametrize("slot", [0, 2, 5])
def test_unlabelled_positions_give_no_gradient(slot, drawn_batch, outputs):
    drawn_batch["lane_exists"][:, slot] = -1
    grads = gradients({"lanes": all_losses(outputs, drawn_batch)["lanes"]}, outputs)
    for name in ("lane_heat", "lane_column", "lane_row", "lane_exists", "lane_type", "lane_color"):
        assert not grads[name][:, slot].any(), name
        assert grads[name].any(), name


def test_lines_of_unknown_type_and_colour_give_no_gradient_for_them(drawn_batch, outputs):
    drawn_batch["lane_type"][:] = -1
    drawn_batch["lane_color"][:2] = -1
    grads = gradients({"lanes": all_losses(outputs, drawn_batch)["lanes"]}, outputs)
    assert not grads["lane_type"].any()
    assert not grads["lane_color"][:2].any()
    assert grads["lane_color"][2:].any()


# --- scene and everything


def test_scene_loss_is_cross_entropy_over_labelled_images(drawn_batch, outputs):
    drawn_batch["weather"] = torch.tensor([1, -1, 3, -1])
    drawn_batch["scene"][:], drawn_batch["timeofday"][:] = -1, -1
    loss = all_losses(outputs, drawn_batch)["scene"]
    torch.testing.assert_close(loss, F.cross_entropy(outputs["weather"][[0, 2]], torch.tensor([1, 3])))


def test_without_labels_all_losses_are_zero(drawn_batch, outputs):
    nothing = {
        "has_boxes": False, "classes": -1, "light_states": -1, "drivable": labels.IGNORE, "semantic": labels.IGNORE,
        "lane_exists": -1, "lane_type": -1, "lane_color": -1, "lane_x": float("nan"),
        **dict.fromkeys(labels.SCENE, -1),
    }  # fmt: skip
    for name, value in nothing.items():
        drawn_batch[name][:] = value
    losses = all_losses(outputs, drawn_batch)
    assert {task: loss.item() for task, loss in losses.items()} == dict.fromkeys(losses, 0.0)
    assert not any(gradient.any() for gradient in gradients(losses, outputs).values())


@pytest.mark.parametrize("empty", [0, 1, 3])
def test_an_unlabelled_image_does_not_affect_the_gradient_of_others(empty, drawn_batch, outputs):
    """The gradient of labelled images is that of a batch without the unlabelled one, for all losses together."""
    keep = [i for i in range(4) if i != empty]
    drawn_batch["has_boxes"][empty] = False
    for name in ("drivable", "semantic"):
        drawn_batch[name][empty] = labels.IGNORE
    for name in ("lane_exists", *labels.SCENE):
        drawn_batch[name][empty] = -1
    drawn_batch["lane_x"][empty] = float("nan")
    whole = gradients(all_losses(outputs, drawn_batch), outputs)
    fewer = {name: value[keep].detach().requires_grad_() for name, value in outputs.items()}
    part = gradients(all_losses(fewer, {name: value[keep] for name, value in drawn_batch.items()}), fewer)
    for name, gradient in whole.items():
        torch.testing.assert_close(gradient[keep], part[name], msg=name)
        assert not gradient[empty].any(), name
