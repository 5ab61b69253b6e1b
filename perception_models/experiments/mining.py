"""Mined frames against random ones: the same network, as many frames, the same training, several seeds.

A first network is trained on a few frames of the first folder and replays all of the pool. Frames are then added to its
training data, mined by it or drawn at random, and it is trained on. Every step resumes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from perception_models.config import SettingsError, load_settings
from perception_models.data.files import list_images
from perception_models.experiments.compare import headlines
from perception_models.export.export import ExportConfig, export
from perception_models.training import launch
from perception_models.training.config import PACKAGE, StageConfig, TrainConfig

CONFIG = PACKAGE / "configs/mining.yaml"
SIGNALS = ("drift", "uncertainty")  # the pictures have neither time nor calibration
FIGURES = ("map50", "lane_f1", "drivable_iou", "semantic_miou")  # decide: one of each large task
Frame = tuple[str, str]  # labelled folder, name of the image
Figures = dict[str, dict[str, float]]  # name of the run: headline: value
Echo = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """One comparison.

    pool        labelled folders whose labels count as unknown until a frame is chosen
    test        labelled folders that nothing is chosen from
    start       frames of the first folder that the first network is trained on
    added       frames that are added for each network after it
    first       factor on the views of the configuration for the first network
    seeds       of choosing and training; one pair of networks each
    signals     by which frames are mined
    workers     trainings at the same time
    """

    pool: tuple[Path, ...]
    test: tuple[Path, ...]
    start: int = 150
    added: int = 150
    first: int = 3
    seeds: tuple[int, ...] = (0, 1, 2)
    signals: tuple[str, ...] = SIGNALS
    workers: int = 1


def compare_mining(plan: Plan, out: Path, overrides: Sequence[str] = (), echo: Echo = print) -> Figures:
    """Train and evaluate all networks; write OUT/figures.json and OUT/table.md."""
    config = load_settings(TrainConfig, CONFIG, list(overrides))
    names = pool_frames(plan)
    known = start_frames(plan, names)
    best = launch.run(_first(config, plan, known), out / "first")
    figures = {"first": headlines(best, list(plan.test), out / "first/evaluation")}
    store = replayed(plan, best, out)
    out.mkdir(parents=True, exist_ok=True)
    runs = {}
    for how, seed in product(("random", "mined"), plan.seeds):
        chosen = _chosen(how, plan, store, names, known, seed)
        runs[f"{how}_{seed}"] = run = with_data(replace(config, seed=seed), [*known, *chosen])
        run.transfer.weights = str(best)
    with ThreadPoolExecutor(plan.workers) as threads:  # each training is a process
        trained = threads.map(lambda name: launch.run(runs[name], out / name), runs)
        for name, checkpoint in zip(runs, trained):
            figures[name] = headlines(checkpoint, list(plan.test), out / name / "evaluation")
            echo(f"{name}: " + ", ".join(f"{figure} {value:.3f}" for figure, value in figures[name].items()))
            (out / "figures.json").write_text(json.dumps(figures, indent=1), "utf-8")
    (out / "table.md").write_text(table(figures), "utf-8")
    return figures


# Frames


def pool_frames(plan: Plan) -> list[Frame]:
    """All frames of the pool."""
    frames = [(str(folder), path.name) for folder in plan.pool for path in list_images(folder / "images")]
    if len(frames) < plan.start + plan.added:
        raise SettingsError(f"the pool holds {len(frames)} images, fewer than start and added: give more folders")
    return frames


def start_frames(plan: Plan, frames: Sequence[Frame]) -> list[Frame]:
    """The frames of the first folder that are known from the start."""
    first = [frame for frame in frames if frame[0] == str(plan.pool[0])]
    if len(first) < plan.start:
        raise SettingsError(f"{plan.pool[0]} holds {len(first)} images: give a smaller --start, at most that")
    return _drawn(first, plan.start, 0)


def _drawn(frames: Sequence[Frame], count: int, seed: int) -> list[Frame]:
    return [frames[i] for i in sorted(np.random.default_rng(seed).choice(len(frames), count, replace=False))]


def _chosen(
    how: str, plan: Plan, store: Path, frames: Sequence[Frame], known: Iterable[Frame], seed: int
) -> list[Frame]:
    """The frames to add, none of them known."""
    if how == "mined":
        return mined(store, plan, set(known), seed)
    taken = set(known)
    return _drawn([frame for frame in frames if frame not in taken], plan.added, 1000 + seed)


def mined(store: Path, plan: Plan, known: set[Frame], seed: int) -> list[Frame]:
    """The frames that `camera-perception fleet mine` would choose among those that are not known."""
    from camera_perception.tools.fleet.mining.choose import choose
    from camera_perception.tools.fleet.mining.signals import load_pool, signals_of
    from camera_perception.tools.fleet.store.storage import open_storage

    pool = load_pool(open_storage(store))
    frames = [(str(Path(row["recording"]).parent), Path(row["file"]).name) for row in pool.rows]
    free = np.array([frame not in known for frame in frames])
    pool.known = pool.embeddings[~free]
    rows = [row for row, each in zip(pool.rows, free) if each]
    values = {name: each[free] for name, each in signals_of(pool, plan.signals).items()}
    choices = choose(rows, pool.embeddings[free], values, plan.added, 0.0, seed)
    unknown = [frame for frame, each in zip(frames, free) if each]
    return [unknown[choice.index] for choice in choices]


# Networks


def with_data(config: TrainConfig, frames: Iterable[Frame]) -> TrainConfig:
    """The configuration with these frames as training data."""
    names: dict[str, list[str]] = defaultdict(list)
    for folder, name in frames:
        names[folder].append(name)
    sets = [{"kind": "labelled", "path": folder, "include": sorted(each)} for folder, each in sorted(names.items())]
    return replace(config, data=replace(config.data, train=sets), transfer=replace(config.transfer))


def _first(config: TrainConfig, plan: Plan, known: Iterable[Frame]) -> TrainConfig:
    stages = [StageConfig(**{**asdict(each), "views": each.views * plan.first}) for each in config.stages]
    return with_data(replace(config, stages=stages), known)


def replayed(plan: Plan, best: Path, out: Path) -> Path:
    """The store of the first network over the pool."""
    from camera_perception.tools.fleet.work.replay import Settings, replay_fleet
    from camera_perception.tools.fleet.work.units import Job

    model, store = out / "model", out / "store"
    if not (model / "MODEL_CARD.md").is_file():
        export(best, model, ExportConfig(name="first"))
    sources = [str(folder / "images") for folder in plan.pool]
    summary = replay_fleet(sources, model, str(store), Job("", "onnxruntime"), Settings(plan.workers))
    if summary.left or summary.failed:
        raise SettingsError(f"{summary.left + summary.failed} folders of the pool were not replayed: see fleet status")
    return store


# Result


def table(figures: Figures) -> str:
    """Markdown: mean and standard deviation over the seeds, and in how many of them mined frames were better.

    The last line counts the FIGURES whose mean is better.
    """
    names = list(figures["first"])
    seeds = sorted(run.partition("_")[2] for run in figures if run.startswith("mined_"))
    lines = ["| figure | before | random frames | mined frames | mined better in |", "|---|---|---|---|---|"]
    for name in names:
        random, mined = (_values(figures, how, seeds, name) for how in ("random", "mined"))
        wins = f"{int((mined > random).sum())} of {len(seeds)}"
        lines.append(f"| {name} | {figures['first'][name]:.3f} | {_spread(random)} | {_spread(mined)} | {wins} |")
    judged = [name for name in FIGURES if name in names]
    better = [_values(figures, "mined", seeds, n).mean() > _values(figures, "random", seeds, n).mean() for n in judged]
    lines += ["", f"Mean with mined frames better in {sum(better)} of {len(judged)}: {', '.join(judged)}."]
    return "\n".join(lines) + "\n"


def _values(figures: Figures, how: str, seeds: Sequence[str], name: str) -> Any:
    return np.array([figures[f"{how}_{seed}"].get(name, 0.0) for seed in seeds])


def _spread(values: Any) -> str:
    return f"{values.mean():.3f} ± {values.std(ddof=1) if len(values) > 1 else 0.0:.3f}"
