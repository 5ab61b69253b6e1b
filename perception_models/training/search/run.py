"""Hyperparameter search: Optuna proposes values and prunes trials (TPE, Bergstra et al. 2011; Akiba et al. 2019)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, Trial, TrialState

from perception_models.data.files import exclusive
from perception_models.training.search.config import Plan, SearchConfig, read_plan, suggest
from perception_models.training.search.report import report
from perception_models.training.search.shared import ALIVE, is_held
from perception_models.training.search.trial import Points, train_trial

LOCK = "lock"  # held by the worker that takes the next trial
WAIT = 1.0  # seconds, while other workers have all trials that are left


def search(path: Path, out: Path, overrides: list[str], echo: Callable[[str], None] = print) -> Path:
    """Run all trials, then write table.md, search.png and best.yaml; returns best.yaml.

    `out` holds study.db and one run folder per trial. Started again, the search continues where it stopped. Started
    several times at once, on one machine or on a shared folder, the workers share the trials; those of a killed worker
    are resumed by the others.
    """
    plan = read_plan(path, overrides)
    out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with exclusive(out / LOCK):
        study = open_study(plan.config, out)
    echo(f"{_done(study)} of {plan.config.trials} trials done; each writes {out}/trial_NNN/output.txt")
    while _done(study) < plan.config.trials:
        with ExitStack() as stack:
            trial = _claim(study, plan, out, stack)
            if trial is None:
                time.sleep(WAIT)
                continue
            _tell(study, trial, plan, out)
        echo(trial_line(study.trials[trial.number], plan.config.trials))
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise RuntimeError(f"no training was completed: see {out}/trial_*/output.txt and search smaller ranges")
    with exclusive(out / LOCK):
        report(study, plan.config.objective, out)
        return write_best(study, plan, out)


def _claim(study: optuna.Study, plan: Plan, out: Path, stack: ExitStack) -> Trial | None:
    """The next trial, its folder locked until the stack ends; None when others have all that are left."""
    with exclusive(out / LOCK):
        _retry(study, out)
        if _done(study) + _running(study) >= plan.config.trials:
            return None
        # Neither a restarted sampler nor that of another worker may repeat draws: the seed depends on their number.
        seed = plan.config.seed + len(study.trials)
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=plan.config.start, seed=seed, multivariate=True, constant_liar=True
        )
        trial = study.ask()
        folder = trial.user_attrs.get("folder", f"trial_{trial.number:03d}")
        stack.enter_context(exclusive(out / folder / ALIVE))
        trial.set_user_attr("folder", folder)
    return trial


def _tell(study: optuna.Study, trial: Trial, plan: Plan, out: Path) -> None:
    """Run a trial and record its result."""
    try:
        result: dict[str, Any] = {"values": _run_trial(trial, plan, out)}
    except optuna.TrialPruned:
        result = {"state": TrialState.PRUNED}
    except BaseException:
        _record(study, trial, out, state=TrialState.FAIL)  # it is tried again with the same values
        raise
    _record(study, trial, out, **result)


def _record(study: optuna.Study, trial: Trial, out: Path, **result: Any) -> None:
    with exclusive(out / LOCK):  # else a worker that is counting may count it neither as running nor as done
        study.tell(trial, **result)


def open_study(config: SearchConfig, out: Path) -> optuna.Study:
    """The study in out/study.db, or in the database of the configuration; new or existing."""
    direction = optuna.study.StudyDirection[config.direction.upper()]
    storage = config.storage or f"sqlite:///{(out / 'study.db').resolve()}"
    name = out.resolve().name if config.storage else "search"
    study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
    study.pruner = _pruner(config)
    return study


def trial_line(trial: FrozenTrial, count: int) -> str:
    """Values and result of one trial."""
    values = " ".join(f"{key}={_short(value)}" for key, value in trial.params.items())
    ended = {TrialState.PRUNED: "stopped early, "}.get(trial.state, "")
    value = trial.value if trial.value is not None else float("nan")
    return f"trial {trial.number + 1}/{count}: {ended}{value:.4f}  {values}"


def write_best(study: optuna.Study, plan: Plan, out: Path) -> Path:
    """Write the base configuration with the best values, without the overrides of the search."""
    path = out / "best.yaml"
    config = plan.training(study.best_params, [])
    about = f"# {plan.config.objective} {study.best_value:.4f} in trial {study.best_trial.number} of this search.\n"
    path.write_text(about + yaml.safe_dump(asdict(config), sort_keys=False), "utf-8")
    return path


def _pruner(config: SearchConfig) -> optuna.pruners.BasePruner:
    if config.pruner == "hyperband":  # in steps: the smallest budget is a ninth of the longest training so far
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource="auto", reduction_factor=3)
    if config.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=config.start, n_warmup_steps=0)
    return optuna.pruners.NopPruner()


def _run_trial(trial: Trial, plan: Plan, out: Path) -> float:
    config = plan.training(suggest(trial, plan.config.space))
    folder = out / trial.user_attrs["folder"]
    reported = 0

    def should_stop(points: Points) -> bool:
        nonlocal reported
        for _, value in points[reported:]:
            trial.report(value, reported := reported + 1)
        return trial.should_prune()

    points, complete = train_trial(config, folder, should_stop, plan.config.objective)
    if not points:
        hint = f"see {folder / 'output.txt'}, data.val and validate_every"
        raise RuntimeError(f"{folder} never logged {plan.config.objective}: {hint}")
    should_stop(points)
    if not complete:  # stopped, or its losses were no longer finite
        raise optuna.TrialPruned
    return points[-1][1]


def _retry(study: optuna.Study, out: Path) -> None:
    """Enqueue trials whose worker was killed again, with the same values and the same folder."""
    dead = [trial for trial in study.trials if trial.state is TrialState.FAIL or _is_dead(trial, out)]
    numbers = {trial.number for trial in dead}
    alive = {trial.user_attrs.get("folder") for trial in study.trials if trial.number not in numbers}
    for trial in dead:
        if trial.state is TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
        folder = trial.user_attrs.get("folder")
        if folder and folder not in alive:
            study.enqueue_trial(trial.params, user_attrs={"folder": folder})
            alive.add(folder)


def _is_dead(trial: FrozenTrial, out: Path) -> bool:
    folder = trial.user_attrs.get("folder")
    return trial.state is TrialState.RUNNING and not (folder and is_held(out / folder / ALIVE))


def _running(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def _done(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
