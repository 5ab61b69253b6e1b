from __future__ import annotations

import shutil
from dataclasses import asdict

import pytest
import torch

import perception_models.training.train as training
from perception_models.config import SettingsError, load_settings
from perception_models.losses import TASKS, LossConfig
from perception_models.losses.balancing import Balancer
from perception_models.network import PerceptionNet, of_size
from perception_models.training import checkpoint
from perception_models.training.build import TrainingModule
from perception_models.training.config import DistillConfig, TrainConfig
from perception_models.training.distill import network
from perception_models.training.distill.network import (
    Teacher,
    divergence,
    feature_loss,
    incomplete,
    object_loss,
    output_loss,
)

SIZE, STRIDES = (64, 128), (8, 16, 32)


def net(seed: int = 0, **changes: object) -> PerceptionNet:
    torch.manual_seed(seed)
    return PerceptionNet(of_size("t", **changes))


@pytest.fixture
def pair(drawn_batch) -> tuple[dict, dict]:
    """Outputs of a student (leaves) and of a teacher."""
    with torch.no_grad():
        mine, theirs = (net(seed).train()(drawn_batch["images"]) for seed in (1, 2))
    return {name: value.clone().requires_grad_() for name, value in mine.items()}, theirs


def test_divergence_is_the_kl_of_softened_distributions():
    mine, theirs = torch.tensor([[1.0, 2, 0], [5, 5, 5]]), torch.tensor([[0.0, 3, 1], [1, 2, 3]])
    weight = torch.tensor([1.0, 0.0])
    p, q = (theirs[0] / 2).softmax(0), (mine[0] / 2).softmax(0)
    wanted = 4 * (p * (p / q).log()).sum()
    torch.testing.assert_close(divergence(mine, theirs, weight, 2.0), wanted)


def test_feature_loss_compares_where_and_not_how_strongly_channels_are_active():
    theirs = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(feature_loss(theirs + 3, theirs), torch.tensor(0.0), atol=1e-6, rtol=0)
    assert feature_loss(theirs.flip(-1), theirs) > 0.1
    p, q = theirs[1, 2].flatten().softmax(0), torch.zeros(20).softmax(0)
    wanted = (p * (p / q).log()).sum()
    torch.testing.assert_close(feature_loss(torch.zeros(1, 1, 4, 5), theirs[1:, 2:]), wanted)


def test_agreeing_with_the_teacher_gives_no_gradient(pair):
    """What is left is the entropy of the teacher, which no student can reduce."""
    _, theirs = pair
    mine = {name: value.clone().requires_grad_() for name, value in theirs.items()}
    loss = output_loss(mine, theirs, 2.0, 0.0) + object_loss(mine, theirs, "one", (SIZE, STRIDES), 0.0)
    loss.backward()
    for name, value in mine.items():
        if value.grad is not None:
            assert value.grad.abs().max() < 1e-5, name


def test_masks_are_distilled_only_where_the_teacher_is_confident(pair):
    mine, theirs = pair
    theirs["drivable"][:] = 0.0
    theirs["drivable"][:, 1, :4] = 9.0
    output_loss(mine, theirs, 2.0, 0.6).backward()
    assert mine["drivable"].grad[:, :, :4].any()
    assert not mine["drivable"].grad[:, :, 4:].any()


def test_what_has_a_label_is_not_distilled_where_the_teacher_only_completes_labels(pair, drawn_batch):
    mine, theirs = pair
    for name, unknown in (("drivable", 255), ("semantic", 255)):
        drawn_batch[name][:, :4], drawn_batch[name][:, 4:] = unknown, 0
    drawn_batch["lane_exists"][:], drawn_batch["lane_exists"][:, 2] = 1, -1
    theirs["lane_exists"][:], theirs["lane_row"][:] = 9.0, 9.0
    for name in ("weather", "scene", "timeofday"):
        drawn_batch[name][:], drawn_batch[name][1] = 0, -1
    output_loss(mine, theirs, 2.0, 0.0, drawn_batch).backward()
    for name in ("drivable", "semantic"):
        assert mine[name].grad[:, :, :4].any(), name
        assert not mine[name].grad[:, :, 4:].any(), name
    for name in ("lane_heat", "lane_row", "lane_type"):
        assert mine[name].grad[:, 2].any(), name
        assert not mine[name].grad[:, [0, 1, 3, 4, 5]].any(), name
    for name in ("weather", "scene", "timeofday"):
        assert mine[name].grad[1].any(), name
        assert not mine[name].grad[[0, 2, 3]].any(), name


def test_lines_that_the_teacher_does_not_detect_are_not_distilled(pair):
    mine, theirs = pair
    theirs["lane_exists"][:] = -9.0
    theirs["lane_exists"][:, 2], theirs["lane_row"][:, 2] = 9.0, 9.0
    output_loss(mine, theirs, 2.0, 0.6).backward()
    for name in ("lane_heat", "lane_type", "lane_color"):
        assert mine[name].grad[:, 2].any(), name
        assert not mine[name].grad[:, [0, 1, 3, 4, 5]].any(), name


def test_boxes_are_distilled_at_confident_anchors_and_scores_everywhere(pair):
    mine, theirs = pair
    theirs["one_classes"][:] = -6.0
    theirs["one_classes"][:, 5, 8] = 4.0  # one traffic light
    object_loss(mine, theirs, "one", (SIZE, STRIDES), 0.5).backward()
    for name in ("one_sides", "one_states"):
        cells = mine[name].grad.abs().sum(-1) > 0
        assert cells.sum(1).tolist() == [1, 1, 1, 1]
        assert cells[:, 5].all()
    assert mine["one_classes"].grad[:, 5, 8].max() < 0
    assert mine["many_sides"].grad is None


