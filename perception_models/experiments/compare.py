"""Comparison of training runs: train and evaluate a list of configurations, one table row per run, and their costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception_models.config import SettingsError, load_settings
from perception_models.export.export import deployable, trained_size
from perception_models.export.speed import seconds
from perception_models.network import PerceptionNet
from perception_models.training import launch
from perception_models.training.checkpoint import load_network
from perception_models.training.config import TrainConfig

Metrics = dict[str, dict[str, float]]  # run: headline: value
Data = Path | str | Mapping[str, Any]  # folder, or entry as of data.val


@dataclass
class CompareConfig:
    """What to compare; examples: perception_models/configs/compare/*.yaml.

    base   configuration of every run, a file beside this one
    words  key=value overrides for every run
    runs   name of the run: its own key=value overrides, in which {out} is the folder of all runs, so that a run can use
           the checkpoint of an earlier one; the others are compared with the first run. Runs that pretrain
           (pretrain.hidden) have no figures
    test   data to evaluate on, entries as of data.val; default: --data
    attack adds the figures on images attacked by FGSM with these strengths, grey levels of 255
    """

    base: str = "demo.yaml"
    words: list[str] = field(default_factory=list)
    runs: dict[str, list[str]] = field(default_factory=dict)
    test: list[dict[str, Any]] = field(default_factory=list)
    attack: list[float] = field(default_factory=list)


def compare(
    path: Path,
    data: list[Path],
    out: Path,
    overrides: list[str],
    echo: Callable[[str], None] = print,
    limit: int | None = None,
) -> Metrics:
    """Train and evaluate every unfinished run; write table.md, costs.md and figures.json into `out`."""
    config = load_settings(CompareConfig, path)
    if not config.runs:
        raise SettingsError(f"{path}: runs is empty: give each run a name and its key=value overrides")
    sets: list[Data] = [*data] or [*config.test]
    if not sets:
        raise SettingsError(f"{path}: no data to evaluate on: give --data FOLDER, or the entries of `test`")
    metrics: Metrics = {}
    checkpoints: dict[str, Path] = {}
    for name, words in config.runs.items():
        echo(f"run {name}")
        run_words = [word.replace("{out}", str(out)) for word in (*config.words, *words, *overrides)]
        settings = load_settings(TrainConfig, path.parent / config.base, run_words)
        best = launch.run(settings, out / name)
        if settings.pretrain.hidden:
            continue
        checkpoints[name] = best
        metrics[name] = headlines(best, sets, out / name / "evaluation", limit, config.attack)
        (out / "figures.json").write_text(json.dumps(metrics, indent=1), "utf-8")
        (out / "table.md").write_text(table(metrics), "utf-8")
    (out / "costs.md").write_text(cost_table(costs(checkpoints)), "utf-8")
    return metrics


def headlines(
    best: Path, data: Sequence[Data], out: Path, limit: int | None = None, strengths: Sequence[float] = ()
) -> dict[str, float]:
    """Headline metrics over all data sets, evaluated once per checkpoint; if attacked: "METRIC, fgsm STRENGTH"."""
    cache, stamp = out / "headlines.json", best.stat().st_mtime_ns
    if cache.exists() and (known := json.loads(cache.read_text("utf-8")))["checkpoint"] == stamp:
        return dict(known["figures"])
    from perception_models.evaluation import evaluate

    sets = evaluate(best, data, out, limit=limit)["datasets"]
    metrics: dict[str, float] = sets.get("all", next(iter(sets.values())))["headlines"]
    if strengths:
        from perception_models.evaluation.robustness.attack import attack

        attacked = attack(best, data, out, strengths, steps=1, limit=limit)
        metrics |= {f"{name}, {row}": value for row, figures in attacked.items() for name, value in figures.items()}
    cache.write_text(json.dumps({"checkpoint": stamp, "figures": metrics}, indent=1), "utf-8")
    return metrics


def table(metrics: Metrics) -> str:
    """Markdown: each value, and in brackets the difference in points to the first run that has this metric."""
    names = list(dict.fromkeys(name for row in metrics.values() for name in row))
    first = {name: next(row[name] for row in metrics.values() if name in row) for name in names}
    lines = [f"| run | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for index, (run, row) in enumerate(metrics.items()):
        lines.append(f"| {run} | {' | '.join(_cell(row, name, first[name], index) for name in names)} |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any], name: str, first: float, index: int) -> str:
    if name not in row:
        return ""
    return f"{row[name]:.3f}" if index == 0 else f"{row[name]:.3f} ({100 * (row[name] - first):+.1f})"


@dataclass(frozen=True)
class Cost:
    """Cost of one network as exported.

    parameters  number of weights
    time        CPU time per image relative to the first network; ONNX Runtime, one thread
    """

    parameters: int
    time: float


def costs(checkpoints: Mapping[str, Path], rounds: int = 20) -> dict[str, Cost]:
    """Costs by name of the run, all at the image size of the first run's last training stage."""
    loaded = {name: load_network(path) for name, path in checkpoints.items()}
    size = trained_size(next(iter(loaded.values()))[1])
    times = seconds([net for net, _ in loaded.values()], size, rounds)
    counts = [_parameters(net) for net, _ in loaded.values()]
    return {name: Cost(count, time / times[0]) for name, count, time in zip(loaded, counts, times)}


def _parameters(net: PerceptionNet) -> int:
    """Without the object branch that is used in training only."""
    return sum(each.numel() for name, each in deployable(net).named_parameters() if ".many." not in name)


def cost_table(costs: Mapping[str, Cost]) -> str:
    """Markdown table of costs."""
    rows = [f"| {name} | {cost.parameters / 1e6:.2f} | {cost.time:.2f} |" for name, cost in costs.items()]
    return "\n".join(["| run | million parameters | CPU time relative to the first |", "|---|---|---|", *rows]) + "\n"
