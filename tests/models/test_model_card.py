"""What the card of a model and the JSON of a checkpoint say of data, licences, training and metrics."""

from __future__ import annotations

import json

import pytest
from safetensors import safe_open

from perception_models.experiments.demo import ship
from perception_models.export.model_card import headline_metrics, model_card
from perception_models.training.config import PACKAGE


def test_the_card_separates_training_data_from_held_out_data():
    assert ship.card_row("test", {"headlines": {"map50": 0.5}}) == ("test", {"map50": 0.5})
    assert ship.card_row("udacity_highway_960", {"headlines": {}})[0].endswith("(trained on)")
    folds = {"train": {"images": 8, "crops": 1.0}, "val": {"images": 2, "crops": 0.9}}
    crops = {"headlines": {"crops": 0.98}, "slices": {"fold": {"values": folds, "spread": {}}}}
    assert ship.card_row("crops", crops) == ("crops, held-out fold", {"crops": 0.9})


def test_the_card_names_data_licences_and_metrics():
    data = {"train": [{"kind": "labelled", "path": "data/render/train"}, {"kind": "labelled", "path": "data/highway"}]}
    spec = {
        "name": "demo", "version": "1", "description": "d", "license": "Apache-2.0", "outputs": [],
        "input": {"width": 640, "height": 384}, "metrics": {"test": {"map50": 0.6123}},
        "training": {"step": 9, "config": {"data": {**data, "lights": "x/traffic_light_crops"}}},
    }  # fmt: skip
    card = model_card(spec)
    for words in (
        "rendered by this project",
        "Udacity, MIT",
        "traffic-light crops (MIT)",
        "| test | map50 | 0.612 |",
        "Limits",
    ):
        assert words in card
    assert "Not measured yet" in model_card({**spec, "metrics": {}})
    measured = {"model": "demo", "datasets": {"drive": {"headlines": {"map50": 0.25}, "images": 3}}}
    assert "| drive | map50 | 0.250 |" in model_card({**spec, "metrics": headline_metrics(measured)})
    assert headline_metrics(spec["metrics"]) == spec["metrics"]
    later = {**spec["training"]["config"], "transfer": {"weights": "runs/first/last.safetensors"}}
    card = model_card({**spec, "training": {"step": 9, "config": later}})
    assert "9 optimiser steps, initialised from `runs/first/last.safetensors`;" in card
    from_package = {**later, "transfer": {**later["transfer"], "imagenet": True}}
    from_later_run = {**later, "network": {"backbone": "efficientnet_lite0"}}
    for config in (from_package, from_later_run):
        card = model_card({**spec, "training": {"step": 9, "config": config}})
        assert "initialised from `runs/first/last.safetensors` and the ImageNet weights of EfficientNet-Lite0" in card


def test_the_card_of_a_network_trained_elsewhere_does_not_mention_rendered_images():
    data = {"train": [{"kind": "bdd100k", "path": "/data/highway/bdd100k"}]}
    spec = {
        "name": "mine", "version": "1", "description": "d", "license": "not stated", "outputs": [],
        "input": {"width": 640, "height": 384}, "metrics": {}, "training": {"step": 9, "config": {"data": data}},
    }  # fmt: skip
    card = model_card(spec)
    assert "does not allow commercial use" in card
    assert "rendered" not in card
    assert "MIT" not in card
    assert "Licence of the weights: not stated" in card


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "zoo/checkpoints").glob("*.safetensors")), ids=lambda path: path.stem
)
def test_the_json_beside_a_checkpoint_says_what_is_in_it(path):
    with safe_open(path, "pt") as file:
        assert json.loads(path.with_suffix(".json").read_text("utf-8")) == json.loads(file.metadata()["state"])
