"""perception-models loop: mine frames, get them labelled, train, and make a new model folder only if all gates pass.

Each step leaves its result in a folder of its own; run again to resume after an interruption, or after people labelled.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perception_models.config import SettingsError, load_settings
from perception_models.export.export import ExportConfig, export
from perception_models.training.config import OWN, TrainConfig, data_overrides

LESS_IS_BETTER = ("false", "error", "jump", "phantom", "beyond", "taken for", "hood")  # words in realbench's measures
Echo = Callable[[str], None]


ADDED = "added_frames.csv"  # in a model folder that the loop made: the frames of its turn


@dataclass
class MineConfig:
    """As the options of `camera-perception fleet mine`; frames that the parent's card names are known as well."""

    signals: str = "flicker,det-seg,rare,uncertainty,size"
    count: int = 200
    gap: float = 2.0
    seed: int = 0
    anonymized: bool = False
    known: list[str] = field(default_factory=list)


@dataclass
class GateConfig:
    """What a new model must pass, apart from the parity checks of the export.

    val        labelled data; no headline may fall by more than `most_lost` (0..1) below the parent's
    drives     recordings that both models replay; `criteria` is the YAML file of `camera-perception fleet compare`
    realbench  folder of real pictures as ../shared/data; no figure may get worse by more than most_worse; "": none
    """

    val: list[str] = field(default_factory=list)
    most_lost: float = 0.01
    drives: list[str] = field(default_factory=list)
    criteria: str = ""
    realbench: str = ""
    most_worse: float = 2.0


@dataclass
class LoopConfig:
    """One turn of the loop; paths are relative to the working directory.

    parent    model folder that is to be improved
    store     run of the parent over the pool, from `camera-perception fleet replay`
    out       folder of this turn; the new model folder is OUT/model
    teachers  model folders that pre-label the mined frames
    key       private key that signs the new model folder, from `camera-perception sign-model --new-key`; "": none
    people    wait for OUT/people, the labels that `perception-models import-labels` writes; else teachers are enough
    tool      format for people: cvat, label-studio, coco or yolo
    train     configuration of the training, and key=value overrides
    data      labelled data to train on beside the mined frames
    """

    parent: str = ""
    store: str = ""
    out: str = "loop"
    name: str = "loop"
    version: str = "0.1.0"
    license: str = "not stated"
    engine: str = "onnxruntime"
    workers: int = 1
    teachers: list[str] = field(default_factory=list)
    key: str = ""
    people: bool = False
    tool: str = "cvat"
    train: str = ""
    overrides: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    mine: MineConfig = field(default_factory=MineConfig)
    gates: GateConfig = field(default_factory=GateConfig)


@dataclass(frozen=True)
class Gate:
    """One gate: passed, and its figures as one line of text."""

    name: str
    passed: bool
    text: str


class Waiting(SettingsError):
    """The loop goes on when people have labelled."""


def loop(path: Path, overrides: list[str] | None = None, echo: Echo = print) -> Path | None:
    """One turn; returns the new model folder, or None when a gate refused it (OUT/gates.json says why)."""
    config = load_settings(LoopConfig, path, overrides)
    check(config)
    out = Path(config.out)
    hard = mined(config, out / "hard", echo)
    labels = labelled(config, hard, out, echo)
    best = trained(config, labels, out / "run", echo)
    candidate = exported(config, best, out / "candidate", echo)
    gates = judged(config, candidate, out / "gates", echo)
    report = [{"gate": gate.name, "passed": gate.passed, "text": gate.text} for gate in gates]
    (out / "gates.json").write_text(json.dumps(report, indent=1), "utf-8")
    for gate in gates:
        echo(f"{'passed ' if gate.passed else 'REFUSED'} {gate.name}: {gate.text}")
    return install(config, candidate, hard, out / "model", gates) if all(gate.passed for gate in gates) else None


def check(config: LoopConfig) -> None:
    """SettingsError for what is missing, before the long part."""
    for name in ("parent", "store"):
        if not getattr(config, name):
            raise SettingsError(f"{name}: is empty: give it in the configuration of the loop")
    if not (Path(config.parent) / "model.json").is_file():
        raise SettingsError(f"parent: {config.parent} is no model folder: give the folder that holds model.json")
    if config.key:
        from camera_perception.engines.serving.signature import private_key

        private_key(Path(config.key))
    if not config.gates.val and not config.gates.drives:
        raise SettingsError("gates: neither val nor drives: nothing would show that the new model is better")
    if not config.teachers and not config.people:
        raise SettingsError("teachers: is empty and people is false: nobody would label the mined frames")


