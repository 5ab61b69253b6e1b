from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from perception_models.export.export import deployable
from perception_models.losses import TASKS, LossConfig, task_losses
from perception_models.network import PerceptionNet, of_size
from perception_models.network.box_coding import anchor_points, boxes_from_sides
from perception_models.network.export_graph import ExportGraph, class_ids
from perception_models.network.heads import summarize
from perception_models.training import checkpoint

SIZE = 64, 128
ANCHORS = 8 * 16 + 4 * 8 + 2 * 4


def tiny(**changes: object) -> PerceptionNet:
    torch.manual_seed(0)
    return PerceptionNet(of_size("t", **changes))


def noise(count: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (count, *SIZE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def with_trained_statistics(net: PerceptionNet) -> PerceptionNet:
    """Batch-norm statistics and head biases as after training: 0 and 1 would hide mistakes."""
    torch.manual_seed(2)
    net.train()
    for _ in range(3):
        net(noise(4))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return net.eval()


def test_all_outputs_have_the_documented_shapes():
    shapes = {name: tuple(value.shape) for name, value in tiny()(noise()).items()}
    rows, columns = SIZE[0] // 8, SIZE[1] // 8
    branches = {
        f"{t}_{n}": (2, ANCHORS, c) for t in ("many", "one") for n, c in (("classes", 10), ("sides", 4), ("states", 4))
    }
    assert shapes == {
        **branches,
        "drivable": (2, 3, 16, 32),
        "semantic": (2, 11, 16, 32),
        "lane_heat": (2, 6, rows, columns),
        "lane_column": (2, 6, rows),
        "lane_row": (2, 6, rows),
        "lane_exists": (2, 6),
        "lane_type": (2, 6, 9),
        "lane_color": (2, 6, 5),
        "weather": (2, 7),
        "scene": (2, 7),
        "timeofday": (2, 4),
    }


@pytest.mark.parametrize("task", ["objects", "drivable", "semantic", "lanes", "scene"])
def test_a_single_task_builds_only_its_head(task):
    net = tiny(tasks=[task])
    assert list(net.heads) == [task]
    graph = ExportGraph(net.eval(), SIZE)
    assert len(graph(noise(1))) == len(graph.output_names())


def test_attention_and_stride_4_are_optional():
    plain, more = tiny(), tiny(attention=True, small_objects=True)
    assert not any("qkv" in name for name, _ in plain.named_parameters())
    assert any("qkv" in name for name, _ in more.named_parameters())
    assert more(noise())["one_classes"].shape == (2, ANCHORS + 16 * 32, 10)


@pytest.mark.parametrize(
    ("size", "most_parameters", "most_gmacs"), [("n", 2e6, 2.4), ("s", 8e6, 11.5), ("m", 21e6, 21.0)]
)
def test_sizes_stay_in_their_budget_at_640x384(size, most_parameters, most_gmacs):
    with torch.device("meta"):
        net = PerceptionNet(of_size(size)).eval()
        with FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, 384, 640, 3, dtype=torch.uint8), ("one",))
    assert sum(p.numel() for p in net.parameters()) < most_parameters
    assert counter.get_total_flops() / 2e9 < most_gmacs


@pytest.mark.parametrize("size", ["n", "s", "m"])
def test_channels_are_multiples_of_16(size):
    with torch.device("meta"):
        net = PerceptionNet(of_size(size))
    channels = [m.out_channels for n, m in net.named_modules() if isinstance(m, torch.nn.Conv2d) and "heads" not in n]
    assert all(c % 16 == 0 for c in channels)


@pytest.mark.parametrize(("branches", "exported"), [(["many"], "many"), (["one"], "one"), (["many", "one"], "one")])
def test_branches_of_the_object_head_are_built_trained_and_exported_as_configured(branches, exported):
    net = tiny(branches=branches).eval()
    outputs = net(noise(1))
    assert {name.split("_")[0] for name in outputs if name.endswith("_sides")} == set(branches)
    assert net.config.exported_branch == exported
    rows = ExportGraph(net, SIZE, top=5)(noise(1))
    best = outputs[f"{exported}_classes"].amax(-1).sigmoid().sort(descending=True).values[:, :5]
    torch.testing.assert_close(rows[1], best)


@pytest.mark.parametrize("branches", [[], ["one", "many"], ["two"]])
def test_unknown_branches_are_refused(branches):
    with pytest.raises(ValueError, match=r"\[many, one\]"):
        tiny(branches=branches)


def test_a_network_with_one_branch_starts_from_one_with_both(tmp_path):
    both, path = tiny(), tmp_path / "both.safetensors"
    checkpoint.save(path, {"average": both.state_dict()}, {"network": asdict(both.config)})
    torch.manual_seed(7)
    alone = PerceptionNet(of_size("t", branches=["many"]))
    assert checkpoint.transfer(alone, str(path), []) == []
    weights = alone.state_dict()
    assert all(torch.equal(value, both.state_dict()[name]) for name, value in weights.items())


