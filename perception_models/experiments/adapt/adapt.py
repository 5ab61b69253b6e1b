"""perception-models adapt: a model folder for a new camera from a few labelled images, or a word why not.

Each step leaves its result in the folder; run again to resume after an interruption.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from camera_perception.core.model_spec import ModelSpec, load_spec
from perception_models.config import SettingsError
from perception_models.data.mix import open_mix
from perception_models.data.registry import find_entries
from perception_models.data.sample import Sample
from perception_models.experiments.adapt.judge import Figures, Judge, belongs, exported_on_road, reason_against
from perception_models.experiments.adapt.settings import Entry, Settings, split, training
from perception_models.network import PerceptionNet
from perception_models.training import checkpoint as checkpoints
from perception_models.training.train import train

Echo = Callable[[str], None]
FEWEST = 4  # images, of which one is held out
MOST_OLD = 40  # images of the old data that are measured
RETREATS = (1.0, 0.5, 0.25)  # of the share of the new weights, until nothing is worse


@dataclass(frozen=True)
class Parent:
    """What is adapted: a model folder and the checkpoint that it was exported from."""

    spec: ModelSpec
    checkpoint: Path
    net: PerceptionNet
    state: dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What to adapt with.

    own    labelled images of the new camera, for training
    held   of the same, held out
    old    labelled images of before, to mix in
    before of the same, held out
    """

    own: list[Entry]
    held: list[Entry]
    old: list[Entry]
    before: list[Entry]


@dataclass(frozen=True)
class Adapted:
    """The result; net is the parent's, and share 0, where every mean with new weights was worse than the parent.

    share   of the new weights
    start, end          figures on the held-out images of the new camera
    old_start, old_end  figures on the held-out old images, or None
    refused why the last mean was not better; empty if it was
    """

    net: PerceptionNet
    share: float
    start: Figures
    end: Figures
    old_start: Figures | None
    old_end: Figures | None
    refused: str


def open_parent(folder: Path, checkpoint: Path) -> Parent:
    """A model folder and its checkpoint; SettingsError where they are not of one network."""
    spec = load_spec(folder)
    net, state = checkpoints.load_network(checkpoint)
    if not belongs(net, spec):
        raise SettingsError(
            f"--checkpoint {checkpoint} does not give the reference outputs of --parent {folder}: give the checkpoint "
            "that the folder was exported from"
        )
    return Parent(spec, checkpoint, net, state)


def find_task(data: Sequence[Path], replay: Sequence[Path]) -> Task:
    """The images in these folders, the last quarter of each held out."""
    own, held = split([dict(entry) for folder in data for entry in find_entries(folder, "train")])
    old, before = split([dict(entry) for folder in replay for entry in find_entries(folder, "train")])
    count = sum(len(entry["rows"]) for entry in (*own, *held))
    if count < FEWEST or not own:
        raise SettingsError(f"--data: {count} labelled images; give at least {FEWEST}, of which one is held out")
    return Task(own, held, old, before)


def adapt_network(parent: Parent, task: Task, settings: Settings, run: Path, echo: Echo = print) -> Adapted:
    """Fine-tune in `run`, and take as much of the new weights as makes nothing worse on the held-out images."""
    judge = Judge(parent.spec, samples_of(task.held))
    judge_old = Judge(parent.spec, evenly(samples_of(task.before), MOST_OLD), "old images") if task.before else None
    start, old_start = judge(parent.net), judge_old(parent.net) if judge_old else None
    echo(f"on {len(judge.samples)} held-out image{'s' * (len(judge.samples) != 1)}: {in_words(start)}")
    tuned = fine_tuned(parent, task, settings, run)
    share, net, end, refused = 0.0, parent.net, start, ""
    for retreat in RETREATS:
        mean = blended(parent.net, tuned, settings.share * retreat)
        figures = judge(mean)
        refused = reason_against(start, figures)
        echo(f"with {settings.share * retreat:.0%} of the new weights: {in_words(figures)}{refused and ': ' + refused}")
        if not refused:
            share, net, end = settings.share * retreat, mean, figures
            break
    return Adapted(net, share, start, end, old_start, judge_old(net) if judge_old else None, refused)


def fine_tuned(parent: Parent, task: Task, settings: Settings, run: Path) -> PerceptionNet:
    """The averaged network after all steps; a run that was interrupted is resumed, a finished one is not repeated."""
    config, last = training(settings, parent.checkpoint, parent.state, task.own, task.old), run / "last.safetensors"
    done = json.loads(last.with_suffix(".json").read_text("utf-8")) if last.exists() else {}
    if done and done["config"] != json.loads(json.dumps(asdict(config))):
        raise SettingsError(f"{run} was made with other settings or data: give another --out, or delete it")
    if not done or done["step"] < settings.steps:
        train(config, run, resume=bool(done))
    return checkpoints.load_network(last)[0]


