"""Figures, comparison and mining, on stores written by hand."""

from __future__ import annotations

import csv
import json
import math
import threading
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs pyarrow: make setup-fleet")
pytest.importorskip("duckdb", reason="needs duckdb: make setup-fleet")

from fleet_drives import write_drive
from typer.testing import CliRunner

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.bench.fleet import simulate
from camera_perception.tools.bench.fleet_work import cpu_per_unit, seconds_per_unit
from camera_perception.tools.cli.app import app
from camera_perception.tools.fleet.compare.criteria import Criterion, judge, read_criteria
from camera_perception.tools.fleet.compare.figures import figures
from camera_perception.tools.fleet.compare.frames import agreement
from camera_perception.tools.fleet.compare.page import BEFORE, drawn_pair, heading, shown_slices, verdict_rows
from camera_perception.tools.fleet.mining.choose import choose, ranks
from camera_perception.tools.fleet.mining.mine import Mining, check_anonymized, mine
from camera_perception.tools.fleet.mining.signals import load_pool, signals_of
from camera_perception.tools.fleet.serve import server
from camera_perception.tools.fleet.status import duration
from camera_perception.tools.fleet.store.schema import DATA_TABLES, arrow_table, parquet_bytes
from camera_perception.tools.fleet.store.storage import open_storage

IMAGES = 10


def frame(drive, number, **values):
    key = {"unit": drive, "recording": drive, "recording_id": Path(drive).name, "camera": "front", "frame": number}
    vector = [1.0, 0.0, 0.0]
    return {**key, "stamp_ns": number * 10**8, "error": "", "file": "", "embedding": vector, **values}


def thing(drive, number, track, **values):
    box = {"x0": 10.0, "y0": 10.0, "x1": 20.0, "y1": 20.0, "truncated": 0, "coasted": False, "reported": True}
    more = {"class_name": "car", "score": 0.5, "track_id": track, "height_m": 1.5}
    return {**frame(drive, number), **box, **more, **values}


def write_store(folder, drives=("one", "two"), frames=(), **tables):
    """A store whose drives have IMAGES frames each, with changes to some of them, and rows of other tables."""
    storage = open_storage(folder)
    changed = {(row["unit"], row["frame"]): row for row in frames}
    model = {"name": "hand", "version": "1"}
    storage.write("run.json", json.dumps({"run": "r", "model": model, "job": {"engine": "none"}}).encode())
    for drive in drives:
        key = Path(drive).name
        tables["frames"] = [changed.get((drive, n), frame(drive, n)) for n in range(IMAGES)]
        for table in DATA_TABLES:
            own = [{**row, "unit": key} for row in tables.get(table, ()) if row["unit"] == drive]
            storage.write(f"{table}/{key}.parquet", parquet_bytes(arrow_table(table, own)))
        row = {"unit": key, "recording": drive, "recording_id": key, "status": "ok", "frames": IMAGES}
        storage.write(f"done/{key}.json", json.dumps(row).encode())
    return storage


STEADY = [thing("one", n, 1) for n in range(IMAGES)]
BRIEF = [thing("one", 4, 2, score=0.9), thing("one", 5, 2, score=0.9)]
FIRST = [thing("one", 0, 3)]  # its beginning was not seen
EDGE = [thing("one", 7, 4, truncated=1)]
LINES = [{**frame("one", n), "position": p} for n in (0, 1) for p in (-1, 1)] + [{**frame("one", 2), "position": 1}]


