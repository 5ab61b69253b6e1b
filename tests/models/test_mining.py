"""Mined frames against random ones: what is chosen, what is trained on, and the table."""

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch: make setup-models")
pytest.importorskip("pyarrow", reason="needs pyarrow: make setup-fleet")
pytest.importorskip("duckdb", reason="needs duckdb: make setup-fleet")

from typer.testing import CliRunner

from camera_perception.tools.fleet.store.schema import DATA_TABLES, arrow_table, parquet_bytes
from camera_perception.tools.fleet.store.storage import open_storage
from perception_models.cli import app
from perception_models.experiments import mining as module
from perception_models.experiments.mining import Plan, mined, table

IMAGES = 12


@pytest.fixture
def plan(tmp_path):
    for name in ("known", "city"):
        (tmp_path / name / "images").mkdir(parents=True)
        for number in range(IMAGES):
            cv2.imwrite(str(tmp_path / name / "images" / f"{number:02d}.png"), np.zeros((8, 8, 3), np.uint8))
    return Plan((tmp_path / "known", tmp_path / "city"), (tmp_path / "test",), 4, 5, seeds=(0, 1), signals=("rare",))


def write_store(folder, plan, doubtful, features=None):
    """A run over the pool whose network is uncertain on the doubtful frames. features: embeddings of some frames."""
    storage = open_storage(folder)
    storage.write("run.json", json.dumps({"run": "r", "model": {"name": "m", "version": "1"}, "job": {}}).encode())
    for pool in plan.pool:
        key = {"unit": pool.name, "recording": str(pool / "images"), "recording_id": pool.name, "camera": "images"}
        frames = [
            {**key, "frame": n, "stamp_ns": n * 10**8, "error": "", "file": f"{n:02d}.png"}
            | {"embedding": (features or {}).get((pool.name, n), [1.0, 0.0])}
            | {"uncertainty": 9.0 if (pool.name, n) in doubtful else 0.1 * n / IMAGES}
            for n in range(IMAGES)
        ]
        for name in DATA_TABLES:
            rows = frames if name == "frames" else []
            storage.write(f"{name}/{pool.name}.parquet", parquet_bytes(arrow_table(name, rows)))
        storage.write(f"done/{pool.name}.json", json.dumps({**key, "status": "ok", "frames": IMAGES}).encode())
    return folder


def test_mining_takes_what_the_network_doubts_and_nothing_known(plan, tmp_path):
    doubtful = {("city", n) for n in (1, 3, 6, 8)}
    store = write_store(tmp_path / "store", plan, doubtful | {("known", 2)})
    plan = Plan(plan.pool, plan.test, 4, 5, signals=("uncertainty",))
    known = {(str(plan.pool[0]), "02.png")}
    chosen = mined(store, plan, known, 0)
    assert len(set(chosen)) == 5
    assert not known & set(chosen)
    hits = {(str(plan.pool[1]), f"{n:02d}.png") for _, n in doubtful} & set(chosen)
    assert len(hits) >= 2  # others are by chance, and for diversity


def test_all_networks_start_from_the_first_and_get_as_many_frames(plan, tmp_path, monkeypatch):
    runs, store = {}, write_store(tmp_path / "store", plan, set())

    def run(config, folder):
        runs[folder.name] = config
        return folder / "best.safetensors"

    monkeypatch.setattr(module.launch, "run", run)
    monkeypatch.setattr(module, "replayed", lambda *_: store)
    monkeypatch.setattr(module, "headlines", lambda best, *_: {"mAP50": len(best.parent.name) / 10})
    out = tmp_path / "out"
    words = [str(each) for each in plan.pool] + ["--test", str(plan.test[0]), "--out", str(out)]
    done = CliRunner().invoke(app, ["compare-mining", *words, "--start", "4", "--added", "5", "--seeds", "2"])
    assert done.exit_code == 0, done.output
    assert set(runs) == {"first", "random_0", "random_1", "mined_0", "mined_1"}
    counts = {name: sum(len(each["include"]) for each in config.data.train) for name, config in runs.items()}
    assert counts == {"first": 4} | dict.fromkeys(set(runs) - {"first"}, 9)
    weights = str(out / "first/best.safetensors")
    assert all(config.transfer.weights == (None if name == "first" else weights) for name, config in runs.items())
    assert (runs["random_1"].seed, runs["mined_1"].seed) == (1, 1)
    assert runs["first"].stages[0].views == 3 * runs["mined_0"].stages[0].views
    assert "| mAP50 | 0.500 | 0.800 ± 0.000 | 0.700 ± 0.000 | 0 of 2 |" in (out / "table.md").read_text()


def test_the_table_counts_the_seeds_in_which_mining_won():
    values = {"first": 0.1, "random_0": 0.2, "mined_0": 0.3, "random_1": 0.4, "mined_1": 0.3}
    text = table({name: {"IoU": value} for name, value in values.items()})
    assert "| IoU | 0.100 | 0.300 ± 0.141 | 0.300 ± 0.000 | 1 of 2 |" in text


def test_the_last_line_counts_the_figures_that_decide():
    pairs = {"map50": (0.3, 0.4), "lane_f1": (0.5, 0.5), "scene": (0.1, 0.9), "drivable_iou": (0.6, 0.7)}
    row = dict.fromkeys(pairs, 0.0)
    runs = {how: {name: pair[i] for name, pair in pairs.items()} for i, how in enumerate(("random_0", "mined_0"))}
    assert table({"first": row, **runs}).endswith("better in 2 of 3: map50, lane_f1, drivable_iou.\n")


def test_drift_is_measured_from_the_known_frames(plan, tmp_path):
    far = {("city", n) for n in (0, 5, 9)}
    store = write_store(tmp_path / "store", plan, set(), {key: [0.0, 1.0] for key in far})
    known = {(str(plan.pool[0]), f"{n:02d}.png") for n in range(4)}
    chosen = mined(store, Plan(plan.pool, plan.test, 4, 5, signals=("drift",)), known, 0)
    assert len({(str(plan.pool[1]), f"{n:02d}.png") for _, n in far} & set(chosen)) >= 2  # others are for diversity


@pytest.mark.parametrize(
    ("words", "message"), [(["--start", "13"], "smaller --start"), (["--added", "90"], "more folders")]
)
def test_a_pool_that_is_too_small_is_refused(plan, tmp_path, words, message):
    pool = [str(each) for each in plan.pool]
    done = CliRunner().invoke(
        app, ["compare-mining", *pool, "--test", "t", "--out", str(tmp_path / "o"), "--added", "1", *words]
    )
    assert done.exit_code != 0
    assert message in " ".join(done.output.split())
