"""Trainings that differ in one thing, measured alike, as a table: one row per run, one column per figure.

What the networks of a comparison cost: their size, and their time on this CPU, in turns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception_models.config import SettingsError, load_settings
from perception_models.export.export import deployable
from perception_models.export.speed import seconds
from perception_models.network import PerceptionNet
from perception_models.training import launch
from perception_models.training.checkpoint import load_network
from perception_models.training.config import TrainConfig


@dataclass(frozen=True)
class Cost:
    """Of one network as it is exported.

    parameters  numbers in it
    time        CPU time of an image over that of the first network, ONNX Runtime, one thread
    """

    parameters: int
    time: float


def costs(checkpoints: Mapping[str, Path], rounds: int = 20) -> dict[str, Cost]:
    """Name of a run and its best.safetensors; all at the size of images that the first was trained for last."""
    loaded = {name: load_network(path) for name, path in checkpoints.items()}
    stage = next(iter(loaded.values()))[1]["config"]["stages"][-1]
    times = seconds([net for net, _ in loaded.values()], (stage["height"], stage["width"]), rounds)
    counts = [_parameters(net) for net, _ in loaded.values()]
    return {name: Cost(count, time / times[0]) for name, count, time in zip(loaded, counts, times)}


def _parameters(net: PerceptionNet) -> int:
    """Without the twin of the object head that only teaches."""
    return sum(each.numel() for name, each in deployable(net).named_parameters() if ".many." not in name)


def cost_table(found: Mapping[str, Cost]) -> str:
    """Markdown: millions of parameters, and times."""
    rows = [f"| {name} | {cost.parameters / 1e6:.2f} | {cost.time:.2f} |" for name, cost in found.items()]
    return "\n".join(["| run | million parameters | CPU time, the first is 1 |", "|---|---|---|", *rows]) + "\n"


Figures = dict[str, dict[str, float]]  # run: headline: value


@dataclass
class CompareConfig:
    """What to compare; perception_models/configs/compare_*.yaml are three examples.

    base  configuration of every run, beside this file
    words key=value words for every run
    runs  name of the run: its own key=value words; {out} in them is the folder of all runs, so that one can name the
          checkpoint of an earlier one; the first run is what the others are compared with
    """

    base: str = "demo.yaml"
    words: list[str] = field(default_factory=list)
    runs: dict[str, list[str]] = field(default_factory=dict)


def compare(
    path: Path,
    data: list[Path],
    out: Path,
    overrides: list[str],
    say: Callable[[str], None] = print,
    limit: int | None = None,
) -> Figures:
    """Train and measure every run that is not done yet; write table.md, costs.md and figures.json into `out`."""
    chosen = load_settings(CompareConfig, path)
    if not chosen.runs:
        raise SettingsError(f"{path}: runs is empty: give each run a name and its key=value words")
    figures: Figures = {}
    checkpoints: dict[str, Path] = {}
    for name, words in chosen.runs.items():
        say(f"run {name}")
        own = [word.replace("{out}", str(out)) for word in (*chosen.words, *words, *overrides)]
        config = load_settings(TrainConfig, path.parent / chosen.base, own)
        checkpoints[name] = best = launch.run(config, out / name)
        figures[name] = headlines(best, data, out / name / "evaluation", limit)
        (out / "figures.json").write_text(json.dumps(figures, indent=1), "utf-8")
        (out / "table.md").write_text(table(figures), "utf-8")
    (out / "costs.md").write_text(cost_table(costs(checkpoints)), "utf-8")
    return figures


def headlines(best: Path, data: list[Path], out: Path, limit: int | None = None) -> dict[str, float]:
    """Headline figures over all sets, measured once per checkpoint."""
    done, stamp = out / "headlines.json", best.stat().st_mtime_ns
    if done.exists() and (known := json.loads(done.read_text("utf-8")))["checkpoint"] == stamp:
        return known["figures"]
    from perception_models.evaluation import evaluate

    sets = evaluate(best, data, out, limit=limit)["datasets"]
    figures = sets.get("all", next(iter(sets.values())))["headlines"]
    done.write_text(json.dumps({"checkpoint": stamp, "figures": figures}, indent=1), "utf-8")
    return figures


def table(figures: Figures) -> str:
    """Markdown: a value, and in brackets the points it is better than the first run that has this figure."""
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    first = {name: next(row[name] for row in figures.values() if name in row) for name in names}
    lines = [f"| run | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for place, (run, row) in enumerate(figures.items()):
        lines.append(f"| {run} | {' | '.join(_cell(row, name, first[name], place) for name in names)} |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any], name: str, first: float, place: int) -> str:
    if name not in row:
        return ""
    return f"{row[name]:.3f}" if place == 0 else f"{row[name]:.3f} ({100 * (row[name] - first):+.1f})"
