"""Networks of other classes than the ten: read, trained, exported, run, and refused where the list is another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera_perception.core.model_spec import load_spec
from camera_perception.tools.perception import Perception
from perception_models.data.labels import listed
from perception_models.training.checkpoint import CheckpointError, load_network

CLASSES = "Forklift Truck,pallet,van"
PROGRAM = """
import sys
from dataclasses import asdict
import torch
from perception_models.data import TargetDataset, collate, open_mix
from perception_models.losses import LossConfig, task_losses
from perception_models.network import PerceptionNet, of_size
from perception_models.training import checkpoint
from perception_models.training.config import StageConfig, TrainConfig

folder, path = sys.argv[1:]
dataset = TargetDataset(open_mix([{"kind": "yolo", "path": folder}]), (64, 128))
batch = collate([dataset[(0, 0, 0, i)] for i in range(4)])
print(sorted(set(batch["classes"][batch["classes"] >= 0].tolist())))
net = PerceptionNet(of_size("t", tasks=["objects"])).train()
optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
losses = task_losses(net(batch["images"]), batch, LossConfig(), net.config.strides)
sum(losses.values()).backward()
optimizer.step()
config = asdict(TrainConfig(stages=[StageConfig(height=64, width=128)]))
checkpoint.save(__import__("pathlib").Path(path), {"average": net.state_dict()}, {
    "step": 1, "network": asdict(net.config), "config": config,
})
"""


def command(*words: object, objects: str = "") -> str:
    """What Python prints; its own process, because the list is read once."""
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1", **({"PERCEPTION_OBJECTS": objects} if objects else {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def yolo(tmp_path_factory) -> Path:
    """Five drawn images with labels of YOLO: a red fork lift and a blue van in each."""
    folder = tmp_path_factory.mktemp("yolo")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number in range(5):
        image = np.full((64, 128, 3), 90, np.uint8)
        cv2.rectangle(image, (10 + number, 20), (40 + number, 44), (0, 0, 255), -1)
        cv2.rectangle(image, (80, 20), (110, 44), (255, 0, 0), -1)
        cv2.imwrite(str(folder / f"images/{number}.png"), image)
        rows = [f"0 {(25 + number) / 128} 0.5 {30 / 128} {24 / 64}", f"2 {95 / 128} 0.5 {30 / 128} {24 / 64}"]
        (folder / f"labels/{number}.txt").write_text("\n".join(rows))
    (folder / "data.yaml").write_text("train: images\nval: images\nnames: [forklift_truck, pallet, van]\n")
    return folder


@pytest.fixture(scope="module")
def run(yolo, tmp_path_factory) -> Path:
    """A checkpoint after one step of learning."""
    folder = tmp_path_factory.mktemp("run")
    printed = command("-c", PROGRAM, yolo, folder / "best.safetensors", objects=CLASSES)
    assert printed.split("\n")[0] == "[0, 2]"
    return folder


def test_a_network_of_other_classes_is_trained_exported_and_runs(run, yolo, tmp_path):
    (tmp_path / "classes.txt").write_text("# ours\n" + CLASSES.replace(",", "\n") + "\n")
    options = ("--checkpoint", run / "best.safetensors", "-o", tmp_path / "model", f"images={yolo / 'images'}")
    command("-m", "perception_models", "--objects", tmp_path / "classes.txt", "export", *options, "license=MIT")
    head = load_spec(tmp_path / "model").heads[0]
    assert head.classes == ("Forklift Truck", "pallet", "van")
    assert "light_states" not in head.tensors
    with Perception.load(tmp_path / "model", engine="onnxruntime", threads=1) as perception:
        assert perception(yolo / "images/0.png").objects.boxes.shape[1] == 4


def test_a_checkpoint_of_other_classes_says_how_to_open_it(run):
    with pytest.raises(CheckpointError, match=r"3 classes of objects.*--objects 'Forklift Truck,pallet,van' COMMAND"):
        load_network(run)


@pytest.mark.parametrize("text", [",", "car,Car", "a_b,a b"])
def test_a_list_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="no list of different names"):
        listed(text)