# Steps


def mined(config: LoopConfig, out: Path, echo: Echo) -> Path:
    """The frames worth labelling."""
    if not (out / "frames.csv").is_file():
        from camera_perception.tools.fleet.mining.mine import Mining, mine
        from camera_perception.tools.fleet.store.storage import open_storage

        each = config.mine
        shutil.rmtree(out, ignore_errors=True)
        earlier = Path(config.parent) / ADDED
        known = [*map(Path, each.known), *([earlier] if earlier.is_file() else [])]
        mining = Mining(each.signals.split(","), each.count, each.gap, each.seed, each.anonymized, known=known)
        echo(f"mined {len(mine(open_storage(config.store), out, mining))} frames: {out / 'sheet.jpg'}")
    return out


def labelled(config: LoopConfig, hard: Path, out: Path, echo: Echo) -> Path:
    """The labels of the mined frames: of people, where they are asked, else of the teachers."""
    from perception_models.data.curation.label import label
    from perception_models.data.curation.teachers import ModelFolder
    from perception_models.data.readers.annotations.writers import export_labels

    people, folder = out / "people", out / "labels"
    if config.people and (people / "labels").is_dir():
        return people
    if config.teachers and not (folder / "sheet").is_dir():
        if not (hard / "LICENCE.txt").exists():
            (hard / "LICENCE.txt").write_text("own recordings\n", "utf-8")
        counts = label(hard, folder, [ModelFolder(Path(each), config.engine) for each in config.teachers])
        echo(f"pre-labelled: {', '.join(f'{number} {name}' for name, number in counts.most_common(6))}")
    if not config.people:
        return folder
    for_people = out / config.tool
    if folder.is_dir() and not for_people.exists():
        export_labels(folder, for_people, config.tool)
    given = for_people if for_people.exists() else hard / "images"
    raise Waiting(
        f"label {given}, then `perception-models import-labels EXPORT --images {hard / 'images'} --out {people}`"
    )


def trained(config: LoopConfig, labels: Path, run: Path, echo: Echo) -> Path:
    """The best checkpoint of a training on old and new labels; an interrupted one is resumed."""
    done = run / "finished"
    best = run / "best.safetensors"
    if not done.is_file():
        from perception_models.training.train import train

        data = [*map(Path, config.data), labels]
        val = [Path(each) for each in config.gates.val] or [labels]
        words = [*data_overrides(data, val, not config.train), *config.overrides]
        settings = load_settings(TrainConfig, Path(config.train) if config.train else OWN, words)
        best = train(settings, run, (run / "last.safetensors").is_file())
        done.write_text(str(best), "utf-8")
        echo(f"trained: {best}")
    return Path(done.read_text("utf-8"))


def exported(config: LoopConfig, best: Path, out: Path, echo: Echo) -> Path:
    """The candidate, whose backends reproduce the PyTorch outputs: export refuses it otherwise."""
    if not (out / "MODEL_CARD.md").is_file():
        settings = ExportConfig(name=config.name, version=config.version, license=config.license)
        for line in export(best, out, settings):
            echo(line)
    return out


def install(config: LoopConfig, candidate: Path, hard: Path, out: Path, gates: Sequence[Gate]) -> Path:
    """The new model folder; its card names the parent, the frames that were added, and the gates."""
    parent = json.loads((Path(config.parent) / "model.json").read_text("utf-8"))
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(candidate, part)
    shutil.copyfile(hard / "frames.csv", part / ADDED)
    rows = "\n".join(f"- {gate.name}: {gate.text}" for gate in gates)
    frames = len((hard / "frames.csv").read_text("utf-8").splitlines()) - 1
    with (part / "MODEL_CARD.md").open("a", encoding="utf-8") as card:
        card.write(
            f"\n## Descent\nParent: {parent['name']} {parent['version']}, ONNX {parent['onnx']['sha256'][:16]}. "
            f"Added: {frames} mined frames, listed in {ADDED}.\n\nGates passed:\n{rows}\n"
        )
    if config.key:
        from camera_perception.engines.serving.signature import private_key, sign

        sign(part, private_key(Path(config.key)))
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    return out