def test_a_student_approaches_its_teacher_without_labels(drawn_batch):
    teacher, student = net(3, neck=32, fine=32), net(4)
    with torch.no_grad():
        for name, parameter in teacher.heads.named_parameters():
            if name.endswith("bias"):
                parameter += 2 * torch.randn_like(parameter)  # opinions of its own
    taught = Teacher(DistillConfig(), teacher, student)
    module = TrainingModule(student, Balancer(TrainConfig().balance), LossConfig(), taught)
    unknown = {"has_boxes": False, "drivable": 255, "semantic": 255}
    for name in ("lane_exists", "weather", "scene", "timeofday", *unknown):
        drawn_batch[name][:] = unknown.get(name, -1)

    @torch.no_grad()
    def disagreement() -> float:
        """Without the entropy of the teacher, the loss of a student that agrees with it."""
        theirs = taught.predict(drawn_batch).outputs
        mine = student(drawn_batch["images"])
        return float(output_loss(mine, theirs, 2.0, 0.0) - output_loss(theirs, theirs, 2.0, 0.0))

    optimizer, before = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], 0.01), disagreement()
    for _ in range(12):
        total, losses, _ = module(drawn_batch, TASKS)
        assert all(float(losses[task]) == 0 for task in TASKS)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert disagreement() < 0.5 * before


def test_the_teacher_is_neither_trained_nor_saved(drawn_batch):
    teacher, student = net(3), net(4)
    teacher_module = Teacher(DistillConfig(), teacher, student)
    module = TrainingModule(student, Balancer(TrainConfig().balance), LossConfig(), teacher_module).train()
    assert set(teacher_module.state_dict()) == {"adapter.weight", "adapter.bias"}
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    module(drawn_batch, TASKS)[0].backward()
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())
    assert teacher_module.adapter.weight.grad.abs().sum() > 0
    module.to(torch.float64)
    assert next(teacher.parameters()).dtype == torch.float64


def test_the_teacher_is_asked_only_about_images_that_lack_labels(drawn_batch, monkeypatch):
    student = net(4)
    taught = Teacher(DistillConfig(unlabelled=True, features=0.0, objects=0.0), net(3), student)
    assert not incomplete(drawn_batch).any()
    assert taught.predict(drawn_batch) is None
    pyramid = student.pyramid(drawn_batch["images"])
    assert float(taught(None, pyramid, student.outputs(pyramid), drawn_batch).detach()) == 0
    drawn_batch["drivable"][1] = 255
    drawn_batch["lane_exists"][2, 0] = -1
    drawn_batch["weather"][3] = -1
    drawn_batch["semantic"][0, :5] = 255  # the own hood: the rest of the map is labelled
    found = taught.predict(drawn_batch)
    assert found.rows.tolist() == [1, 2, 3]
    some = float(taught(found, pyramid, student.outputs(pyramid), drawn_batch).detach())
    monkeypatch.setattr(network, "incomplete", lambda batch: torch.ones(len(batch["images"]), dtype=torch.bool))
    drawn_batch["semantic"][0, :5] = 0
    whole = float(taught(taught.predict(drawn_batch), pyramid, student.outputs(pyramid), drawn_batch).detach())
    assert some == pytest.approx(whole, rel=1e-4)
    assert some > 0


def test_incompatible_teachers_are_refused():
    with pytest.raises(SettingsError, match="lanes"):
        Teacher(DistillConfig("teacher"), net(0, tasks=["objects"]), net(0, tasks=["objects", "lanes"]))
    with pytest.raises(SettingsError, match="small_objects"):
        Teacher(DistillConfig("teacher"), net(0, small_objects=True), net(0))


def test_a_distilled_run_trains_saves_and_resumes(drawn_folder, tmp_path):
    """With labelled and unlabelled images."""
    teacher = net(3, neck=32)
    checkpoint.save(
        tmp_path / "teacher.safetensors", {"average": teacher.state_dict()}, {"network": asdict(teacher.config)}
    )
    bare = tmp_path / "bare"
    shutil.copytree(drawn_folder / "images", bare / "images")
    words = [
        "network={size: t}", "precision=32-true", "accelerator=cpu", "data.cache=null", "picture_every=0",
        "log_every=1", "validate_every=0", "save_every=0", "stages=[{views: 8, height: 64, width: 128, batch: 2}]",
        f"data.train=[{{kind: labelled, path: {drawn_folder}}}, {{kind: labelled, path: {bare}}}]",
        f"distill.teacher={tmp_path / 'teacher.safetensors'}",
    ]  # fmt: skip
    config = load_settings(TrainConfig, None, words)
    best = training.train(config, tmp_path / "run")
    assert "train/distill" in (tmp_path / "run/log.jsonl").read_text()
    assert checkpoint.load_network(best)[0].config.neck == 16
    parts, _ = checkpoint.load(tmp_path / "run/last.safetensors")
    kept = sorted(name for name in parts["model"] if name.startswith("teacher."))
    assert kept == ["teacher.adapter.bias", "teacher.adapter.weight"]
    training.train(config, tmp_path / "run", resume=True)  # nothing is left to do, and all of it loads
    again, _ = checkpoint.load(tmp_path / "run/last.safetensors")
    assert all(torch.equal(value, again["model"][name]) for name, value in parts["model"].items())
