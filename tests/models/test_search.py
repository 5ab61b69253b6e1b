"""The search on fake trainings whose score is a formula with a known optimum."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import cv2
import pytest
import yaml

pytest.importorskip("torch", reason="needs torch: make setup-models")
pytest.importorskip("optuna", reason="needs optuna: make setup-models")

import optuna

from perception_models.config import SettingsError, load_settings
from perception_models.data.files import exclusive
from perception_models.training import launch
from perception_models.training.config import TrainConfig
from perception_models.training.launch import run_lock
from perception_models.training.search import run as searching
from perception_models.training.search import trial as search_trial
from perception_models.training.search.config import SearchConfig, read_plan
from perception_models.training.search.run import open_study, search
from perception_models.training.search.shared import ALIVE
from perception_models.training.search.trial import objective_history, train_trial

# A fake training of four validations, best at lr 0.003; behaves by its name. Without site packages it starts at once.
FAKE = """
import json, math, re, sys, time
folder = sys.argv[1]
config = open(folder + "/config.yaml").read()
name, lr = re.search("^name: (.*)$", config, re.M)[1], float(re.search("^  lr: (.*)$", config, re.M)[1])
for step in range(1, 5):
    score = -((math.log10(lr / 0.003)) ** 2) - 1 / step
    with open(folder + "/log.jsonl", "a") as log:
        log.write(json.dumps({"step": step * 10, "val/score": score, "val/iou/drivable": -score}) + "\\n")
    if name == "diverges" and step == 2:
        sys.exit(1)
    time.sleep(60 if name == "sleeps" else 0.0)