# Gates


def judged(config: LoopConfig, candidate: Path, out: Path, echo: Echo) -> list[Gate]:
    """All gates; the parity checks passed when the candidate was exported."""
    gates = [Gate("parity", True, "ONNX Runtime and OpenVINO reproduce the PyTorch outputs")]
    parent = Path(config.parent)
    if config.gates.val:
        gates.append(accuracy_gate(config.gates, parent, candidate, out))
    if config.gates.drives:
        gates.append(fleet_gate(config, parent, candidate, out))
    if config.gates.realbench:
        gates.append(realbench_gate(config.gates, parent, candidate, out))
    return gates


def accuracy_gate(gates: GateConfig, parent: Path, candidate: Path, out: Path) -> Gate:
    """Headlines of both models on labelled data."""
    from perception_models.evaluation import evaluate

    found = [
        evaluate(model, gates.val, out / name)["datasets"] for model, name in ((parent, "parent"), (candidate, "new"))
    ]
    before, after = (sets.get("all", next(iter(sets.values())))["headlines"] for sets in found)
    return judge_headlines(before, after, gates.most_lost)


def judge_headlines(before: Mapping[str, float], after: Mapping[str, float], most_lost: float) -> Gate:
    """Refused when a headline fell by more than `most_lost`, or is gone."""
    lost = {name: value - after.get(name, 0.0) for name, value in before.items()}
    text = ", ".join(f"{name} {before[name]:.3f} -> {after.get(name, 0.0):.3f}" for name in before)
    return Gate("accuracy", all(value <= most_lost for value in lost.values()), text)


def fleet_gate(config: LoopConfig, parent: Path, candidate: Path, out: Path) -> Gate:
    """Both models replay the drives; the criteria of `fleet compare` decide."""
    from camera_perception.tools.fleet.compare.page import compare_runs
    from camera_perception.tools.fleet.store.storage import open_storage
    from camera_perception.tools.fleet.work.replay import Settings, replay_fleet
    from camera_perception.tools.fleet.work.units import Job

    stores = []
    for model, name in ((parent, "fleet_parent"), (candidate, "fleet_new")):
        job = Job("", config.engine)
        summary = replay_fleet(config.gates.drives, model, str(out / name), job, Settings(config.workers))
        if summary.left:
            return Gate("fleet", False, f"{summary.left} units were not replayed: run again")
        stores.append(open_storage(out / name))
    rules = Path(config.gates.criteria) if config.gates.criteria else None
    verdicts, _ = compare_runs(stores[0], stores[1], out / "page", rules, 12)
    broken = [f"{v.criterion.figure} on {v.criterion.slice} {v.value} {v.broken}" for v in verdicts if v.broken]
    return Gate("fleet", not broken, "; ".join(broken) or f"{len(verdicts)} criteria, see {out / 'page/index.html'}")


def realbench_gate(gates: GateConfig, parent: Path, candidate: Path, out: Path) -> Gate:
    """Figures of both models on real pictures."""
    from perception_models.evaluation.real.rows import MODEL
    from perception_models.evaluation.real.run import realbench

    data, rows = Path(gates.realbench), []
    for model, name in ((parent, "realbench_parent"), (candidate, "realbench_new")):
        report = realbench(model, data, out / name, data / "teachers")
        rows.append({(row.measure, row.set): row.values[MODEL] for row in report.rows if MODEL in row.values})
    return judge_rows(rows[0], rows[1], gates.most_worse)


def judge_rows(
    before: Mapping[tuple[str, str], float], after: Mapping[tuple[str, str], float], most_worse: float
) -> Gate:
    """Refused when a figure got worse by more than `most_worse`."""
    worse = []
    for key in before.keys() & after.keys():
        sign = -1 if any(word in key[0].lower() for word in LESS_IS_BETTER) else 1
        if sign * (before[key] - after[key]) > most_worse:
            worse.append(f"{key[0]} on {key[1]} {before[key]:.2f} -> {after[key]:.2f}")
    return Gate("realbench", not worse, "; ".join(sorted(worse)) or f"{len(before.keys() & after.keys())} figures")
