"""perception-models adapt: what is held out, what is kept, what the gate refuses, and the model folder it makes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("lightning_fabric", reason="needs torch: make setup-models")

from drawn import draw_folder
from typer.testing import CliRunner

from camera_perception.core.model_spec import load_spec
from perception_models.cli import app
from perception_models.config import SettingsError, load_settings
from perception_models.data.files import DataError
from perception_models.data.mix import open_mix
from perception_models.experiments.adapt import adapt as module
from perception_models.experiments.adapt import study
from perception_models.experiments.adapt.judge import Figures, reason_against, runner
from perception_models.experiments.adapt.settings import Settings, split, training
from perception_models.export.export import ExportConfig, export
from perception_models.export.untrained import write_untrained
from perception_models.network import PerceptionNet
from perception_models.training import checkpoint
from perception_models.training.optimization.optimizer import hold_norms

BEFORE = Figures(2.0, {"map50": 0.5, "drivable_iou": 0.8})


# What is held out and what is learned from


@pytest.mark.parametrize(
    ("count", "rows", "train", "held"),
    [(4, None, [0, 1, 2], [3]), (8, None, [*range(6)], [6, 7]), (8, [7, 1, 5, 2, 0], [7, 1, 5, 2], [0])],
)
def test_the_last_quarter_is_held_out(count, rows, train, held, tmp_path):
    entry = {"kind": "labelled", "path": str(draw_folder(tmp_path, count))} | ({"rows": rows} if rows else {})
    ((own,), (kept,)) = split([entry])
    assert (own["rows"], kept["rows"]) == (train, held)
    names = open_mix([own]).parts[0].names
    assert names == [f"{row:04d}.png" for row in train]


def test_rows_outside_of_a_data_set_are_refused(drawn_folder):
    for rows in ([], [4], [-1]):
        with pytest.raises(DataError, match="expected indices of 0 to 3"):
            open_mix([{"kind": "labelled", "path": str(drawn_folder), "rows": rows}])


def test_old_data_gets_the_share_of_views_that_is_configured(parent, drawn_folder):
    own = [{"kind": "labelled", "path": str(drawn_folder), "rows": [0]}]
    old = [{"kind": "labelled", "path": str(drawn_folder), "rows": [1, 2, 3]}]
    config = training(Settings(replay=0.25), parent.checkpoint, parent.state, own, old)
    assert [entry["weight"] for entry in config.data.train] == [0.75, 0.25]
    assert [entry["weight"] for entry in training(Settings(), parent.checkpoint, parent.state, own, []).data.train] == [
        1
    ]


def test_held_norms_keep_their_statistics(parent):
    net = PerceptionNet(parent.net.config)
    for hold in (False, True):
        net.train()
        before = {name: tensor.clone() for name, tensor in net.named_buffers() if "running" in name}
        if hold:
            hold_norms(net)
        net(torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8))
        same = [torch.equal(before[name], tensor) for name, tensor in net.named_buffers() if name in before]
        assert all(same) if hold else not any(same)


# The gate


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (Figures(2.0, {"map50": 0.5, "drivable_iou": 0.8}), ""),
        (Figures(1.5, {"map50": 0.6, "drivable_iou": 0.79}), ""),
        (Figures(2.1, {"map50": 0.6, "drivable_iou": 0.9}), "the loss rose from 2.000 to 2.100"),
        (Figures(1.5, {"map50": 0.48, "drivable_iou": 0.8}), "the mean of the metrics fell from 0.650 to 0.640"),
        (Figures(1.5, {"map50": 0.7, "drivable_iou": 0.7}), "drivable_iou fell from 0.800 to 0.700"),
        (Figures(1.5, {"map50": 0.9}), "drivable_iou fell from 0.800 to 0.000"),
    ],
)
def test_a_model_that_is_worse_on_the_held_out_images_is_refused(after, reason):
    assert reason_against(BEFORE, after) == reason


def test_a_size_of_objects_alone_does_not_refuse_a_model():
    """Of the vehicles in 25 images, a handful is of medium size."""
    before = Figures(
        6.5, {"map50": 0.08, "vehicle_ap50": 0.42, "vehicle_ap50_medium": 0.55, "vehicle_ap50_large": 0.44}
    )
    after = Figures(5.7, {"map50": 0.38, "vehicle_ap50": 0.59, "vehicle_ap50_medium": 0.41, "vehicle_ap50_large": 0.9})
    assert reason_against(before, after) == ""
    assert "mean of the metrics" in reason_against(before, Figures(5.7, {**after.metrics, "vehicle_ap50_large": 0.0}))


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """A network of random weights for images of 256x128, as a checkpoint and as a model folder."""
    folder = tmp_path_factory.mktemp("parent")
    weights = write_untrained(folder / "start.safetensors", "t", 128, 256)
    export(weights, folder / "model", ExportConfig(name="start", version="2.3", license="MIT"))
    return module.open_parent(folder / "model", weights)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("pictures"), 8)


def judged(monkeypatch, *figures):
    """Replaces training and measuring: the start's figures first, then those of each mean of weights."""
    given = iter(figures)
    judge = type("Judge", (), {"samples": [], "__call__": lambda self, net: next(given)})
    monkeypatch.setattr(module, "Judge", lambda spec, samples, title="": judge())
    monkeypatch.setattr(module, "fine_tuned", lambda parent, task, settings, run: PerceptionNet(parent.net.config))


