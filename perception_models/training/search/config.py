"""Configuration of a hyperparameter search; perception_models/configs/search.yaml shows every value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception_models.config import SettingsError, load_settings
from perception_models.training.config import TrainConfig

if TYPE_CHECKING:
    import optuna

PRUNERS = ("median", "hyperband", "none")


@dataclass
class Range:
    """Search range of one key.

    kind     float | int | choice
    low, high, log   of float and int, both ends included; log: uniform in the logarithm
    choices  of choice
    """

    kind: str = "float"
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: list[Any] = field(default_factory=list)


@dataclass
class SearchConfig:
    """One search.

    base       training configuration, relative to this file; best.yaml is a copy of it with the best values
    words      key=value overrides for the trainings of the search only, such as shorter stages
    objective  metric of log.jsonl, at the validation of the best network
    direction  maximize | minimize
    trials     number of trainings, including those stopped early
    pruner     stops bad trials: median (worse than the median at the same step), hyperband, none
    start      random trials before the sampler and the median pruner take over
    storage    database of Optuna for workers on several machines; "": out/study.db, for those of one machine
    space      key of the training configuration: Range
    """

    base: str = "demo.yaml"
    words: list[str] = field(default_factory=list)
    objective: str = "val/score"
    direction: str = "maximize"
    trials: int = 30
    pruner: str = "median"
    start: int = 6
    seed: int = 0
    storage: str = ""
    space: dict[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A validated search. overrides: of the file and of the command line."""

    config: SearchConfig
    base: Path
    overrides: list[str]

    def training(self, values: dict[str, Any], overrides: list[str] | None = None) -> TrainConfig:
        """The training configuration with these values; `overrides` replace those of the plan."""
        found = [f"{key}={value}" for key, value in values.items()]
        return load_settings(TrainConfig, self.base, [*(self.overrides if overrides is None else overrides), *found])


def read_plan(path: Path, overrides: list[str]) -> Plan:
    """Read and validate a search; SettingsError if it cannot be run."""
    config = load_settings(SearchConfig, path)
    plan = Plan(config, path.parent / config.base, [*config.words, *overrides])
    if not config.space:
        raise SettingsError(f"{path}: space is empty: give keys of the training configuration and their ranges")
    if config.pruner not in PRUNERS or config.direction not in ("maximize", "minimize"):
        raise SettingsError(f"{path}: expected pruner {' | '.join(PRUNERS)} and direction maximize | minimize")
    for key, values in config.space.items():
        _check(f"{path}: space.{key}", key, values, config.objective)
    if not example(plan).data.val:
        raise SettingsError(f"{path}: the trainings have no data.val to compare them by: add a validation set")
    return plan


def example(plan: Plan) -> TrainConfig:
    """A training of the search, with the first value of each range."""
    return plan.training({key: _first(values) for key, values in plan.config.space.items()})


def suggest(trial: optuna.Trial, space: dict[str, Range]) -> dict[str, Any]:
    """A value for every key."""
    return {key: _suggest(trial, key, values) for key, values in space.items()}


def _suggest(trial: optuna.Trial, key: str, values: Range) -> Any:
    if values.kind == "choice":
        return trial.suggest_categorical(key, values.choices)
    if values.kind == "int":
        return trial.suggest_int(key, int(values.low), int(values.high), log=values.log)
    return trial.suggest_float(key, values.low, values.high, log=values.log)


def _first(values: Range) -> Any:
    return values.choices[0] if values.kind == "choice" else int(values.low) if values.kind == "int" else values.low


def _check(where: str, key: str, values: Range, objective: str) -> None:
    if values.kind not in ("float", "int", "choice"):
        raise SettingsError(f"{where}: unknown kind '{values.kind}': expected float, int or choice")
    if values.kind == "choice" and not values.choices:
        raise SettingsError(f"{where}: a choice needs choices: [..., ...]")
    if values.kind != "choice" and not values.low < values.high:
        raise SettingsError(f"{where}: low must be below high")
    if values.log and values.low <= 0:
        raise SettingsError(f"{where}: log needs a low above 0")
    if key.startswith("loss.") and objective.startswith(("val/score", "val/loss")):
        reason = "a smaller weight improves the objective without improving the network"
        raise SettingsError(f"{where}: {reason}: choose an objective such as val/iou/drivable")
