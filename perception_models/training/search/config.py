"""What to search: perception_models/configs/search.yaml shows every value."""

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
    """What one key may be.

    kind     float | int | choice
    low, high, log   of float and int, both ends included; log: as likely between 1 and 10 as between 10 and 100
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

    base       configuration of every training, beside this file; best.yaml is this one with the best values
    words      key=value words for the trainings of the search alone, such as shorter stages
    objective  figure of log.jsonl, as it was when the kept network was validated
    direction  maximize | minimize
    trials     trainings in all, those that were stopped early included
    pruner     who stops bad ones: median (worse than half of all at the same step), hyperband, none
    start      trials drawn at random before the sampler and the median begin to judge
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
    space: dict[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A checked search. words: of the file and of the command line."""

    config: SearchConfig
    base: Path
    words: list[str]

    def training(self, values: dict[str, Any], words: list[str] | None = None) -> TrainConfig:
        """The configuration with these values in it; `words` in place of the plan's own."""
        found = [f"{key}={value}" for key, value in values.items()]
        return load_settings(TrainConfig, self.base, [*(self.words if words is None else words), *found])


def read_plan(path: Path, overrides: list[str]) -> Plan:
    """Read and check; SettingsError says what cannot be searched."""
    config = load_settings(SearchConfig, path)
    plan = Plan(config, path.parent / config.base, [*config.words, *overrides])
    if not config.space:
        raise SettingsError(f"{path}: space is empty: give keys of the training configuration and their ranges")
    if config.pruner not in PRUNERS or config.direction not in ("maximize", "minimize"):
        raise SettingsError(f"{path}: expected pruner {' | '.join(PRUNERS)} and direction maximize | minimize")
    for key, kind in config.space.items():
        _check(f"{path}: space.{key}", key, kind, config.objective)
    if not plan.training({key: _first(kind) for key, kind in config.space.items()}).data.val:
        raise SettingsError(f"{path}: the trainings have no data.val, so nothing says which is better")
    return plan


def suggest(trial: optuna.Trial, space: dict[str, Range]) -> dict[str, Any]:
    """A value for every key."""
    return {key: _suggest(trial, key, kind) for key, kind in space.items()}


def _suggest(trial: optuna.Trial, key: str, kind: Range) -> Any:
    if kind.kind == "choice":
        return trial.suggest_categorical(key, kind.choices)
    if kind.kind == "int":
        return trial.suggest_int(key, int(kind.low), int(kind.high), log=kind.log)
    return trial.suggest_float(key, kind.low, kind.high, log=kind.log)


def _first(kind: Range) -> Any:
    return kind.choices[0] if kind.kind == "choice" else int(kind.low) if kind.kind == "int" else kind.low


def _check(where: str, key: str, kind: Range, objective: str) -> None:
    if kind.kind not in ("float", "int", "choice"):
        raise SettingsError(f"{where}: unknown kind '{kind.kind}': expected float, int or choice")
    if kind.kind == "choice" and not kind.choices:
        raise SettingsError(f"{where}: a choice needs choices: [..., ...]")
    if kind.kind != "choice" and not kind.low < kind.high:
        raise SettingsError(f"{where}: low must be below high")
    if kind.log and kind.low <= 0:
        raise SettingsError(f"{where}: log needs a low above 0")
    if key.startswith("loss.") and objective.startswith(("val/score", "val/loss")):
        reason = "a smaller weight makes the objective better without making the network better"
        raise SettingsError(f"{where}: {reason}: choose an objective such as val/iou/drivable")