def test_a_drivable_area_cut_by_the_semantic_map_is_judged_and_inherited(tmp_path):
    weights = write_untrained(tmp_path / "parent.safetensors", "t")
    found = {}
    for cut in (False, True):
        export(weights, tmp_path / f"{cut}", ExportConfig(height=64, width=128, on_road=cut))
        parent = module.open_parent(tmp_path / f"{cut}", weights)
        images = np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3), np.uint8)
        found[cut] = runner(parent.net, parent.spec)(images)["drivable"]
        made = module.write_model(weights, tmp_path / f"adapted {cut}", parent, {}, "", lambda text: None)
        assert load_spec(made).training["export"]["on_road"] is cut
    assert (found[True] != found[False]).any()
    assert not ((found[True] > 0) & (found[False] == 0)).any()


def test_less_of_the_new_weights_is_tried_before_the_parent_is_kept(parent, pictures, monkeypatch, tmp_path):
    worse, better = replace(BEFORE, loss=9.0), replace(BEFORE, loss=1.0)
    judged(monkeypatch, BEFORE, worse, better)
    found = module.adapt_network(parent, module.find_task([pictures], []), Settings(), tmp_path, lambda text: None)
    assert (found.share, found.end, found.refused) == (0.5, better, "")

    judged(monkeypatch, BEFORE, worse, worse, worse)
    found = module.adapt_network(parent, module.find_task([pictures], []), Settings(), tmp_path, lambda text: None)
    assert (found.share, found.end) == (0, BEFORE)
    assert found.net is parent.net
    assert found.refused == "the loss rose from 2.000 to 9.000"


def test_too_few_images_and_a_foreign_checkpoint_are_refused(parent, tmp_path):
    with pytest.raises(SettingsError, match="3 labelled images; give at least 4"):
        module.find_task([draw_folder(tmp_path / "three", 3)], [])
    foreign = PerceptionNet(parent.net.config)
    checkpoint.save(tmp_path / "foreign.safetensors", {"average": foreign.state_dict()}, parent.state)
    with pytest.raises(SettingsError, match="give the checkpoint that the folder was exported from"):
        module.open_parent(parent.spec.folder, tmp_path / "foreign.safetensors")


# The whole command


def copied(parent):
    """Stands in for the export, which takes ten seconds: the files of the parent with the name of the new model."""

    def export(weights, folder, config):
        shutil.copytree(parent.spec.folder, folder)
        spec = json.loads((folder / "model.json").read_text())
        outputs = [{**output, "threshold": 0.123} for output in spec["outputs"]]
        (folder / "model.json").write_text(json.dumps({**spec, "name": config.name, "outputs": outputs}))
        return []

    return export


