from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import perception_models.training.train as training
from perception_models.config import SettingsError, load_settings
from perception_models.data import labels
from perception_models.data.augment import NONE
from perception_models.losses import LossConfig
from perception_models.losses.balancing import Balancer
from perception_models.losses.iou import iou
from perception_models.network import PerceptionNet, of_size
from perception_models.network.export_graph import ExportGraph
from perception_models.training import checkpoint
from perception_models.training.build import TrainingModule, build_network, compile_parts
from perception_models.training.config import OptimizerConfig, PhaseConfig, StageConfig, TrainConfig, TransferConfig
from perception_models.training.optimization.optimizer import build_optimizer, freeze, scale_of, spare_backward
from perception_models.training.optimization.schedule import learning_rate, phase_at, steps, tasks_at, total_steps

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = [
    "network={size: t}", "precision=32-true", "accelerator=cpu", "data.cache=null", "optimizer.warmup=2", "log_every=1",
    "picture_every=0", "validate_every=0", "save_every=0", "stages=[{views: 8, height: 64, width: 128, batch: 2}]",
]  # fmt: skip


def small(folder: Path, *overrides: str) -> TrainConfig:
    """A run of seconds on the drawn scenes; later overrides win."""
    return load_settings(TrainConfig, None, [*SMALL, f"data.train=[{{kind: labelled, path: {folder}}}]", *overrides])


def tensors(path: Path) -> dict[str, torch.Tensor]:
    parts, _ = checkpoint.load(path)
    return {f"{part}.{name}": tensor for part, values in parts.items() for name, tensor in values.items()}


def changed(before: nn.Module, after: dict[str, torch.Tensor]) -> set[str]:
    """First two parts of the names of all weights and statistics that differ."""
    return {
        n.split(".")[0] + "." + n.split(".")[1] for n, t in before.state_dict().items() if not torch.equal(t, after[n])
    }


# --- overfitting four images


@pytest.fixture(scope="module")
def overfitted(drawn_folder, tmp_path_factory) -> PerceptionNet:
    """A complete training, 150 steps on four images."""
    words = [
        "stages=[{views: 600, height: 64, width: 128, batch: 4}]", "optimizer.lr=0.008", "optimizer.warmup=10",
        "average=0.9", "log_every=50", f"data.augment={json.dumps(asdict(NONE))}",
        f"data.cache={tmp_path_factory.mktemp('cache')}",
    ]  # fmt: skip
    best = training.train(small(drawn_folder, *words), tmp_path_factory.mktemp("run"))
    return checkpoint.load_network(best)[0]


@pytest.fixture(scope="module")
def predictions(overfitted, drawn_targets) -> dict[str, np.ndarray]:
    graph = ExportGraph(overfitted, (64, 128))
    with torch.no_grad():
        return {name: value.numpy() for name, value in zip(graph.output_names(), graph(drawn_targets["images"]))}


def test_objects_are_learnt(predictions, drawn_batch):
    for image in range(4):
        confident = predictions["scores"][image] > 0.4
        classes, boxes = (predictions[name][image][confident] for name in ("classes", "boxes"))
        order, wanted = np.argsort(classes), drawn_batch["classes"][image].argsort()
        assert classes[order].tolist() == drawn_batch["classes"][image][wanted].tolist()
        assert iou(torch.from_numpy(boxes[order]), drawn_batch["boxes"][image][wanted]).min() > 0.75


def test_light_states_are_learnt(predictions, drawn_batch):
    for image in range(4):
        best = np.argmax(predictions["scores"][image] * (predictions["classes"][image] == labels.LIGHT))
        state = drawn_batch["light_states"][image][drawn_batch["classes"][image] == labels.LIGHT]
        assert predictions["light_states"][image, best].argmax() == state


@pytest.mark.parametrize("task", ["drivable", "semantic"])
def test_masks_are_learnt(task, predictions, drawn_batch):
    assert (predictions[task] == drawn_batch[task].numpy()).mean() > 0.99


def test_lines_are_learnt(predictions, drawn_batch):
    there = drawn_batch["lane_exists"].numpy() == 1
    assert ((predictions["lane_score"] > 0.5) == there).all()
    rows = drawn_batch["lane_x"].isfinite().numpy()
    assert ((predictions["lane_row_score"] > 0.5) == rows)[there].mean() > 0.97
    assert np.abs(predictions["lane_x"] - drawn_batch["lane_x"].numpy())[rows].mean() < 1
    for name in ("lane_type", "lane_color"):
        assert (predictions[name].argmax(-1) == drawn_batch[name].numpy())[there].all()