def blended(old: PerceptionNet, new: PerceptionNet, share: float) -> PerceptionNet:
    """The mean of two networks with the same shapes, `share` of the new one (WiSE-FT, arXiv 2109.01903)."""
    mixed: dict[str, Tensor] = {
        name: torch.lerp(tensor, new.state_dict()[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in old.state_dict().items()
    }
    net = PerceptionNet(old.config)
    net.load_state_dict(mixed)
    return net.eval()


def samples_of(entries: Sequence[Entry]) -> list[Sample]:
    """All samples of some data entries."""
    mix = open_mix(entries)
    return [part[index] for part in mix.parts for index in range(len(part))]


def evenly(samples: list[Sample], most: int) -> list[Sample]:
    """At most `most` of them, evenly spaced."""
    count = min(most, len(samples))
    return [samples[i * len(samples) // count] for i in range(count)]


def in_words(figures: Figures) -> str:
    return ", ".join([f"loss {figures.loss:.3f}", *(f"{name} {value:.3f}" for name, value in figures.metrics.items())])


# The command


def adapt(
    data: Sequence[Path],
    out: Path,
    parent: Parent,
    settings: Settings,
    replay: Sequence[Path] = (),
    about: dict[str, str] | None = None,
    echo: Echo = print,
) -> Path | None:
    """Write the model folder OUT/model; None where nothing was better than the parent. OUT/report.json says why.

    about  name, version and license of the new model
    """
    task = find_task(data, replay)
    found = adapt_network(parent, task, settings, out / "run", echo)
    report = {"settings": asdict(settings), "share": found.share, "refused": found.refused}
    pairs = {name: getattr(found, name) for name in ("start", "end", "old_start", "old_end")}
    report |= {name: asdict(figures) for name, figures in pairs.items() if figures is not None}
    (out / "report.json").write_text(json.dumps(report, indent=1), "utf-8")
    if not found.share:
        shutil.rmtree(out / "model", ignore_errors=True)
        return None
    save(found, parent, out)
    return write_model(out / "adapted.safetensors", out, parent, about or {}, card(parent, task, found), echo)


def save(found: Adapted, parent: Parent, out: Path) -> None:
    """Write OUT/adapted.safetensors, from which another adaptation or training can start."""
    state = checkpoints.load(out / "run/last.safetensors")[1]
    name = parent.spec.name
    parts = [(f"{name} {parent.spec.version}", 1 - found.share), (f"{name}, adapted", found.share)]
    state["soup"] = [{"checkpoint": title, "share": share} for title, share in parts if share]
    checkpoints.save(out / "adapted.safetensors", {"average": found.net.state_dict()}, state)


def write_model(weights: Path, out: Path, parent: Parent, about: dict[str, str], text: str, echo: Echo) -> Path:
    """Export to OUT/model with the calibration and thresholds of the parent, and add a text to its card."""
    from perception_models.export.export import ExportConfig, export

    part, model = out / "model.part", out / "model"
    shutil.rmtree(part, ignore_errors=True)
    described = f"{parent.spec.name} {parent.spec.version}, adapted to another camera"
    size = {"height": parent.spec.input.height, "width": parent.spec.input.width}
    on_road = exported_on_road(parent.spec)
    config = ExportConfig(description=described, on_road=on_road, **size, **about)  # type: ignore[arg-type]
    for line in export(weights, part, config):
        echo(line)
    spec = json.loads((part / "model.json").read_text("utf-8"))
    spec["outputs"] = json.loads((parent.spec.folder / "model.json").read_text("utf-8"))["outputs"]
    (part / "model.json").write_text(json.dumps(spec, indent=1) + "\n", "utf-8")
    load_spec(part)
    with (part / "MODEL_CARD.md").open("a", encoding="utf-8") as file:
        file.write(text)
    shutil.rmtree(model, ignore_errors=True)
    part.rename(model)
    return model


def card(parent: Parent, task: Task, found: Adapted) -> str:
    """The part of the model card that names the parent and says what was gained and lost."""
    digest = json.loads((parent.spec.folder / "model.json").read_text("utf-8"))["onnx"]["sha256"]
    own, held = (sum(len(entry["rows"]) for entry in entries) for entries in (task.own, task.held))
    rows = [("new camera, held out", found.start, found.end), ("old images, held out", found.old_start, found.old_end)]
    lines = [
        f"| {title} | {name} | {start.metrics[name]:.3f} | {end.metrics[name]:.3f} |"
        for title, start, end in rows
        if start is not None and end is not None
        for name in start.metrics
        if name in end.metrics
    ]
    table = "\n".join(["| images | metric | parent | this model |", "|---|---|---|---|", *lines])
    return (
        f"\n## Descent\nParent: {parent.spec.name} {parent.spec.version}, ONNX {digest[:16]}. Adapted with {own} "
        f"labelled images; {held} more were held out. {found.share:.0%} of the weights' way from the parent was taken. "
        f"Calibration and thresholds are those of the parent, whose card names what it was trained on.\n\n{table}\n"
    )