def test_figures_by_hand(tmp_path):
    tall, coasted = thing("two", 3, 5, height_m=3.0), thing("two", 4, 5, coasted=True, height_m=None)
    storage = write_store(
        tmp_path / "run",
        objects=[*STEADY, *BRIEF, *FIRST, tall, coasted],
        lanes=LINES,
        frames=[frame("two", 0, error="bad"), frame("one", 1, timeofday="night", det_seg=0.5)],
    )
    found = figures(storage)
    one, two = (found["recording"][name] for name in ("one", "two"))
    assert (one["images"], one["undecodable"], two["undecodable"]) == (10, 0, 0.1)
    assert one["flicker"] == 0.5  # one steady track, one brief one, and one whose beginning was not seen
    assert one["ego_lane"] == 0.2
    assert two["coasted"] == 0.5
    assert two["height_error"] == pytest.approx(math.log(2))
    assert found["timeofday"]["night"]["images"] == 1
    assert found["timeofday"]["night"]["det_seg"] == 0.5
    assert found["all"]["all"]["images"] == 20


def test_slices_by_speed_also_of_a_store_that_lacks_it(tmp_path):
    fast = [frame("one", n, speed_mps=20.0, objects=2) for n in range(4)] + [frame("one", 4, speed_mps=0.1)]
    storage = write_store(tmp_path / "run", frames=fast)
    found = figures(storage)["speed"]
    assert {value: row["images"] for value, row in found.items()} == {
        "60 to 100 km/h": 4, "standing": 1, "unknown": 15,
    }  # fmt: skip
    assert found["60 to 100 km/h"]["objects"] == 2
    for key in ("one", "two"):  # as an older version wrote it
        old = arrow_table("frames", [frame(key, n) for n in range(IMAGES)]).drop_columns(["speed_mps"])
        storage.write(f"frames/{key}.parquet", parquet_bytes(old))
    assert figures(storage)["speed"]["unknown"]["images"] == 20


def test_a_page_names_what_is_broken_and_sums_up_what_passed():
    rule = Criterion("flicker", "recording", worse=0.1)
    values = {"a/x": 0.2, "a/y": 0.25, "a/z": 0.5}
    old, new = ({"recording": {k: {"images": 100, "flicker": v} for k, v in each.items()}} for each in (
        dict.fromkeys(values, 0.2), values))  # fmt: skip
    rows = verdict_rows(judge((rule,), old, new))
    assert [row[:4] for row in rows] == [
        ("flicker", "recording z", "0.200", "0.500"), ("flicker", "recording y", "0.200", "0.250"),
    ]  # fmt: skip
    assert "worse by more than 0.1" in rows[0][4]
    assert "passed, and 1 more" in rows[1][4]


def test_slices_of_which_nothing_is_known_are_not_shown():
    found = {"all": {"all": {}}, "speed": {"unknown": {}}, "weather": {"unknown": {}, "rainy": {}}, "camera": {}}
    assert [heading(name) for name in shown_slices(found)] == ["All images", "By weather"]
    assert heading("timeofday") == "By time of day"


def test_what_both_runs_see_is_grey():
    image = np.zeros((360, 640, 3), np.uint8)
    same = {"class_name": "car", "score": 0.5, "x0": 100.0, "y0": 100.0, "x1": 200.0, "y1": 200.0}
    lost = {**same, "x0": 300.0, "x1": 400.0}
    pair = drawn_pair(image, [same, lost], [same])
    assert pair.shape == (360, 1280, 3)
    left, right, changed = (pair[150, x].tolist() for x in (100, 740, 300))
    assert left == right
    assert left[0] == left[1] == left[2] > 100
    assert np.argsort(changed).tolist() == np.argsort(BEFORE).tolist()
    assert not pair[150, 940].any()


@pytest.mark.parametrize(
    ("criterion", "before", "after", "broken"),
    [
        (Criterion("flicker", worse=0.1), 0.2, 0.25, ""),
        (Criterion("flicker", worse=0.1), 0.2, 0.35, "worse by more than 0.1"),
        (Criterion("flicker", worse=0.1), 0.9, 0.1, ""),
        (Criterion("ego_lane", worse=0.1), 0.9, 0.7, "worse by more than 0.1"),
        (Criterion("ego_lane", minimum=0.8), 0.9, 0.7, "below 0.8"),
        (Criterion("flicker", maximum=0.3), 0.1, 0.4, "above 0.3"),
        (Criterion("objects", worse=1.0), 5.0, 3.0, "worse by more than 1"),
        (Criterion("flicker", worse=0.1), 0.2, None, "no figure any more"),
        (Criterion("flicker", worse=0.1, images=1000), 0.2, 0.9, None),
    ],
)
def test_criteria(criterion, before, after, broken):
    old, new = (
        {"all": {"all": {"images": 100.0} | ({} if v is None else {criterion.figure: v})}} for v in (before, after)
    )
    assert [each.broken for each in judge((criterion,), old, new)] == ([] if broken is None else [broken])