def test_scene_is_learnt(predictions, drawn_batch):
    for name in labels.SCENE:
        assert predictions[name].argmax(-1).tolist() == drawn_batch[name].tolist()


def test_the_log_is_json_lines_with_a_loss_per_task(overfitted, tmp_path_factory):
    run = next(path for path in tmp_path_factory.getbasetemp().glob("run*") if (path / "log.jsonl").exists())
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "seen" in row]
    assert [row["step"] for row in rows] == [50, 100, 150]
    assert {"train/objects", "train/lights", "train/lanes", "seen", "images_per_s"} <= set(rows[0])
    assert rows[-1]["train/semantic"] < rows[0]["train/semantic"]


# --- interrupted runs


class Killed(BaseException):
    """Not caught by any clean-up code, like kill -9."""


TWO_SIZES = "stages=[{views: 4, height: 64, width: 128, batch: 2}, {views: 6, height: 64, width: 96, batch: 2}]"


@pytest.mark.parametrize(
    "words",
    [(), ("optimizer.kind=sgd", "balance.method=dwa"), ("balance.method=gradnorm", "data.epoch=3")],
    ids=["adamw", "sgd and dwa", "gradnorm"],
)
def test_a_killed_run_ends_bit_identical_to_one_that_was_not(words, drawn_folder, tmp_path, monkeypatch):
    val = f"data.val=[{{kind: labelled, path: {drawn_folder}}}]"
    config = small(drawn_folder, TWO_SIZES, "save_every=2", "validate_every=3", "validate_images=2", val, *words)
    training.train(config, tmp_path / "whole")

    after = training.Trainer._after

    def die(run, step, *rest):
        if step.number == 2:
            raise Killed
        after(run, step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "_after", die)
        with pytest.raises(Killed):
            training.train(config, tmp_path / "killed")
    assert json.loads((tmp_path / "killed/last.json").read_text())["step"] == 2
    training.train(config, tmp_path / "killed", resume=True)

    for name in ("last", "best"):
        whole, killed = (tensors(tmp_path / run / f"{name}.safetensors") for run in ("whole", "killed"))
        assert whole.keys() == killed.keys()
        assert [key for key in whole if not torch.equal(whole[key], killed[key])] == []
        assert (tmp_path / f"whole/{name}.json").read_text() == (tmp_path / f"killed/{name}.json").read_text()


def test_a_run_is_not_overwritten_by_accident(drawn_folder, tmp_path):
    (tmp_path / "last.safetensors").touch()
    with pytest.raises(SettingsError, match="--resume"):
        training.train(small(drawn_folder), tmp_path)


def test_resuming_without_a_run_is_refused(drawn_folder, tmp_path):
    with pytest.raises(SettingsError, match="no run to resume"):
        training.train(small(drawn_folder), tmp_path, resume=True)


def test_a_resumed_run_takes_the_steps_that_are_left():
    stages = [StageConfig(views=10, batch=2), StageConfig(views=9, batch=4, height=384)]
    whole = list(steps(stages, 1))
    assert [step.number for step in whole] == list(range(7)) == list(range(total_steps(stages, 1)))
    assert [step.views_before for step in whole] == [0, 2, 4, 6, 8, 10, 14]
    assert [step.size[0] for step in whole] == [256] * 5 + [384] * 2
    assert list(steps(stages, 1, start=4)) == whole[4:]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_broken_checkpoint_is_reported_by_what_to_do_about_it(content, tmp_path):
    path = tmp_path / "last.safetensors"
    with pytest.raises(checkpoint.CheckpointError, match="does not exist"):
        checkpoint.load(path)
    path.write_bytes(content)
    with pytest.raises(checkpoint.CheckpointError, match="not a checkpoint"):
        checkpoint.load(path)


# --- phases, transfer, early stop


def run_of(config: TrainConfig, folder: Path) -> tuple[PerceptionNet, dict[str, torch.Tensor]]:
    """The network before and its weights after a run."""
    torch.manual_seed(config.seed)
    before = build_network(config)
    training.train(config, folder)
    return before, checkpoint.load(folder / "last.safetensors")[0]["model"]


def net_part(model: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix("net."): tensor for name, tensor in model.items() if name.startswith("net.")}


