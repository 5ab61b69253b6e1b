"""Training logs, comparisons of runs and the recipe of the shipped model: their steps, and that they resume."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest

torch = pytest.importorskip("torch", reason="needs torch: make setup-models")

from perception_models.config import SettingsError, load_settings  # noqa: E402
from perception_models.experiments import compare as comparing  # noqa: E402
from perception_models.experiments.compare import Cost, costs  # noqa: E402
from perception_models.experiments.demo import ship  # noqa: E402
from perception_models.experiments.demo import train as making  # noqa: E402
from perception_models.experiments.demo.recipe import Recipe  # noqa: E402
from perception_models.export.export import deployable  # noqa: E402
from perception_models.network import PerceptionNet  # noqa: E402
from perception_models.network.config import of_size  # noqa: E402
from perception_models.training import launch  # noqa: E402
from perception_models.training.checkpoint import save  # noqa: E402
from perception_models.training.config import DataConfig, StageConfig, TrainConfig  # noqa: E402
from perception_models.training.log import draw_curves, read_log, smoothed  # noqa: E402

CONFIGS = Path(making.__file__).parents[2] / "configs"
STAGES = [StageConfig(views=8, height=64, width=128, batch=2)]


# --- log and curves


def test_rows_of_a_resumed_run_replace_earlier_rows_of_the_same_step(tmp_path):
    rows = [
        {"step": 1, "train/lanes": 9.0},
        {"step": 2, "train/lanes": 8.0},
        {"step": 2, "val/iou/drivable": 0.5},
        {"step": 3, "train/lanes": 7.0},
        {"step": 2, "train/lanes": 7.5},  # killed after 3, resumed from 1
        {"step": 4, "train/lanes": 6.0},
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_log(tmp_path / "log.jsonl") == [
        {"step": 1, "train/lanes": 9.0},
        {"step": 2, "train/lanes": 7.5, "val/iou/drivable": 0.5},
        {"step": 4, "train/lanes": 6.0},
    ]


def test_smoothing_keeps_constants_and_follows_changes():
    assert smoothed([3.0, 3.0, 3.0]) == [3.0, 3.0, 3.0]
    rising = smoothed([0.0] + [1.0] * 60)
    assert rising[1] == pytest.approx(0.08)
    assert rising[-1] > 0.99


def test_curves_are_drawn(tmp_path):
    rows = [
        {"step": s, "train/lanes": 9.0 / (s + 1), "val/loss/lanes": 5.0, "val/iou/semantic": 0.1} for s in range(40)
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.png")
    image = cv2.imread(str(tmp_path / "curves.png"))
    assert image.shape[1] > 2.5 * image.shape[0]  # three panels
    assert image.std() > 5


# --- runs as steps


@pytest.mark.parametrize(
    ("state", "patience", "done"),
    [
        (None, 0, False),
        ({"step": 3, "worse": 0, "world": 1}, 0, False),
        ({"step": 4, "worse": 0, "world": 1}, 0, True),
        ({"step": 2, "worse": 0, "world": 2}, 0, True),
        ({"step": 3, "worse": 2, "world": 1}, 2, True),
        ({"step": 3, "worse": 9, "world": 1}, 0, False),
    ],
)
def test_a_run_is_finished_after_its_last_step_or_an_early_stop(state, patience, done, tmp_path):
    if state:
        (tmp_path / "last.json").write_text(json.dumps(state))
    assert launch.finished(TrainConfig(stages=STAGES, patience=patience), tmp_path) is done


def test_a_run_is_started_once_and_then_resumed(tmp_path, monkeypatch):
    commands = []

    class Done:
        returncode = 0

    monkeypatch.setattr(launch.subprocess, "run", lambda command, **options: commands.append(command) or Done())
    config = TrainConfig(stages=STAGES)
    launch.run(config, tmp_path)
    assert "--resume" not in commands[0]
    assert load_settings(TrainConfig, tmp_path / "config.yaml") == config
    (tmp_path / "last.safetensors").touch()
    launch.run(config, tmp_path)
    assert commands[1][-1] == "--resume"
    (tmp_path / "last.json").write_text(json.dumps({"step": 4, "worse": 0, "world": 1}))
    launch.run(config, tmp_path)
    assert len(commands) == 2
    Done.returncode = 3
    with pytest.raises(RuntimeError, match="code 3"):
        launch.run(config, tmp_path / "other")


# --- comparisons


@pytest.fixture
def trained(monkeypatch) -> list[TrainConfig]:
    """Training and evaluation are replaced; the configurations of the runs are recorded."""
    configs: list[TrainConfig] = []

    def run(config: TrainConfig, folder: Path) -> Path:
        configs.append(config)
        folder.mkdir(parents=True, exist_ok=True)
        best = folder / "best.safetensors"
        if not best.exists():
            best.touch()
        return best

    def evaluate(model, data, out, limit=None):
        out.mkdir(parents=True, exist_ok=True)
        lanes = 0.9 if "b" in model.parent.name else 0.85
        return {"datasets": {"drawn": {"headlines": {"lane_f1": lanes, "map50": 0.5}}}}

    monkeypatch.setattr(comparing.launch, "run", run)
    monkeypatch.setattr("perception_models.evaluation.evaluate", evaluate)
    monkeypatch.setattr(comparing, "costs", lambda bests: {name: Cost(1_500_000, 1.0) for name in bests})
    return configs


def test_runs_differ_in_their_own_overrides_only(trained, tmp_path):
    (tmp_path / "base.yaml").write_text("network: {size: t}\nseed: 5\n")
    runs = {"a": [], "b": ["distill.teacher={out}/a/best.safetensors", "seed=7"]}
    text = {"base": "base.yaml", "words": ["optimizer.lr=0.1"], "runs": runs}
    (tmp_path / "compare.yaml").write_text(json.dumps(text))
    out = tmp_path / "out"
    said: list[str] = []
    metrics = comparing.compare(tmp_path / "compare.yaml", [tmp_path], out, ["optimizer.lr=0.2"], said.append)
    assert [(c.seed, c.optimizer.lr, c.distill.teacher) for c in trained] == [
        (5, 0.2, None),
        (7, 0.2, f"{out}/a/best.safetensors"),
    ]
    assert metrics == {"a": {"lane_f1": 0.85, "map50": 0.5}, "b": {"lane_f1": 0.9, "map50": 0.5}}
    assert "| b | 0.900 (+5.0) | 0.500 (+0.0) |" in (out / "table.md").read_text()
    assert (out / "costs.md").read_text().splitlines()[-1] == "| b | 1.50 | 1.00 |"
    assert said == ["run a", "run b"]


def test_costs_are_those_of_the_exported_network(tmp_path, monkeypatch):
    """A network with half of the tasks is smaller; the object head loses the branch used in training only."""
    monkeypatch.setattr(comparing, "seconds", lambda nets, size, rounds: [0.04, 0.01] if size == (64, 96) else [])
    torch.manual_seed(0)
    nets = {"all": PerceptionNet(of_size("t")), "maps": PerceptionNet(of_size("t", tasks=("drivable", "semantic")))}
    config = TrainConfig(stages=[StageConfig(height=64, width=96)])
    paths = {name: tmp_path / f"{name}.safetensors" for name in nets}
    for name, net in nets.items():
        state = {"step": 0, "network": asdict(net.config), "config": asdict(config)}
        save(paths[name], {"average": net.state_dict()}, state)
    found = costs(paths, rounds=1)
    assert (found["all"].time, found["maps"].time) == (1.0, 0.25)
    assert found["maps"].parameters < found["all"].parameters
    whole = deployable(nets["all"])
    unused, total = (sum(p.numel() for p in part.parameters()) for part in (whole.heads["objects"].many, whole))
    assert found["all"].parameters == total - unused < total


def test_a_finished_run_is_not_evaluated_again(trained, tmp_path, monkeypatch):
    (tmp_path / "compare.yaml").write_text(f"base: {CONFIGS / 'demo.yaml'}\nruns: {{a: []}}\n")
    words = (tmp_path / "compare.yaml", [tmp_path], tmp_path / "out", [])
    first = comparing.compare(*words, echo=lambda _: None)
    monkeypatch.setattr("perception_models.evaluation.evaluate", lambda *_, **__: pytest.fail("evaluated twice"))
    assert comparing.compare(*words, echo=lambda _: None) == first


def test_single_task_runs_are_compared_in_the_metrics_they_have():
    text = comparing.table({"all": {"map50": 0.5, "lane_f1": 0.8}, "lanes": {"lane_f1": 0.79}})
    assert text.splitlines()[-1] == "| lanes |  | 0.790 (-1.0) |"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("compare/*.yaml")), ids=lambda path: path.stem)
def test_shipped_comparisons_can_be_read(path):
    chosen = load_settings(comparing.CompareConfig, path)
    assert len(chosen.runs) > 1
    runs = [[word.replace("{out}", "runs") for word in words] for words in chosen.runs.values()]
    configs = [load_settings(TrainConfig, path.parent / chosen.base, words) for words in runs]
    assert len({json.dumps(repr(config)) for config in configs}) == len(configs)


def test_a_comparison_without_runs_is_an_error(tmp_path):
    (tmp_path / "compare.yaml").write_text("base: demo.yaml\n")
    with pytest.raises(SettingsError, match="runs is empty"):
        comparing.compare(tmp_path / "compare.yaml", [], tmp_path, [])


# --- the shipped model


def test_missing_data_sets_are_left_out_and_named(tmp_path):
    (tmp_path / "render").mkdir()
    here, gone = (
        {"kind": "labelled", "path": str(tmp_path / "render")},
        {"kind": "labelled", "path": "/nowhere/highway"},
    )
    config = TrainConfig(data=DataConfig(train=[here, gone], val=[here], lights="/nowhere/crops"))
    said: list[str] = []
    data = making.available(config, said.append).data
    assert (data.train, data.val, data.lights) == ([here], [here], None)
    assert "not on this machine: /nowhere/crops, /nowhere/highway" in said[0]
    assert making.available(TrainConfig(data=DataConfig(train=[here])), lambda _: pytest.fail("nothing is missing"))


def test_the_shipped_recipe_uses_no_data_that_must_not_be_shipped():
    data = load_settings(TrainConfig, making.CONFIG).data
    paths = " ".join([*(str(entry["path"]) for entry in data.train), str(data.lights)])
    assert "camvid" not in paths
    assert "kitti" not in paths
    crops = [entry for entry in data.train if entry["kind"] == "traffic_light_crops"]
    assert [(entry["fold"], entry["plain"]) for entry in crops] == [("train", False)]


def test_the_model_is_made_step_by_step(tmp_path, monkeypatch):
    steps = []
    recipe = Recipe(
        tmp_path / "data", tmp_path / "no real data", tmp_path / "run", tmp_path / "zoo", (3, 2, 2, 1, 2),
        pictures=tmp_path / "no images", teachers=tmp_path / "no teachers",
    )  # fmt: skip

    def make_dataset(folder, count, seed, size, workers, kind=None, around=False):
        (folder / "images").mkdir(parents=True)
        steps.append((folder.name, count, seed, kind, around))

    def train(config, folder):
        assert [Path(e["path"]).name for e in config.data.train] == ["train"]
        folder.mkdir()
        (folder / "log.jsonl").write_text('{"step": 1, "train/lanes": 2.0}\n')
        steps.append("train")
        return folder / "best.safetensors"

    def evaluate(model, sets, out, limit):
        assert [path.name for path in sets] == ["test"]
        out.mkdir()
        (out / "metrics.json").write_text("{}")
        steps.append("evaluate")
        return {"datasets": {"test": {"headlines": {"map50": 0.7}}}}

    def export(best, out, config):
        steps.append(("export", config.metrics and json.loads(Path(config.metrics).read_text())))
        return []

    monkeypatch.setattr("driving_scenes.output.dataset.make_dataset", make_dataset)

    def adjust(best, out, folders, strength):
        steps.append(("adjust", [folder.name for folder in folders], strength))

    for name, stub in (("run", train), ("adjust", adjust), ("evaluate", evaluate), ("export", export)):
        monkeypatch.setattr(ship if hasattr(ship, name) else making, name, stub)
    monkeypatch.setattr(ship, "export_sizes", lambda best, out, sizes: steps.append(sizes) or [])
    train_set = f"data.train=[{{kind: labelled, path: {tmp_path}/data/render/train}}]"
    making.make_demo(recipe, [train_set, "data.val=[]"], lambda _: None)
    assert steps == [
        ("train", 3, 1, None, False), ("city", 2, 2, "city", False), ("around", 2, 4, None, True),
        ("val", 1, 30_001, None, False), ("test", 2, 90_001, None, False), "train",
        ("adjust", ["city"], making.ADJUSTED), ("export", None), ship.OTHER_SIZES, "evaluate",
        ("export", {"test": {"map50": 0.7}}), ship.OTHER_SIZES,
    ]  # fmt: skip
    assert (tmp_path / "zoo/metrics.json").exists()
    assert (tmp_path / "zoo/training/curves.png").exists()


def test_real_images_are_labelled_and_continue_the_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Recipe(
        run=tmp_path / "run", out=tmp_path / "zoo",
        pictures=tmp_path / "pictures", teachers=tmp_path / "teachers",
    )  # fmt: skip
    first, said, labelled = tmp_path / "run/best.safetensors", [], []
    assert making.fine_tune(first, recipe, said.append) == first
    assert "no fine-tuning on real images" in said[0]

    def label(source, out, teachers, config, road):
        out.mkdir(parents=True)
        (out / "CREDITS.csv").write_text(f"file_name,licence\n{source.name}.jpg,CC BY 2.0\n")
        labelled.append((out.name, round(config.widen, 3), road is not None))

    def train(config, folder):
        assert config.transfer.weights == str(first)
        assert {Path(e["path"]).name for e in config.data.train} == {"coco", "openimages", "driveai"}
        return folder / "best.safetensors"

    recipe.pictures.mkdir()
    recipe.teachers.mkdir()

    def cut_all(sources, out, config):
        labelled.append(("cutouts", [path.name for path in sources], config.polygons.name))
        return [1, 2], {}

    monkeypatch.setattr("perception_models.data.curation.cutouts.cut.cut_all", cut_all)
    monkeypatch.setattr("perception_models.data.curation.label.label", label)
    monkeypatch.setattr("perception_models.data.curation.road.RoadTeacher", lambda path, second: path)
    monkeypatch.setattr("perception_models.data.curation.teachers.load_teachers", lambda folder: [])
    monkeypatch.setattr(making, "run", train)
    assert making.fine_tune(first, recipe, said.append) == tmp_path / "run/real/best.safetensors"
    assert labelled == [
        ("coco", 1.0, False), ("openimages", 1.333, True), ("driveai", 1.0, True),
        ("cutouts", ["coco", "openimages", "driveai"], "coco_cc_by"),
    ]  # fmt: skip
    credits = (recipe.out / "CREDITS.csv").read_text().splitlines()
    assert credits[0] == "file_name,licence"
    assert len(credits) == 4


def test_a_fine_tuned_network_moves_to_a_pruned_imagenet_backbone(tmp_path, monkeypatch):
    recipe = Recipe(data=tmp_path / "data", run=tmp_path / "run")
    weights, runs, said = tmp_path / "real.safetensors", [], []
    assert making.on_imagenet(weights, recipe, said.append) == weights  # without real images
    (recipe.data / "real").mkdir(parents=True)
    monkeypatch.setattr(making, "package_weights", lambda: (_ for _ in ()).throw(ModuleNotFoundError("no package")))
    assert making.on_imagenet(weights, recipe, said.append) == weights
    assert said == ["no ImageNet backbone: no package"]

    def train(config, folder):
        runs.append((folder.name, config.transfer.weights, config.distill.teacher, config.transfer.imagenet))
        expanded.append(config.network.get("expanded"))
        return folder / "best.safetensors"

    def prune(path, out, images, lost):
        assert (path.parent.name, images, lost) == ("imagenet", ["images"], making.LOST)
        return SimpleNamespace(checkpoint=out / "pruned.safetensors", network=SimpleNamespace(expanded=[8, 16]))

    expanded = []
    monkeypatch.setattr(making, "package_weights", lambda: tmp_path)
    monkeypatch.setattr(making, "complete_maps", lambda recipe, teachers, echo: said.append(teachers))
    monkeypatch.setattr(making, "draw_areas", lambda recipe, echo: said.append("drawn"))
    monkeypatch.setattr(making, "labelled_batches", lambda *_: [{"images": "images"}])
    monkeypatch.setattr(making, "prune_blocks", prune)
    monkeypatch.setattr(making, "run", train)
    assert making.on_imagenet(weights, recipe, said.append) == tmp_path / "run/shipped/best.safetensors"
    thin = str(tmp_path / "run/pruned/pruned.safetensors")
    assert runs == [("imagenet", str(weights), str(weights), True), ("shipped", thin, None, False)]
    assert expanded == [None, [8, 16]]
    assert said[1:3] == [[weights], "drawn"]  # completes the masks of real images, then draws over them


def test_the_worst_pictures_are_shown_where_there_are_any(tmp_path, monkeypatch):
    recipe, shown, said = (
        Recipe(out=tmp_path, pictures=tmp_path / "a/pictures", teachers=tmp_path / "t"),
        [],
        [],
    )
    monkeypatch.setattr(ship, "failures", lambda *folders: shown.append(folders))
    ship.show_failures(recipe, said.append)
    assert not shown
    recipe.pictures.mkdir(parents=True)
    recipe.teachers.mkdir()
    ship.show_failures(recipe, said.append)
    assert shown == [(tmp_path, tmp_path / "a", tmp_path / "t")]
    assert "look at" in said[0]