def call(parent, pictures, out, *words):
    paths = ("--parent", parent.spec.folder, "--checkpoint", parent.checkpoint, "--out", out)
    return CliRunner().invoke(app, ["adapt", "--data", str(pictures), *map(str, paths), *words])


def test_a_model_folder_names_its_parent_and_keeps_its_thresholds(parent, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "reason_against", lambda before, after: "")
    monkeypatch.setattr("perception_models.export.export.export", copied(parent))
    words = ("steps=4", "lr=0.01", "batch=2", "share=0.4", "--replay", str(pictures), "--name", "roof")
    done = call(parent, pictures, tmp_path / "out", *words)
    assert done.exit_code == 0, done.output
    model = json.loads((tmp_path / "out/model/model.json").read_text())
    assert model["name"] == "roof"
    assert model["outputs"] == json.loads((parent.spec.folder / "model.json").read_text())["outputs"]
    card = (tmp_path / "out/model/MODEL_CARD.md").read_text()
    assert "Parent: start 2.3, ONNX" in card
    assert "6 labelled images; 2 more were held out" in card
    assert "| old images, held out | drivable_iou |" in card
    again = call(parent, pictures, tmp_path / "out", *words)
    assert again.exit_code == 0, again.output  # nothing is trained again
    monkeypatch.setattr(module, "reason_against", lambda before, after: "it is worse")
    refused = call(parent, pictures, tmp_path / "out", *words)
    assert refused.exit_code == 1
    assert f"keep using {parent.spec.folder}" in refused.output
    assert json.loads((tmp_path / "out/report.json").read_text())["refused"] == "it is worse"
    other = call(parent, pictures, tmp_path / "out", *words, "lr=0.02")
    assert "was made with other settings or data" in other.output


# The study


def test_a_study_draws_more_images_as_a_superset_of_fewer(pictures):
    entries = [
        {"kind": "labelled", "path": str(pictures), "rows": [0, 1, 2]},
        {"kind": "labelled", "path": str(pictures)},
    ]
    few, many = (study.drawn(entries, count, 1) for count in (3, 7))

    def pairs(found):
        return {(len(entry["rows"]) < 9 and entry.get("path"), row) for entry in found for row in entry["rows"]}

    assert sum(len(entry["rows"]) for entry in few) == 3
    assert pairs(few) <= pairs(many)
    with pytest.raises(SettingsError, match="12 images of 11"):
        study.drawn(entries, 12, 1)


def test_a_study_writes_a_row_per_setting_and_continues(parent, pictures, tmp_path):
    entry = f"{{kind: labelled, path: {pictures}}}"
    text = f"""
parent: {parent.spec.folder}
checkpoint: {parent.checkpoint}
counts: [4]
words: [steps=2, batch=2]
cameras: {{mine: {{train: [{entry}], test: [{entry}], most: 2}}}}
forgotten: [{entry}]
settings: {{all: [], heads: ["frozen=[backbone, neck]"]}}
gated: false
"""
    (tmp_path / "study.yaml").write_text(text)
    config = load_settings(study.StudyConfig, tmp_path / "study.yaml")
    study.study(config, tmp_path / "out", 1, lambda line: None)
    assert len([*tmp_path.glob("out/*/result.json")]) == 1
    table = study.study(config, tmp_path / "out", 0, lambda line: None)
    assert [line.split("|")[1].strip() for line in table.splitlines()] == [
        "mine", "---", "as it was", "all, 4 images", "heads, 4 images",
    ]  # fmt: skip
    for name, frozen in (("mine_all_4_0", False), ("mine_heads_4_0", True)):
        weights = checkpoint.load_network(tmp_path / f"out/{name}/run/last.safetensors")[0].backbone.state_dict()
        same = [torch.equal(tensor, weights[key]) for key, tensor in parent.net.backbone.state_dict().items()]
        assert all(same) == frozen