def test_a_frozen_backbone_is_folded_and_teaches_the_rest_the_same(drawn_batch):
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t")).train()
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
    module, weights = TrainingModule(net, Balancer(TrainConfig().balance), LossConfig()), dict(net.named_parameters())
    assert module._frozen_backbone() is None
    freeze(net, ["backbone"])
    losses = {task: loss.item() for task, loss in module.losses(drawn_batch).items()}
    spare_backward(weights, ["backbone"])
    folded = module._frozen_backbone()
    assert folded is module._frozen_backbone()
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    assert {task: loss.item() for task, loss in module.losses(drawn_batch).items()} == pytest.approx(losses, rel=1e-3)
    assert "folded" not in " ".join(module.state_dict())
    spare_backward(weights, [])
    assert module._frozen_backbone() is None


def test_frozen_parts_and_their_batch_norm_statistics_do_not_change(drawn_folder, tmp_path):
    words = ("phases=[{until: 1.0, frozen: [backbone, heads.lanes]}]", "optimizer.weight_decay=0.1")
    before, model = run_of(small(drawn_folder, *words), tmp_path)
    moved = changed(before, net_part(model))
    assert not moved & {"backbone.stem", "backbone.stages", "heads.lanes"}
    assert {"neck.pool", "heads.objects", "heads.scene"} <= moved


def test_a_frozen_part_is_trained_again_in_the_next_phase(drawn_folder, tmp_path):
    words = "phases=[{until: 0.5, frozen: [backbone]}, {until: 1.0}]"
    before, model = run_of(small(drawn_folder, words), tmp_path)
    assert "backbone.stem" in changed(before, net_part(model))


def test_heads_of_inactive_tasks_are_not_trained(drawn_folder, tmp_path):
    words = ("phases=[{until: 1.0, tasks: [semantic]}]", "optimizer.weight_decay=0")
    before, model = run_of(small(drawn_folder, *words), tmp_path)
    after, heads = net_part(model), before.heads.named_parameters()
    moved = {name.split(".")[0] for name, weight in heads if not torch.equal(weight, after[f"heads.{name}"])}
    assert moved == {"semantic"}


def test_alternating_tasks_take_turns():
    phase = PhaseConfig(tasks=["lanes", "scene"], alternate=True)
    tasks = ("objects", "lanes", "scene")
    assert [tasks_at(phase, tasks, number) for number in range(3)] == [("lanes",), ("scene",), ("lanes",)]
    assert tasks_at(PhaseConfig(), tasks, 0) == tasks
    phases = [PhaseConfig(until=0.5, frozen=["backbone"]), PhaseConfig(until=0.9)]
    assert [phase_at(phases, p).until for p in (0.0, 0.5, 0.95)] == [0.5, 0.9, 1.0]


def test_a_transfer_copies_the_backbone_and_reinitialises_the_replaced_heads(tmp_path):
    torch.manual_seed(7)
    old = PerceptionNet(of_size("t", tasks=["objects", "semantic"]))
    checkpoint.save(tmp_path / "old.safetensors", {"average": old.state_dict()}, {"step": 0})
    net = PerceptionNet(of_size("t"))
    fresh = checkpoint.transfer(net, str(tmp_path / "old.safetensors"), ["heads.semantic"])
    assert {name.split(".")[1] for name in fresh} == {"semantic", "drivable", "lanes", "scene"}
    assert not changed(net.backbone, old.backbone.state_dict())
    assert torch.equal(net.heads["objects"].one.classes[0].weight, old.heads["objects"].one.classes[0].weight)
    assert not torch.equal(net.heads["semantic"].logits.weight, old.heads["semantic"].logits.weight)


def test_a_transfer_skips_weights_of_another_shape(tmp_path):
    wide = PerceptionNet(of_size("t", fine=32, tasks=["objects", "semantic"]))
    checkpoint.save(tmp_path / "old.safetensors", {"average": wide.state_dict()}, {"step": 0})
    fresh = checkpoint.transfer(PerceptionNet(of_size("t")), str(tmp_path / "old.safetensors"), [])
    assert "heads.semantic.logits.weight" in fresh
    assert "backbone.stem.0.weight" not in fresh
    with pytest.raises(checkpoint.CheckpointError, match="no weight that fits"):
        checkpoint.transfer(PerceptionNet(of_size("s", tasks=["scene"])), str(tmp_path / "old.safetensors"), [])