def test_criteria_are_read_from_a_file(tmp_path):
    path = tmp_path / "criteria.yaml"
    path.write_text("criteria:\n- {figure: flicker, slice: weather, value: rainy, worse: 0.05, images: 3}\n")
    assert read_criteria(path) == (Criterion("flicker", "weather", "rainy", worse=0.05, images=3),)
    for text in ("criteria: [{figure: beauty}]", "nothing: 1", "criteria: [{figure: flicker, wors: 1}]", "- ["):
        path.write_text(text)
        with pytest.raises(PerceptionError, match="expected"):
            read_criteria(path)


def test_objects_of_two_runs_are_matched_once():
    near = {"class_name": "car", "score": 0.5, "x0": 0, "y0": 0, "x1": 10, "y1": 10}
    far = {**near, "x0": 50, "x1": 60, "score": 0.25}
    result = agreement([near, near], [near, far])
    assert (result.both, result.only_before, result.only_after) == (0.5, 0.5, 0.25)
    assert agreement([near], [{**near, "class_name": "bus"}]).disagreement == 1.0
    assert agreement([], []).disagreement == 0.0


def test_the_command_compares_and_fails_on_a_broken_criterion(tmp_path):
    drives = [str(write_drive(tmp_path / name, i, IMAGES)) for i, name in enumerate(("a", "b"))]
    steady = [thing(drives[0], n, 1, x0=20.0, x1=60.0, y0=30.0, y1=60.0) for n in range(IMAGES)]
    lines = [{**frame(drive, n), "position": p} for drive in drives for n in range(IMAGES) for p in (-1, 1)]
    write_store(tmp_path / "old", drives, objects=steady, lanes=lines)
    write_store(tmp_path / "new", drives, objects=steady[:5], lanes=lines[:20])
    rules = tmp_path / "criteria.yaml"
    rules.write_text("criteria: [{figure: ego_lane, slice: recording, worse: 0.1, images: 5}, {figure: flicker}]")
    words = ["fleet", "compare", str(tmp_path / "old"), str(tmp_path / "new"), "--criteria", str(rules)]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "page")])
    assert done.exit_code == 1
    assert "ego_lane" in done.output
    text = (tmp_path / "page/index.html").read_text()
    assert "1 of " in text
    pictures = list((tmp_path / "page").glob("*.jpg"))
    assert len(pictures) == 2  # the car that is gone, at most twice of one camera
    assert all(picture.name in text for picture in pictures)
    same = CliRunner().invoke(
        app, [*words[:2], str(tmp_path / "old"), *words[2:3], *words[4:], "-o", str(tmp_path / "p")]
    )
    assert same.exit_code == 0, same.output


def signal(storage, name, **more):
    pool = load_pool(storage, **more)
    values = signals_of(pool, [name])[name]
    return {(row["recording_id"], row["frame"]): value for row, value in zip(pool.rows, values)}


def top(values):
    """Frames with the largest value."""
    best = np.nanmax(list(values.values()))
    return sorted(key for key, value in values.items() if value == best)


def test_flicker_is_a_short_track_inside_the_image_and_the_drive(tmp_path):
    storage = write_store(tmp_path / "run", objects=[*STEADY, *BRIEF, *FIRST, *EDGE])
    values = signal(storage, "flicker")
    assert top(values) == [("one", 4), ("one", 5)]
    assert sum(value > 0 for value in values.values()) == 2


