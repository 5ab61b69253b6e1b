"""Report of a search: a table of all trials, and a plot of the objective against each value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import optuna
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

COLUMNS = 3


def report(study: optuna.Study, objective: str, out: Path) -> None:
    """Write table.md and search.png."""
    trials = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    (out / "table.md").write_text(table(trials, objective, study.direction), "utf-8")
    draw(trials, objective, study.direction, out / "search.png")


def table(trials: list[FrozenTrial], objective: str, direction: optuna.study.StudyDirection) -> str:
    """Markdown table, best trial first; trials that were stopped early come last, in italics."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    sign = -1 if direction == optuna.study.StudyDirection.MAXIMIZE else 1
    ranked = sorted(trials, key=lambda t: (t.state is TrialState.PRUNED, sign * (t.value or 0.0)))
    lines = [f"| trial | {objective} | {' | '.join(keys)} |", f"|---|---|{'---|' * len(keys)}"]
    return "\n".join([*lines, *(_row(trial, keys) for trial in ranked)]) + "\n"


def _row(trial: FrozenTrial, keys: list[str]) -> str:
    stopped = "*" if trial.state is TrialState.PRUNED else ""
    values = [f"{v:.4g}" if isinstance(v := trial.params.get(key, ""), float) else str(v) for key in keys]
    return f"| {trial.number} | {stopped}{trial.value:.4f}{stopped} | {' | '.join(values)} |"


def draw(trials: list[FrozenTrial], objective: str, direction: optuna.study.StudyDirection, out: Path) -> None:
    """Plot the best value so far, then one panel per key: dots are complete trials, crosses were stopped early."""
    spaces = {key: space for trial in trials for key, space in trial.distributions.items()}
    rows = -(-(len(spaces) + 1) // COLUMNS)
    figure = Figure(figsize=(4.2 * COLUMNS, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    _progress(figure.add_subplot(rows, COLUMNS, 1, xlabel="trial", ylabel=objective), trials, direction)
    for number, (key, space) in enumerate(spaces.items(), 2):
        _panel(figure.add_subplot(rows, COLUMNS, number, xlabel=key, ylabel=objective), trials, key, space)
    figure.savefig(out, dpi=110)


def _progress(axes: Axes, trials: list[FrozenTrial], direction: optuna.study.StudyDirection) -> None:
    better = max if direction == optuna.study.StudyDirection.MAXIMIZE else min
    done = [(t.number, t.value) for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
    best: list[float] = []
    for _, value in done:
        best.append(better([value, *best[-1:]]))
    axes.plot([number for number, _ in done], best, drawstyle="steps-post", color="tab:green", label="best so far")
    _dots(axes, trials, [t.number for t in trials])
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _panel(axes: Axes, trials: list[FrozenTrial], key: str, space: BaseDistribution) -> None:
    known = [trial for trial in trials if key in trial.params]
    if isinstance(space, optuna.distributions.CategoricalDistribution):
        names = [str(choice) for choice in space.choices]
        axes.set_xticks(range(len(names)), names)
        _dots(axes, known, [names.index(str(t.params[key])) for t in known])
    else:
        axes.set_xscale("log" if getattr(space, "log", False) else "linear")
        _dots(axes, known, [t.params[key] for t in known])


def _dots(axes: Axes, trials: list[FrozenTrial], xs: Sequence[float]) -> None:
    for state, marker, color in ((TrialState.COMPLETE, "o", "tab:blue"), (TrialState.PRUNED, "x", "tab:gray")):
        chosen = [(x, t.value) for x, t in zip(xs, trials) if t.state is state and t.value is not None]
        if chosen:
            x, y = zip(*chosen)
            axes.scatter(x, y, marker=marker, color=color, s=24)
    axes.grid(alpha=0.3)
