"""perception-models adapt-study: what a few labelled images bring, and which settings bring most, as a table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from perception_models.config import SettingsError, load_settings
from perception_models.data.registry import open_dataset
from perception_models.experiments.adapt.adapt import (
    Parent,
    Task,
    adapt_network,
    blended,
    evenly,
    fine_tuned,
    open_parent,
    samples_of,
)
from perception_models.experiments.adapt.judge import Judge
from perception_models.experiments.adapt.settings import HELD_OUT, Entry, Settings

Echo = Callable[[str], None]
Row = dict[str, float]  # metric: value


@dataclass
class CameraConfig:
    """One camera: `train` from which images are drawn, `test` that is measured, both entries as of data.train.

    most  images of `test` to measure, evenly spaced
    """

    train: list[dict[str, Any]] = field(default_factory=list)
    test: list[dict[str, Any]] = field(default_factory=list)
    most: int = 60


@dataclass
class StudyConfig:
    """Runs of every camera x setting x count x seed; examples: perception_models/configs/school/adapt_*.yaml.

    parent, checkpoint  model folder and its checkpoint; "": exported from the checkpoint, at the size that words give
    old       data to mix in, held out of nothing else; forgotten is measured on
    words     key=value overrides of all settings
    settings  name: its own key=value overrides
    counts    labelled images
    gated     hold a quarter of the images out and keep the parent where they do not get better, as `adapt` does
    """

    parent: str = "perception_models/zoo/demo"
    checkpoint: str = "perception_models/zoo/checkpoints/demo.safetensors"
    cameras: dict[str, CameraConfig] = field(default_factory=dict)
    old: list[dict[str, Any]] = field(default_factory=list)
    forgotten: list[dict[str, Any]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    settings: dict[str, list[str]] = field(default_factory=dict)
    counts: list[int] = field(default_factory=lambda: [20])
    seeds: list[int] = field(default_factory=lambda: [0])
    gated: bool = True


@dataclass(frozen=True)
class Case:
    """One adaptation to measure."""

    camera: str
    setting: str
    count: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.camera}_{self.setting}_{self.count}_{self.seed}".replace(" ", "_")


def study(config: StudyConfig, out: Path, most: int = 0, echo: Echo = print) -> str:
    """Adapt a network with few images again and again, and measure it on others.

    Make the missing adaptations, at most `most` (0: all); write and return the table of those that are there.
    """
    parent = _parent(config, out, echo)
    judges = _Judges(config, parent)
    made = 0
    for case in cases(config):
        file = out / case.name / "result.json"
        if not file.exists() and (not most or made < most):
            made += 1
            echo(f"{case.camera}, {case.setting}, {case.count} images, seed {case.seed}")
            _measure(config, parent, case, judges, file, echo)
    text = table(config, out)
    (out / "table.md").write_text(text, "utf-8")
    return text


def cases(config: StudyConfig) -> Iterator[Case]:
    """All runs, one seed after the other, so that a study that is stopped has a table of fewer seeds."""
    for seed in config.seeds:
        for count in config.counts:
            for setting in config.settings or {"default": []}:
                yield from (Case(camera, setting, count, seed) for camera in config.cameras)


def _parent(config: StudyConfig, out: Path, echo: Echo) -> Parent:
    folder, weights = Path(config.parent or out / "parent"), Path(config.checkpoint)
    if not (folder / "model.json").is_file():
        from perception_models.export.export import ExportConfig, export

        size = load_settings(Settings, None, config.words)
        echo(f"exporting {weights} to {folder}")
        export(weights, folder, ExportConfig(name=weights.stem, height=size.height, width=size.width))
    return open_parent(folder, weights)


class _Judges:
    """The images of every camera that are measured, opened once."""

    def __init__(self, config: StudyConfig, parent: Parent):
        self.config, self.parent = config, parent
        self._opened: dict[str, Judge] = {}

    def of(self, camera: str) -> Judge:
        """Of a camera, or with "" of what may be forgotten."""
        if camera not in self._opened:
            wanted = self.config.cameras[camera].test if camera else self.config.forgotten
            most = self.config.cameras[camera].most if camera else CameraConfig.most
            self._opened[camera] = Judge(self.parent.spec, evenly(samples_of(wanted), most), camera or "forgotten")
        return self._opened[camera]


def _measure(config: StudyConfig, parent: Parent, case: Case, judges: _Judges, file: Path, echo: Echo) -> None:
    words = [*config.words, *config.settings.get(case.setting, []), f"seed={case.seed}"]
    settings, run = load_settings(Settings, None, words), file.parent / "run"
    own = drawn(config.cameras[case.camera].train, case.count, case.seed)
    old = [{**entry, "rows": _rows(entry)} for entry in config.old]
    if config.gated:
        last = max(1, round(HELD_OUT * case.count))
        found = adapt_network(parent, Task(*held_out(own, last), old, []), settings, run, echo)
        net, share = found.net, found.share
    else:
        net = blended(parent.net, fine_tuned(parent, Task(own, [], old, []), settings, run), settings.share)
        share = settings.share
    result: dict[str, Any] = {"case": asdict(case), "share": share}
    for name, camera in (("camera", case.camera), ("forgotten", "")):
        if camera or config.forgotten:
            judge = judges.of(camera)
            pair = (_start(judge, parent, file.parents[1] / f"start_{camera or 'forgotten'}.json"), _row(judge(net)))
            result[name] = {"start": pair[0], "end": pair[1]}
    file.write_text(json.dumps(result, indent=1), "utf-8")


def drawn(entries: list[Entry], count: int, seed: int) -> list[Entry]:
    """`count` random images of some data sets, the same ones first for more of them."""
    pairs = [(number, row) for number, entry in enumerate(entries) for row in _rows(entry)]
    if count > len(pairs):
        raise SettingsError(f"counts: {count} images of {len(pairs)}; give fewer, or more data to `train`")
    order = np.random.default_rng(seed).permutation(len(pairs))[:count]
    return _entries(entries, [pairs[i] for i in order])


def held_out(own: list[Entry], last: int) -> tuple[list[Entry], list[Entry]]:
    """The entries without the last images of all, and those."""
    pairs = [(number, row) for number, entry in enumerate(own) for row in entry["rows"]]
    return _entries(own, pairs[:-last]), _entries(own, pairs[-last:])


def _entries(entries: list[Entry], pairs: list[tuple[int, int]]) -> list[Entry]:
    rows = {number: [row for each, row in pairs if each == number] for number in dict(pairs)}
    return [{**entries[number], "rows": each} for number, each in rows.items()]


def _rows(entry: Entry) -> list[int]:
    return list(entry.get("rows") or range(len(open_dataset(**entry))))


def _start(judge: Judge, parent: Parent, file: Path) -> Row:
    if not file.exists():
        file.write_text(json.dumps(_row(judge(parent.net))), "utf-8")
    return dict(json.loads(file.read_text("utf-8")))


def _row(figures: Any) -> Row:
    return {"loss": figures.loss, "mean": figures.mean, **figures.metrics}


# Table


def table(config: StudyConfig, out: Path) -> str:
    """Markdown, a table per camera: the parent, then means over the seeds that are there, with the largest distance
    of a seed from the mean; in the last column the mean of the metrics on what may be forgotten."""
    results = [json.loads(file.read_text("utf-8")) for file in sorted(out.glob("*/result.json"))]
    parts = []
    for camera in config.cameras:
        groups: dict[str, list[dict[str, Any]]] = {}
        for case in cases(config):
            title = f"{case.setting}, {case.count} images" if len(config.settings) > 1 else f"{case.count} images"
            groups.setdefault(title, []).extend(each for each in results if each["case"] == asdict(case))
        groups = {title: [e for e in each if e["case"]["camera"] == camera] for title, each in groups.items()}
        parts.append(_camera_table(camera, {title: each for title, each in groups.items() if each}))
    return "\n".join(parts)


def _camera_table(camera: str, groups: Mapping[str, list[dict[str, Any]]]) -> str:
    if not groups:
        return f"{camera}: nothing measured yet\n"
    first = next(iter(groups.values()))[0]
    names = list(first["camera"]["start"])
    rows = [["as it was", "", *(f"{first['camera']['start'][name]:.3f}" for name in names), _old([first], "start")]]
    for title, results in groups.items():
        kept = sum(each["share"] == 0 for each in results)
        seeds = f"{len(results)}{f', parent kept {kept}x' if kept else ''}"
        values = [_cell([each["camera"]["end"][name] for each in results]) for name in names]
        rows.append([title, seeds, *values, _old(results, "end")])
    head = [camera, "seeds", *names, "old images, mean"]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def _cell(values: list[float]) -> str:
    mean = statistics.fmean(values)
    spread = max(abs(value - mean) for value in values)
    return f"{mean:.3f}" + (f" ± {spread:.3f}" if len(values) > 1 else "")


def _old(results: list[dict[str, Any]], part: str) -> str:
    values = [each["forgotten"][part]["mean"] for each in results if "forgotten" in each]
    return _cell(values) if values else ""