def test_a_box_that_geometry_contradicts(tmp_path):
    tall, doubtful = thing("two", 3, 5, height_m=4.0), thing("two", 4, 5, height_m=9.0, score=0.2)
    assert top(signal(write_store(tmp_path / "run", objects=[*STEADY, tall, doubtful]), "size")) == [("two", 3)]


def test_disagreement_of_two_runs(tmp_path):
    before, after = (
        write_store(tmp_path / "a", objects=STEADY),
        write_store(tmp_path / "b", objects=STEADY[:6] + STEADY[7:]),
    )
    assert top(signal(after, "disagree", against=before)) == [("one", 6)]
    with pytest.raises(PerceptionError, match="--against"):
        signal(after, "disagree")


def test_a_frame_unlike_all_others_is_rare_and_far_from_the_reference(tmp_path):
    known = [frame("one", n, embedding=[1.0, 0.01 * n, 0.0]) for n in range(IMAGES)]
    known += [frame("two", n, embedding=[1.0, 0.01 * n, 0.001]) for n in range(IMAGES)]
    reference = write_store(tmp_path / "known", frames=known)
    storage = write_store(tmp_path / "run", frames=[*known[:-1], frame("two", 9, embedding=[0.0, 0.0, 1.0])])
    assert top(signal(storage, "rare")) == [("two", 9)]
    assert top(signal(storage, "drift", reference=reference)) == [("two", 9)]


@pytest.mark.parametrize("name", ["beauty", ""])
def test_an_unknown_signal_names_the_known_ones(tmp_path, name):
    with pytest.raises(PerceptionError, match="flicker,disagree"):
        signal(write_store(tmp_path / "run"), name)


def test_ranks_are_fractions_and_unknown_is_last():
    np.testing.assert_allclose(ranks(np.array([5.0, np.nan, 7.0, 5.0])), [0, 0, 1, 0])
    assert ranks(np.array([])).tolist() == []


