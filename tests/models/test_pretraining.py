"""Masked pretraining: hidden pixels stay hidden, reconstruction improves, and the weights transfer."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import perception_models.training.train as training
from perception_models.config import SettingsError, load_settings
from perception_models.data.augment import AugmentConfig
from perception_models.network import PerceptionNet, of_size
from perception_models.training import checkpoint
from perception_models.training.config import TrainConfig
from perception_models.training.pretrain import MaskedPretraining
from perception_models.training.pretrain.config import UNPREDICTABLE, pretrain_overrides
from perception_models.training.pretrain.frames import training_entries
from perception_models.training.pretrain.masking import normalized, random_visible, upsample_mask, visible_maps

SMALL = [
    "network.size=t", "precision=32-true", "accelerator=cpu", "data.cache=null", "optimizer.warmup=2", "log_every=1",
    "picture_every=0", "validate_every=0", "save_every=0", "stages=[{views: 8, height: 64, width: 128, batch: 2}]",
]  # fmt: skip


@pytest.fixture
def module() -> MaskedPretraining:
    torch.manual_seed(0)
    return MaskedPretraining(PerceptionNet(of_size("t", tasks=[])), 0.5)


@pytest.mark.parametrize("hidden", [0.01, 0.25, 0.6, 0.99])
def test_every_image_hides_the_same_number_of_cells_and_never_all(hidden):
    torch.manual_seed(0)
    visible = random_visible(8, (4, 5), hidden, torch.device("cpu"))
    assert visible.shape == (8, 1, 4, 5)
    count = (~visible).flatten(1).sum(1)
    assert (count == min(max(round(20 * hidden), 1), 19)).all()
    assert len(set(map(tuple, visible.flatten(1).tolist()))) > 4  # not the same everywhere


def test_nothing_hidden_reaches_the_maps(module, drawn_batch):
    """Other pixels behind the mask give the same maps, and masked cells are zero."""
    images = drawn_batch["images"].float().permute(0, 3, 1, 2)
    visible = module.draw_mask(images)
    holes = ~upsample_mask(visible, images.shape[-2:])
    other = torch.where(holes, torch.rand_like(images) * 255, images)
    module.train()
    one, two = (visible_maps(module.net.backbone, x, visible) for x in (images, other))
    for a, b in zip(one, two):
        assert torch.equal(a, b)
        assert not a.masked_select(~upsample_mask(visible, a.shape[-2:])).any()
        assert a.any()


def test_without_hidden_cells_the_masked_backbone_equals_the_plain_one(module, drawn_batch):
    images = drawn_batch["images"].float().permute(0, 3, 1, 2)
    everything = torch.ones(4, 1, 2, 4, dtype=torch.bool)
    for mode in (True, False):
        module.train(mode)
        for mine, theirs in zip(visible_maps(module.net.backbone, images, everything), module.net.backbone(images)):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_batch_norm_uses_visible_cells_only(module):
    """Half of the image is hidden: the statistics are those of the other half."""
    images = torch.rand(2, 3, 64, 128) * 255
    visible = torch.zeros(2, 1, 2, 4, dtype=torch.bool)
    visible[:, :, :, :2] = True
    module.train()
    visible_maps(module.net.backbone, images, visible)
    norm, conv = module.net.backbone.stem[1], module.net.backbone.stem[0]
    seen = conv(images * upsample_mask(visible, images.shape[-2:]))[
        ..., :32
    ].detach()  # the mask starts at stem column 32
    torch.testing.assert_close(norm.running_mean, 0.03 * seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-4)


def test_the_target_has_neither_brightness_nor_contrast(drawn_batch):
    images = drawn_batch["images"].float().permute(0, 3, 1, 2)
    cells = normalized(images).unfold(2, 32, 32).unfold(3, 32, 32).flatten(-2)
    torch.testing.assert_close(cells.mean(-1), torch.zeros_like(cells.mean(-1)), rtol=0, atol=1e-3)
    assert cells.std(-1).max() < 1.05
    assert normalized(torch.full((1, 3, 32, 32), 7.0)).abs().max() == 0
    busy = torch.rand(1, 3, 32, 64) * 255
    torch.testing.assert_close(normalized(busy), normalized(busy * 0.7 + 20), rtol=1e-3, atol=1e-3)


def test_loss_is_zero_for_exact_reconstruction_and_ignores_visible_cells(module, drawn_batch):
    images = drawn_batch["images"].float().permute(0, 3, 1, 2)
    visible, target = module.draw_mask(images), normalized(images)
    reconstruct = [torch.nn.functional.avg_pool2d(target, 2**i) for i in range(4)]
    seen = [upsample_mask(visible, p.shape[-2:]) for p in reconstruct]
    assert module.loss([p + 9 * s for p, s in zip(reconstruct, seen)], target, visible) == 0
    torch.testing.assert_close(module.loss([p + 2.0 for p in reconstruct], target, visible), torch.tensor(4.0))


def test_backbone_and_neck_learn_to_reconstruct_much_better_than_a_constant(module, drawn_batch):
    optimizer, losses = torch.optim.AdamW(module.parameters(), 0.01), []
    module.train()
    target = normalized(drawn_batch["images"].float().permute(0, 3, 1, 2))
    nothing = [torch.zeros_like(torch.nn.functional.avg_pool2d(target, 2**i)) for i in range(4)]
    flat = float(module.loss(nothing, target, torch.zeros(4, 1, 2, 4, dtype=torch.bool)))
    for step in range(50):
        torch.manual_seed(step)
        loss, named, _ = module(drawn_batch)
        optimizer.zero_grad()
        loss.backward()
        if not step:
            assert all(p.grad is not None and p.grad.any() for _, p in module.named_parameters())
        optimizer.step()
        losses.append(float(named["reconstruction"]))
    assert losses[0] > 0.9 * flat
    assert np.mean(losses[-5:]) < 0.65 * flat


def pretrained(source, out, *overrides: str, resume: bool = False):
    config = load_settings(TrainConfig, None, [*pretrain_overrides([source], out, 0.5), *SMALL, *overrides])
    return training.train(config, out, resume)


def test_pretrained_weights_transfer_to_a_training(drawn_folder, tmp_path):
    best = pretrained(drawn_folder, tmp_path / "run", "picture_every=2")
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "train/reconstruction" in row] == [1, 2, 3, 4]
    parts, state = checkpoint.load(best)
    assert state["step"] == 4  # without validation data the newest checkpoint is the best
    assert {name.split(".")[0] for name in parts["average"]} == {"backbone", "neck"}
    net = PerceptionNet(of_size("t"))
    fresh = checkpoint.transfer(net, str(best), [])
    assert {name.split(".")[0] for name in fresh} == {"heads"}
    assert torch.equal(net.neck.mix_p2[0].weight, parts["average"]["neck.mix_p2.0.weight"])


def test_a_resumed_pretraining_ends_bit_identical_to_an_uninterrupted_one(drawn_folder, tmp_path):
    whole = pretrained(drawn_folder, tmp_path / "whole")
    config = load_settings(TrainConfig, None, [*pretrain_overrides([drawn_folder], tmp_path / "halves", 0.5), *SMALL])

    class Interrupted(Exception):
        pass

    def stop_after_two(run, step, *rest):
        if step.number == 1:
            run.save(2)
            raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Trainer, "_after", stop_after_two)
        with pytest.raises(Interrupted):
            training.train(config, tmp_path / "halves")
    continued = training.train(config, tmp_path / "halves", resume=True)
    for name, value in checkpoint.load(whole)[0]["average"].items():
        assert torch.equal(value, checkpoint.load(continued)[0]["average"][name]), name


def test_the_preview_shows_masked_input_reconstruction_and_original(module, drawn_batch):
    sheet = module.train().preview(module.net, drawn_batch["images"])
    assert sheet.shape == (4 * 64, 3 * 128, 3)
    masked, reconstructed, original = np.split(sheet, 3, 1)
    assert (original == drawn_batch["images"].numpy().reshape(-1, 128, 3)).all()
    hidden = (masked == 127).all(-1)
    assert hidden.mean() == pytest.approx(0.5, abs=0.02)
    assert (reconstructed[~hidden] == original[~hidden]).all()
    assert (reconstructed[hidden] != original[hidden]).any()
    assert module.training


def test_pretraining_with_pcgrad_is_refused(drawn_folder, tmp_path):
    with pytest.raises(SettingsError, match=r"balance.method=fixed"):
        pretrained(drawn_folder, tmp_path, "balance.method=pcgrad")


@pytest.mark.parametrize("hidden", [1.0, -0.5])
def test_the_hidden_fraction_must_be_between_0_and_1(hidden, drawn_folder, tmp_path):
    with pytest.raises(SettingsError, match=r"pretrain.hidden"):
        pretrained(drawn_folder, tmp_path, f"pretrain.hidden={hidden}")


def test_images_are_taken_from_data_sets_plain_folders_and_videos(drawn_folder, tmp_path):
    bare = shutil.copytree(drawn_folder / "images", tmp_path / "bare")
    video = cv2.VideoWriter(str(tmp_path / "drive.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 32))
    for level in range(25):
        video.write(np.full((32, 64, 3), level * 10, np.uint8))
    video.release()
    found = training_entries([drawn_folder, bare, tmp_path / "drive.avi"], tmp_path / "pictures", 0.5)
    assert [entry["kind"] for entry in found] == ["labelled"] * 3
    assert found[0]["path"] == str(drawn_folder)
    assert len(list((tmp_path / "pictures/bare/images").glob("*.png"))) == 4
    taken = sorted((tmp_path / "pictures").glob("*drive_avi/images/*.jpg"))
    assert [path.stem for path in taken] == ["000000", "000005", "000010", "000015", "000020"]
    assert cv2.imread(str(taken[2])).mean() == pytest.approx(100, abs=3)
    taken[0].unlink()
    assert training_entries([tmp_path / "drive.avi"], tmp_path / "pictures", 0.5) == found[2:]  # extracted only once
    assert not taken[0].exists()


def test_two_plain_folders_of_one_name_are_both_used(drawn_folder, tmp_path):
    sources = [shutil.copytree(drawn_folder / "images", tmp_path / hour / "images") for hour in ("day", "night")]
    for _ in range(2):  # and again when resumed
        found = training_entries(sources, tmp_path / "pictures", 0.5)
        assert [(Path(entry["path"]) / "images").resolve() for entry in found] == sources


def test_disabled_augmentations_exist():
    assert set(UNPREDICTABLE) <= {field.name for field in fields(AugmentConfig)}
