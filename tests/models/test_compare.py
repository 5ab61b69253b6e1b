"""`perception-models compare`: which data the runs are measured on, and which runs and figures are in the table."""

from __future__ import annotations

import pytest

pytest.importorskip("lightning_fabric", reason="needs torch: make setup-models")

from perception_models.config import SettingsError
from perception_models.data.registry import find_datasets
from perception_models.experiments import compare as module

CONFIG = """
base: base.yaml
test: [{{kind: labelled, path: {folder}, include: ["0001*", "0002*"]}}]
attack: [2]
runs: {{trunk: [pretrain.hidden=0.6], plain: [], half: [adversarial.share=0.5]}}
"""


@pytest.fixture
def config(tmp_path, drawn_folder, monkeypatch):
    """A comparison whose trainings and measurements are replaced; `measured` has what was measured on what."""
    (tmp_path / "base.yaml").write_text("name: base\n")
    (tmp_path / "compare.yaml").write_text(CONFIG.format(folder=drawn_folder))
    measured = []

    def trained(settings, folder):
        folder.mkdir(parents=True)
        (folder / "best.safetensors").write_text("")
        return folder / "best.safetensors"

    def evaluate(best, data, out, limit=None):
        measured.append((best.parent.name, data))
        out.mkdir(parents=True, exist_ok=True)
        return {"datasets": {"drawn": {"headlines": {"map50": 0.5}}}}

    def attack(best, data, out, strengths, steps, limit):
        return {"clean": {"map50": 0.5}, **{f"fgsm {each:g}": {"map50": 0.1} for each in strengths}}

    monkeypatch.setattr(module.launch, "run", trained)
    monkeypatch.setattr(module, "costs", lambda checkpoints: {})
    monkeypatch.setattr("perception_models.evaluation.evaluate", evaluate)
    monkeypatch.setattr("perception_models.evaluation.robustness.attack.attack", attack)
    return tmp_path / "compare.yaml", measured


def test_runs_are_measured_on_the_data_of_the_file_and_under_attack(config, tmp_path):
    path, measured = config
    metrics = module.compare(path, [], tmp_path / "out", [], lambda text: None)
    assert list(metrics) == ["plain", "half"]  # pretraining has no figures
    assert metrics["plain"] == {"map50": 0.5, "map50, clean": 0.5, "map50, fgsm 2": 0.1}
    assert [name for name, _ in measured] == ["plain", "half"]
    ((kind, samples),) = find_datasets(*measured[0][1]).values()
    assert (kind, samples.names) == ("labelled", ["0001.png", "0002.png"])


def test_data_of_the_command_replaces_that_of_the_file(config, tmp_path, drawn_folder):
    path, measured = config
    module.compare(path, [drawn_folder], tmp_path / "out", [], lambda text: None)
    assert measured[0][1] == [drawn_folder]


def test_without_data_nothing_is_trained(config, tmp_path):
    path, _ = config
    path.write_text("base: base.yaml\nruns: {plain: []}\n")
    with pytest.raises(SettingsError, match="no data to evaluate on: give --data"):
        module.compare(path, [], tmp_path / "out", [], lambda text: None)
    assert not (tmp_path / "out").exists()