def pool_of(count, seconds=0.1):
    return [frame("one" if n < count // 2 else "two", n, stamp_ns=int(n * seconds * 1e9)) for n in range(count)]


def test_the_choice_keeps_the_gap_a_random_tenth_and_its_seed():
    rows, random = pool_of(400), np.random.default_rng(0)
    signals = {"a": random.random(400), "b": random.random(400)}
    chosen = choose(rows, np.zeros((400, 0)), signals, 20, 1.0)
    assert len(chosen) == len({each.index for each in chosen}) == 20
    assert [each.why for each in chosen].count("random") == 2
    for drive in ("one", "two"):
        stamps = sorted(rows[c.index]["stamp_ns"] for c in chosen if rows[c.index]["recording_id"] == drive)
        assert min(np.diff(stamps)) >= 1e9
    assert chosen == choose(rows, np.zeros((400, 0)), signals, 20, 1.0)
    best = [each.score for each in chosen if each.why != "random"]
    assert best == sorted(best, reverse=True)
    assert min(best) > np.median([a * b for a, b in zip(signals["a"], signals["b"])])


def test_fewer_frames_than_wanted_where_the_gap_leaves_no_more():
    assert len(choose(pool_of(40), np.zeros((40, 0)), {"a": np.arange(40.0)}, 30, 1.0)) == 4


def test_diversity_takes_every_kind_of_scene():
    """Twenty equal frames and one of another kind in the shortlist: k-means++ takes the other one, too."""
    rows, vectors = pool_of(21, 10.0), np.tile(np.float32([1, 0]), (21, 1))
    vectors[13] = 0, 1
    chosen = choose(rows, vectors, {"a": np.ones(21)}, 6, 1.0)
    assert 13 in {each.index for each in chosen}


def test_mined_frames_are_pictures_with_their_reasons(tmp_path):
    drives = [str(write_drive(tmp_path / name, i, IMAGES)) for i, name in enumerate(("a", "b"))]
    odd = thing(drives[1], 3, 5, height_m=6.0)
    storage = write_store(tmp_path / "run", drives, objects=[odd])
    rows = mine(storage, tmp_path / "hard", Mining(("size", "flicker"), count=3, gap=0.2))
    with (tmp_path / "hard/frames.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert len(table) == len(rows) == 3
    assert {path.name for path in (tmp_path / "hard/images").iterdir()} == {row["image"] for row in table}
    assert [row["why"] for row in table].count("random") == 1
    assert (tmp_path / "hard/sheet.jpg").stat().st_size > 1000
    with pytest.raises(PerceptionError, match="another --out"):
        mine(storage, tmp_path / "hard", Mining(("size",)))


def test_frames_of_an_earlier_turn_are_not_mined_again(tmp_path):
    drives = [str(write_drive(tmp_path / name, i, IMAGES)) for i, name in enumerate(("a", "b"))]
    storage = write_store(tmp_path / "run", drives, objects=[thing(drives[1], 3, 5, height_m=6.0)])
    first = mine(storage, tmp_path / "first", Mining(("size", "flicker"), count=3, gap=0.2))
    table = tmp_path / "first/frames.csv"
    second = mine(storage, tmp_path / "second", Mining(("size", "flicker"), count=100, gap=0.2, known=[table]))
    assert second
    for old in first:
        same = [row for row in second if (row["recording_id"], row["camera"]) == (old["recording_id"], old["camera"])]
        assert all(abs(row["stamp_ns"] - old["stamp_ns"]) >= 0.2e9 for row in same)
    with pytest.raises(PerceptionError, match=r"give a frames\.csv"):
        mine(storage, tmp_path / "third", Mining(("size",), known=[tmp_path / "run"]))


def test_recordings_that_were_not_anonymised_can_be_refused(tmp_path):
    covered, bare = write_drive(tmp_path / "covered", 0, 1), write_drive(tmp_path / "bare", 1, 1)
    (tmp_path / "covered.report.json").write_text("{}")
    check_anonymized({str(covered)})
    with pytest.raises(PerceptionError, match="fleet anonymize"):
        check_anonymized({str(covered), str(bare)})


def test_the_page_of_a_run_is_served(tmp_path):
    storage = write_store(tmp_path / "run", objects=STEADY)
    with server(storage, 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_address[1]}"
        text = urlopen(address, timeout=20).read().decode()
        running.shutdown()
    assert "2 units ok, 0 failed, 20 images" in text
    assert "flicker" in text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (599, "599 s"), (3600, "60 min"), (90_000, "25.0 h")])
def test_durations_have_a_fitting_unit(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("ends", "workers", "expected"), [([5, 7, 9, 11], 1, 2.0), ([5, 6, 7, 8, 9, 10], 2, 1.0), ([9, 10, 10, 11], 2, 0.5)]
)
def test_seconds_per_unit_leave_out_the_start_of_each_worker(ends, workers, expected):
    assert seconds_per_unit(ends, workers) == expected


def test_cpu_seconds_of_a_unit_are_the_median_of_the_markers(tmp_path):
    for number, seconds in enumerate((9.0, 1.0, 2.0)):  # the first one also warms up
        open_storage(tmp_path).write(f"done/{number}.json", json.dumps({"cpu_seconds": seconds}).encode())
    assert cpu_per_unit(tmp_path) == 2.0


@pytest.mark.parametrize(
    ("workers", "unit", "dispatch", "low", "high"),
    [(1, 10.0, 0.0, 1.0, 1.0), (10, 10.0, 0.0, 0.95, 1.0), (1000, 1.0, 0.1, 0.0, 0.011), (100, 60.0, 0.002, 0.95, 1.0)],
)
def test_the_model_of_the_scheduler_in_its_limits(workers, unit, dispatch, low, high):
    """Without dispatching only the end of the run is lost; a saturated driver keeps unit / dispatch workers busy."""
    assert low - 1e-9 <= simulate(workers, unit, dispatch) <= high + 1e-9
