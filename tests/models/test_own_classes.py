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
SMALL = [
    "network.size=t", "network.tasks=[objects]", "precision=32-true", "accelerator=cpu", "data.cache=null",
    "optimizer.warmup=2", "picture_every=0", "transfer.weights=null", "data.workers=0",
    "stages=[{views: 8, height: 64, width: 128, batch: 2}]",
]  # fmt: skip


def command(*words: object) -> str:
    """What perception-models prints; its own process, because the list is read once."""
    done = subprocess.run(
        [sys.executable, "-m", "perception_models", *map(str, words)],
        capture_output=True, text=True, timeout=600, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


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
    folder = tmp_path_factory.mktemp("run")
    command("--objects", CLASSES, "train", *SMALL, "--data", yolo, "--val", yolo, "-o", folder)
    return folder


def test_a_network_of_other_classes_is_trained_exported_and_runs(run, yolo, tmp_path):
    (tmp_path / "classes.txt").write_text("# ours\n" + CLASSES.replace(",", "\n") + "\n")
    options = ("--checkpoint", run / "best.safetensors", "-o", tmp_path / "model", f"images={yolo / 'images'}")
    command("--objects", tmp_path / "classes.txt", "export", *options, "license=MIT")
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