"""


@pytest.fixture(autouse=True)
def fake_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(config: TrainConfig, folder: Path) -> list[str]:
        real(config, folder)
        return [sys.executable, "-I", "-S", "-c", FAKE, str(folder)]

    real = launch.command
    monkeypatch.setattr(launch, "command", command)
    monkeypatch.setattr(search_trial, "POLL_INTERVAL", 0.02)
    monkeypatch.setattr(searching, "WAIT", 0.02)


def plan_file(folder: Path, **changes: object) -> Path:
    (folder / "base.yaml").write_text("data: {train: [{kind: labelled, path: a}], val: [{kind: labelled, path: a}]}")
    lr = {"kind": "float", "low": 1e-5, "high": 1.0, "log": True}
    wish = {"base": "base.yaml", "trials": 4, "start": 2, "space": {"optimizer.lr": lr}, **changes}
    (folder / "search.yaml").write_text(yaml.safe_dump(wish))
    return folder / "search.yaml"


def test_a_search_writes_a_table_a_plot_and_the_best_configuration(tmp_path):
    words = ["stages=[{views: 8}]"]
    neck = {"kind": "choice", "choices": [48, 64]}
    space = {"optimizer.lr": {"kind": "float", "low": 1e-5, "high": 1.0, "log": True}, "network.neck": neck}
    messages: list[str] = []
    best = search(plan_file(tmp_path, words=words, space=space), tmp_path / "out", ["name=short"], messages.append)
    config = load_settings(TrainConfig, best)
    header, _, *rows = (row.strip("| ").split(" | ") for row in (tmp_path / "out/table.md").read_text().splitlines())
    assert len(rows) == 4
    assert config.optimizer.lr == pytest.approx(float(rows[0][header.index("optimizer.lr")]), rel=1e-3)
    assert config.network["neck"] in (48, 64)
    assert (config.name, config.stages[0].views) == ("run", 20000)  # the overrides of the search are not in it
    scores = [float(row[1]) for row in rows if "*" not in row[1]]
    assert scores == sorted(scores, reverse=True)
    assert cv2.imread(str(tmp_path / "out/search.png")).std() > 10
    assert len(messages) == 5


def test_a_restarted_search_continues_and_repeats_interrupted_trials(tmp_path, monkeypatch):
    config, out = plan_file(tmp_path, pruner="none", trials=2), tmp_path / "out"
    search(config, out, [], lambda _: None)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    config = plan_file(tmp_path, pruner="none", trials=4)
    with monkeypatch.context() as patch:
        patch.setattr(searching, "train_trial", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search(config, out, [], lambda _: None)
    study = open_study(SearchConfig(), out)
    killed = study.ask({"optimizer.lr": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True)})
    killed.set_user_attr("folder", "trial_003")
    wanted = {study.trials[2].params["optimizer.lr"], killed.params["optimizer.lr"]}

    search(config, out, [], lambda _: None)
    done = [t for t in open_study(SearchConfig(), out).trials if t.state is optuna.trial.TrialState.COMPLETE]
    assert {t.user_attrs["folder"] for t in done} == {f"trial_{i:03d}" for i in range(4)}
    assert {t.params["optimizer.lr"] for t in done[2:]} == wanted
    assert len({t.params["optimizer.lr"] for t in done}) == 4  # the sampler does not repeat itself


def test_workers_share_the_trials_of_a_search(tmp_path):
    config, out = plan_file(tmp_path, pruner="none", trials=6), tmp_path / "out"
    messages: dict[int, list[str]] = {0: [], 1: []}
    with ThreadPoolExecutor(2) as workers:  # locks of files are between open files, not between processes
        found = [workers.submit(search, config, out, [], messages[n].append) for n in messages]
        assert len({each.result() for each in found}) == 1
    trials = open_study(SearchConfig(), out).trials
    assert {t.user_attrs["folder"] for t in trials} == {f"trial_{i:03d}" for i in range(6)}
    assert {t.state for t in trials} == {optuna.trial.TrialState.COMPLETE}
    assert len({t.params["optimizer.lr"] for t in trials}) == 6
    assert sum(len(each) for each in messages.values()) == 2 + 6
    assert len((out / "table.md").read_text().splitlines()) == 2 + 6


def test_a_result_waits_while_another_worker_counts_trials(tmp_path, monkeypatch):
    config, out = plan_file(tmp_path, pruner="none", trials=1), tmp_path / "out"
    running, go = Event(), Event()

    def run(*_: object) -> float:
        running.set()
        go.wait(200)
        return 1.0

    monkeypatch.setattr(searching, "_run_trial", run)
    monkeypatch.setattr(searching, "report", lambda *_: None)
    monkeypatch.setattr(searching, "write_best", lambda *_: None)
    with ThreadPoolExecutor(1) as worker:
        done = worker.submit(search, config, out, [], lambda _: None)
        assert running.wait(200)
        with exclusive(out / searching.LOCK):
            go.set()
            time.sleep(0.3)
            assert [t.state for t in open_study(SearchConfig(), out).trials] == [optuna.trial.TrialState.RUNNING]
        done.result()
    assert [t.state for t in open_study(SearchConfig(), out).trials] == [optuna.trial.TrialState.COMPLETE]


def test_a_trial_of_a_living_worker_is_left_to_it(tmp_path):
    config, out = plan_file(tmp_path, pruner="none", trials=2), tmp_path / "out"
    out.mkdir()
    study = open_study(SearchConfig(), out)
    other = study.ask({"optimizer.lr": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True)})
    other.set_user_attr("folder", "trial_000")
    messages: list[str] = []
    with ThreadPoolExecutor(1) as worker:
        with exclusive(out / "trial_000" / ALIVE):
            mine = worker.submit(search, config, out, [], messages.append)
            while len(messages) < 2:
                time.sleep(0.02)
            time.sleep(0.1)
            assert not mine.done()
            assert open_study(SearchConfig(), out).trials[0].state is optuna.trial.TrialState.RUNNING
        mine.result()  # the other one died: its trial is resumed
    done = [t for t in open_study(SearchConfig(), out).trials if t.state is optuna.trial.TrialState.COMPLETE]
    assert {t.user_attrs["folder"] for t in done} == {"trial_000", "trial_001"}
    assert other.params["optimizer.lr"] in {t.params["optimizer.lr"] for t in done}


def test_a_pruned_training_is_stopped_at_once(tmp_path):
    points, complete = train_trial(TrainConfig(name="sleeps"), tmp_path, lambda points: True, "val/score")
    assert (len(points), complete) == (1, False)


def test_a_search_waits_for_a_training_that_outlived_its_parent(tmp_path):
    long = f"import pathlib, time; time.sleep(0.5); pathlib.Path({str(tmp_path)!r}, 'done').touch()"
    with run_lock(tmp_path) as lock:
        training = subprocess.Popen([sys.executable, "-c", long], pass_fds=[lock])
    with run_lock(tmp_path):
        assert (tmp_path / "done").exists()
    training.wait()


def test_a_training_that_diverges_counts_as_stopped_early(tmp_path):
    with pytest.raises(RuntimeError, match="no training was completed"):
        search(plan_file(tmp_path, trials=1), tmp_path / "out", ["name=diverges"], lambda _: None)
    (trial,) = open_study(SearchConfig(), tmp_path / "out").trials
    assert trial.state is optuna.trial.TrialState.PRUNED
    assert len(trial.intermediate_values) == 2


def test_a_training_that_never_logs_the_objective_ends_the_search(tmp_path):
    with pytest.raises(RuntimeError, match="validate_every"):
        search(plan_file(tmp_path, objective="val/iou/lanes"), tmp_path / "out", [], lambda _: None)


def test_the_objective_is_that_of_the_best_network_so_far(tmp_path):
    rows = [(10, -3.0, 0.2), (20, -1.0, 0.5), (30, -2.0, 0.9)]
    lines = [f'{{"step": {s}, "val/score": {score}, "val/iou/drivable": {iou}}}\n' for s, score, iou in rows]
    (tmp_path / "log.jsonl").write_text("".join(lines))
    assert objective_history(tmp_path, "val/iou/drivable") == [(10, 0.2), (20, 0.5), (30, 0.5)]
    (tmp_path / "log.jsonl").write_text("".join(lines)[:-9])
    assert objective_history(tmp_path, "val/score") == []  # a line is being written


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "space is empty"),
        ({"optimizer.lr": {"kind": "real"}}, "unknown kind 'real'"),
        ({"optimizer.lr": {"low": 0.0, "high": 1.0, "log": True}}, "log needs a low above 0"),
        ({"optimizer.lr": {"low": 1.0, "high": 1.0}}, "low must be below high"),
        ({"optimizer.kind": {"kind": "choice"}}, "needs choices"),
        ({"optimizer.rate": {"low": 0.0, "high": 1.0}}, "rate"),
        ({"loss.boxes": {"low": 0.1, "high": 1.0}}, "smaller weight"),
    ],
)
def test_an_invalid_search_is_refused_before_anything_runs(space, message, tmp_path):
    with pytest.raises(SettingsError, match=message):
        read_plan(plan_file(tmp_path, space=space), [])


def test_a_search_without_validation_data_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="data.val"):
        read_plan(plan_file(tmp_path), ["data.val=[]"])


def test_the_configuration_file_shows_every_value():
    path = Path(__file__).resolve().parents[2] / "perception_models/configs/search.yaml"
    plan = read_plan(path, [])
    shown = yaml.safe_load(path.read_text())
    assert set(shown) == set(vars(plan.config))