@pytest.mark.parametrize(("before", "after"), [(False, True), (True, False)])
def test_a_transfer_matches_levels_of_the_object_head_by_stride(tmp_path, before, after):
    old = PerceptionNet(of_size("t", small_objects=before))
    checkpoint.save(tmp_path / "old.safetensors", {"average": old.state_dict()}, {"step": 0})
    net = PerceptionNet(of_size("t", small_objects=after))
    fresh = checkpoint.transfer(net, str(tmp_path / "old.safetensors"), [])
    assert {name.split(".")[4] for name in fresh} == ({"0"} if after else set())
    mine, theirs = (n.heads["objects"].one for n in (net, old))
    for level in (-3, -2, -1):
        assert torch.equal(mine.towers[level][0].weight, theirs.towers[level][0].weight)
        assert torch.equal(mine.sides[level].bias, theirs.sides[level].bias)


@pytest.mark.parametrize("before", [False, True])
def test_a_transfer_to_separate_box_towers_preserves_the_outputs(tmp_path, before):
    torch.manual_seed(3)
    old = PerceptionNet(of_size("t", side_towers=before)).eval()
    checkpoint.save(tmp_path / "old.safetensors", {"average": old.state_dict()}, {"step": 0})
    net = PerceptionNet(of_size("t", side_towers=True)).eval()
    assert checkpoint.transfer(net, str(tmp_path / "old.safetensors"), []) == []
    images = torch.randint(0, 255, (1, 64, 96, 3), dtype=torch.uint8)
    for name, value in old(images).items():
        assert torch.equal(net(images)[name], value), name


@pytest.mark.parametrize("setting", ["transfer.replace", "phases.frozen", "optimizer.scales"])
def test_a_prefix_that_matches_no_parameter_is_an_error(setting):
    wrong = {
        "transfer.replace": dict(transfer=TransferConfig(replace=["heads.semantics"])),
        "phases.frozen": dict(phases=[PhaseConfig(frozen=["backbone", "nekc"])]),
        "optimizer.scales": dict(optimizer=OptimizerConfig(scales={"heads": 1.0, "head.lanes": 0.1})),
    }
    with pytest.raises(SettingsError, match=rf"{setting}: no parameter begins with '.*backbone, heads\.drivable"):
        build_network(TrainConfig(network={"size": "t"}, **wrong[setting]))
    build_network(TrainConfig(network={"size": "t"}, phases=[PhaseConfig(frozen=["heads.lanes", "neck"])]))


def test_a_folder_is_not_accepted_as_a_checkpoint(tmp_path):
    with pytest.raises(checkpoint.CheckpointError, match=r"is a folder: give a file in it, .*best\.safetensors"):
        checkpoint.load(tmp_path)


def test_compiling_preserves_state_dict_names_and_copies_of_the_network():
    net = PerceptionNet(of_size("t"))
    names, copy = set(net.state_dict()), deepcopy(net)
    compile_parts(net)
    assert set(net.state_dict()) == names
    copy.load_state_dict(net.state_dict())
    parts = [net.backbone, net.neck, *net.heads.values()]
    assert all(part._compiled_call_impl is not None for part in parts)
    assert all(part._compiled_call_impl is None for part in (copy.backbone, deepcopy(net).backbone))


def test_learning_rate_scales_apply_by_prefix():
    scales = {"backbone": 0.1, "backbone.stem": 0.0, "heads": 2.0}
    names = {
        "net.backbone.stem.0.weight": 0.0,
        "net.backbone.stages.0.0.0.weight": 0.1,
        "net.heads.lanes.row.bias": 2.0,
    }
    assert {name: scale_of(name, scales) for name in names} == names
    learner = TrainingModule(PerceptionNet(of_size("t")), Balancer(TrainConfig().balance), TrainConfig().loss)
    optimizer = build_optimizer(learner, OptimizerConfig(scales=scales, weight_decay=0.1))
    counted = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert counted == sum(p.numel() for p in learner.net.parameters())
    for group in optimizer.param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
    assert {group["scale"] for group in optimizer.param_groups} == {0.0, 0.1, 1.0, 2.0}


