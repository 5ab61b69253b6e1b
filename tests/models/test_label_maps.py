"""Masks of real images by trained networks: what they are sure of, where it fits boxes and older masks."""

from __future__ import annotations

import shutil
from dataclasses import asdict

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from perception_models.cli import app
from perception_models.data.labels import OBJECTS, SEMANTIC
from perception_models.data.readers.folder import LabelledFolder
from perception_models.data.sample import Boxes, Sample
from perception_models.network import PerceptionNet, of_size
from perception_models.training import checkpoint
from perception_models.training.distill import maps
from perception_models.training.distill.maps import MapConfig

CAR, PERSON = (SEMANTIC.index(name) for name in ("vehicle", "pedestrian"))
ROAD, SKY = (SEMANTIC.index(name) for name in ("road", "sky"))


def sample(*labelled: tuple[list[float], str, bool], size: tuple[int, int] = (40, 60), **labels: np.ndarray) -> Sample:
    rows = [(sides, OBJECTS.index(name), ignored, -1) for sides, name, ignored in labelled]
    columns = [np.array(column) for column in zip(*rows)] if rows else None
    return Sample(
        "a.jpg", np.zeros((*size, 3), np.uint8), boxes=Boxes(*columns) if columns else Boxes.empty(), **labels
    )


def test_unsure_pixels_have_no_label():
    values = np.array([[[0.2, 0.8], [0.6, 0.4], [0.7, 0.3]]])
    assert maps.sure(values, 0.7).tolist() == [[1, 255, 0]]


def test_labels_that_exist_win():
    old, new = np.array([[0, 255, 1]], np.uint8), np.array([[1, 2, 255]], np.uint8)
    assert maps.completed(old, new).tolist() == [[0, 2, 1]]
    assert maps.completed(None, new) is new


def test_the_lowest_rows_are_never_road():
    mask = maps.without_own_car(np.array([[1], [2], [0], [1], [2], [0], [1], [2], [0], [1]], np.uint8), 0.3)
    assert mask[:, 0].tolist() == [1, 2, 0, 1, 2, 0, 1, 255, 0, 255]


@pytest.mark.parametrize(
    ("found", "column", "kept"),
    [
        (CAR, 15, CAR),  # in the box of a car
        (CAR, 21, CAR),  # a little beside it
        (CAR, 40, 255),  # where no box is
        (PERSON, 15, 255),  # a person where a car is
        (ROAD, 15, 255),  # in the middle of a car
        (ROAD, 40, ROAD),
        (SKY, 40, SKY),
    ],
)
def test_objects_must_fit_their_boxes(found: int, column: int, kept: int):
    seen = sample(([10, 10, 20, 30], "car", False))
    assert maps.fitting_boxes(np.full((40, 60), found, np.uint8), seen, 0.2)[20, column] == kept


def test_a_street_has_a_vehicle_a_light_or_a_sign():
    person, car = ([0, 0, 9, 9], "pedestrian", False), ([0, 0, 9, 9], "car", False)
    assert not maps.is_street(sample(person))
    assert not maps.is_street(sample(([0, 0, 9, 9], "car", True)))
    assert not maps.is_street(Sample("a.jpg", np.zeros((8, 8, 3), np.uint8)))
    assert maps.is_street(sample(person, car))


def test_probabilities_are_those_of_the_networks_at_the_size_of_the_image():
    torch.manual_seed(0)
    nets = [PerceptionNet(of_size("t")).eval() for _ in range(2)]
    image = np.random.default_rng(0).integers(0, 255, (50, 90, 3), np.uint8)
    found = maps.probabilities(image, nets, MapConfig(sides=(64, 96)))
    assert {head: values.shape for head, values in found.items()} == {
        "drivable": (50, 90, 3),
        "semantic": (50, 90, len(SEMANTIC)),
    }
    np.testing.assert_allclose(found["semantic"].sum(-1), 1, atol=1e-5)
    mirrored = maps.probabilities(image[:, ::-1].copy(), nets, MapConfig(sides=(64, 96)))
    np.testing.assert_allclose(
        mirrored["drivable"][:, ::-1], found["drivable"], atol=0.03
    )  # bf16 where the processor has it


@pytest.fixture
def folder(drawn_folder, tmp_path):
    """Drawn scenes, of which some masks are gone, and a checkpoint."""
    shutil.copytree(drawn_folder, tmp_path / "drawn")
    shutil.rmtree(tmp_path / "drawn/labels/sem_seg")
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t"))
    state = {"step": 0, "network": asdict(net.config)}
    checkpoint.save(tmp_path / "net.safetensors", {"average": net.state_dict()}, state)
    return tmp_path / "drawn"


def test_the_command_completes_masks_and_can_be_started_again(folder, monkeypatch):
    before = {path.name: cv2.imread(str(path), -1) for path in (folder / "labels/drivable/masks").glob("*.png")}
    command = ["label-maps", str(folder), "--teacher", str(folder.parent / "net.safetensors"), "--sure", "0.5"]
    names, asked = LabelledFolder(folder).names, []
    real = maps.masks
    monkeypatch.setattr(maps, "masks", lambda *args: asked.append(1) or real(*args))
    assert CliRunner().invoke(app, command).exit_code == 0
    streets = len(asked)
    assert 0 < streets <= len(names)
    for name, mask in before.items():
        after = cv2.imread(str(folder / "labels/drivable/masks" / name), -1)
        np.testing.assert_array_equal(after[mask != 255], mask[mask != 255])
    text = (folder / "maps.jsonl").read_text("utf-8")
    (folder / "maps.jsonl").write_text(text[: text.rindex("{") + 3], "utf-8")  # killed while writing the last line
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    assert len(asked) <= streets + 1
    assert (folder / "maps.jsonl").read_text("utf-8") == text
    assert f"{streets} drivable, {streets} semantic masks" in result.output
