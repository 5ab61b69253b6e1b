"""`perception-models train` on folders of one's own: data, weights and errors before anything long starts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from perception_models.cli import app
from perception_models.config import SettingsError, load_settings
from perception_models.data.curation.inspect import Counts, in_words
from perception_models.training.build import build_network
from perception_models.training.checkpoint import load_network
from perception_models.training.config import OWN, SHIPPED, TrainConfig, check_paths, data_overrides


def run(*words):
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture
def folder(tmp_path):
    for name in ("it's mine, {really}", "val"):
        (tmp_path / name / "images").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / name / "images/1.png"), np.zeros((8, 8, 3), np.uint8))
    return tmp_path


def test_folders_become_data_sets_of_the_configuration(folder):
    mine = folder / "it's mine, {really}"
    words = data_overrides([mine], [folder / "val"], starts_anew=True)
    config = load_settings(TrainConfig, OWN, words)
    assert config.data.train == [{"kind": "labelled", "path": str(mine)}]
    assert config.data.val == [{"kind": "labelled", "path": str(folder / "val")}]
    assert config.transfer.weights == str(SHIPPED)
    check_paths(config)
    shipped, _ = load_network(SHIPPED)
    assert build_network(config).config == shipped.config


def test_a_configuration_of_ones_own_keeps_its_weights(folder):
    assert all("transfer" not in word for word in data_overrides([folder / "val"], [], starts_anew=False))
    assert data_overrides([], [], starts_anew=False) == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "data.train is empty: give --data FOLDER"),
        (("--data", "/no/data"), "--data /no/data does not exist: give --data FOLDER"),
        (("--data", "{val}", "--val", "/no/val"), "--val /no/val does not exist"),
        (("--data", "{val}", "transfer.weights=/no/weights"), "transfer.weights: /no/weights does not exist"),
        (("--data", "{val}", "data.lights=/no/lights"), "data.lights: /no/lights does not exist"),
        (("--data", "{val}", "optimizer.lrr=1"), "did you mean optimizer.lr?"),
        (("--data", "{val}", "optimiser.lr=1"), "did you mean optimizer"),
    ],
)
def test_errors_are_one_sentence_with_the_cure(folder, words, text):
    done = run("train", *(word.replace("{val}", str(folder / "val")) for word in words), "-o", folder / "run")
    assert (done.exit_code, done.output.count("\n"), text in done.output) == (1, 1, True), done.output
    assert not (folder / "run").exists()


def test_paths_of_a_configuration_are_checked():
    config = load_settings(TrainConfig, None, ["data.train=[{kind: labelled, path: /no/train}]"])
    with pytest.raises(SettingsError, match=r"data.train\[0\]: /no/train does not exist"):
        check_paths(config)


def test_a_search_without_its_data_is_one_sentence(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "data: {train: [{kind: labelled, path: /no}], val: [{kind: labelled, path: a}]}"
    )
    space = "space: {optimizer.lr: {low: 0.001, high: 0.01}}"
    (tmp_path / "search.yaml").write_text(f"base: base.yaml\n{space}\n")
    done = run("search", "-c", tmp_path / "search.yaml", "-o", tmp_path / "out")
    assert (done.exit_code, done.output.count("\n")) == (1, 1), done.output
    assert "data.train[0]: /no does not exist: give --data FOLDER" in done.output
    assert not (tmp_path / "out").exists()


def test_distillation_checks_its_paths_too(folder):
    words = ("--teacher", "/no/teacher", f"data.train=[{{kind: labelled, path: '{folder / 'val'}'}}]")
    done = run("distill", *words, "-o", folder / "run")
    assert "distill.teacher: /no/teacher does not exist" in done.output, done.output
    assert not (folder / "run").exists()


def test_the_version_is_shown():
    done = run("--version")
    assert (done.exit_code, done.output.startswith("perception-models ")) == (0, True)


def test_counts_in_words():
    counts = Counts(images=12, broken=["x.png: not a readable image"])
    counts.labelled.update({"boxes": 12, "lanes": 0})
    counts.objects.update({"car": 200, "bus": 3})
    text = "\n".join(in_words(counts))
    assert "12 images can be used; their labels: boxes." in text
    assert "Nothing will be learned from them about lanes, drivable, semantic." in text
    assert "Fewer than 50 boxes each: bus" in text
    assert "No boxes of pedestrian" in text or "pedestrian" in text
    assert "1 files cannot be used" in text
    assert in_words(Counts())[0] == "0 images can be used; their labels: none."