def test_learning_rate_warms_up_and_falls_as_a_cosine():
    config = OptimizerConfig(lr=1.0, warmup=2, final=0.1)
    row = list(steps([StageConfig(views=100, batch=1)], 1))
    rates = [learning_rate(config, step) for step in row]
    assert rates[0] == pytest.approx(0.5)
    assert rates[50] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert all(a > b for a, b in zip(rates[1:], rates[2:]))


def test_an_early_stopped_run_is_not_continued_by_resuming(drawn_folder, tmp_path, monkeypatch):
    scores = iter([-1.0, -2.0, -3.0, -4.0, -5.0])
    monkeypatch.setattr("perception_models.training.validation.validate", lambda *_: {"score": next(scores)})
    val = f"data.val=[{{kind: labelled, path: {drawn_folder}}}]"
    config = small(drawn_folder, "validate_every=1", "validate_images=2", "patience=2", val)
    training.train(config, tmp_path)
    state = json.loads((tmp_path / "last.json").read_text())
    assert (state["step"], state["worse"], state["best_score"]) == (3, 2, -1.0)
    assert json.loads((tmp_path / "best.json").read_text())["step"] == 1
    training.train(config, tmp_path, resume=True)
    assert json.loads((tmp_path / "last.json").read_text())["step"] == 3


# --- configuration


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optimizer.learning_rate=1", "learning_rate"),
        ("stages=many", "stages"),
        ("optimizer.lr=fast", "fast"),
        ("network={size: n, depth: 3}", "depth"),
        ("data.augment={flips: 1}", "flips"),
    ],
)
def test_an_unknown_key_or_a_wrong_type_is_an_error(word, message, drawn_folder, tmp_path):
    with pytest.raises(SettingsError, match=message):
        training.train(small(drawn_folder, word), tmp_path)


def test_pcgrad_in_half_precision_is_refused(drawn_folder, tmp_path):
    with pytest.raises(SettingsError, match="bf16-mixed"):
        training.train(small(drawn_folder, "balance.method=pcgrad", "precision=16-mixed"), tmp_path)


def test_the_configuration_file_shows_every_value():
    path = REPOSITORY / "perception_models/configs/demo.yaml"
    load_settings(TrainConfig, path)
    shown = yaml.safe_load(path.read_text())

    def missing(cls: type, values: dict) -> list[str]:
        names = [f.name for f in fields(cls) if f.name not in values]
        nested = [f.name for f in fields(cls) if is_dataclass(getattr(cls(), f.name)) and f.name in values]
        return names + [f"{n}.{m}" for n in nested for m in missing(type(getattr(cls(), n)), values[n])]

    assert missing(TrainConfig, shown) == []


def test_the_camvid_configuration_never_trains_on_its_evaluation_drive():
    config = load_settings(TrainConfig, REPOSITORY / "perception_models/configs/camvid.yaml")
    learned, meaconfidentd = (
        {pattern for entry in data for pattern in entry["include"]} for data in (config.data.train, config.data.val)
    )
    assert learned == {"0016E5*", "0001TP*"}
    assert meaconfidentd == {"0006R0*"}
    PerceptionNet(of_size(**config.network))


@pytest.mark.parametrize("task", ["objects", "drivable", "semantic", "lanes", "scene"])
def test_every_weight_of_a_network_with_one_task_gets_a_gradient(task, drawn_batch):
    """Several devices wait for the gradients of all weights, also of pyramid levels that no head reads."""
    net = PerceptionNet(of_size("t", tasks=[task]))
    learner = TrainingModule(net, Balancer(TrainConfig().balance), TrainConfig().loss)
    learner(drawn_batch, (task,))[0].backward()
    assert [name for name, value in learner.named_parameters() if value.requires_grad and value.grad is None] == []


def test_frozen_parts_get_no_gradients_until_their_phase_is_over(drawn_folder, tmp_path, monkeypatch):
    """The backward pass ends where all further layers are frozen."""
    seen = []
    backward = training.Trainer._backward

    def watched(self, batch, tasks, step):
        losses = backward(self, batch, tasks, step)
        seen.append((self.net.backbone.stem.conv.weight.grad, self.net.neck.down_to_p3.conv.weight.grad))
        return losses

    monkeypatch.setattr(training.Trainer, "_backward", watched)
    phases = "phases=[{until: 0.5, frozen: [backbone]}, {until: 1.0}]"
    training.train(small(drawn_folder, phases), tmp_path / "run")
    assert [stem is None for stem, _ in seen] == [True, True, False, False]
    assert all(neck is not None for _, neck in seen)