@pytest.mark.parametrize(("size", "names"), [("xl", "t, n, s, m")])
def test_an_unknown_name_is_refused_with_the_known_ones(size, names):
    with pytest.raises(ValueError, match=names):
        of_size(size)
    with pytest.raises(ValueError, match="drivable"):
        tiny(tasks=["depth"])


def test_folding_norms_and_scale_into_convolutions_preserves_the_outputs():
    net = with_trained_statistics(tiny(attention=True))
    with torch.no_grad():
        before, after = net(noise()), deployable(net)(noise())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in deployable(net).modules())
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=2e-4, rtol=2e-4)


def test_anchor_points_are_ordered_fine_to_coarse_and_row_by_row():
    centers, strides = anchor_points(SIZE, (8, 16, 32))
    assert len(centers) == ANCHORS
    assert centers[[0, 1, 16, 128, -1]].tolist() == [[4, 4], [12, 4], [4, 12], [8, 8], [112, 48]]
    assert strides[[0, 127, 128, -1]].tolist() == [8, 8, 16, 32]


def test_boxes_are_recovered_from_their_log_distances():
    centers, strides = anchor_points(SIZE, (8, 16, 32))
    box = torch.tensor([-3.0, 2.0, 120.0, 63.5])
    inside = ((centers > box[:2]) & (centers < box[2:])).all(1)
    sides = (torch.cat([centers - box[:2], box[2:] - centers], 1) / strides[:, None]).log()
    found = boxes_from_sides(sides, centers, strides)[inside]
    torch.testing.assert_close(found, box.expand_as(found), atol=1e-4, rtol=0)


def test_the_graph_returns_the_best_objects_in_order_of_score():
    net = with_trained_statistics(tiny())
    graph = ExportGraph(net, SIZE, top=7)
    with torch.no_grad():
        raw = {name: value.numpy() for name, value in net(noise()).items()}
        out = {name: value.numpy() for name, value in zip(graph.output_names(), graph(noise()))}
    centers, strides = (t.numpy() for t in anchor_points(SIZE, (8, 16, 32)))
    for image in range(2):
        rows = np.argsort(-raw["one_classes"][image].max(1), kind="stable")[:7]
        sides = np.exp(raw["one_sides"][image][rows]) * strides[rows, None]
        boxes = np.c_[centers[rows] - sides[:, :2], centers[rows] + sides[:, 2:]]
        np.testing.assert_allclose(out["boxes"][image], boxes, atol=1e-2, rtol=1e-4)
        np.testing.assert_array_equal(out["classes"][image], raw["one_classes"][image][rows].argmax(1))
        for name, logits in (
            ("scores", raw["one_classes"][image][rows].max(1)),
            ("light_states", raw["one_states"][image][rows]),
        ):
            np.testing.assert_allclose(out[name][image], 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_masks_are_exported_as_class_ids():
    logits = torch.tensor([[[[0.0, 3.0]], [[1.0, 2.0]], [[-1.0, 2.5]]]])
    assert class_ids(logits).tolist() == [[[1, 0]]]
    assert class_ids(logits).dtype == torch.uint8


def test_a_line_without_heat_is_in_the_middle():
    net = with_trained_statistics(tiny())
    lanes = net.heads["lanes"]
    with torch.no_grad():
        lanes.heat.weight *= 0
        lanes.heat.bias *= 0
    column = net(noise(1))["lane_column"]  # no heat anywhere: the middle of 16 columns
    torch.testing.assert_close(column, torch.full_like(column, 7.5))
    final = dict(zip((f := ExportGraph(net, SIZE)).output_names(), f(noise(1))))
    torch.testing.assert_close(final["lane_x"], torch.full_like(column, 64.0))  # pixels: the middle of the image


def test_every_task_has_a_gradient_at_the_shared_layer(drawn_batch):
    net = tiny()
    losses = task_losses(net(drawn_batch["images"]), drawn_batch, LossConfig(), net.config.strides)
    assert tuple(losses) == TASKS
    for task, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss, [net.shared_layer], retain_graph=True)
        assert gradient.abs().sum() > 0, task


def test_a_map_is_summarised_by_the_means_of_its_halves_and_its_maximum():
    x = torch.randn(2, 4, 7, 8)
    wanted = x[:, :, :3].mean((2, 3)), x[:, :, 3:].mean((2, 3)), x.flatten(2).amax(2)
    assert all(torch.allclose(found, part, atol=1e-6) for found, part in zip(summarize(x), wanted))


def test_gradients_of_summaries_have_the_layout_of_the_map():
    x = torch.randn(2, 4, 6, 8).to(memory_format=torch.channels_last).requires_grad_()
    y = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    grown = x * 1.0
    layouts = []
    grown.register_hook(lambda g: layouts.append(g.is_contiguous(memory_format=torch.channels_last)))
    for each in (grown, y):
        sum(part.square().sum() for part in summarize(each)).backward()
    assert torch.allclose(x.grad, y.grad)
    assert layouts == [True]
