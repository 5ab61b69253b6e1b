"""Calibration of scores and choice of thresholds, on made findings and with a fake network."""

from __future__ import annotations

import json

import numpy as np
import pytest

from camera_perception.core.model_spec import HeadSpec, spec_from_json
from camera_perception.core.types import SceneAttribute
from camera_perception.decode.scores import calibrated
from perception_models.data.labels import SCENE
from perception_models.evaluation.metrics.scores import calibration_error
from perception_models.evaluation.real import calibrate
from perception_models.evaluation.real.calibrate import Calibration, Row, Seen, fit_scene, write_calibration
from perception_models.evaluation.real.score_fit import (
    IDENTITY,
    Evidence,
    best_threshold,
    platt,
    published,
    score_of_precision,
    score_that_allows,
)

RNG = np.random.default_rng(4)


def overconfident(count: int, slope: float, offset: float) -> Evidence:
    """Findings that are right with probability sigmoid(slope * logit(score) + offset)."""
    scores = RNG.uniform(0.03, 0.97, count)
    return Evidence(scores, RNG.random(count) < published(scores, (slope, offset)), count // 2)


@pytest.mark.parametrize("pair", [(1.0, 0.0), (2.0, -1.0), (0.5, 0.7)])
def test_the_fit_finds_the_slope_and_offset_that_made_the_findings(pair):
    evidence = overconfident(20_000, *pair)
    found = platt(evidence, IDENTITY, 0.01)
    assert found == pytest.approx(pair, abs=0.1)
    assert calibration_error(published(evidence.scores, found), evidence.correct) < 0.02


@pytest.mark.parametrize(("count", "nearer"), [(0, 0.0), (4, 0.5)])
def test_a_class_with_little_evidence_stays_near_the_prior(count, nearer):
    prior = (2.0, -1.0)
    found = platt(overconfident(count, 1.0, 3.0), prior, 4.0)
    assert np.abs(np.subtract(found, prior)).max() <= nearer + 1e-9


def test_the_decoder_applies_what_was_fitted():
    head = HeadSpec("objects", "topk_boxes", {}, ("car",), options={"calibration": {"car": [2.0, -1.0]}})
    scores = np.linspace(0.01, 0.99, 9).astype(np.float32)
    found = calibrated(scores, np.zeros(9, int), head)
    np.testing.assert_allclose(found, published(scores, (2.0, -1.0)), rtol=1e-4)


@pytest.mark.parametrize(
    ("scores", "correct", "labelled", "threshold"),
    [
        ([], [], 5, 0.25),
        ([0.9, 0.8, 0.5, 0.3], [True, True, False, False], 2, 0.51),
        ([0.9, 0.8, 0.5, 0.3], [True, True, True, True], 4, 0.25),
        (
            [0.9, 0.8, 0.5, 0.3],
            [True, False, False, False],
            1,
            0.51,
        ),  # 0.81 would be best, but 0.6 is the highest allowed and 0.51 as good
    ],
)
def test_the_threshold_has_the_best_f1(scores, correct, labelled, threshold):
    found = best_threshold(np.array(scores), np.array(correct, bool), labelled, 0.25, 0.6)
    assert found == pytest.approx(threshold)


def test_with_a_higher_beta_a_missed_object_counts_more_than_a_false_one():
    scores, correct = np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([True, False, False, False, True])
    assert best_threshold(scores, correct, 2, 0.25, 0.95) == pytest.approx(0.81)
    assert best_threshold(scores, correct, 2, 0.25, 0.95, beta=2.0) == pytest.approx(0.25)


@pytest.mark.parametrize(("count", "reached"), [(0, 0), (1, 1), (3, 3), (9, 4)])
def test_at_most_so_many_scores_reach_the_threshold(count, reached):
    scores = np.array([0.2, 0.9, 0.5, 0.7])
    assert (scores >= score_that_allows(scores, count)).sum() == reached


@pytest.mark.parametrize(
    ("correct", "score"),
    [
        ([], 0.0),
        ([True, True, True], 0.0),
        ([True, True, False, False], 0.6),
        ([True, False, False], 0.9),
        ([False, True, True], 1.0),
    ],
)
def test_lowest_score_of_a_precision(correct, score):
    scores = np.array([0.9, 0.6, 0.3, 0.2])[: len(correct)]
    assert score_of_precision(scores, np.array(correct, bool), 0.8) == score


def seen(label: str, score: float, truth: str = "", dry: bool = False):
    index = SCENE["weather"].index(truth) if truth else -1
    return (SceneAttribute("weather", label, score),), {"weather": index}, dry


def test_dry_pictures_called_snowy_raise_the_threshold_of_snowy_only():
    rendered = Seen(scenes=[seen("snowy", 0.999, "snowy"), seen("snowy", 0.97, "snowy"), seen("clear", 0.5, "clear")])
    real = [seen("snowy", score, dry=True) for score in (0.9, 0.8, 0.3)] + [seen("clear", 0.9, dry=True)] * 97
    thresholds, kept = fit_scene(rendered, real, 0.4)
    assert thresholds.keys() == {"weather"}
    assert thresholds["weather"].keys() == {"snowy"}
    # One of a hundred may stay: above 0.8, whose odds of 4 to 1 become 16 to 1.
    assert thresholds["weather"]["snowy"] == pytest.approx(16 / 17, abs=1e-3)
    assert kept == {"weather": (1.0, 1.0)}


def test_labels_that_rendered_pictures_prove_wrong_become_unknown():
    rendered = Seen(scenes=[seen("clear", 0.9, "clear"), seen("clear", 0.6, "overcast"), seen("clear", 0.5, "foggy")])
    thresholds, kept = fit_scene(rendered, [], 0.4)
    assert thresholds == {"weather": {"clear": 0.9}}
    assert kept["weather"] == (1.0, pytest.approx(1 / 3))


OBJECT_TENSORS = {"boxes": "b", "scores": "s", "classes": "c"}


def test_the_copy_of_the_model_folder_is_changed_and_still_valid(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    outputs = [
        {"head": "objects", "kind": "topk_boxes", "tensors": OBJECT_TENSORS, "classes": ["car", "bus"]},
        {
            "head": "scene",
            "kind": "attributes",
            "tensors": {"weather": "w"},
            "options": {"labels": {"weather": ["clear"]}},
        },
    ]
    data = {
        "schema": 1, "name": "m", "version": "1", "license": "none", "outputs": outputs,
        "onnx": {"file": "m.onnx", "sha256": "0" * 64}, "input": {"name": "i", "width": 64, "height": 64},
    }  # fmt: skip
    (model / "model.json").write_text(json.dumps(data))
    row = Row("car", 40, (2.0, -1.0), 0.35, 0.2, 0.05, 0.7, 0.8)
    write_calibration(model, Calibration([row], {"weather": {"clear": 0.6}}, {}, {"a:*7.jpg": 3}), tmp_path / "out")
    spec = spec_from_json(json.loads((tmp_path / "out/model.json").read_text()), tmp_path / "out")
    objects, scene = spec.head("objects"), spec.head("scene")
    assert objects is not None
    assert scene is not None
    assert objects.options == {"calibration": {"car": [2.0, -1.0]}, "thresholds": {"car": 0.35}}
    assert scene.options["thresholds"] == {"weather": {"clear": 0.6}}
    assert spec.training["calibration"]["pictures"] == {"a:*7.jpg": 3}
    assert json.loads((model / "model.json").read_text()) == data
    cleared = calibrate.uncalibrated(spec).head("objects")
    assert cleared is not None
    assert cleared.options == {}
    assert "car" in calibrate.text_of(Calibration([row], {"weather": {"clear": 0.6}}, {"weather": (0.9, 0.8)}, {}))
