"""The loop of the data engine: its steps in order, what it waits for, and what the gates refuse."""

import json

import pytest
from typer.testing import CliRunner

from camera_perception.core.errors import ModelError
from perception_models.cli import app
from perception_models.config import SettingsError, load_settings
from perception_models.experiments import loop as module
from perception_models.experiments.loop import Gate, LoopConfig, judge_headlines, judge_rows, loop

CONFIG = """
parent: {folder}/parent
store: {folder}/pool
out: {folder}/out
teachers: [{folder}/parent]
gates: {{val: [{folder}/val]}}
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "parent").mkdir()
    spec = {"name": "old", "version": "3", "onnx": {"sha256": "ab" * 32}}
    (tmp_path / "parent/model.json").write_text(json.dumps(spec))
    (tmp_path / "loop.yaml").write_text(CONFIG.format(folder=tmp_path))
    return tmp_path / "loop.yaml"


@pytest.fixture
def steps(monkeypatch):
    """The steps that take long, replaced by their results; returns the names of those that ran."""
    ran = []

    def mined(config, out, echo):
        ran.append("mine")
        (out / "images").mkdir(parents=True, exist_ok=True)
        (out / "frames.csv").write_text("image\na.jpg\nb.jpg\n")
        return out

    def exported(config, best, out, echo):
        ran.append("export")
        out.mkdir(parents=True, exist_ok=True)
        (out / "model.json").write_text("{}")
        (out / "MODEL_CARD.md").write_text("# new\n")
        return out

    monkeypatch.setattr(module, "mined", mined)
    monkeypatch.setattr(module, "labelled", lambda config, hard, out, echo: ran.append("label") or out)
    monkeypatch.setattr(module, "trained", lambda config, labels, run, echo: ran.append("train") or run / "best")
    monkeypatch.setattr(module, "exported", exported)
    return ran


def gates(monkeypatch, *passed):
    found = [Gate(f"gate {number}", each, "0.1 -> 0.2") for number, each in enumerate(passed)]
    monkeypatch.setattr(module, "judged", lambda *_: found)


def test_a_model_that_passes_is_made_and_names_its_parent_and_frames(config, steps, monkeypatch):
    gates(monkeypatch, True, True)
    done = CliRunner().invoke(app, ["loop", str(config)])
    assert done.exit_code == 0, done.output
    assert steps == ["mine", "label", "train", "export"]
    model = config.parent / "out/model"
    card = (model / "MODEL_CARD.md").read_text()
    assert "Parent: old 3, ONNX abababababababab. Added: 2 mined frames" in card
    assert "gate 1: 0.1 -> 0.2" in card
    assert (model / "added_frames.csv").read_text().splitlines()[1] == "a.jpg"


def test_a_new_model_is_signed_where_a_key_is_given(config, steps, monkeypatch):
    pytest.importorskip("cryptography", reason="needs cryptography: make setup")
    from camera_perception.engines.serving.signature import new_key, verify

    gates(monkeypatch, True)
    public, model = new_key(config.parent / "loop.key"), config.parent / "out/model"
    done = CliRunner().invoke(app, ["loop", str(config), f"key={config.parent / 'loop.key'}"])
    assert done.exit_code == 0, done.output
    verify(model, [str(public)])
    (model / "MODEL_CARD.md").write_text("another\n")
    with pytest.raises(ModelError, match=r"MODEL_CARD\.md"):
        verify(model, [str(public)])
    refused = CliRunner().invoke(app, ["loop", str(config), "key=nothing.key"])
    assert refused.exit_code == 1
    assert steps == ["mine", "label", "train", "export"]  # it was refused before the long part


def test_a_model_that_a_gate_refuses_is_not_made(config, steps, monkeypatch):
    gates(monkeypatch, True, False)
    done = CliRunner().invoke(app, ["loop", str(config)])
    assert done.exit_code == 1
    assert "REFUSED gate 1" in done.output
    assert not (config.parent / "out/model").exists()
    assert [gate["passed"] for gate in json.loads((config.parent / "out/gates.json").read_text())] == [True, False]


def test_the_loop_waits_for_people(config, monkeypatch):
    hard = config.parent / "out/hard"
    (hard / "images").mkdir(parents=True)
    (hard / "frames.csv").write_text("image\n")
    done = CliRunner().invoke(app, ["loop", str(config), "people=true", "teachers=[]"])
    assert done.exit_code == 3
    assert "import-labels EXPORT" in done.output
    (config.parent / "out/people/labels").mkdir(parents=True)
    settings = load_settings(LoopConfig, config, ["people=true"])
    assert module.labelled(settings, hard, config.parent / "out", print) == config.parent / "out/people"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["store=''"], "store: is empty"),
        (["parent=nowhere"], "no model folder"),
        (["gates.val=[]"], "neither val nor drives"),
        (["teachers=[]"], "nobody would label"),
        (["teacher=[]"], "did you mean teachers"),
    ],
)
def test_what_is_missing_is_said_before_the_long_part(config, words, message):
    with pytest.raises(SettingsError, match=message):
        loop(config, words)


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [
        ({"mAP50": 0.5}, {"mAP50": 0.6}, True),
        ({"mAP50": 0.5}, {"mAP50": 0.495}, True),
        ({"mAP50": 0.5, "IoU": 0.7}, {"mAP50": 0.9, "IoU": 0.6}, False),
        ({"mAP50": 0.5}, {}, False),
    ],
)
def test_no_headline_may_fall(before, after, passed):
    assert judge_headlines(before, after, 0.01).passed is passed


@pytest.mark.parametrize(
    ("measure", "after", "passed"),
    [("recall of people", 55.0, True), ("recall of people", 45.0, False), ("false objects", 45.0, True)]
    + [("false objects", 55.0, False), ("score error", 51.0, True)],
)
def test_real_pictures_may_not_get_worse(measure, after, passed):
    key = measure, "CamVid"
    assert judge_rows({key: 50.0}, {key: after}, 2.0).passed is passed
